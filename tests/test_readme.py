"""The pages tell the truth: their Python runs and prints what they say, and what they point at is there.

A fenced ``python`` block is run in a namespace of its own, statement by statement. What a statement prints,
or the error it ends in (``ValueError: message``), stands behind ``# →`` at its end or on the lines below it,
and may go on in further comment lines; white space counts as one blank.
"""

import ast
import contextlib
import io
import re
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import NamedTuple

import pytest

import crossentropy

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *ROOT.glob("docs/*.md"),
    *ROOT.glob("docs/guide/*.md"),
]
SAYS = "# →"
FOLDERS = (ROOT, ROOT / "src", ROOT / "src/crossentropy")  # that paths on the pages start from


class Block(NamedTuple):
    """A fenced block of Python, and where it stands."""

    page: Path
    line: int
    source: str

    def __repr__(self) -> str:
        return f"{self.page.name}:{self.line}"


def python_blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for fence in re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield Block(page, text.count("\n", 0, fence.start()) + 2, fence[1])


BLOCKS = [block for page in PAGES for block in python_blocks(page)]
# Examples that import these run in a process of their own, by tests/keras/test_backends.py.
OF_KERAS = [block for block in BLOCKS if re.search(r"\b(keras|tensorflow)\b", block.source)]
# Examples that import these run on a cluster, by tests/evaluation/test_spark.py and test_ray.py.
OF_ENGINES = {
    engine: [
        block for block in BLOCKS if re.search(rf"^(import|from) {engine}\b", block.source, re.MULTILINE)
    ]
    for engine in ("pyspark", "ray")
}
ELSEWHERE = [*OF_KERAS, *OF_ENGINES["pyspark"], *OF_ENGINES["ray"]]


def statements(source: str) -> Iterator[tuple[int, ast.stmt, str]]:
    """Each statement with its first line and the output that the page gives it."""
    lines, body = source.splitlines(), ast.parse(source).body
    ends = [*(node.lineno - 1 for node in body[1:]), len(lines)]
    for node, end in zip(body, ends, strict=True):
        yield node.lineno, node, said(lines[node.lineno - 1 : end])


def said(lines: list[str]) -> str:
    """The text behind ``# →`` and in the comment lines that follow it."""
    words: list[str] = []
    speaking = False
    for line in lines:
        _, mark, text = line.partition(SAYS)
        if mark:
            speaking = True
        else:
            speaking = speaking and line.startswith("#")
            text = line.lstrip("#")
        words += text.split() if speaking else []
    return " ".join(words)


def outcome(node: ast.stmt, namespace: dict, filename: str) -> str:
    """What a statement prints, and the error it ends in."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        try:
            exec(compile(ast.Module([node], []), filename, "exec"), namespace)
        except Exception as error:
            print(f"{type(error).__name__}: {error}")
    return " ".join(printed.getvalue().split())


def check_output(block: Block) -> None:
    """Run a block, and compare what each statement prints with what the page says."""
    namespace: dict = {}
    for line, node, expected in statements(block.source):
        assert outcome(node, namespace, str(block)) == expected, f"{block.page.name}:{block.line + line - 1}"


@pytest.mark.parametrize("block", [block for block in BLOCKS if block not in ELSEWHERE], ids=repr)
def test_the_python_on_the_pages_runs_and_does_what_they_say(block):
    if re.search(r"\btorch\b", block.source):
        pytest.importorskip("torch", reason="this example needs PyTorch")
    if "sklearn" in block.source:
        pytest.importorskip(
            "crossentropy.sklearn", reason="this example needs scikit-learn and PyTorch", exc_type=ImportError
        )
    check_output(block)


def test_output_that_a_page_does_not_give_or_gives_wrong_is_seen():
    def holds(source):
        return all(outcome(node, {}, "") == expected for _, node, expected in statements(source))

    assert holds("print(1)  # → 1\n")
    assert holds("print('a b')\n# → a\n#   b\n\n# a remark\nx = 1\n")
    assert holds("1 / 0\n# → ZeroDivisionError: division by zero\n")
    assert not holds("print(1)\n")
    assert not holds("x = 1  # → 1\n")
    assert not holds("print(1)  # → 2\n")
    assert not holds("1 / 0\n")


def test_there_is_something_to_run():
    assert {block.page.name for block in BLOCKS} >= {"README.md", "numerics.md"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_files_and_commands_that_a_page_names_are_there(page):
    text = page.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text):
        assert (page.parent / link).exists(), f"{page.name} links to {link}"
    targets = set(re.findall(r"^([\w./-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    wanted = re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE)
    assert set(wanted) <= targets


def test_the_paths_in_code_on_the_guide_to_contributing_are_there():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    paths = re.findall(r"`([\w.]+/[\w./]*)`", text)
    assert len(paths) > 80
    assert [path for path in paths if not any((folder / path).exists() for folder in FOLDERS)] == []


# Not on CHANGELOG.md, which has former names as well.
@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.stem != "CHANGELOG"], ids=lambda page: page.name
)
def test_the_names_of_the_package_on_a_page_are_there(page):
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"`(?:crossentropy\.|ce\.)?((?:losses|links|targets)\.(?!py\b)\w+)", text):
        assert reduce(getattr, name.split("."), crossentropy), name
