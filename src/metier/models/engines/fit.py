"""Making a prompt fit the context: the user's text gives way, the frame around it stays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from metier.core.types import Conversation, Message
from metier.models import chat
from metier.models.base import Base

GAP = " … "


@dataclass(frozen=True)
class Prompt:
    """Token ids of a prompt; ``cut`` counts the tokens that were left out."""

    ids: list[int]
    cut: int = 0


def fit_prompts(base: Base, conversations: Sequence[Conversation], reserve: int) -> list[Prompt]:
    """Encode conversations, leaving room for ``reserve`` tokens of reply (or half the context).

    Of one that is too long, the middle of its longest user turn is cut; what asks the question is
    mostly at the beginning or the end. When that is not enough, tokens go from the left, so that
    the cue to answer is always there.
    """
    budget = max(base.max_tokens - reserve, base.max_tokens // 2, 1)
    texts = [chat.render(base.tokenizer, conversation) for conversation in conversations]
    encoded = base.tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []
    return [
        Prompt(ids) if len(ids) <= budget else _cut(base, conversation, ids, budget)
        for conversation, ids in zip(conversations, encoded, strict=True)
    ]


def _cut(base: Base, conversation: Conversation, ids: list[int], budget: int) -> Prompt:
    full = len(ids)
    place = _longest_user_turn(conversation)
    if place is not None:
        words = base.tokenizer(
            conversation.messages[place].text,
            add_special_tokens=False,
            return_offsets_mapping=True,
        )["offset_mapping"]
        keep = len(words) - (full - budget) - 8
        while keep > 0 and len(ids) > budget:
            ids = base.encode(_without_middle(conversation, place, words, keep))
            keep -= max(1, len(ids) - budget)
    return Prompt(ids[-budget:], full - min(len(ids), budget))


def _longest_user_turn(conversation: Conversation) -> int | None:
    lengths = {i: len(m.text) for i, m in enumerate(conversation.messages) if m.role == "user"}
    return max(lengths, key=lengths.__getitem__) if lengths else None


def _without_middle(
    conversation: Conversation, place: int, words: Sequence[tuple[int, int]], keep: int
) -> Conversation:
    text = conversation.messages[place].text
    head, tail = (keep + 1) // 2, keep // 2
    start = words[head - 1][1] if head else 0
    end = words[-tail][0] if tail else len(text)
    shorter = Message.of("user", text[:start] + GAP + text[end:])
    turns = list(conversation.messages)
    turns[place] = shorter
    return replace(conversation, messages=tuple(turns))
