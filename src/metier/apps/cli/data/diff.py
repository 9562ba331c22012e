"""``metier data``: what differs between two versions."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from metier.apps.cli.data.app import app
from metier.apps.cli.frame import HERE, AsJson, Directory, say, session, show, table

if TYPE_CHECKING:
    from metier.data.diff import Rewritten, VersionDiff


@app.command()
def diff(
    older: Annotated[str, typer.Argument(help="Version id, or the beginning of one.")],
    newer: Annotated[str, typer.Argument(help="Version id.")] = "latest",
    texts: Annotated[
        int, typer.Option("--show", min=0, help="Changed rows to show with texts (audited).")
    ] = 0,
    directory: Directory = HERE,
    as_json: AsJson = False,
) -> None:
    """What differs between two versions: rows, sides, labels, settings, sources."""
    from metier.data.diff import diff as compare
    from metier.data.diff import rewritten

    with session(directory) as opened:
        found = compare(opened.workspace, older, newer)
        rows = rewritten(opened.workspace, found, texts) if texts else []
    whole = asdict(found) | {"rewritten": [asdict(one) for one in rows]}
    show(whole, as_json, lambda: _show(found, rows))


def _show(found: VersionDiff, rows: list[Rewritten]) -> None:
    say(f"{found.older} -> {found.newer}")
    if found.empty:
        say("the same rows on the same sides")
    splits = sorted({*found.added, *found.removed})
    if splits:
        counted = [(s, len(found.added.get(s, ())), len(found.removed.get(s, ()))) for s in splits]
        table(["split", "rows added", "rows removed"], counted)
    say(f"changed: {len(found.changed)} rows; on another side: {len(found.moved)}")
    say("the test set is the same" if found.same_test else "the test set is another one")
    if found.labels:
        moved = list(found.labels.items())[:20]
        table(["label", "before", "after"], [(name, *counts) for name, counts in moved])
    for name, (before, after) in found.settings.items():
        say(f"[data] {name}: {before} -> {after}")
    for path in found.sources_added:
        say(f"source added: {path}")
    for path in found.sources_removed:
        say(f"source removed: {path}")
    for one in rows:
        say(f"{one.example_id} ({one.split})")
        say(f"  - {one.before.conversation.text[:200]!r} -> {one.before.target}")
        say(f"  + {one.after.conversation.text[:200]!r} -> {one.after.target}")
