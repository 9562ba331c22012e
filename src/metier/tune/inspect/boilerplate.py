"""Boilerplate: the same long words at the beginning or end of nearly every reply.

A fixed preamble ("As your assistant I am happy to ...") in every reply is learned in a few steps
and then only dilutes the loss: it looks excellent while the part that differs, the answer, has a
small share of it. It fires where all of this holds:

* at least ``FEWEST`` examples, and ``SHARE`` of them begin (or end) with the same tokens;
* those are at least ``LONG`` tokens, and ``OF_LOSS`` of what is supervised in these examples;
* what follows (or precedes) them differs: replies that are the same as a whole are a class that
  is frequent, and no preamble.

It never fires on a closed set, where the same replies come again and again, nor on JSON, whose keys
are the form that is wanted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

FEWEST = 20
SHARE = 0.95
LONG = 12
OF_LOSS = 1 / 3
DISTINCT = 0.2
FEWEST_DISTINCT = 10
JSON_STARTS = ("{", "[")

Reply = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Shared:
    """The same tokens at one side (``beginning`` or ``end``) of the replies at ``places``."""

    side: str
    tokens: Reply
    places: tuple[int, ...]


def shared_words(replies: Sequence[Reply]) -> Shared | None:
    """Return what nearly all replies begin or end with, if it is boilerplate (longer one first).

    Replies are token ids without the token that ends them.
    """
    if len(replies) < FEWEST or _is_closed_set(replies):
        return None
    ends = _common([reply[::-1] for reply in replies])
    found = [
        Shared("beginning", *_common(replies)),
        Shared("end", ends[0][::-1], ends[1]),
    ]
    fitting = [one for one in found if _is_boilerplate(one, replies)]
    return max(fitting, key=lambda one: len(one.tokens), default=None)


def _is_closed_set(replies: Sequence[Reply]) -> bool:
    return len(set(replies)) < max(FEWEST_DISTINCT, DISTINCT * len(replies))


def _common(replies: Sequence[Reply]) -> tuple[Reply, tuple[int, ...]]:
    """Return the longest beginning that SHARE of all replies have, and which ones have it."""
    places = list(range(len(replies)))
    needed = SHARE * len(replies)
    tokens: list[int] = []
    while True:
        at = len(tokens)
        counts = Counter(replies[place][at] for place in places if len(replies[place]) > at)
        token, count = counts.most_common(1)[0] if counts else (0, 0)
        if count < needed or not count:
            return tuple(tokens), tuple(places)
        tokens.append(token)
        places = [p for p in places if len(replies[p]) > at and replies[p][at] == token]


def _is_boilerplate(shared: Shared, replies: Sequence[Reply]) -> bool:
    size = len(shared.tokens)
    having = [replies[place] for place in shared.places]
    if size < LONG or size * len(having) < OF_LOSS * sum(map(len, having)):
        return False
    rests = {reply[size:] if shared.side == "beginning" else reply[:-size] for reply in having}
    return len(rests - {()}) >= FEWEST_DISTINCT
