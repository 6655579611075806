"""The report that ``--out`` of ``evaluate``, ``merge`` and ``compare`` writes."""

import hashlib
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from crossentropy._report.limits import Limit
from crossentropy._report.provenance import Provenance, Source, versions
from crossentropy.cli.evaluation_report import option_of, write_bytes
from crossentropy.evaluation import Comparison, Evaluation
from crossentropy.evaluation._gates import Gate
from crossentropy.training.output import check_file

__all__ = ["check_page", "tree_of", "write_page"]

PAGES = (".html", ".md", ".json")


def check_page(path: Path) -> None:
    """Raise, before any work is done, if a report cannot be written there, or what draws it is not installed."""
    if path.suffix.lower() not in PAGES:
        raise ValueError(f"--out is {str(path)!r}; pass a file that ends in {', '.join(PAGES)}")
    check_file(path)
    if path.suffix.lower() != ".json":
        import crossentropy._report.evaluation_page  # noqa: F401


def write_page(
    result: Evaluation | Comparison, path: Path, sources: Sequence[str], gates: Sequence[Gate] = ()
) -> None:
    """Write the report of predictions read from sources, in the format that the name of the file ends in."""
    if path.suffix.lower() == ".json":
        text = result.to_json() + "\n"
    else:
        provenance = Provenance(_described(sources), versions(), shlex.join(["crossentropy", *sys.argv[1:]]))
        limits = [Limit(option_of(gate), gate.passed, gate.sentence) for gate in gates]
        text = _page(result, provenance, limits, as_html=path.suffix.lower() == ".html")
    write_bytes(text.encode(), path)


def _page(
    result: Evaluation | Comparison, provenance: Provenance, limits: Sequence[Limit], *, as_html: bool
) -> str:
    if isinstance(result, Evaluation):
        from crossentropy._report.evaluation_page import evaluation_html, evaluation_markdown

        return (evaluation_html if as_html else evaluation_markdown)(result.to_dict(), provenance, limits)

    from crossentropy._report.comparison_page import comparison_html, comparison_markdown

    return (comparison_html if as_html else comparison_markdown)(tree_of(result), provenance, limits)


def tree_of(result: Comparison) -> dict[str, Any]:
    """Return a comparison as its page takes it: each difference has its sentence, with names that are not too long."""
    from crossentropy._report.sentences import short

    tree = result.to_dict()
    for own, difference in zip(tree["differences"], result.differences, strict=True):
        named = replace(difference, model=short(difference.model), reference=short(difference.reference))
        own["sentence"] = named.sentence()
    return tree


def _described(sources: Sequence[str]) -> list[Source]:
    """Return each file with its size and digest; of what can be read only once and of remote files the name alone."""
    from crossentropy.evaluation._sources.addresses import addresses
    from crossentropy.evaluation._sources.paths import STANDARD_INPUT, called

    described = []
    for address in addresses(sources):
        if address == STANDARD_INPUT or "://" in address or not os.path.isfile(address):
            described.append(Source(called(address)))
            continue
        with open(address, "rb") as file:
            digest = hashlib.sha256()
            while part := file.read(1 << 20):
                digest.update(part)
            described.append(Source(address, file.tell(), digest.hexdigest()))
    return described
