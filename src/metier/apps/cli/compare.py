"""``metier compare``: paired differences between evaluations of the same test set."""

from __future__ import annotations

import typer

from metier.apps.cli.frame import HERE, AsJson, Directory, session, show
from metier.apps.cli.tables import differences_table

app = typer.Typer()


@app.command()
def compare(
    a: str = typer.Argument(help="Evaluation id, or the name of a rung (e.g. tuned)."),
    b: str = typer.Argument(help="The one it is compared with."),
    directory: Directory = HERE,
    as_json: AsJson = False,
) -> None:
    """Difference a - b of every metric, paired on the same items, with interval and p-value."""
    from metier.journey.verbs import compare_evaluations

    with session(directory) as opened:
        found = compare_evaluations(opened, a, b)
    show(found, as_json, lambda: differences_table(found, {found[0].a: a, found[0].b: b}))
