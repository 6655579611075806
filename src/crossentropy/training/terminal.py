"""Where the commands print."""

from rich.console import Console


def terminal(*, stderr: bool = False, quiet: bool = False) -> Console:
    """Make a console that prints texts as they are, also a class ``[b]`` or ``:cat:``, which Rich reads as markup."""
    return Console(stderr=stderr, quiet=quiet, markup=False, emoji=False, highlight=False)
