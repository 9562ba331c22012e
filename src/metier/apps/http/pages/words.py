"""Conversations and replies as the pages show them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from metier.apps.http.pages.frame import Row
from metier.core.objective import Objective
from metier.core.records import Feedback
from metier.core.types import Conversation, Json
from metier.core.workspace import Workspace
from metier.feedback.config import FeedbackConfig
from metier.feedback.types import COMMENT, DEMONSTRATION
from metier.models.prompt import parse_reply
from metier.registry.releases import list_releases

WHO = {"user": "User", "assistant": "Model", "system": "System prompt", "tool": "Tool"}
REASONS = {
    "correction": "a user wrote what would have been right",
    "low_confidence": "low confidence",
    "audit": "drawn at random, to know how good the rest is",
}


def turn_rows(conversation: Conversation) -> list[Row]:
    """Return a conversation's turns."""
    return [
        {"role": turn.role, "who": WHO[turn.role], "text": turn.text, "fields": None}
        for turn in conversation.messages
    ]


def reply_value(objective: Objective, labels: Sequence[str], reply: str) -> Json:
    """Return a structured reply as its fields, any other (or one that cannot be read) as text."""
    found = parse_reply(reply, objective, labels) if objective.task == "structured" else None
    return found if isinstance(found, dict) else reply


def reason_words(reason: str) -> str:
    """Return in words why an item is in the queue."""
    if reason.startswith("bad_"):
        return f"said to be bad: {reason.removeprefix('bad_')}"
    if reason.startswith("guard_"):
        return f"guard: {reason.removeprefix('guard_').replace('_', ' ')}"
    return REASONS.get(reason, reason.replace("_", " "))


def is_bad(config: FeedbackConfig, said: Feedback) -> bool:
    """Say whether one piece of feedback calls its reply bad."""
    at = config.bad_when.get(said.metric)
    return at is not None and isinstance(said.value, bool | int | float) and float(said.value) <= at


def said_rows(config: FeedbackConfig, said: Iterable[Feedback]) -> list[Row]:
    """Return what was said about a reply, each in words."""
    return [
        {
            "metric": one.metric,
            "value": one.value,
            "words": _words(one),
            "text": one.metric in (COMMENT, DEMONSTRATION),
            "side": "bad" if is_bad(config, one) else "good" if one.value is True else "open",
            "one": one,
        }
        for one in said
    ]


def release_names(ws: Workspace) -> Mapping[str, str]:
    """Return the names of the releases by id."""
    return {one.id: one.name for one in list_releases(ws)}


def _words(one: Feedback) -> str:
    if isinstance(one.value, bool):
        return f"{one.metric}: {'yes' if one.value else 'no'}"
    if one.metric == DEMONSTRATION:
        return "better answer given"
    if one.metric == COMMENT:
        return "comment"
    return f"{one.metric}: {one.value:g}" if isinstance(one.value, float) else str(one.value)
