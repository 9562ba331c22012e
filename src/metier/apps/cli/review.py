"""``metier review``: plan a panel, make it, follow it, read what it found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from metier.apps.cli import review_import
from metier.apps.cli.frame import HERE, AsJson, Directory, say, session, show, table

if TYPE_CHECKING:
    from metier.core.ledger.harms import Harm
    from metier.core.types import Estimate
    from metier.journey.panel_results import ProjectResults
    from metier.journey.session import Session
    from metier.queue.types import Counts, Queue
    from metier.review.panel import Preview
    from metier.review.plan import Plan

app = typer.Typer(no_args_is_help=True, help="Blind panels of people who rate stored replies.")
app.registered_commands += review_import.app.registered_commands
Name = Annotated[str, typer.Argument(help="Name of the panel.", metavar="PANEL")]
Mode = Annotated[str, typer.Option(help="rate, compare (side by side) or timed.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done; write nothing.")]
KINDS = ("rate", "compare", "timed")


@app.command()
def plan(
    detect: Annotated[float, typer.Option(help="Least true difference to show, in points.")] = 0.3,
    directory: Directory = HERE,
    mode: Mode = "rate",
    per_item: Annotated[int, typer.Option(help="Raters of each reply.")] = 2,
    raters: Annotated[int, typer.Option(help="Raters in all.")] = 5,
    candidates: Annotated[int, typer.Option(help="Candidates compared.")] = 2,
    comparisons: Annotated[int, typer.Option(help="Differences judged at once.")] = 1,
    power: Annotated[float, typer.Option(help="Chance to find it.", min=0.05, max=0.999)] = 0.8,
    as_json: AsJson = False,
) -> None:
    """Items, raters, overlap, hours and cost that show a difference of a given size."""
    from metier.journey.reviewing import plan_project_panel
    from metier.review.plan import Ask

    ask = Ask(detect, _mode(mode), candidates, per_item, raters, power, comparisons=comparisons)
    with session(directory) as opened:
        found = plan_project_panel(opened, ask)
    show(found, as_json, lambda: _planned(found))


@app.command()
def make(
    name: Name,
    directory: Directory = HERE,
    candidate: Annotated[
        list[str] | None,
        typer.Option(help="challenger, champion, baseline, a rung, or an evaluation (repeatable)."),
    ] = None,
    mode: Mode = "rate",
    items: Annotated[int, typer.Option(help="Items of the test split (0: all).", min=0)] = 50,
    dimension: Annotated[
        list[str] | None, typer.Option(help="Only this dimension of the rubric (repeatable).")
    ] = None,
    raters: Annotated[int | None, typer.Option(help="People per item.", min=1, max=20)] = None,
    person: Annotated[
        list[str] | None, typer.Option(help="Only this person (e-mail or id) rates (repeatable).")
    ] = None,
    guests: Annotated[bool, typer.Option("--guests", help="People from outside may rate.")] = False,
    rate_both: Annotated[
        bool, typer.Option("--rate-both", help="compare: ratings beside the choice.")
    ] = False,
    reference: Annotated[
        bool, typer.Option("--reference", help="Show the recorded answer beside the reply.")
    ] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Make a panel from the stored replies of two candidates or more."""
    from metier.core.audit import current_actor
    from metier.journey.reviewing import (
        ROLES,
        PanelAsk,
        make_project_panel,
        preview_project_panel,
    )

    ask = PanelAsk(
        name, tuple(candidate or ROLES), _mode(mode), items, tuple(dimension or ()), raters,
        guests=guests, rate_both=rate_both, people=tuple(person or ()), reference_answer=reference,
    )  # fmt: skip
    with session(directory) as opened:
        preview = preview_project_panel(opened, ask)
        if not dry_run:
            made = make_project_panel(opened, ask, current_actor())
    if dry_run:
        return show(preview, as_json, lambda: _previewed(preview))
    show(made, as_json, lambda: _made(made, preview))


@app.command()
def status(
    name: Annotated[str | None, typer.Argument(metavar="[PANEL]")] = None,
    directory: Directory = HERE,
    as_json: AsJson = False,
) -> None:
    """How far the panels are, and who has done how much."""
    from metier.journey.reviewing import list_panels
    from metier.queue import get_queue, queue_counts

    with session(directory) as opened:
        ws = opened.workspace
        panels = list_panels(opened) if name is None else [get_queue(ws, name)]
        found = [(one, queue_counts(ws, one.name)) for one in panels]
    whole = [{"panel": one.name, "state": one.state, "counts": counts} for one, counts in found]
    show(whole, as_json, lambda: _status(found))


@app.command()
def results(
    name: Name,
    directory: Directory = HERE,
    keep: Annotated[
        bool, typer.Option("--keep", help="Store them: review targets are judged on them.")
    ] = False,
    close: Annotated[bool, typer.Option("--close", help="Close the panel, then store.")] = False,
    as_json: AsJson = False,
) -> None:
    """Means with intervals, corrected for severity; wins; consistency; times; metrics beside."""
    from metier.journey.panel_results import project_results

    with session(directory) as opened:
        if keep or close:
            _store(opened, name, close)
        found = project_results(opened, name)
    show(found, as_json, lambda: _results(found))


@app.command()
def harms(
    name: Annotated[str | None, typer.Argument(metavar="[PANEL]")] = None,
    directory: Directory = HERE,
    everything: Annotated[bool, typer.Option("--all", help="Resolved ones too.")] = False,
    as_json: AsJson = False,
) -> None:
    """List reports of potential harm; an open one keeps releases from being promoted."""
    from metier.core.ledger.harms import list_harms

    with session(directory) as opened:
        found = list_harms(opened.workspace, name, unresolved=not everything)
    show(found, as_json, lambda: _harms(found))


