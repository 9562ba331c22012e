"""POST /v1/chat/completions: whole replies, and replies as they are made (server-sent events)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Coroutine, Mapping
from typing import Any, TypeVar

import anyio
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from metier.apps.http.access import log_bug
from metier.apps.http.errors import BUG, bug_words, error_body
from metier.apps.http.openai.chat_shapes import (
    ChatBody,
    ChatCompletion,
    UsageOut,
    chunk,
    delta,
    opening,
)
from metier.apps.http.served import Here
from metier.core.errors import UserError
from metier.serve.streams import ReplyStream

router = APIRouter(tags=["chat"])
DONE = "data: [DONE]\n\n"
EVENTS = "text/event-stream"
CLIENT_GONE = 499
T = TypeVar("T")
ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The reply; with `stream` its chunks as server-sent events.",
        "content": {EVENTS: {"schema": {"type": "string"}}},
        "headers": {
            "X-Metier-Release": {
                "description": "The release that answered; absent for an upstream.",
                "schema": {"type": "string"},
            }
        },
    }
}


@router.post("/chat/completions", response_model=ChatCompletion, responses=ANSWERS)
async def create_chat_completion(body: ChatBody, request: Request, served: Here) -> Response:
    """Answer a conversation. The reply is stored, and its id is the key for feedback.

    Fields that are not listed (`logprobs`, `response_format`, penalties, …) change nothing;
    `tools` and `functions` are refused.
    """
    if body.stream:
        stream = await served.answering.stream(body.request)
        events = chunks(stream, usage=body.wants_usage, request_id=request.state.request_id)
        return EventStream(stream, events)
    reply = await unless_gone(request, served.answering.chat(body.request))
    if reply is None:
        return Response(status_code=CLIENT_GONE)  # for the log: nobody reads it
    answer = ChatCompletion.of(reply).model_dump()
    return JSONResponse(answer, headers=_headers(reply.release))


class EventStream(StreamingResponse):
    """Events made from a reply, which is closed whatever ends them: the end, an error, or the
    client going away in the middle of a send."""

    def __init__(self, reply: ReplyStream, events: AsyncGenerator[str]) -> None:
        super().__init__(events, media_type=EVENTS, headers=_headers(reply.release))
        self._reply, self._events = reply, events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            with anyio.CancelScope(shield=True):
                await self._events.aclose()
                await self._reply.aclose()


async def chunks(
    reply: ReplyStream, *, usage: bool = False, request_id: str = ""
) -> AsyncGenerator[str]:
    """The events of a reply: who speaks, the text, why it ended, the counts, the end mark.

    An error after the first piece becomes an event, as the status has been sent by then.
    """
    head = stream_head(reply, usage=usage)
    opened: set[int] = set()
    try:
        async for piece in reply:
            if piece.index not in opened:
                opened.add(piece.index)
                yield event(chunk(head, [opening(piece.index)]))
            yield event(chunk(head, [delta(piece)]))
            if usage and piece.reply is not None:
                yield event(chunk(head, [], UsageOut.of(piece.reply)))
    except UserError as error:
        yield event(error_body(error.http_status, str(error)))
    except Exception as error:
        log_bug(error, request_id)
        yield event(error_body(500, bug_words(request_id), code=BUG))
    yield DONE


def stream_head(reply: ReplyStream, *, usage: bool) -> dict[str, Any]:
    """What every event of a reply repeats; ``usage`` is null until the event that holds it."""
    head = {
        "id": reply.id,
        "object": "chat.completion.chunk",
        "created": int(reply.created.timestamp()),
        "model": reply.model,
        "system_fingerprint": reply.release,
    }
    return {**head, "usage": None} if usage else head


def event(value: Mapping[str, Any]) -> str:
    """One server-sent event."""
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n"


async def unless_gone(request: Request, answer: Coroutine[Any, Any, T]) -> T | None:
    """Wait for an answer; None, and the wait given up, when the client went away before."""
    answering = asyncio.ensure_future(answer)
    leaving = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return await answering if answering.done() else None
    finally:
        answering.cancel()
        leaving.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _headers(release: str | None) -> dict[str, str]:
    return {"Cache-Control": "no-store", **({"X-Metier-Release": release} if release else {})}
