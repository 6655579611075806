"""The verb ``explain``."""

from typing import Annotated, Any

import typer

from crossentropy.cli.arguments import Html, Json, class_names
from crossentropy.cli.evaluation_errors import errors_with_codes
from crossentropy.cli.sections import show
from crossentropy.training.output import check_file

Numbers = Annotated[str | None, typer.Option(metavar="X,…", help="A number for each class.")]
Number = Annotated[float | None, typer.Option(metavar="X")]


def explain(
    label: Annotated[
        str,
        typer.Option(
            metavar="LABEL", help="The class: its number, or its name in --classes; or X,… its masses."
        ),
    ],
    logits: Annotated[str | None, typer.Option(metavar="X,…", help="Scores of the classes.")] = None,
    proba: Annotated[
        str | None, typer.Option(metavar="X,…", help="Probabilities, in place of --logits.")
    ] = None,
    classes: Annotated[str | None, typer.Option(metavar="A,B,…", help="What the classes are called.")] = None,
    softcap: Annotated[float | None, typer.Option(metavar="X", help="κ of κ tanh(z / κ).")] = None,
    margin: Annotated[
        str | None, typer.Option(metavar="X", help="Taken off the logit of the label; or X,….")
    ] = None,
    temperature: Annotated[float | None, typer.Option(metavar="X", help="Logits are divided by it.")] = None,
    logit_bias: Numbers = None,
    label_smoothing: Annotated[
        float | None, typer.Option(metavar="X", help="Share of the label that is spread over all classes.")
    ] = None,
    smoothing_prior: Numbers = None,
    class_weight: Numbers = None,
    sample_weight: Annotated[float | None, typer.Option(metavar="X", help="Weight of the row.")] = None,
    link: Annotated[
        str | None,
        typer.Option(metavar="LINK", help="What is made of log p: Focal(gamma=2), Poly(epsilon=1), …."),
    ] = None,
    z_loss: Annotated[
        float | None, typer.Option(metavar="X", help="Factor of the squared log-partition.")
    ] = None,
    entropy_bonus: Annotated[
        float | None, typer.Option(metavar="X", help="Factor of the entropy that is taken off.")
    ] = None,
    html: Html = None,
    json: Json = False,
) -> None:
    """Explain one loss, step by step: from logits or probabilities and a label to the number and its gradient."""
    with errors_with_codes():
        if html is not None:
            check_file(html)

        from crossentropy._explain.explain import explain as explain_row
        from crossentropy._loss_expressions.links import parse_link

        options: dict[str, Any] = {
            "softcap": softcap,
            "margin": _numbers(margin, "--margin", single=True),
            "temperature": temperature,
            "logit_bias": _numbers(logit_bias, "--logit-bias"),
            "label_smoothing": label_smoothing,
            "smoothing_prior": _numbers(smoothing_prior, "--smoothing-prior"),
            "class_weight": _numbers(class_weight, "--class-weight"),
            "sample_weight": sample_weight,
            "link": None if link is None else parse_link(link),
            "z_loss": z_loss,
            "entropy_bonus": entropy_bonus,
        }
        if (logits is None) == (proba is None):
            raise ValueError("pass one of --logits and --proba, such as --logits 2,1,-1")
        explained = explain_row(
            _numbers(logits, "--logits"),
            _label(label, classes),
            probabilities=_numbers(proba, "--proba"),
            classes=class_names(classes),
            **{name: value for name, value in options.items() if value is not None},
        )
        show(explained, html, as_json=json)


def _numbers(text: str | None, option: str, *, single: bool = False) -> Any:
    """Return the numbers of a text, a list of them; of a single one the number if that is allowed."""
    if text is None:
        return None
    try:
        numbers = [float(x) for x in text.split(",")]
    except ValueError:
        raise ValueError(f"{option} is {text!r}; pass numbers with commas between them, as 2,1,-1") from None
    return numbers[0] if single and len(numbers) == 1 else numbers


def _label(text: str, classes: str | None) -> Any:
    """Return the label: a name of the classes, a class number, or masses."""
    if text in (class_names(classes) or ()):
        return text
    try:
        return int(text)
    except ValueError:
        if "," in text:
            return _numbers(text, "--label")
        known = (
            f"one of --classes {classes}"
            if classes
            else "the number of the class, from 0, or names by --classes"
        )
        raise ValueError(f"--label is {text!r}; pass {known}, or its masses as 0.9,0.1,0") from None
