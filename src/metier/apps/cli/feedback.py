"""``metier feedback``: what users say of replies, and the queue of replies that people correct."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metier.apps.cli.frame import HERE, AsJson, Directory, say, session, show, table

if TYPE_CHECKING:
    from metier.core.records import Feedback
    from metier.feedback.types import Collected, Imported
    from metier.journey.session import Session

app = typer.Typer(no_args_is_help=True, help="What users say of replies; corrections of them.")
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would happen; write nothing.")]


@app.command("list")
def list_feedback(
    directory: Directory = HERE,
    last: int = typer.Option(20, min=1, help="How many to show, the newest."),
    as_json: AsJson = False,
) -> None:
    """The latest feedback, and how often each metric was given."""
    from metier.core import ledger

    with session(directory) as opened:
        found = ledger.list_feedback(opened.workspace)
    counts = Counter(one.metric for one in found)
    summary = {"counts": counts, "latest": found[-last:][::-1]}
    show(summary, as_json, lambda: _show_feedback(found[-last:][::-1], counts))


def _show_feedback(latest: list[Feedback], counts: Counter[str]) -> None:
    if not latest:
        say("no feedback yet: users give it with POST /v1/feedback, or on the try page")
        return
    rows = [
        (f"{one.created_at:%Y-%m-%d %H:%M}", one.metric, str(one.value)[:60], one.interaction_id)
        for one in latest
    ]
    table(["given (UTC)", "metric", "value", "reply"], rows)
    say(", ".join(f"{metric} {count}" for metric, count in sorted(counts.items())))
    say("next: metier feedback collect")


@app.command()
def collect(
    directory: Directory = HERE,
    seed: int = typer.Option(0, help="Seed of the random share; the same keeps the draw."),
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Put replies that deserve a look into the queue of corrections."""
    from metier.feedback.collect import collect as collect_replies

    with session(directory) as opened:
        ws, project = opened.workspace, opened.project
        found = collect_replies(
            ws, project.feedback, project.objective, _labels(opened),
            seed=seed, dry_run=dry_run, progress=opened.progress,
        )  # fmt: skip
    show(found, as_json, lambda: _show_collected(found))


def _show_collected(found: Collected) -> None:
    if found.by_reason:
        table(["reason", "new items"], sorted(found.by_reason.items()))
    made = "would be made" if found.dry_run else "made"
    say(f"{found.looked_at} replies looked at: {found.new} items {made}, "
        f"{found.added_to} waiting ones got another reason")  # fmt: skip
    if found.new and not found.dry_run:
        say("next: metier serve, and correct them on the page; or metier feedback export FILE")


@app.command()
def queue(directory: Directory = HERE, as_json: AsJson = False) -> None:
    """How many items are open, leased, done and skipped, and who holds what until when."""
    from metier.feedback.types import CORRECTIONS
    from metier.queue import count_items, list_items

    with session(directory) as opened:
        counts = count_items(opened.workspace, CORRECTIONS)
        leased = list_items(opened.workspace, CORRECTIONS, "leased")
    rows = [(one.id, one.leased_by, f"{one.lease_until:%H:%M:%S}") for one in leased]

    def text() -> None:
        say(", ".join(f"{state} {count}" for state, count in counts.items()))
        if rows:
            table(["item", "held by", "until (UTC)"], rows)

    show({"counts": counts, "leased": leased}, as_json, text)


@app.command()
def accept(
    demonstrations: Annotated[
        bool, typer.Option("--demonstrations", help="Say that you mean it: nobody looks at them.")
    ] = False,
    directory: Directory = HERE,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Take what users gave as right for the answer, in every open item that has it (audited)."""
    from metier.core.errors import UserError
    from metier.feedback.correct import accept_demonstrations

    if not demonstrations:
        raise UserError("--demonstrations", remedy="metier feedback accept --demonstrations")
    with session(directory) as opened:
        ws, project = opened.workspace, opened.project
        found = accept_demonstrations(
            ws, project.feedback, project.objective, _labels(opened), dry_run=dry_run
        )
    show(found, as_json, lambda: _show_imported(found))


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="File to write, JSON lines.")],
    directory: Directory = HERE,
    as_json: AsJson = False,
) -> None:
    """Write the open items to a file, for experts who work in one."""
    from metier.feedback.sheet import export_items

    with session(directory) as opened:
        count = export_items(opened.workspace, opened.project.objective, _labels(opened), file)
    words = f"{count} open items in {file}; fill in answer, then: metier feedback correct {file}"
    show({"exported": count, "file": file}, as_json, lambda: say(words))


@app.command()
def correct(
    file: Annotated[Path, typer.Argument(help="JSON lines {item_id, answer[, reason]}.")],
    directory: Directory = HERE,
    worker: Annotated[str, typer.Option(help="Who answered (default: you).")] = "",
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Save the answers in a file; rows that cannot be used are named, the others saved."""
    from metier.core.audit import current_actor
    from metier.feedback.sheet import import_answers

    with session(directory) as opened:
        ws, project = opened.workspace, opened.project
        found = import_answers(
            ws, project.feedback, project.objective, _labels(opened), file,
            worker or current_actor(), dry_run=dry_run,
        )  # fmt: skip
    show(found, as_json, lambda: _show_imported(found))
    raise typer.Exit(1 if found.bad else 0)


def _show_imported(found: Imported) -> None:
    for row in found.bad:
        say(f"left out {row.place}: {row.why}")
    would = "would be " if found.dry_run else ""
    say(f"{len(found.corrected)} {would}answered, {len(found.skipped)} {would}skipped, "
        f"{found.unanswered} without an answer, {len(found.bad)} left out")  # fmt: skip


def _labels(opened: Session) -> tuple[str, ...]:
    from metier.feedback.labels import current_labels

    return current_labels(opened.workspace, opened.project.objective)
