"""``metier data``: frozen versions: list, export, card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from metier.apps.cli.data.app import app
from metier.apps.cli.frame import HERE, AsJson, Directory, say, session, show, table


@app.command()
def versions(directory: Directory = HERE, as_json: AsJson = False) -> None:
    """List frozen versions, oldest first."""
    from metier.core import ledger
    from metier.core.ledger.versions import SUCCEEDED_BY

    with session(directory) as opened:
        found = ledger.list_versions(opened.workspace)
    splits = ["train", "validation", "test", "challenge", "regression"]
    rows = [
        (
            v.id,
            f"{v.created_at:%Y-%m-%d %H:%M}",
            *(v.counts.get(name, 0) for name in splits),
            len(v.labels),
            f"{v.looks_used} of {v.looks_budget}",
        )
        for v in found
    ]
    headers = ["version", "frozen (UTC)", *splits, "labels", "test looks"]
    nothing = "no version yet: `metier data build` makes one"
    show(found, as_json, lambda: table(headers, rows) if rows else say(nothing))
    for one in [] if as_json else found:
        if SUCCEEDED_BY in one.card:
            say(f"{one.id} holds no rows any more (erasure): use {one.card[SUCCEEDED_BY]}")


@app.command()
def export(
    split: str,
    out: Annotated[Path, typer.Argument(help="JSON lines file to write.")],
    directory: Directory = HERE,
    version: str = typer.Option("latest", help="Data version."),
    targets: Annotated[bool, typer.Option(help="Write what should be answered, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a split's rows with their ids, for a system that metier does not run."""
    from metier.journey.export_split import export_split

    with session(directory) as opened:
        count = export_split(opened, split, out, version=version, targets=targets)
    next_step = "score what comes back: metier evaluate FILE --as NAME"
    show({"rows": count, "file": str(out)}, as_json, lambda: say(f"{count:,} rows; {next_step}"))


@app.command()
def card(
    directory: Directory = HERE,
    version: str = typer.Option("latest", help="Data version."),
    html: Annotated[Path | None, typer.Option(help="Write it as a page with plots.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print a version's data card (Markdown), or write it as a page."""
    from metier.core import ledger
    from metier.data.card import card_markdown
    from metier.journey.report.card import card_page

    with session(directory) as opened:
        found = ledger.get_version(opened.workspace, version)
        if html is not None:
            html.write_text(card_page(found, opened.project), encoding="utf-8")
    if html is not None:
        show({"file": str(html)}, as_json, lambda: say(f"written: {html}"))
        return
    show(dict(found.card), as_json, lambda: say(card_markdown(found)))
