"""Bodies and answers under /v1/annotation."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field

from metier.apps.http.openai.shapes import Body
from metier.core.types import Json
from metier.queue import Assignment, Counts, Flag, Queue
from metier.queue.forms import Form, FormField

if TYPE_CHECKING:
    from metier.annotate.exchange.taking import Taken

MOST_REFUSED = 100
LONGEST_SECONDS = 7 * 86_400
QueueName = Annotated[str, Path(max_length=100, description="The queue's name.")]


def _example(body: dict[str, Json]) -> ConfigDict:
    """A body's configuration with an example for the reference."""
    return ConfigDict(**Body.model_config, json_schema_extra={"examples": [body]})


class CountsOut(BaseModel):
    """How far a queue is."""

    items: int
    wanted: int = Field(description="Answers that are wanted in all.")
    answers: int
    leased: int = Field(description="Items on somebody's screen.")
    complete: int = Field(description="Items with all their answers.")
    settled: int = Field(description="Items with one answer that holds.")
    skipped: int


class QueueOut(BaseModel):
    """A queue."""

    name: str
    title: str
    kind: str = Field(description="label or review.")
    state: str = Field(description="draft, open, paused or closed.")
    wanted: int = Field(description="Answers of as many people per item.")
    blind: bool = Field(description="Nobody sees another's answer before giving their own.")
    counts: CountsOut

    @classmethod
    def of(cls, queue: Queue, counts: Counts) -> QueueOut:
        """A queue as the API shows it."""
        shown = {name: getattr(counts, name) for name in CountsOut.model_fields}
        return cls(
            name=queue.name,
            title=queue.title or queue.name,
            kind=queue.kind,
            state=queue.state,
            wanted=queue.wanted,
            blind=queue.blind,
            counts=CountsOut(**shown),
        )


class FieldOut(BaseModel):
    """One question. The answer's value is an object by these names; of one question named
    ``answer`` it is that question's value itself."""

    name: str
    kind: str = Field(description="label, labels, spans, text, number, json, rating or comparison.")
    title: str
    about: str
    options: list[str]
    required: bool
    low: int
    high: int

    @classmethod
    def of(cls, one: FormField) -> FieldOut:
        """A question as the API shows it."""
        return cls(
            name=one.name,
            kind=one.kind,
            title=one.title,
            about=one.about,
            options=list(one.options),
            required=one.required,
            low=one.low,
            high=one.high,
        )


class ShownOut(BaseModel):
    """What is on the screen. Whose a reply is, is never told."""

    turns: list[dict[str, Any]]
    replies: list[dict[str, Any]]
    source: list[dict[str, Any]]
    suggestion: Json = Field(description="A model's answer, in queues that show one; else null.")

    @classmethod
    def of(cls, shown: Mapping[str, Json], *, suggests: bool) -> ShownOut:
        """What a person may see of an item."""
        return cls(
            turns=list(shown.get("turns") or []),
            replies=list(shown.get("replies") or []),
            source=list(shown.get("source") or []),
            suggestion=shown.get("suggestion") if suggests else None,
        )


class ItemOut(BaseModel):
    """An item that this key has, with what it gave so far."""

    id: str = Field(description="The key's place at the item; answers go there.")
    queue: str
    state: str = Field(description="leased, done or skipped.")
    lease_until: datetime | None
    shown: ShownOut
    form: list[FieldOut]
    draft: Json = None
    value: Json = None
    comment: str = ""
    flags: list[str] = []
    seconds: float | None = None
    answered_at: datetime | None = None
    guideline_number: int | None = None

    @classmethod
    def of(cls, one: Assignment, shown: ShownOut, form: Form) -> ItemOut:
        """An assignment as the API shows it."""
        return cls(
            id=one.id,
            queue=one.queue,
            state=one.state,
            lease_until=one.lease_until,
            shown=shown,
            form=[FieldOut.of(field) for field in form.fields],
            draft=one.draft,
            value=one.answer,
            comment=one.comment,
            flags=list(one.flags),
            seconds=one.seconds,
            answered_at=one.answered_at,
            guideline_number=one.guideline_number,
        )


class DraftBody(Body):
    """What was entered so far; it renews the lease."""

    model_config = _example({"draft": "delivery"})
    draft: Json = Field(description="In the form's shape, as far as it is filled in.")


class AnswerBody(Body):
    """What is said of an item."""

    model_config = _example({"value": "delivery", "seconds": 4.2, "comment": "asks where it is"})
    value: Json = Field(None, description="In the form's shape; null with cannot_tell.")
    seconds: float | None = Field(None, ge=0, le=LONGEST_SECONDS, description="Time it took.")
    comment: Annotated[str, Field(max_length=10_000)] = ""
    flags: list[Flag] = Field(default_factory=list, max_length=4)
    guideline_number: int | None = Field(None, ge=1, le=1_000_000)


class SkipBody(Body):
    """Why an item is passed on to others."""

    model_config = _example({"reason": "outside what I know"})
    reason: Annotated[
        str, Field(min_length=1, max_length=1000, pattern=r"\S", description="In words.")
    ]


class RefusedOut(BaseModel):
    """Something that was left out."""

    place: str = Field(description="Where it stands, such as body.json#3, anna.")
    why: str
    remedy: str


class ImportOut(BaseModel):
    """What an import did, or would do."""

    queue: str
    items: int = Field(description="New items.")
    answers: dict[str, int] = Field(description="By state: done, draft, skipped.")
    people: list[str]
    known: int = Field(description="Answers that were there already.")
    cleared: int = Field(description="Answers from which identifiers were taken out.")
    left_out: int = Field(description="Records and answers that could not be used.")
    refused: list[RefusedOut] = Field(description=f"The first {MOST_REFUSED} of them, with why.")
    dry_run: bool

    @classmethod
    def of(cls, found: Taken) -> ImportOut:
        """An import as the API tells of it."""
        refused = [
            RefusedOut(place=one.place, why=one.why, remedy=one.remedy or "")
            for one in found.refused[:MOST_REFUSED]
        ]
        return cls(
            queue=found.queue,
            items=found.items,
            answers=found.answers,
            people=list(found.people),
            known=found.known,
            cleared=found.cleared,
            left_out=len(found.refused),
            refused=refused,
            dry_run=found.dry_run,
        )


ExportFormat = Literal["argilla", "label_studio", "csv"]
_TASK = {
    "id": "row-7",
    "fields": {"text": "Where is my parcel?"},
    "responses": [{"question_name": "topic", "value": "delivery", "user_id": "anna",
                   "status": "submitted"}],
}  # fmt: skip
IMPORT_BODY = {
    "requestBody": {
        "required": True,
        "description": "The file of the tool, in UTF-8: a list or lines of JSON, or CSV.",
        "content": {
            "application/json": {"schema": {"type": "array", "items": {}}, "example": [_TASK]},
            "text/csv": {"schema": {"type": "string"}},
        },
    }
}
