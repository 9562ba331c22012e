"""``metier gc``: forget what [privacy.retention] no longer keeps."""

from __future__ import annotations

from typing import Annotated

import typer

from metier.apps.cli.frame import HERE, AsJson, Directory, say, session, show, table

app = typer.Typer()


@app.command()
def gc(
    directory: Directory = HERE,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count only.")] = False,
    as_json: AsJson = False,
) -> None:
    """Forget views, logins, drafts, replies … that are kept no longer."""
    from metier.privacy.retention import apply_retention

    with session(directory) as opened:
        config = opened.project.privacy.retention
        found = apply_retention(opened.workspace, config, dry_run=dry_run)
    rows = [
        (one.kind.replace("_", " "), "for ever" if one.days is None else f"{one.days:g}", one.count)
        for one in found
    ]
    head = ["what", "kept, days", "would be forgotten" if dry_run else "forgotten"]

    def text() -> None:
        table(head, rows)
        if all(one.days is None for one in found):
            say("nothing has a time limit: set days in [privacy.retention]")

    show(found, as_json, text)
