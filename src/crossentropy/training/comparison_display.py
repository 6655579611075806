"""The terminal output of a comparison of losses."""

from collections.abc import Callable

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table

from crossentropy.training.comparison import Comparison, Difference, conclusions
from crossentropy.training.display import decimals
from crossentropy.training.scores import NORMAL_QUANTILE


def comparison_report(comparison: Comparison) -> Group:
    """Format the scores of each loss on the held-out rows, the differences to the first one, and what they mean."""
    first = comparison.runs[0]
    table = Table(
        title=f"Losses on the same {len(first.log_probabilities)} held-out rows",
        title_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 0, 0, 1),
        pad_edge=False,
    )
    table.add_column("loss", overflow="fold")
    # broken here, so that the names of the losses have the rest of the width
    for name in (
        "log loss,\nnats",
        "minus\nfirst",
        "accuracy",
        "minus\nfirst",
        "balanced\naccuracy",
        "average\nprecision",
    ):
        table.add_column(name, justify="right", no_wrap=True)
    differences = zip(
        comparison.log_loss_differences(first), comparison.accuracy_differences(first), strict=True
    )
    for run, (nats, hits) in zip(comparison.runs, differences, strict=True):
        scores = run.scores
        table.add_row(
            run.given_loss + (" (kept)" if run is comparison.kept else ""),
            f"{decimals(scores.nats)}\n± {decimals(NORMAL_QUANTILE * scores.standard_error)}",
            "–" if run is first else _signed(nats, decimals),
            f"{scores.accuracy:.2%}",
            "–" if run is first else _signed(hits, "{:.2%}".format),
            f"{scores.balanced_accuracy:.2%}",
            f"{scores.average_precision:.4f}",
        )
    return Group(
        table,
        "± is half of a 95 % interval; a difference has its own, from the differences row by row.",
        *conclusions(comparison),
    )


def _signed(difference: Difference, form: Callable[[float], str]) -> str:
    """Write a difference with its sign, and below it half of its interval."""
    sign = "+" if difference.mean >= 0 else "−"
    mean, half = (form(x) for x in (abs(difference.mean), difference.half_width))
    return f"{sign}{mean}\n± {half}"
