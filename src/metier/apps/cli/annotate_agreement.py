"""``metier annotate agreement`` and ``settle``: how far people agree; what a rule can decide."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from metier.apps.cli.frame import HERE, AsJson, Directory, say, session, show, table

if TYPE_CHECKING:
    from metier.annotate.adjudicate import Settled
    from metier.annotate.agreement import AgreementReport, QuestionAgreement

QueueName = Annotated[str, typer.Argument(help="The queue, e.g. round-1.")]


class By(StrEnum):
    """What decides."""

    agreed = "agreed"
    majority = "majority"
    dawid_skene = "dawid_skene"


def agreement(
    queue: QueueName,
    days: Annotated[
        int, typer.Option("--days", min=1, max=365, help="Width of a window of the drift.")
    ] = 7,
    directory: Directory = HERE,
    as_json: AsJson = False,
) -> None:
    """How far the people of a queue agree, per label, per pair, and over time."""
    from metier.annotate.agreement import agreement_of

    with session(directory) as opened:
        report = agreement_of(opened.workspace, queue, days)
    show(report, as_json, lambda: _told(report))


def settle(
    queue: QueueName,
    by: Annotated[By, typer.Option("--by", help="Who or what decides.")] = By.agreed,
    at_least: Annotated[
        float, typer.Option("--at-least", min=0.34, max=1.0, help="Posterior, or share of answers.")
    ] = 0.95,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count only; store nothing.")] = False,
    directory: Directory = HERE,
    as_json: AsJson = False,
) -> None:
    """Settle the items that a rule can decide; the others wait on the page Adjudicate."""
    from metier.annotate.adjudicate import settle_by
    from metier.core.audit import current_actor

    with session(directory) as opened:
        found = settle_by(
            opened.workspace, queue, by.value, current_actor(), at_least=at_least, dry_run=dry_run
        )
    show(found, as_json, lambda: _settled(found, dry_run))


def _settled(found: Settled, dry_run: bool) -> None:
    would = "would be settled" if dry_run else "settled"
    say(f"{found.count} items {would} by {found.by}; {found.left} wait for a person")
    for note in found.warnings:
        say(f"! {note}")


def _told(report: AgreementReport) -> None:
    who = "1 person" if len(report.people) == 1 else f"{len(report.people)} people"
    say(f"{report.title}: {report.answers} answers of {who} to {report.items} items")
    for one in report.questions:
        _question(one)


def _question(one: QuestionAgreement) -> None:
    say(f"\n{one.question.title or one.question.name}")
    say(f"  {one.coefficient}: {one.headline}" if one.headline.method != "undefined"
        else f"  {one.coefficient}: not defined")  # fmt: skip
    say(f"  {one.reading.words}")
    for name, found in one.more.items():
        say(f"  {name}: {found if found.method != 'undefined' else found.warnings[0]}")
    say(f"  over time: {one.drift.words}")
    if one.labels:
        rows = [(o.label, o.given, _cell(o.estimate)) for o in one.labels]
        table(("label", "answers", "agreement"), rows)
    if one.pairs:
        pairs = [(f"{o.first} and {o.second}", o.estimate.n, _cell(o.estimate)) for o in one.pairs]
        table(("pair", "items", one.pair_coefficient), pairs)
    for first, second, count in one.confusion.most_confused() if one.confusion else []:
        say(f"  {first} and {second} are taken for one another {count} times")


def _cell(found: object) -> str:
    from metier.core.types import Estimate
    from metier.journey.report import numbers

    assert isinstance(found, Estimate)
    return found.warnings[0] if found.method == "undefined" else numbers.interval(found)


def register(app: typer.Typer) -> None:
    """Add both to ``metier annotate``."""
    app.command("agreement")(agreement)
    app.command("settle")(settle)
