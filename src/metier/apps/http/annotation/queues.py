"""Queues: which there are, how far they are, how far people agree, files out and in."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from metier.apps.http.annotation.allowed import builds, opened_queue, queues_of, seen_queue
from metier.apps.http.annotation.shapes import (
    IMPORT_BODY,
    ExportFormat,
    ImportOut,
    QueueName,
    QueueOut,
)
from metier.apps.http.served import Here
from metier.apps.http.who import Who
from metier.core.types import Json

router = APIRouter()
TYPES = {"csv": "text/csv; charset=utf-8"}


class QueuesOut(BaseModel):
    """The queues, the newest first."""

    data: list[QueueOut]


class AgreementOut(BaseModel):
    """How far people agree. ``report`` is what `metier annotate agreement --json` prints."""

    queue: str
    report: Json = Field(description="By question: coefficients with intervals and n, pairs.")


@router.get("/queues")
def list_queues(served: Here, who: Who) -> QueuesOut:
    """The queues that this key may see."""
    from metier.queue import queue_counts

    ws = served.session.workspace
    found = [QueueOut.of(one, queue_counts(ws, one.name)) for one in queues_of(ws, who)]
    return QueuesOut(data=found)


@router.get("/queues/{name}")
def queue_status(name: QueueName, served: Here, who: Who) -> QueueOut:
    """How far a queue is."""
    from metier.queue import queue_counts

    ws = served.session.workspace
    return QueueOut.of(seen_queue(ws, name, who), queue_counts(ws, name))


@router.get("/queues/{name}/agreement")
def queue_agreement(name: QueueName, served: Here, who: Who) -> AgreementOut:
    """How far the people of a queue agree."""
    from metier.annotate.agreement import agreement_of
    from metier.core.codec import to_json

    ws = served.session.workspace
    opened_queue(ws, name, who)
    return AgreementOut(queue=name, report=to_json(agreement_of(ws, name)))


@router.get(
    "/queues/{name}/export",
    response_class=Response,
    responses={200: {"content": {"application/json": {}, "text/csv": {}}}},
)
def export_queue(
    name: QueueName,
    served: Here,
    who: Who,
    form: Annotated[ExportFormat, Query(alias="format")] = "argilla",
) -> Response:
    """A queue with all its answers, drafts and passes in the shape of another tool."""
    from metier.annotate.exchange.files import written
    from metier.annotate.exchange.giving import give

    ws = served.session.workspace
    opened_queue(ws, name, who)
    packet = give(ws, name)
    text, _ = written(packet, form)
    ws.audit.append(who.id, "queue.export", name, {"format": form, "items": len(packet.items)})
    return Response(text, media_type=TYPES.get(form, "application/json"))


@router.post("/queues/{name}/import", openapi_extra=IMPORT_BODY)
async def import_queue(
    request: Request,
    name: QueueName,
    served: Here,
    who: Who,
    form: Annotated[ExportFormat, Query(alias="format")] = "argilla",
    title: Annotated[str, Query(max_length=200, description="Title of a new queue.")] = "",
    wanted: Annotated[int, Query(ge=0, le=100, description="0: as many as there are.")] = 0,
    dry_run: Annotated[bool, Query(description="Say what would happen; write nothing.")] = False,
) -> ImportOut:
    """Take another tool's items and answers into a queue, which is made where it is not there.

    What cannot be used is named in the answer, the rest is taken. The body is the tool's file, at
    most as large as the server takes at once.
    """
    from metier.annotate.exchange.reading import import_bytes
    from metier.annotate.exchange.taking import Into

    builds(who)
    data, into = await request.body(), Into(name, title, wanted)
    ws = served.session.workspace
    take = partial(import_bytes, ws, data, into, who.id, form, dry_run=dry_run)
    return ImportOut.of(await run_in_threadpool(take))
