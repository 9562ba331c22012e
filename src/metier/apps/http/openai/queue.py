"""/v1/queue: served replies that a person looks at, handed out one by one under leases."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from metier.apps.http.openai.shapes import Body, ItemId
from metier.apps.http.served import Here
from metier.core.types import Json
from metier.feedback.types import Work

router = APIRouter(prefix="/queue", tags=["queue"])
LONGEST_SECONDS = 7 * 86_400
Worker = Annotated[
    str,
    Field(min_length=1, max_length=200, pattern=r"\S", description="A name for who looks at it."),
]


class NextBody(Body):
    """Who wants an item."""

    worker: Worker
    queue: Literal["corrections"] = "corrections"


class AnswerBody(Body):
    """The right answer to a reply."""

    worker: Worker
    value: Json = Field(description="The answer, in the task's shape.")
    seconds: float | None = Field(
        None, ge=0, le=LONGEST_SECONDS, description="How long it took to find."
    )


class SkipBody(Body):
    """Why an item is put aside."""

    worker: Worker
    reason: Annotated[
        str, Field(min_length=1, max_length=1000, pattern=r"\S", description="In words.")
    ]


class Turn(BaseModel):
    """One turn of a conversation."""

    role: str
    content: str


class WorkOut(BaseModel):
    """An item, leased until ``lease_until``. ``suggestion`` is the answer that the user gave."""

    item_id: str
    interaction_id: str = Field(description="The reply's id.")
    queue: str
    reasons: list[str] = Field(description="Why a person should look at it.")
    conversation: list[Turn] = Field(description="What was asked, without identifiers.")
    reply: str = Field(description="What was served.")
    suggestion: Json = Field(description="The right answer as the user gave it, or null.")
    lease_until: datetime | None = Field(description="When it goes to someone else.")

    @classmethod
    def of(cls, work: Work) -> WorkOut:
        """An item as the API shows it."""
        return cls(
            item_id=work.item.id,
            interaction_id=work.interaction.id,
            queue=work.item.queue,
            reasons=list(work.item.reasons),
            conversation=[Turn(role=m.role, content=m.text) for m in work.conversation.messages],
            reply=work.reply,
            suggestion=work.suggestion,
            lease_until=work.item.lease_until,
        )


class ItemOut(BaseModel):
    """An item that was dealt with. ``case``: it became an example for the next versions."""

    item_id: str
    case: bool = Field(description="Whether it is an example for the next versions now.")


@router.post("/next", response_model=WorkOut, responses={204: {"description": "Nothing waits."}})
def next_item(body: NextBody, served: Here) -> WorkOut | Response:
    """Lease the next item to a worker; the one that this worker holds comes again."""
    from metier.feedback.labels import current_labels
    from metier.feedback.work import next_work

    ws, objective = served.session.workspace, served.session.project.objective
    labels = current_labels(ws, objective)
    work = next_work(ws, objective, labels, body.worker, queue=body.queue)
    return Response(status_code=204) if work is None else WorkOut.of(work)


@router.post("/{item_id}/answer")
def answer_item(item_id: ItemId, body: AnswerBody, served: Here) -> ItemOut:
    """Store the right answer to a reply; the same again changes nothing."""
    from metier.feedback.correct import correct_item
    from metier.feedback.labels import current_labels

    ws, project = served.session.workspace, served.session.project
    labels = current_labels(ws, project.objective)
    by = body.worker, body.value, body.seconds
    correct_item(ws, project.feedback, project.objective, labels, item_id, *by)
    return ItemOut(item_id=item_id, case=True)


@router.post("/{item_id}/skip")
def skip_item(item_id: ItemId, body: SkipBody, served: Here) -> ItemOut:
    """Put an item aside."""
    from metier.queue.items import skip_item as skip

    skip(served.session.workspace, item_id, body.worker, body.reason)
    return ItemOut(item_id=item_id, case=False)
