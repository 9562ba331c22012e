"""``metier failures``: where the model fails, and what data to collect for the next cycle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metier.apps.cli.frame import HERE, AsJson, Directory, say, session, show, table
from metier.apps.cli.tables import interval

if TYPE_CHECKING:
    from metier.evaluate.failures.fairness import Fairness
    from metier.evaluate.failures.find import Failures
    from metier.evaluate.failures.slices import SliceResult, Slices

app = typer.Typer()


@app.command()
def failures(
    directory: Directory = HERE,
    rung: Annotated[str | None, typer.Option(help="Rung to look at (default: tuned).")] = None,
    run: Annotated[str | None, typer.Option(help="Tuning run to look at.")] = None,
    version: Annotated[str, typer.Option(help="Data version.")] = "latest",
    split: Annotated[str, typer.Option(help="Split that was measured.")] = "test",
    out: Annotated[Path | None, typer.Option(help="Write the request: .md, .csv or .json.")] = None,
    as_json: AsJson = False,
) -> None:
    """Clusters of failures, slices, groups of people, and a request for data."""
    from metier.journey import failures as verb

    with session(directory) as opened:
        found = verb.failures(opened, rung, run=run, version=version, split=split)
    path = verb.write_request(found, out) if out is not None else None
    show(found, as_json, lambda: _show(found, path))


def _show(found: Failures, path: Path | None) -> None:
    say(f"{found.rung}: {interval(found.failed)} of {found.n} {found.split} items fail")
    for number, cluster in enumerate(found.clusters, start=1):
        say(f"  {number}. {cluster.words} (by chance {cluster.by_chance:.1f})")
        for words, terms in (("lack", cluster.lacks), ("add", cluster.adds)):
            if terms:
                say(f"     its replies {words}: {', '.join(terms)}")
    if not found.clusters:
        say("  no kind of failure is more frequent than chance would have it")
    for cluster in found.unsure:
        say(f"  may be chance: {cluster.words} (by chance {cluster.by_chance:.1f})")
    _slices(found.slices)
    for fair in found.fairness:
        _groups(fair)
    _request(found)
    for note in found.notes:
        say(f"note: {note}")
    say(f"request: {path}" if path else "next: metier failures --out request.md")


def _slices(found: Slices) -> None:
    rows = [_slice(one) for one in (*found.declared, *found.discovered)]
    if rows:
        headers = ["the input", "", found.metric, f"{found.item_metric}, to the rest", "p", "n"]
        table(headers, rows, "Slices; p-values are corrected for how many were tested")
    for note in found.notes:
        say(f"  {note}")


def _slice(one: SliceResult) -> list[str]:
    if one.difference is None:
        need = f"too small to say; {one.items_needed} items needed" if one.items_needed else ""
        return [one.name, one.kind, need or "too small to say", "", "", str(one.n)]
    d = one.difference
    gap = f"{d.value:+.3f} [{d.low:+.3f}, {d.high:+.3f}]"
    return [one.name, one.state, interval(one.estimate), gap, _p(one.adjusted_p), str(one.n)]


def _groups(fair: Fairness) -> None:
    rows = [
        [g.measure, g.highest, g.lowest, interval(g.gap), interval(g.ratio), _p(g.adjusted_p)]
        for g in fair.gaps
    ]
    if rows:
        headers = ["rate", "highest", "lowest", "gap", "lowest / highest", "p"]
        table(headers, rows, f"Groups by {fair.attribute}")
    for note in fair.notes:
        say(f"  {fair.attribute}: {note}")


def _request(found: Failures) -> None:
    rows = [
        [row.action, row.what, str(row.train or ""), str(row.test or "")]
        for row in found.request.rows
    ]
    if rows:
        headers = ["do", "what", "training rows", "test items"]
        table(headers, rows, "Data for the next cycle (the assumptions are in --out request.md)")


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
