"""``metier data``: build a version from the sources."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from metier.apps.cli.data.app import app
from metier.apps.cli.frame import HERE, AsJson, Directory, say, session, show, table

if TYPE_CHECKING:
    from metier.data.build import BuildResult


@app.command()
def build(
    directory: Directory = HERE,
    dry_run: bool = typer.Option(False, help="Show what would happen; write nothing."),
    as_json: AsJson = False,
) -> None:
    """Import, clean, de-identify, find duplicates, split and freeze a version."""
    from metier.journey.verbs import build_data

    with session(directory) as opened:
        result = build_data(opened, dry_run=dry_run)
    summary = {
        "version": result.version.id if result.version else None,
        "hash": result.version.hash if result.version else None,
        "counts": dict(result.counts),
        "labels": list(result.labels),
        "card": dict(result.card),
        "warnings": list(result.warnings),
    }
    show(summary, as_json, lambda: _show_build(result, dry_run))


def _show_build(result: BuildResult, dry_run: bool) -> None:
    from metier.data.preview import preview

    rows = [
        (s.name, s.seen, s.kept, _counts(s.changes), _counts(s.dropped), _counts(s.suspected))
        for s in result.steps
    ]
    table(["step", "seen", "kept", "changed", "dropped", "suspected"], rows)
    if dry_run:
        for sample in preview(result):
            say(f"{sample.step}: {sample.what} {sample.count} ({sample.reason})")
            for line in sample.shown:
                say(f"    {line}")
    splits = ", ".join(f"{name} {count}" for name, count in result.counts.items())
    for warning in result.warnings:
        say(f"note: {warning}")
    if result.version is None:
        say(f"nothing was written; a build would freeze {splits}")
    else:
        say(f"version {result.version.id} ({result.version.hash[:12]}): {splits}")
        say("next: metier baseline")


def _counts(found: object) -> str:
    items = dict(found).items() if found else ()  # type: ignore[call-overload]
    return ", ".join(f"{reason} {count}" for reason, count in items)
