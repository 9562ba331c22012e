"""``metier compare``: paired differences between evaluations of the same test set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metier.apps.cli.frame import HERE, AsJson, Directory, say, session, show
from metier.apps.cli.tables import differences_table

if TYPE_CHECKING:
    from metier.journey.comparing import Compared

app = typer.Typer()


@app.command()
def compare(
    evaluations: Annotated[
        list[str], typer.Argument(help="Evaluation ids or rungs; the first minus each other one.")
    ],
    directory: Directory = HERE,
    metric: Annotated[list[str] | None, typer.Option(help="Only this metric (repeatable).")] = None,
    html: Annotated[Path | None, typer.Option(help="Write one self-contained page here.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write Markdown tables here.")] = None,
    as_json: AsJson = False,
) -> None:
    """Differences of every metric, paired on the same items, and which answers flipped."""
    from metier.journey.comparing import compare_evaluations
    from metier.journey.report.compare import comparison_markdown, comparison_page

    with session(directory) as opened:
        found = compare_evaluations(opened, evaluations, metric)
        project = opened.project
    if html is not None:
        html.write_text(comparison_page(found, project), encoding="utf-8")
    if markdown is not None:
        markdown.write_text(comparison_markdown(found, project), encoding="utf-8")
    show(found, as_json, lambda: _show(found, [one for one in (html, markdown) if one]))


def _show(found: Compared, written: list[Path]) -> None:
    first, *others = found.reports
    names = {one.id: one.rung for one in found.reports}
    differences_table(found.differences, names)
    for other in others:
        flips = found.flips[other.id]
        say(
            f"flipped: only {first.rung} right {flips.only_a}, only {other.rung} {flips.only_b}, "
            f"both {flips.both}, neither {flips.neither}"
        )
    for path in written:
        say(f"page: {path}")
