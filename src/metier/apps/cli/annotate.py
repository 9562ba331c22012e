"""``metier annotate``: queues of rows that people label, guidelines, and labels back into data."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metier.apps.cli import annotate_agreement, annotate_exchange
from metier.apps.cli.frame import HERE, AsJson, Directory, say, session, show, table

if TYPE_CHECKING:
    from metier.annotate.make import QueuePlan
    from metier.journey.annotating import Planned
    from metier.journey.labelled import Frozen, QueueStatus
    from metier.queue import Counts, Queue

app = typer.Typer(no_args_is_help=True, help="Rows that people label: queues, guidelines, labels.")
QueueName = Annotated[str, typer.Argument(help="The queue, e.g. round-1.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would happen; write nothing.")]
annotate_agreement.register(app)
app.registered_commands += annotate_exchange.app.registered_commands


class By(StrEnum):
    """How rows are chosen."""

    random = "random"
    stratified = "stratified"
    uncertain = "uncertain"
    disagreeing = "disagreeing"
    weak_slice = "weak_slice"
    suspects = "suspects"
    baseline_failures = "baseline_failures"
    production_failures = "production_failures"


@app.command()
def make(
    name: QueueName,
    by: Annotated[By, typer.Option(help="How rows are chosen.")] = By.random,
    count: Annotated[int, typer.Option(min=0, help="How many; 0: all there are.")] = 100,
    version: Annotated[str, typer.Option(help="Data version.")] = "latest",
    split: Annotated[str, typer.Option(help="Split, where no evaluation names it.")] = "train",
    key: Annotated[
        str, typer.Option(help='Strata: "label" or a slice; weak slice: key=value.')
    ] = "label",
    evaluation: Annotated[str, typer.Option(help='An evaluation, or "classical".')] = "",
    other: Annotated[str, typer.Option(help="Second evaluation, for disagreeing.")] = "",
    queue: Annotated[str, typer.Option(help="Queue whose people disagreed.")] = "",
    seed: Annotated[int | None, typer.Option(help="Seed of the draw.")] = None,
    title: Annotated[str, typer.Option(help="What people see.")] = "",
    answers: Annotated[int | None, typer.Option(min=1, max=25, help="Answers per item.")] = None,
    open_: Annotated[bool, typer.Option("--open", help="Not blind.")] = False,
    suggest: Annotated[bool, typer.Option(help="Show what a model suggests; not blind.")] = False,
    guideline: Annotated[str, typer.Option(help="Guideline beside the item.")] = "",
    people: Annotated[str, typer.Option(help="E-mails or ids, with commas; empty: all.")] = "",
    training: Annotated[int, typer.Option(min=0, help="Training items for newcomers.")] = 0,
    gold: Annotated[int, typer.Option(min=0, help="Gold items among the work.")] = 0,
    trusted: Annotated[str, typer.Option(help="Split that both come from.")] = "validation",
    begin: Annotated[
        str, typer.Option(help='Texts begin with: "target", "reply" or "".')
    ] = "target",
    labels: Annotated[
        str, typer.Option(help="Ask for one of these, with commas, not what the objective asks.")
    ] = "",
    directory: Directory = HERE,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Make a queue of rows to label; --dry-run says how many there are."""
    from metier.annotate.make import QueuePlan, Selection
    from metier.core.audit import current_actor
    from metier.journey.annotating import make_labelling, plan_queue

    with session(directory) as opened:
        config = opened.project.annotate
        chosen = Selection(
            by.value, count, version, split, config.seed if seed is None else seed,
            key, evaluation, other, queue,
        )  # fmt: skip
        named, own = (
            tuple(one.strip() for one in text.split(",") if one.strip())
            for text in (people, labels)
        )
        plan = QueuePlan(
            name, chosen, title, answers or config.answers, config.blind and not open_, suggest,
            guideline, named, training, gold, trusted=trusted, begin=begin,
            labels=own,
        )  # fmt: skip
        found = plan_queue(opened, plan)
        if not dry_run:
            make_labelling(opened, plan, current_actor())
    show(found, as_json, lambda: _told_plan(found, plan, dry_run))


