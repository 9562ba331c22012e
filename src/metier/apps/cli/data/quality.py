"""``metier data``: what may be wrong with rows, what people decide, what cleaning buys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from metier.apps.cli.data.app import app
from metier.apps.cli.frame import HERE, AsJson, Directory, say, session, show, table
from metier.apps.cli.tables import interval

if TYPE_CHECKING:
    from metier.core.types import Estimate
    from metier.data.quality.balance import Balance
    from metier.data.quality.desk import Answered, Asked
    from metier.data.quality.suspects import Doubted, SuspectRow
    from metier.journey.ablation import Ablation
    from metier.journey.quality import QualityResult

SHOWN = 15


@app.command()
def quality(
    directory: Directory = HERE,
    version: str = typer.Option("latest", help="Data version."),
    loss: Annotated[
        str, typer.Option(help="Rank written targets by a model's loss, too: project, or a base.")
    ] = "",
    dry_run: bool = typer.Option(False, help="Measure and show; store nothing."),
    as_json: AsJson = False,
) -> None:
    """Look for wrong labels, poor targets, outliers and imbalance in a version's rows."""
    from metier.journey.quality import measure_quality

    with session(directory) as opened:
        result = measure_quality(opened, version, loss=loss, dry_run=dry_run)
    show(_quality_json(result), as_json, lambda: _show_quality(result))


@app.command()
def suspects(
    directory: Directory = HERE,
    kind: Annotated[str | None, typer.Option(help="Only rows doubted for this reason.")] = None,
    row: Annotated[str | None, typer.Option("--show", metavar="ID", help="Open one row.")] = None,
    accept: Annotated[list[str] | None, typer.Option(metavar="ID", help="It is right.")] = None,
    drop: Annotated[list[str] | None, typer.Option(metavar="ID", help="Leave it out.")] = None,
    relabel: Annotated[
        tuple[str, str] | None, typer.Option(metavar="ID LABEL", help="Its right label.")
    ] = None,
    undo: Annotated[str | None, typer.Option(metavar="ID", help="Take one back.")] = None,
    decided: bool = typer.Option(False, help="List what was decided."),
    queue: bool = typer.Option(False, help="Send the rows to the people's queue."),
    as_json: AsJson = False,
) -> None:
    """Rows under suspicion, and what people say of them; the next build carries it out."""
    from metier.data.quality.desk import Asked, attend

    wish = Asked(kind, row, tuple(accept or ()), tuple(drop or ()), relabel, undo, queue, decided)
    with session(directory) as opened:
        found = attend(opened.workspace, opened.project.objective, wish)
    show(found, as_json, lambda: _show_desk(found, wish))


@app.command()
def ablate(
    directory: Directory = HERE,
    version: str = typer.Option("latest", help="Data version."),
    tune: Annotated[bool, typer.Option(help="Tune the base instead of TF-IDF (long).")] = False,
    as_json: AsJson = False,
) -> None:
    """Clean half against dirty whole: what cleaning buys, on validation rows; no look is spent."""
    from metier.journey.ablation import ablate as compare

    with session(directory) as opened:
        found = compare(opened, version, tune=tune)
    show(found, as_json, lambda: _show_ablation(found))


def _quality_json(result: QualityResult) -> dict[str, object]:
    found = result.found
    return {
        "version": result.version_id,
        "probe": result.probe.id if result.probe else None,
        "rows": found.rows,
        "suspects": found.counts,
        "expected_label_errors": dict(found.expected_label_errors),
        "metrics": dict(found.metrics),
        "balance": found.balance,
        "notes": list(found.notes),
    }


def _show_quality(result: QualityResult) -> None:
    found = result.found
    rows = [(reason, f"{count:,}") for reason, count in found.counts.items()]
    say(f"{found.rows:,} training and validation rows of {result.version_id}")
    table(["suspected of", "rows"], rows) if rows else say("no row is under suspicion")
    for name, errors in found.expected_label_errors.items():
        say(f"about {errors:,.0f} labels{f' of {name}' if name else ''} are estimated to be wrong")
    table(
        ["metric", "95% interval", "n"],
        [(name, interval(one), one.n) for name, one in found.metrics.items()],
    )
    _show_balance(found.balance)
    for note in found.notes:
        say(f"note: {note}")
    if result.probe is None:
        say("nothing was stored")
    elif rows:
        say("next: metier data suspects")


def _show_balance(balance: Balance) -> None:
    parts = [part for part in balance.parts if part.kind != "group"]
    rows = [(part.kind, part.name, _share(part.share), part.share.n) for part in parts]
    if rows:
        table(["", "part", "share of the rows", "n"], rows[:SHOWN], "Who is in the data")
    if len(rows) > SHOWN:
        say(f"and {len(rows) - SHOWN} more: --json lists them")
    gaps = [gap for gap in (*balance.error_rates, *balance.label_rates) if gap.significant]
    shown = [
        (gap.part, gap.label or "model disagrees", _share(gap.inside), _share(gap.outside),
         f"{gap.difference.value:+.3f} [{gap.difference.low:+.3f}, {gap.difference.high:+.3f}]",
         gap.inside.n)
        for gap in gaps
    ]  # fmt: skip
    if shown:
        head = ["part", "rate of", "inside", "outside", "difference", "n"]
        table(head, shown[:SHOWN], "Differences that are more than chance (Holm)")
    tried = len(balance.error_rates) + len(balance.label_rates)
    say(f"{len(gaps)} of {tried} differences between parts are more than chance")


def _share(estimate: Estimate) -> str:
    return f"{estimate.value:.1%} [{estimate.low:.1%}, {estimate.high:.1%}]"


def _show_desk(found: Answered, wish: Asked) -> None:
    if found.words:
        say(found.words)
    elif found.doubted is not None:
        _show_row(found.doubted)
    elif wish.decided:
        rows = [(key, one.verdict, ", ".join(one.reasons)) for key, one in found.decided.items()]
        table(["example", "decision", "about"], rows) if rows else say("nothing was decided yet")
    elif not found.rows:
        say("no row is under suspicion: `metier data quality` looks for some")
    else:
        _show_rows(found.rows, wish.kind)


def _show_rows(rows: Sequence[SuspectRow], kind: str | None) -> None:
    from metier.data.quality.suspects import count_kinds

    if kind is None:
        table(["suspected of", "rows"], list(count_kinds(rows).items()))
        say("list rows: metier data suspects --kind REASON; open one: --show ID")
    else:
        found = [(row.example_id, row.split, ", ".join(row.reasons)) for row in rows]
        table(["example", "split", "suspected of"], found)


def _show_row(doubted: Doubted) -> None:
    say(f"{doubted.example.id} ({doubted.split})\n{doubted.example.conversation.text}")
    say(f"-> {doubted.words}")
    for reason, evidence in doubted.evidence.items():
        say(f"{reason}: " + ", ".join(f"{name} {value}" for name, value in evidence.items()))


def _show_ablation(found: Ablation) -> None:
    rows = [
        (arm.name, f"{arm.rows:,}", interval(arm.estimate), arm.estimate.n) for arm in found.arms
    ]
    table(["learned from", "rows", found.metric, "n"], rows, f"{found.rung} on validation rows")
    gaps = [
        (name, f"{one.value:+.3f} [{one.low:+.3f}, {one.high:+.3f}]", one.n)
        for name, one in found.differences.items()
    ]
    table(["paired difference", "95% interval", "n"], gaps)
    for note in found.notes:
        say(f"note: {note}")
