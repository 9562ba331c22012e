"""``metier data``: what was changed in which example."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from metier.apps.cli.data.app import app
from metier.apps.cli.frame import HERE, AsJson, Directory, say, session, show, table


@app.command()
def changes(
    directory: Directory = HERE,
    rule: Annotated[str | None, typer.Option(help="Only changes by this rule.")] = None,
    last: int = typer.Option(20, min=1, help="How many to open (each opening is audited)."),
    as_json: AsJson = False,
) -> None:
    """What was changed in which example: before, after and the rule."""
    from metier.core import ledger

    with session(directory) as opened:
        ws = opened.workspace
        noted = [one for one in ledger.list_changes(ws) if rule in (None, one.why)][-last:]
        opened_changes = [
            (one, ledger.open_change(ws, one, purpose="metier data changes")) for one in noted
        ]
    rows = [(one.example_id, one.why, c.before[:60], c.after[:60]) for one, c in opened_changes]
    found = [
        {"example": one.example_id, "step": one.step, **asdict(c)} for one, c in opened_changes
    ]
    headers = ["example", "rule", "before", "after"]
    show(found, as_json, lambda: table(headers, rows) if rows else say("nothing was changed"))
