"""From examples to token ids: what can be trained on, what had to be shortened, what is left out.

Nothing disappears quietly: every example left out is kept by id with its reason, every shortened
one is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Literal

from jinja2.exceptions import TemplateError

from metier.core.errors import InputError
from metier.core.progress import TaskProgress
from metier.core.records import LOSS_WEIGHT
from metier.core.types import Conversation, Example, Message
from metier.models.engines.fit import GAP
from metier.tune.tokens.masks import Masked, mask
from metier.tune.types import Encoded, Encodings

# Of the longest example's tokens, at least this share stays with the prompt when both prompt and
# reply are too long.
PROMPT_SHARE = 0.25
SHORTENINGS = 8

Spoken = Callable[[Example], Conversation | None]
"""Gives the conversation as trained on, its wanted reply last (None: nothing to learn from it)."""
Weigh = Callable[[Masked, str], Sequence[float] | None]
"""Gives every token's weight in the loss, from the tokens and the reply's text."""


def encode(
    examples: Iterable[Example],
    spoken: Spoken,
    tokenizer: Any,
    max_tokens: int,
    task: TaskProgress | None = None,
    weigh: Weigh | None = None,
) -> Encodings:
    """Tokenise and mask examples; those above ``max_tokens`` tokens are shortened to fit.

    The longest user turn loses its middle first; a reply is cut only where the prompt
    would fall under a quarter of ``max_tokens``.

    Raises InputError when not one example has a token to learn from.
    """
    kept: list[Encoded] = []
    excluded: dict[str, str] = {}
    shortened: dict[str, Literal["prompt", "reply"]] = {}
    counts: Counter[str] = Counter()
    how: Counter[str] = Counter()
    for example in examples:
        conversation = spoken(example)
        before = Counter(counts)
        outcome: Masked | str = NO_TARGET
        if conversation:
            with _named(example.id):
                outcome = _one(conversation, tokenizer, max_tokens, counts)
        if counts["truncated"] > before["truncated"]:
            reply = counts["cut_replies"] > before["cut_replies"]
            shortened[example.id] = "reply" if reply else "prompt"
        if task is not None:
            task.advance()
        if isinstance(outcome, str):
            excluded[example.id] = outcome
            continue
        how[outcome.how] += 1
        counts["lost_turns"] += outcome.lost_turns
        weights = weigh(outcome, conversation.messages[-1].text) if weigh and conversation else None
        weights = _row_weighed(example, outcome, weights)
        kept.append(Encoded(example.id, outcome.input_ids, outcome.supervised, weights))
    if not kept:
        raise _nothing_to_learn(excluded)
    return Encodings(
        tuple(kept),
        excluded,
        counts["truncated"],
        counts["cut_replies"],
        counts["lost_turns"],
        how,
        shortened,
    )


@contextmanager
def _named(example_id: str) -> Iterator[None]:
    """Name the example in an error about its text."""
    try:
        yield
    except InputError as error:
        got = f"{example_id}: {error.got}"
        raise InputError(error.expected, got=got, remedy=error.remedy) from error


def _row_weighed(
    example: Example, masked: Masked, weights: Sequence[float] | None
) -> Sequence[float] | None:
    """Return the tokens' weights times the row's own, which rebalancing gave it."""
    own = float(example.slices.get(LOSS_WEIGHT, 1.0))
    if own == 1.0:
        return weights
    return [own * weight for weight in weights or [1.0] * len(masked.input_ids)]


NO_TARGET = "no target to learn from"
NO_SUPERVISED = "no supervised token fits"
TEMPLATE_REFUSES = "the chat template refuses these turns"


def _one(
    conversation: Conversation, tokenizer: Any, max_tokens: int, counts: Counter[str]
) -> Masked | str:
    if not conversation.messages[-1].text:
        return "the reply is empty"
    try:
        masked = mask(tokenizer, conversation)
    except TemplateError as error:
        return f"{TEMPLATE_REFUSES}: {(str(error).strip() or 'no reason given').splitlines()[0]}"
    if len(masked.input_ids) <= max_tokens:
        return masked
    counts["truncated"] += 1
    masked = _shorten(conversation, masked, tokenizer, max_tokens)
    if len(masked.input_ids) > max_tokens:
        counts["cut_replies"] += 1
        ids, supervised = masked.input_ids[:max_tokens], masked.supervised[:max_tokens]
        masked = replace(masked, input_ids=ids, supervised=supervised)
    return masked if any(masked.supervised[1:]) else f"{NO_SUPERVISED} in {max_tokens} tokens"


def _shorten(conversation: Conversation, masked: Masked, tokenizer: Any, max_tokens: int) -> Masked:
    for _ in range(SHORTENINGS):
        size = len(masked.input_ids)
        prompt = size - masked.supervised[::-1].index(False)
        room = max(max_tokens - (size - prompt), int(max_tokens * PROMPT_SHARE))
        shorter = _cut_longest(conversation, room / prompt) if prompt > room else None
        if shorter is None:
            break
        conversation, masked = shorter, mask(tokenizer, shorter)
    return masked


def _cut_longest(conversation: Conversation, share: float) -> Conversation | None:
    """Cut the middle out of the longest user turn, so that ``share`` of the prompt stays.

    The same cut that inference makes (``metier.models.engines.fit``): what asks the question
    mostly stands at the beginning or the end.
    """
    turns = list(conversation.messages)
    sizes = [len(turn.text) if turn.role == "user" else 0 for turn in turns[:-1]]
    if not any(sizes):
        return None
    place = sizes.index(max(sizes))
    everything = sum(len(turn.text) for turn in turns[:-1])
    keep = sizes[place] - round(everything * (1 - share)) - len(GAP)
    if keep < 2:
        return None
    turn = turns[place]
    cut = turn.text[: (keep + 1) // 2] + GAP + turn.text[-(keep // 2) :]
    turns[place] = Message.of(turn.role, cut, turn.weight)
    return Conversation(tuple(turns))


def _nothing_to_learn(excluded: dict[str, str]) -> InputError:
    reasons = Counter(excluded.values()).most_common(3)
    return InputError(
        "at least one training example with a supervised token",
        got="; ".join(f"{n} left out: {reason}" for reason, n in reasons) or "an empty split",
        remedy="look at them with `metier inspect`; raise max_tokens in [tune] if they do not fit",
    )
