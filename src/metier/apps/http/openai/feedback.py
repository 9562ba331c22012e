"""POST /v1/feedback: what a user says of a reply."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field

from metier.apps.http.auth import Caller
from metier.apps.http.openai.shapes import Body
from metier.apps.http.served import Here
from metier.core.types import Json

router = APIRouter(tags=["feedback"])


class FeedbackBody(Body):
    """One thing that is said of one reply."""

    metric_name: Annotated[str, Field(min_length=1, max_length=200)] = Field(
        description="A metric of [feedback], or comment, or demonstration (the right answer)."
    )
    value: Json = Field(description="As the metric has it: true/false, a number, text, an object.")
    inference_id: Annotated[str, Field(min_length=1, max_length=200)] = Field(
        description="The reply's id."
    )
    tags: dict[str, str] = Field(default_factory=dict, description="What else is known of it.")
    dryrun: bool = Field(False, description="Check it without storing it.")


class FeedbackOut(BaseModel):
    """The stored feedback; null for a dry run."""

    feedback_id: str | None = Field(description="Null for a dry run.")


@router.post("/feedback")
def add_feedback(body: FeedbackBody, served: Here, caller: Caller) -> FeedbackOut:
    """Store what is said of a reply. Equal repeats are stored once and get the same id."""
    from metier.core import ledger
    from metier.feedback.labels import current_labels
    from metier.feedback.record import record_feedback, validate_feedback

    ws, project = served.session.workspace, served.session.project
    kind = project.feedback, project.objective, current_labels(ws, project.objective)
    said = body.metric_name, body.value, body.tags
    if body.dryrun:
        validate_feedback(*kind, *said)
        ledger.get_interaction(ws, body.inference_id)
        return FeedbackOut(feedback_id=None)
    stored = record_feedback(ws, *kind, body.inference_id, *said, actor=caller)
    return FeedbackOut(feedback_id=stored.id)
