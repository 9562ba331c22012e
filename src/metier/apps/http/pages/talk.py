"""Try it: the same words to two versions side by side, through the gateway."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from metier.apps.http.pages.allowed import may
from metier.apps.http.pages.frame import Here, PageRoute, Row, Site, is_partial, show
from metier.apps.http.pages.react import react_view
from metier.apps.http.pages.words import reply_value
from metier.core.errors import InputError, ModelUnavailable, NotFound, UserError
from metier.core.types import Conversation, Role
from metier.feedback.labels import current_labels
from metier.serve.gateway import Gateway
from metier.serve.types import ChatReply, ChatRequest, ModelCard

router = APIRouter(route_class=PageRoute, dependencies=[may("look")])
SIDES = ("a", "b")
MOST_TURNS = 40
LONGEST = 100_000
"""Most characters of one side's history."""


@dataclass(frozen=True)
class Turn:
    """One turn of a side's history; ``id`` is the reply's (users' turns have none)."""

    role: Role
    text: str
    id: str | None = None


@router.get("/try")
def try_page(request: Request, site: Here, a: str = "", b: str = "") -> Response:
    """Show an empty talk."""
    chosen = choose(cards(site.gateway), {"a": a, "b": b})
    return show(request, "try.html.j2", **talk_view(site, chosen, {side: () for side in SIDES}))


@router.post("/try")
async def try_send(request: Request, site: Here) -> Response:
    """Send the words to both versions and show both replies."""
    form = {name: str(value) for name, value in (await request.form()).items()}
    chosen = choose(cards(site.gateway), form)
    past = {side: read_turns(form.get(f"turns_{side}", "")) for side in SIDES}
    asked = await ask_both(site.gateway, chosen, past, form.get("message", ""))
    view = await run_in_threadpool(talk_view, site, chosen, past, asked)
    return show(request, "talk.html.j2" if is_partial(request) else "try.html.j2", **view)


def cards(gateway: Gateway | None) -> list[ModelCard]:
    """Return what can be asked; nothing where no model answers."""
    return [] if gateway is None else list(gateway.models())


def choose(found: Sequence[ModelCard], wanted: Mapping[str, str]) -> dict[str, str]:
    """Return the model of each side: the one asked for, else the first that the other has not."""
    names = [one.id for one in found]
    chosen: dict[str, str] = {}
    for side, usual in zip(SIDES, ("champion", "challenger"), strict=True):
        free = [name for name in (usual, *names) if name in names and name not in chosen.values()]
        asked = wanted.get(side, "")
        chosen[side] = asked if asked in names else free[0] if free else (names or [""])[0]
    return chosen


def read_turns(text: str) -> tuple[Turn, ...]:
    """Read a side's history from its form field. Raises InputError when it is none."""
    if not text:
        return ()
    try:
        if len(text) > LONGEST:
            raise ValueError
        turns = tuple(Turn(**one) for one in json.loads(text))
        if len(turns) > MOST_TURNS or any(
            one.role not in ("user", "assistant") or not isinstance(one.text, str) for one in turns
        ):
            raise ValueError
    except (ValueError, TypeError):
        raise InputError(
            f"a talk of at most {MOST_TURNS} turns", got="another one", remedy="begin a new one"
        ) from None
    return turns


@dataclass(frozen=True)
class Asked:
    """What one side said to the newest words, or why it did not. ``wall_s`` is in seconds."""

    text: str
    reply: ChatReply | None
    error: UserError | None
    wall_s: float


async def ask_both(
    gateway: Gateway | None,
    chosen: Mapping[str, str],
    past: Mapping[str, Sequence[Turn]],
    text: str,
) -> dict[str, Asked]:
    """Ask both sides at once. Raises InputError without words, ModelUnavailable without models."""
    if gateway is None or not any(chosen.values()):
        raise ModelUnavailable("a model that answers here", got="none", remedy="see this page")
    if not text.strip():
        raise InputError("some words to send", got="none", remedy="write what a user would write")
    found = await asyncio.gather(*(_ask(gateway, chosen[side], past[side], text) for side in SIDES))
    return dict(zip(SIDES, found, strict=True))


async def _ask(gateway: Gateway, model: str, past: Sequence[Turn], text: str) -> Asked:
    turns = [(one.role, one.text) for one in past]
    request = ChatRequest(model, Conversation.of(*turns, ("user", text)))
    began = time.perf_counter()
    try:
        reply, error = await gateway.chat(request), None
    except UserError as refused:
        reply, error = None, refused
    return Asked(text, reply, error, time.perf_counter() - began)


def talk_view(
    site: Site,
    chosen: Mapping[str, str],
    past: Mapping[str, Sequence[Turn]],
    asked: Mapping[str, Asked] | None = None,
) -> Row:
    """Return both sides with their histories, the newest reply with what may be said of it."""
    return {
        "models": [model_row(one) for one in cards(site.gateway)],
        "chosen": chosen,
        "served": site.gateway is not None,
        "sides": [
            side_view(site, side, chosen[side], past[side], asked[side] if asked else None)
            for side in SIDES
        ],
    }


def side_view(site: Site, side: str, model: str, past: Sequence[Turn], asked: Asked | None) -> Row:
    """Return one side. Words that got no reply stay out of its history, to be sent again."""
    turns, newest = list(past), None
    if asked is not None:
        turns.append(Turn("user", asked.text))
        newest = _newest(site, asked)
    kept = turns[:-1] if asked is not None and asked.reply is None else list(turns)
    if asked is not None and asked.reply is not None:
        kept.append(Turn("assistant", asked.reply.choices[0].text, asked.reply.id))
    return {
        "side": side,
        "model": model,
        "turns": [_turn_row(site, one) for one in turns],
        "newest": newest,
        "kept": json.dumps([{"role": o.role, "text": o.text, "id": o.id} for o in kept]),
    }


def model_row(card: ModelCard) -> Row:
    """Return a name that can be asked, with what it stands for."""
    points = f"{card.id}, now {card.release}" if card.kind == "alias" else card.id
    return {"id": card.id, "words": points if card.kind != "upstream" else f"{card.id} (upstream)"}


def _newest(site: Site, asked: Asked) -> Row:
    if asked.reply is None:
        return {"error": asked.error, "wall_s": asked.wall_s}
    try:
        react = react_view(site, asked.reply.id)
    except NotFound:  # a gateway that keeps nothing
        react = None
    return {
        "error": None,
        "wall_s": asked.wall_s,
        "reply": asked.reply,
        "value": _value(site, asked.reply.choices[0].text),
        "cut": asked.reply.choices[0].finish_reason == "length",
        "react": react,
    }


def _turn_row(site: Site, turn: Turn) -> dict[str, Any]:
    value = _value(site, turn.text) if turn.role == "assistant" else turn.text
    fields = value if isinstance(value, dict) else None
    who = "You" if turn.role == "user" else "Model"
    return {"role": turn.role, "who": who, "text": turn.text, "fields": fields, "id": turn.id}


def _value(site: Site, text: str) -> Any:
    session = site.session
    labels = current_labels(session.workspace, session.project.objective)
    return reply_value(session.project.objective, labels, text)
