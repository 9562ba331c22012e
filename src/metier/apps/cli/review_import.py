"""``metier review import``: ratings of a panel that were made elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metier.apps.cli.frame import HERE, AsJson, Directory, say, session, show

if TYPE_CHECKING:
    from metier.journey.panel_ratings import ImportedRatings

app = typer.Typer()


@app.command("import")
def import_file(
    panel: Annotated[str, typer.Argument(help="Name of the panel.", metavar="PANEL")],
    file: Annotated[Path, typer.Argument(help="Table: item, candidate, rater, dimension, score.")],
    directory: Directory = HERE,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read the file only; write nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Put ratings that were made elsewhere into a panel; rows that cannot be used are named."""
    from metier.core.audit import current_actor
    from metier.journey.panel_ratings import import_ratings

    with session(directory) as opened:
        found = import_ratings(opened.workspace, panel, file, current_actor(), dry_run=dry_run)
    show(found, as_json, lambda: _show(found))
    raise typer.Exit(1 if found.refused else 0)


def _show(found: ImportedRatings) -> None:
    for place, why in found.refused:
        say(f"left out {place}: {why}")
    new = "a dry run" if found.dry_run else f"{found.new} of them new"
    say(f"{found.answers} answers of {len(found.raters)} raters in {found.panel!r}, {new}; "
        f"{len(found.refused)} left out")  # fmt: skip
