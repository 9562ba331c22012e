"""Served replies: the list with what was said of them, and one reply with where it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, get_args

from fastapi import APIRouter, Query, Request, Response

from metier.apps.http.pages.frame import Here, PageRoute, Row, Site, show
from metier.apps.http.pages.lineage import trace_rows
from metier.apps.http.pages.react import react_view
from metier.apps.http.pages.words import (
    is_bad,
    reason_words,
    release_names,
    reply_value,
    said_rows,
    turn_rows,
)
from metier.core import ledger
from metier.core.records import Feedback, Interaction
from metier.core.types import Json
from metier.feedback.config import FeedbackConfig
from metier.feedback.labels import current_labels
from metier.feedback.types import CORRECTIONS
from metier.journey.report import numbers
from metier.queue import items_of

router = APIRouter(route_class=PageRoute)
Which = Literal["all", "bad", "unsure", "said"]
FILTERS = {
    "all": "All",
    "bad": "Said to be bad",
    "unsure": "Low confidence",
    "said": "With feedback",
}
PAGE = 50
CLIP = 160


@router.get("/interactions")
def interactions_page(
    request: Request,
    site: Here,
    which: Which = "all",
    q: Annotated[str, Query(max_length=200)] = "",
    page: Annotated[int, Query(ge=1)] = 1,
) -> Response:
    """List served replies, newest first."""
    return show(request, "interactions.html.j2", **list_view(site, which, q, page))


@router.get("/interactions/{key}")
def interaction_page(request: Request, site: Here, key: str) -> Response:
    """Show one reply."""
    return show(request, "interaction.html.j2", **reply_view(site, key))


def list_view(site: Site, which: Which, words: str, page: int) -> Row:
    """Return one page of the replies that pass the filter, and how many pass each."""
    session = site.session
    ws, config = session.workspace, session.project.feedback
    objective = session.project.objective
    replies = ledger.list_interactions(ws)
    said: dict[str, list[Feedback]] = {}
    for one in ledger.list_feedback(ws):
        said.setdefault(one.interaction_id, []).append(one)
    found = [one for one in reversed(replies) if words.casefold() in _text(one).casefold()]
    passing = {
        name: [one for one in found if passes(name, one, said.get(one.id, []), config)]
        for name in get_args(Which)
    }
    chosen = passing[which]
    start = (page - 1) * PAGE
    names = release_names(ws)
    return {
        "filters": [
            {"name": name, "words": title, "count": len(passing[name])}
            for name, title in FILTERS.items()
        ],
        "which": which,
        "q": words,
        "page": page,
        "total": len(chosen),
        "served": len(replies),
        "more": start + PAGE < len(chosen),
        "low": config.low_confidence,
        "rows": [
            reply_row(
                one,
                said.get(one.id, []),
                config,
                names.get(one.release_id or "", one.model),
                reply_value(objective, (), one.replies[0]) if one.replies else "",
            )
            for one in chosen[start : start + PAGE]
        ],
    }


def passes(
    which: Which, reply: Interaction, said: Sequence[Feedback], config: FeedbackConfig
) -> bool:
    """Say whether a reply belongs under a filter."""
    if which == "bad":
        return any(is_bad(config, one) for one in said)
    if which == "unsure":
        return reply.confidence is not None and reply.confidence < config.low_confidence
    return which == "all" or bool(said)


def reply_row(
    reply: Interaction,
    said: Sequence[Feedback],
    config: FeedbackConfig,
    by: str,
    value: Json,
) -> Row:
    """Return one reply as a row of the list; ``value`` is its text, or its fields."""
    return {
        "reply": reply,
        "by": by,
        "asked": numbers.short(reply.asked.last_user, CLIP),
        "answered": numbers.short(one_line(value), CLIP),
        "confidence": numbers.number(reply.confidence),
        "unsure": passes("unsure", reply, said, config),
        "said": said_rows(config, said),
    }


def one_line(value: Json) -> str:
    """Write a reply on one line; of fields only what they hold."""
    parts = value.values() if isinstance(value, dict) else [value]
    return " · ".join(" ".join(numbers.answer(one).split()) for one in parts)


def reply_view(site: Site, key: str) -> Row:
    """Return one reply with feedback, its place in the queue, and lineage both ways.

    Raises NotFound.
    """
    session = site.session
    ws, objective = session.workspace, session.project.objective
    reply = ledger.get_interaction(ws, key)
    labels = current_labels(ws, objective)
    item = items_of(ws, CORRECTIONS, [key]).get(key)
    history = ledger.list_feedback(ws, [key], history=True)
    return {
        "reply": reply,
        "by": release_names(ws).get(reply.release_id or ""),
        "turns": turn_rows(reply.asked),
        "values": [reply_value(objective, labels, one) for one in reply.replies],
        "confidence": numbers.number(reply.confidence),
        "settings": [(name, numbers.setting(value)) for name, value in reply.settings.items()],
        "said": said_rows(session.project.feedback, history),
        "item": item,
        "reasons": [reason_words(one) for one in item.reasons] if item else [],
        "react": react_view(site, key),
        "up": trace_rows(ws, key, "up"),
        "down": trace_rows(ws, key, "down"),
    }


def _text(reply: Interaction) -> str:
    return "\n".join((reply.asked.text, *reply.replies))
