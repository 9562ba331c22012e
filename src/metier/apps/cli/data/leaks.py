"""``metier data``: what leaks between splits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from metier.apps.cli.data.app import app
from metier.apps.cli.frame import HERE, AsJson, Directory, say, session, show

if TYPE_CHECKING:
    from metier.journey.leaks import Leaks

WIDTH = 300


@app.command()
def leaks(
    directory: Directory = HERE,
    version: Annotated[
        str | None, typer.Option(help="A frozen version; without, what the next build would do.")
    ] = None,
    most: int = typer.Option(20, min=1, help="Pairs to open (audited)."),
    as_json: AsJson = False,
) -> None:
    """Rows of training that repeat measured ones, of this version or an earlier one."""
    from metier.journey.leaks import show_leaks

    with session(directory) as opened:
        found = show_leaks(opened, version=version, most=most)
    show(found, as_json, lambda: _show_leaks(found))


def _show_leaks(found: Leaks) -> None:
    total = sum(found.counts.values())
    if not total:
        say("nothing leaks")
        return
    counts = ", ".join(f"{kind} {count:,}" for kind, count in found.counts.items())
    say(f"{total:,} rows leak ({counts})")
    for leak in found.shown:
        measure = "" if leak.similarity is None else f", similarity {leak.similarity:.2f}"
        say(f"{leak.kind}{measure}")
        for row in (leak.measured, leak.learned):
            say(f"    {row.side} {row.id} ({row.place}): {row.text[:WIDTH]}")
    if total > len(found.shown):
        say(f"and {total - len(found.shown):,} more; open them with --most {total}")
