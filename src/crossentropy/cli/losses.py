"""The verb ``losses``."""

import typer


def losses() -> None:
    """List the losses by family.

    For each family, when to use it; for each loss, what it is, its paper, and (marked --loss) whether train takes it.
    """
    from crossentropy._loss_expressions.known_losses import KNOWN_LOSSES, paper, public_losses, summary
    from crossentropy.training.families import FAMILIES

    public = public_losses()
    width = max(map(len, public))
    for family in FAMILIES:
        typer.echo(f"{family.title}: when {family.use_when}")
        for name in family.losses:
            fits = "--loss" if name in KNOWN_LOSSES else ""
            source = paper(public[name])
            line = f"  {name:<{width}}  {fits:<6}  {summary(public[name])}"
            typer.echo(line + (f" ({source})" if source else ""))
        typer.echo()
    short = [
        f"{name} for {known.function.__name__}" for name, known in KNOWN_LOSSES.items() if name not in public
    ]
    typer.echo(f"--loss: a loss for crossentropy train --loss, which also takes {', '.join(short)}.")