@app.command()
def resolve(
    harm: Annotated[str, typer.Argument(metavar="HARM", help="Id of the report.")],
    reason: Annotated[str, typer.Option(help="What was found, or what was changed.")],
    directory: Directory = HERE,
    as_json: AsJson = False,
) -> None:
    """Resolve a report of harm; the reason stays with it and the act in the audit log."""
    from metier.core.audit import current_actor
    from metier.core.ledger.harms import resolve_harm
    from metier.queue import clear_text

    with session(directory) as opened:
        found = resolve_harm(opened.workspace, harm, current_actor(), clear_text(reason))
    show(found, as_json, lambda: say(f"{found.id} is resolved: {found.resolution}"))


@app.command()
def invite(
    name: Name,
    directory: Directory = HERE,
    days: Annotated[float, typer.Option(help="Days the link can be used.")] = 14.0,
    base: Annotated[str, typer.Option(help="Address of the pages.")] = "http://127.0.0.1:8000",
    as_json: AsJson = False,
) -> None:
    """Make a link by which one person from outside rates in this panel, without an account."""
    from metier.core.audit import current_actor
    from metier.journey.inviting import invite_guest

    with session(directory) as opened:
        link = f"{base.rstrip('/')}{invite_guest(opened, name, current_actor(), days)}"
    show({"panel": name, "link": link}, as_json, lambda: say(f"{link}\nIt is shown this once."))


def _mode(text: str) -> Any:
    from metier.core.errors import InputError, nearest

    if text not in KINDS:
        raise InputError("a kind of panel", got=repr(text), remedy=nearest(text, KINDS))
    return text


def _store(opened: Session, name: str, close: bool) -> None:
    from metier.core.audit import current_actor
    from metier.journey.panel_results import close_panel, keep_results

    (close_panel if close else keep_results)(opened, name, current_actor())


def _planned(found: Plan) -> None:
    one = found.chosen
    if one.items is not None:
        say(
            f"{one.items:,} items, {one.raters} raters, {one.per_item} per reply: "
            f"any two share {one.shared_items} items, each looks at {one.per_rater}, "
            f"{one.answers:,} answers, {one.hours:.1f} hours, {one.usd:,.0f} USD"
        )
    for words in found.warnings:
        say(f"! {words}")
    rows = [
        (o.per_item, o.raters, f"{o.items:,}", o.shared_items, f"{o.hours:.1f}", f"{o.usd:,.0f}")
        for o in found.alternatives
    ]
    table(["per reply", "raters", "items", "shared", "hours", "USD"], rows, "Other designs")
    say("It rests on:")
    for words in found.assumptions:
        say(f"  {words}")


def _previewed(found: Preview) -> None:
    say(
        f"{found.items} items and {found.duplicates} hidden duplicates, {found.answers} answers, "
        f"about {found.hours:.1f} hours; nothing was made"
    )
    for words in found.warnings:
        say(f"! {words}")


def _made(made: Queue, preview: Preview) -> None:
    say(f"panel {made.name!r}: {preview.items} items, {preview.answers} answers wanted")
    for words in preview.warnings:
        say(f"! {words}")
    say(f"raters work at /review/{made.name} (metier serve)")


def _status(found: Sequence[tuple[Queue, Counts]]) -> None:
    if not found:
        return say("no panel yet: `metier review plan`, then `metier review make NAME`")
    rows = [
        (one.name, one.state, f"{c.answers} of {c.wanted}", f"{c.complete} of {c.items}",
         ", ".join(f"{who} {n}" for who, n in sorted(c.people.items())) or "nobody yet")
        for one, c in found
    ]  # fmt: skip
    table(["panel", "state", "answers", "items done", "people"], rows)


def _results(whole: ProjectResults) -> None:
    found = whole.found
    who = "1 person" if found.raters == 1 else f"{found.raters} people"
    say(f"{found.counts.answers} of {found.counts.wanted} answers by {who}")
    for one in found.dimensions:
        rows = [
            (each.candidate, _words(each.corrected), _words(each.raw), each.raw.n)
            for each in one.report.candidates
        ]
        rows += [
            (f"{gap.first} - {gap.second}", _words(gap.estimate), "", gap.estimate.n)
            for gap in one.differences
        ]
        table(["candidate", "corrected", "as rated", "n"], rows, one.name.replace("_", " "))
    wins = [
        (f"{one.first} : {one.second}", _words(one.rate), _words(one.win), _words(one.tie),
         _words(one.loss), one.rate.n)
        for one in found.wins
    ]  # fmt: skip
    if wins:
        table(["pair", "win rate", "win", "tie", "loss", "n"], wins, "Head to head")
    if found.consistency:
        own = [(c.person, _words(c.exact), _words(c.kappa), c.n) for c in found.consistency]
        table(["rater", "the same again", "kappa", "n"], own, "Consistency")
    if found.handling:
        ratio = found.handling.ratio
        say(f"handling time, with over without a draft: {_words(ratio)} n={ratio.n} people")
    for link in whole.correlations:
        if link.estimate is not None:
            say(f"{link.metric} ~ {link.dimension}: {_words(link.estimate)} n={link.estimate.n}")
    _harms([one for one in found.harms if one.resolved_at is None])


def _words(one: Estimate) -> str:
    return f"{one.value:.2f} [{one.low:.2f}, {one.high:.2f}]"


def _harms(found: Sequence[Harm]) -> None:
    for one in found:
        state = "open" if one.resolved_at is None else f"resolved: {one.resolution}"
        say(f"{one.id}  {one.queue}  {one.created_at:%Y-%m-%d}  {one.words}  ({state})")
    if not found:
        say("no report of harm is open")
