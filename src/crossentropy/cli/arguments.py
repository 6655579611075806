"""Arguments that several verbs take."""

from typing import Annotated

import typer

Separator = Annotated[
    str | None,
    typer.Option(metavar="CHARACTER", help="What separates the columns of a text table: ; or tab, …"),
]
Encoding = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Encoding of a text table that is not UTF-8: latin-1, utf-16, …"),
]
Decimal = Annotated[
    str | None, typer.Option(metavar="MARK", help="Decimal mark of the numbers in a text table, . or ,")
]
