"""Which tokens are supervised: from a conversation to token ids and a mask.

Supervised are the assistant turns of weight 1 with the token that ends them, and nothing else.
Two ways lead there:

* the chat template marks what the assistant says with ``{% generation %}``;
* otherwise the difference between the rendered text with and without the turn.

Either way the tokens before the last turn must equal what the served model is shown, token by
token; where the marked template fails that check the difference is used.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from metier.core.errors import InputError
from metier.core.types import Conversation
from metier.models import chat

MARKERS = re.compile(r"\{%-?\s*generation\s*-?%\}")
How = Literal["markers", "difference"]
Turns = list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class Masked:
    """Tokens of one conversation, ``supervised[i]`` saying whether token i is in the loss.

    ``how`` names the way taken; ``lost_turns`` counts earlier assistant turns that the template
    rewrites once more turns follow, and which are therefore not supervised.
    """

    input_ids: list[int]
    supervised: list[bool]
    how: How
    lost_turns: int = 0


def mask(tokenizer: Any, conversation: Conversation) -> Masked:
    """Tokenise a conversation that ends in the wanted reply; nothing follows that reply's end.

    Raises InputError when the template renders the reply's turn so that the prompt the model will
    be served is not a beginning of it.
    """
    turns = chat.as_messages(tokenizer, conversation)
    weights = [turn.weight for turn in conversation.messages if turn.role == "assistant"]
    prompt = chat.encode(tokenizer, Conversation(conversation.messages[:-1]))
    _, end = chat.end_of_turn(tokenizer)
    marked = _by_markers(tokenizer, turns, weights, end)
    if marked is None or not _follows(prompt, marked):
        marked = _by_difference(tokenizer, turns, weights, end)
    if not _follows(prompt, marked):
        raise _not_a_continuation(turns)
    return _closed(marked, end)


def _by_markers(tokenizer: Any, turns: Turns, weights: Sequence[int], end: int) -> Masked | None:
    if not tokenizer.is_fast or not MARKERS.search(tokenizer.chat_template):
        return None
    rendered = tokenizer.apply_chat_template(
        turns, return_dict=True, return_assistant_tokens_mask=True
    )
    ids = list(rendered["input_ids"])
    runs = _runs(rendered["assistant_masks"])
    if len(runs) != len(weights):
        return None
    supervised = [False] * len(ids)
    for (start, stop), weight in zip(runs, weights, strict=True):
        # Some templates mark the words and not the token that ends the turn: without it the
        # model would never learn to stop.
        if stop < len(ids) and ids[stop] == end and end not in ids[start:stop]:
            stop += 1
        supervised[start:stop] = [weight > 0] * (stop - start)
    return Masked(ids, supervised, "markers")


def _runs(flags: Sequence[int]) -> list[tuple[int, int]]:
    edges = [0, *flags, 0]
    changes = [at for at, (left, right) in enumerate(pairwise(edges)) if left != right]
    return list(zip(changes[::2], changes[1::2], strict=True))


def _by_difference(tokenizer: Any, turns: Turns, weights: Sequence[int], end: int) -> Masked:
    whole: str = tokenizer.apply_chat_template(turns, tokenize=False)
    places = [at for at, turn in enumerate(turns) if turn["role"] == "assistant"]
    ids: list[int] = []
    supervised: list[bool] = []
    done = lost = 0
    for place, weight in zip(places, weights, strict=True):
        spoken = _turn_text(tokenizer, turns, place)
        if spoken is None or not whole.startswith(spoken[0] + spoken[1]):
            if place == places[-1]:
                raise _not_a_continuation(turns)
            lost += weight > 0
            continue
        before, text = spoken
        head = chat.encode_text(tokenizer, whole[done : len(before)])
        tail = chat.encode_text(tokenizer, text)
        ids += head + tail
        supervised += [False] * len(head) + _until(tail, end, weight > 0)
        done = len(before) + len(text)
    return Masked(ids, supervised, "difference", lost)


def _turn_text(tokenizer: Any, turns: Turns, place: int) -> tuple[str, str] | None:
    """Return the text before the turn (prompt header included) and the turn's own."""
    before: str = tokenizer.apply_chat_template(
        turns[:place], tokenize=False, add_generation_prompt=True
    )
    through: str = tokenizer.apply_chat_template(turns[: place + 1], tokenize=False)
    return (before, through[len(before) :]) if through.startswith(before) else None


def _until(ids: Sequence[int], end: int, supervise: bool) -> list[bool]:
    """Supervise a turn's tokens up to the one that ends it: templates put a newline after."""
    length = ids.index(end) + 1 if end in ids else len(ids)
    return [supervise and at < length for at in range(len(ids))]


def _follows(prompt: Sequence[int], masked: Masked) -> bool:
    """Say whether the last supervised stretch begins right where the served prompt ends."""
    size = len(prompt)
    begins = size < len(masked.input_ids) and masked.supervised[size]
    return begins and masked.input_ids[:size] == list(prompt) and not masked.supervised[size - 1]


def _closed(masked: Masked, end: int) -> Masked:
    """Drop what stands after the last supervised token, and make sure that one ends the turn."""
    last = len(masked.supervised) - masked.supervised[::-1].index(True)
    ids, supervised = masked.input_ids[:last], masked.supervised[:last]
    if ids[-1] != end:
        ids, supervised = [*ids, end], [*supervised, True]
    return Masked(ids, supervised, masked.how, masked.lost_turns)


def _not_a_continuation(turns: Turns) -> InputError:
    return InputError(
        "a chat template that renders a reply as a continuation of its prompt",
        got=f"one that changes the prompt once the reply ({len(turns[-1]['content'])} characters) "
        "follows, and marks no reply of its own",
        remedy="put {% generation %} … {% endgeneration %} around what the assistant says in the "
        "model's chat template, or use another base",
    )
