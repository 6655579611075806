"""Errors and warnings of verbs that score, in the words of the command line: exit code 2 for usage, 3 for bad data."""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer

from crossentropy.cli.install import what_to_install
from crossentropy.evaluation import BadData

__all__ = ["USAGE", "errors_with_codes", "in_options"]

FAILED_GATE, USAGE, BAD_DATA = 1, 2, 3
_OPTIONS = (
    "classes|positive|proba|logits|log_proba|weight|cluster|slice|prior|clip|interval|sum_tolerance|on_bad_rows|"
    "soft_labels|key|by_position|horizon|permutations|seed|context|stride"
)
#: Arguments that are columns, whose options end in -column.
_COLUMNS = ("tokens", "text", "bytes", "characters", "words")
_OPTIONS += "|log_probs|document|prefix|" + "|".join(_COLUMNS)
_OPTION = re.compile(rf'\b({_OPTIONS})=(?:"(\w+)"|True\b|\(negative, positive\))?')
_SUBJECT = re.compile(rf"^({_OPTIONS})(?= is )")  # what a message begins with
_METHOD = re.compile(r"\b(?:(Temperature|Platt|Vector|Matrix)Scaling|(Auto|Beta|Isotonic)Calibration)\b")


def in_options(message: str) -> str:
    """Write the arguments of Python in a message as options of the command line.

    >>> in_options('pass classes=, the label of each column. on_bad_rows="skip" leaves such rows out')
    'pass --classes, the label of each column. --on-bad-rows skip leaves such rows out'
    >>> in_options("horizon is 0; pass an integer of at least 1")
    '--horizon is 0; pass an integer of at least 1'
    """

    def option(match: re.Match[str]) -> str:
        value = match[2] or ("NEGATIVE,POSITIVE" if "(" in match[0] else "")
        after = match.string[match.end() : match.end() + 1]
        space = " " if value or (after and after not in " ,;.") else ""
        name = match[1].replace("_", "-") + ("-column" if match[1] in _COLUMNS else "")
        return f"--{name}{space}{value}"

    message = _SUBJECT.sub(lambda match: f"--{match[1].replace('_', '-')}", message)
    message = _METHOD.sub(lambda match: f"--method {(match[1] or match[2]).lower()}", message)
    return _OPTION.sub(option, message).replace("larger sum_tolerance", "larger --sum-tolerance")


def _sentence(error: ValueError | OSError) -> str:
    """Return the message of an error, without the number that the operating system has for it."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _shown_by(otherwise: Any) -> Any:
    """Make a function that shows a warning to the user as a sentence, and any other warning as before."""

    def show(message: Warning | str, category: type[Warning], *where: Any) -> None:
        if issubclass(category, UserWarning):
            typer.echo(f"Warning: {in_options(str(message))}", err=True)
        else:
            otherwise(message, category, *where)

    return show


@contextmanager
def errors_with_codes() -> Iterator[None]:
    """Turn what the user can put right into one sentence on stderr and an exit code, and warnings into sentences."""
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _shown_by(warnings.showwarning)
            yield
        return
    except BadData as error:
        sentence, code = str(error), BAD_DATA
    except (ValueError, OSError) as error:
        sentence, code = _sentence(error), USAGE
    except ImportError as error:
        missing = error if isinstance(error, ModuleNotFoundError) else error.__cause__
        if not isinstance(missing, ModuleNotFoundError):
            raise
        sentence, code = what_to_install(missing, extra="evaluate"), USAGE
    typer.echo(f"Error: {in_options(sentence)}", err=True)
    raise typer.Exit(code)
