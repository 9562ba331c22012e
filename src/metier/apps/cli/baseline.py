"""``metier baseline``: the honest ladder that a tuned model has to beat."""

from __future__ import annotations

from typing import Annotated

import typer

from metier.apps.cli.frame import HERE, AsJson, Directory, session, show
from metier.apps.cli.tables import reports_table

app = typer.Typer()


@app.command()
def baseline(
    directory: Directory = HERE,
    version: str = typer.Option("latest", help="Data version."),
    rung: Annotated[list[str] | None, typer.Option(help="Only this rung (repeatable).")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure the untuned baselines on the frozen test set."""
    from metier.journey.verbs import measure_baselines

    with session(directory) as opened:
        reports = measure_baselines(opened, version, rung)
    show(reports, as_json, lambda: reports_table(reports))
