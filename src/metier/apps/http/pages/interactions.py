"""Served replies: the list with what was said of them, and one reply with where it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from metier.apps.http.pages.allowed import may
from metier.apps.http.pages.frame import Here, PageRoute, Row, Site, show
from metier.apps.http.pages.lineage import trace_rows
from metier.apps.http.pages.react import react_view
from metier.apps.http.pages.words import (
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

router = APIRouter(route_class=PageRoute, dependencies=[may("look")])
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
    before: Annotated[str, Query(max_length=80)] = "",
) -> Response:
    """List served replies, newest first."""
    return show(request, "interactions.html.j2", **list_view(site, which, q, before))


@router.get("/interactions/{key}")
def interaction_page(request: Request, site: Here, key: str) -> Response:
    """Show one reply."""
    return show(request, "interaction.html.j2", **reply_view(site, key))


def list_view(site: Site, which: Which, words: str, before: str = "") -> Row:
    """Return one page of the replies that pass the filter, those before the id ``before``, and how
    many pass each filter (with words nobody counts: that would read every reply)."""
    session = site.session
    ws, config = session.workspace, session.project.feedback
    filters = reply_filters(config)
    page = ledger.page_interactions(
        ws, replace(filters[which], words=words), before=before, limit=PAGE
    )
    counts: dict[str, int] = {}
    if not words:
        counts = {name: ledger.count_replies(ws, one) for name, one in filters.items()}
    said: dict[str, list[Feedback]] = {}
    for one in ledger.list_feedback(ws, [one.id for one in page.rows]):
        said.setdefault(one.interaction_id, []).append(one)
    names = release_names(ws)
    return {
        "filters": [
            {"name": name, "words": title, "count": counts.get(name)}
            for name, title in FILTERS.items()
        ],
        "which": which,
        "q": words,
        "before": before,
        "next": page.before,
        "served": ledger.count_replies(ws) if words else counts["all"],
        "low": config.low_confidence,
        "rows": [
            reply_row(
                one,
                said.get(one.id, []),
                config,
                names.get(one.release_id or "", one.model),
                reply_value(session.project.objective, (), one.replies[0]) if one.replies else "",
            )
            for one in page.rows
        ],
    }


def reply_filters(config: FeedbackConfig) -> dict[Which, ledger.ReplyFilter]:
    """Return what each filter of the list asks of the store."""
    return {
        "all": ledger.ReplyFilter(),
        "bad": ledger.ReplyFilter(bad_when=config.bad_when),
        "unsure": ledger.ReplyFilter(confidence_below=config.low_confidence),
        "said": ledger.ReplyFilter(said=True),
    }


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
        "unsure": reply.confidence is not None and reply.confidence < config.low_confidence,
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
