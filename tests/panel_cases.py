"""A chat project with panels that two people answered, for preferences and their pages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from metier.config import load_project
from metier.core import ledger
from metier.core.types import CompletionTarget, Conversation, Example, Provenance
from metier.core.workspace import Workspace
from metier.journey.session import Session
from metier.queue import Given, make_queue, submit, take_next
from metier.queue.forms import form_json
from metier.queue.types import NewQueue
from metier.review.config import RubricDimension
from metier.review.panel import (
    Candidate,
    Case,
    Panel,
    panel_form,
    panel_items,
    panel_settings,
    read_subject,
)

HEAD = """[project]
name = "Fernhill desk"
base = "metier/tiny"
[tune]
lr = 1e-3
epochs = 1
batch_tokens = 512
"""
GOOD, POOR = "Thank you. We send a new {n} tomorrow.", "Number {n} is yours to solve."
CANDIDATES = (
    Candidate("c1", "tuned", "eval_good", role="challenger"),
    Candidate("c2", "zero shot", "eval_poor", role="baseline"),
)
ACCURACY = RubricDimension(
    name="accuracy", about="Is it true?", anchors=("no", "hardly", "partly", "nearly", "yes")
)
RATERS = ("anna", "ben")


def preference_session(folder: Path, task: str = '"chat"', twins: int = 0) -> Session:
    """A project with 24 training, 2 validation and 8 test rows; ``twins`` test rows ask what
    training rows ask."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metier.toml").write_text(f"{HEAD}[objective]\ntask = {task}\n")
    ws = Workspace.create(folder)
    test = [asked(number) for number in range(100, 108)]
    test[:twins] = [
        replace(one, conversation=asked(number).conversation)
        for number, one in enumerate(test[:twins])
    ]
    splits = {
        "train": [asked(number) for number in range(24)],
        "validation": [asked(50), asked(51)],
        "test": test,
    }
    ledger.save_version(ws, splits, labels=(), config={}, card={}, sources=[])
    return Session(load_project(folder / "metier.toml"), folder, ws)


def asked(number: int) -> Example:
    """A customer's message with the reply that was given."""
    return Example(
        f"ex_{number:024x}",
        Conversation.of(("user", f"My kettle {number} leaks. What can I do?")),
        CompletionTarget("We look at it."),
        Provenance("desk.csv", "digest", str(number)),
        group=f"customer {number}",
    )


def answered_panel(session: Session, name: str, split: str, count: int) -> list[str]:
    """Compare two candidates; both raters prefer the good reply. Returns the assignments."""
    panel = Panel("compare", CANDIDATES, (ACCURACY,), repeats=0.0)
    make(session, name, panel, split, count)
    ids = []
    for person in RATERS:
        for assignment, keys in taken(session, name, person):
            given = Given({"preferred": "ab"[keys.index("c1")]}, 8.0)
            submit(session.workspace, assignment, person, given)
            ids.append(assignment)
    return ids


def rate_panel(session: Session, name: str, count: int, split: str = "train") -> None:
    """Rate every reply: the good ones 5 and 4, the poor ones 2 and 1; Ben once writes a better."""
    panel = Panel("rate", CANDIDATES, (ACCURACY,), repeats=0.0)
    make(session, name, panel, split, count)
    for person in RATERS:
        for number, (assignment, keys) in enumerate(taken(session, name, person)):
            points = {"c1": 5, "c2": 2}[keys[0]] - (person == "ben")
            value = {"ratings": {"accuracy": points}}
            if person == "ben" and number == 0:
                value |= {"better": "Please stop using it; we collect it today."}
            submit(session.workspace, assignment, person, Given(value, 12.0))


def make(session: Session, name: str, panel: Panel, split: str, count: int) -> None:
    """Make the panel's queue, without evaluations behind its candidates."""
    ws = session.workspace
    version = ledger.get_version(ws)
    rows = ledger.load_split(ws, version, split)[:count]
    cases = [
        Case(
            one.id,
            ({"role": "user", "text": one.conversation.last_user, "images": []},),
            {
                "c1": GOOD.format(n=one.provenance.locator),
                "c2": POOR.format(n=one.provenance.locator),
            },
        )
        for one in rows
    ]
    new = NewQueue(
        name, "review", title=name.title(), wanted=2, version_id=version.id,
        form=form_json(panel_form(panel)), settings=panel_settings(panel),
    )  # fmt: skip
    make_queue(ws, new, panel_items(panel, cases), "mara")


def taken(session: Session, name: str, person: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """One assignment after the other, with the candidates in the order a, b."""
    while (found := take_next(session.workspace, name, person)) is not None:
        item, assignment = found
        yield assignment.id, read_subject(item.subject_id)[0]