def _told_plan(found: Planned, plan: QueuePlan, dry_run: bool) -> None:
    would = "would have" if dry_run else "has"
    say(
        f"{found.name} {would} {found.items:,} items of {found.there_are:,} that there are in "
        f"{found.split}, {found.answers:,} answers in all"
    )
    if found.training or found.gold:
        say(f"training items {found.training}, gold items {found.gold} (from {plan.trusted})")
    for reason in found.reasons:
        say(f"for example: {reason}")
    if not dry_run:
        say("next: metier serve, and label on the page /queues")


@app.command("list")
def list_(directory: Directory = HERE, as_json: AsJson = False) -> None:
    """All labelling queues, and how far each is."""
    from metier.queue import list_queues, queue_counts

    with session(directory) as opened:
        ws = opened.workspace
        found = [(one, queue_counts(ws, one.name)) for one in list_queues(ws, "label")]
    rows = [{"queue": one, "counts": counts} for one, counts in found]
    show(rows, as_json, lambda: _told_queues(found))


def _told_queues(found: list[tuple[Queue, Counts]]) -> None:
    if not found:
        say("no queue yet; make one: metier annotate make round-1 --by random --count 100")
        return
    rows = [
        (one.name, one.state, f"{c.items:,}", f"{c.answers:,} of {c.wanted:,}", f"{c.settled:,}")
        for one, c in found
    ]
    table(["queue", "state", "items", "answers", "settled"], rows)


@app.command()
def status(name: QueueName, directory: Directory = HERE, as_json: AsJson = False) -> None:
    """One queue: how far it is, who answered how much, and what freezing it would change."""
    from metier.core.audit import current_actor
    from metier.journey.labelled import status_of

    with session(directory) as opened:
        found = status_of(opened, name, current_actor())
    show(found, as_json, lambda: _told_status(found))


def _told_status(found: QueueStatus) -> None:
    queue, counts = found.queue, found.counts
    say(
        f"{queue.name}: {queue.state}, {counts.items:,} items, {counts.answers:,} of "
        f"{counts.wanted:,} answers, {counts.leased:,} on a screen, {counts.skipped:,} passed on"
    )
    if counts.people:
        table(["person", "answers"], sorted(counts.people.items()))
    gold = [(g.person, f"{g.right} of {g.n}", f"{g.low:.2f} to {g.high:.2f}") for g in found.gold]
    if gold:
        table(["person", "gold right", "95% interval"], gold)
    if found.freeze is None:
        say(f"freezing it is not possible: {found.unfit}")
    else:
        _told_frozen(found.freeze)


@app.command()
def guideline(
    name: Annotated[str, typer.Argument(help="The guideline's name.")],
    file: Annotated[
        Path | None, typer.Argument(help="Its next version, Markdown; none: show it.")
    ] = None,
    directory: Directory = HERE,
    as_json: AsJson = False,
) -> None:
    """Show a guideline, or store the next version of it from a file."""
    from metier.annotate.guidelines import get_guideline, write_guideline
    from metier.core.audit import current_actor

    with session(directory) as opened:
        ws = opened.workspace
        if file is None:
            found = get_guideline(ws, name)
        else:
            found = write_guideline(ws, name, file.read_text("utf-8"), current_actor())
    head = f"{found.name}, version {found.number}, {len(found.examples)} examples"
    show(found, as_json, lambda: say(head if file else f"{head}\n\n{found.text}"))


@app.command()
def freeze(
    name: QueueName,
    partial: Annotated[
        bool, typer.Option("--partial", help="Also while items wait; those stay as they are.")
    ] = False,
    directory: Directory = HERE,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Make a data version in which the settled answers are the targets."""
    from metier.core.audit import current_actor
    from metier.journey.labelled import freeze_queue

    with session(directory) as opened:
        found = freeze_queue(opened, name, current_actor(), partial=partial, dry_run=dry_run)
    show(found, as_json, lambda: _told_frozen(found))


def _told_frozen(found: Frozen) -> None:
    say(
        f"{found.settled:,} items have an answer that holds: {found.changed:,} rows "
        f"{'would get' if found.dry_run else 'got'} another target, {found.same:,} keep theirs"
    )
    say(
        f"{found.open:,} wait for answers, {found.disputed:,} for a decision, "
        f"of {found.untold:,} nobody could tell"
    )
    if found.cases:
        say(f"{found.cases:,} served replies become cases, which the next build takes in")
    if found.version_id:
        say(f"data version {found.version_id}; next: metier tune --version {found.version_id}")
