"""Projects with a labelling queue of each kind of form, made by hand."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request

from evaluate_fakes import row
from metier.annotate.guidelines import GuidelineExample, write_guideline
from metier.annotate.make import QueuePlan, Selection
from metier.config import load_project
from metier.core import ledger
from metier.core.types import (
    CompletionTarget,
    Conversation,
    Example,
    ExampleTarget,
    FieldsTarget,
    Image,
    LabelsTarget,
    LabelTarget,
    Message,
    Span,
    SpansTarget,
    Text,
)
from metier.core.workspace import Workspace
from metier.journey.annotating import make_labelling
from metier.journey.session import Session
from metier.people import Person
from metier.queue import Given, NewItem, NewQueue, make_queue, submit, take_next
from metier.queue.forms import form_json, rubric_form

HEAD = '[project]\nname = "Fernhill desk"\n[objective]\n'
LABELS = ["account", "billing", "damaged", "delivery"]
MANY = [f"topic_{number:03d}" for number in range(220)]
GUIDE = """# When is it billing?
Money that was **taken** or *paid back*. Not the price of a new order.

- a charge that came twice
- a refund that is late

> When in doubt, ask what the customer wants to happen.
"""
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAACgAAAAoCAIAAAADnC86AAAAMElEQVR4nO3OQQ0AAAgEILV/5zOGDzdoQE3ymWo/"
    "EwsAAAAAAAAAAAAAAAAAAMCDBXhgAU8gIGJkAAAAAElFTkSuQmCC"
)
ASKED = {
    "account": "I cannot log in to my account any more",
    "billing": "You charged me twice for one order",
    "damaged": "The lamp arrived with a broken foot",
    "delivery": "Where is my parcel, it is a week late",
}
TASKS: dict[str, tuple[str, list[str]]] = {
    "classify": ("", LABELS),
    "many": ("", MANY),
    "multilabel": ("", LABELS),
    "extract": ("", ["product", "time", "problem"]),
    "compose": ("", []),
}


def target_of(task: str, number: int) -> ExampleTarget:
    name = LABELS[number % 4]
    if task == "multilabel":
        return LabelsTarget((name,))
    if task == "extract":
        return SpansTarget((Span(0, 3, "product"),))
    if task == "compose":
        return CompletionTarget(f"We are sorry about case {number}. It is put right by Monday.")
    return LabelTarget(MANY[number % 9] if task == "many" else name)


def example(task: str, number: int) -> Example:
    text = f"{ASKED[LABELS[number % 4]]} (order {1000 + number})"
    return row(number, text, target_of(task, number), group=f"customer {number}")


def make_project(folder: Path, task: str = "classify", count: int = 40) -> Session:
    """A project with a data version, and no queue yet. ``task`` "many": 220 labels."""
    folder.mkdir(parents=True, exist_ok=True)
    labels = TASKS[task][1]
    named = f"labels = {labels!r}\n".replace("'", '"') if labels else ""
    kind = "classify" if task == "many" else task
    (folder / "metier.toml").write_text(f'{HEAD}task = "{kind}"\n{named}')
    workspace = Workspace.create(folder)
    splits = {
        "train": [example(task, number) for number in range(count)],
        "validation": [example(task, number) for number in range(count, count + 12)],
        "test": [example(task, number) for number in range(count + 12, count + 24)],
    }
    ledger.save_version(workspace, splits, labels=labels, config={}, card={}, sources=[])
    return Session(load_project(folder / "metier.toml"), folder, workspace)


def make_round(session: Session, name: str = "round-1", count: int = 6, **more: object) -> None:
    """A blind queue of rows drawn at random, two answers each, under a guideline."""
    ws = session.workspace
    note = GuidelineExample("They took 20 twice", "billing", "the money is what matters")
    write_guideline(ws, "intents", GUIDE, "owner", [note])
    settings: dict[str, object] = {"title": "Intents", "guideline": "intents"} | more
    plan = replace(QueuePlan(name, Selection("random", count)), **settings)  # type: ignore[arg-type]
    make_labelling(session, plan, "owner")


def with_images(session: Session) -> str:
    """A queue of one item that shows an image; returns the image's id."""
    ws = session.workspace
    digest = ws.artifacts.put_bytes(PNG, "image/png")
    seen = Message("user", (Text("Is the foot broken?"), Image(digest, "image/png")))
    one = replace(example("classify", 900), conversation=Conversation((seen,)))
    splits = {"train": [one]}
    ledger.save_version(ws, splits, labels=LABELS, config={}, card={}, sources=[])
    make_round(session, "images", 1)
    return digest


def make_rating(
    session: Session, name: str = "rating", beside: bool = False, items: int = 3
) -> None:
    """A queue that asks for ratings of one reply, or to compare two."""
    anchors = {"1": "wrong throughout", "5": "right throughout"}
    dimensions = [
        {"name": "accuracy", "anchors": anchors, "about": "Is what it says true?"},
        {"name": "empathy", "anchors": {"1": "cold", "5": "warm"}},
    ]
    form = form_json(rubric_form([] if beside else dimensions, beside=beside))
    replies = [{"key": "a", "text": "We pay back what was charged twice."}]
    replies += (
        [{"key": "b", "text": "Please call us on Monday, we look into it."}] if beside else []
    )
    new = NewQueue(name, "label", "Replies", wanted=2, form=form)
    shown = {
        "turns": [{"role": "user", "text": ASKED["billing"], "images": []}],
        "replies": replies,
    }
    make_queue(
        session.workspace,
        new,
        [NewItem("reply", f"reply {number}", shown=shown) for number in range(items)],
        "owner",
    )


def as_people(app: FastAPI) -> FastAPI:
    """Let each browser be whom its header names, in place of accounts and logins."""

    @app.middleware("http")
    async def put_person(request: Request, handle: Any) -> Any:
        name, _, role = request.headers.get("x-person", "ann annotator").partition(" ")
        request.state.person = Person(id=name, name=name.title(), role=role or "annotator")  # type: ignore[arg-type]
        return await handle(request)

    return app


FIELDS = """task = "structured"
[objective.fields]
type = "object"
required = ["route", "urgent", "days", "tags", "reply"]
[objective.fields.properties.route]
type = "string"
enum = ["account", "billing", "damaged", "delivery"]
[objective.fields.properties.urgent]
type = "boolean"
[objective.fields.properties.days]
type = "integer"
[objective.fields.properties.cost]
type = "number"
[objective.fields.properties.tags]
type = "array"
items = { type = "string" }
[objective.fields.properties.reply]
type = "string"
[objective.fields.properties.note]
type = "string"
"""


def make_fields_project(folder: Path) -> Session:
    """A project whose targets are objects with a field of every kind, two of them optional."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metier.toml").write_text(HEAD + FIELDS)
    workspace = Workspace.create(folder)
    rows = [
        row(
            number,
            f"{ASKED[LABELS[number % 4]]} (order {1000 + number})",
            FieldsTarget(
                {"route": LABELS[number % 4], "urgent": False, "days": 2, "tags": [], "reply": "Ok"}
            ),
            group=f"customer {number}",
        )
        for number in range(12)
    ]
    ledger.save_version(workspace, {"train": rows}, labels=[], config={}, card={}, sources=[])
    return Session(load_project(folder / "metier.toml"), folder, workspace)


def answer_all(session: Session, name: str, person: str, value: Any) -> None:
    """Let somebody say the same of everything in a queue."""
    while (found := take_next(session.workspace, name, person)) is not None:
        submit(session.workspace, found[1].id, person, Given(value, 3.0))
