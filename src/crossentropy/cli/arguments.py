"""Arguments that several verbs take."""

from typing import Annotated

import typer

Separator = Annotated[
    str | None, typer.Option(metavar="CHARACTER", help="Between columns of a text table; tab, ;, …")
]
Encoding = Annotated[
    str | None, typer.Option(metavar="NAME", help="Of a text table, if not UTF-8: latin-1, utf-16, …")
]
Decimal = Annotated[str | None, typer.Option(metavar="MARK", help="Decimal mark, . or ,")]
