"""Pairs of a made style for preferences.py, and the check of who writes in it.

A customer tells of a trouble. The preferred reply thanks first and then says what to do in short
sentences; the other gives the same advice as a bare list. Prompts of the test share no thing and
trouble with those trained on.

    My kettle leaks since Monday. What can I do?
    preferred   Thank you for telling us about the kettle. Please send us a photo of it. We will …
    other       - send us a photo of it
                - …
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

THINGS = [
    "kettle",
    "lamp",
    "chair",
    "heater",
    "radio",
    "clock",
    "fan",
    "printer",
    "camera",
    "bicycle",
    "mirror",
    "ladder",
    "drill",
    "table",
    "blanket",
    "carpet",
    "mixer",
    "toaster",
    "jacket",
    "helmet",
    "sofa",
    "pump",
    "oven",
    "shelf",
    "tent",
    "boiler",
    "wallet",
    "keyboard",
    "guitar",
    "saw",
]
TROUBLES = [
    "leaks since {day}",
    "makes a loud noise",
    "came without its cable",
    "has a deep scratch",
    "stopped working on {day}",
    "smells of smoke",
    "is not the one I ordered",
    "does not fit in the box",
    "arrived broken on {day}",
    "is too small for us",
]
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"]
QUESTIONS = ["What can I do?", "Can you help me?", "What should I do now?", "Please tell me."]
ADVICE = [
    "send us a photo of it",
    "keep the box and the bill",
    "do not use it until we write again",
    "bring it to a shop near you",
    "write down the number on its back",
    "put it back in its box",
    "tell us when you bought it",
    "call us in the morning",
]
PROMISES = [
    "We will send a new one this week.",
    "We will pay the money back.",
    "We will repair it for free.",
    "We will write to you tomorrow.",
]
LONGEST_SENTENCE = 14
OPENING = re.compile(r"^thank you\b", re.IGNORECASE)
BULLET = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s", re.MULTILINE)


@dataclass(frozen=True)
class Pair:
    """A prompt with a reply in the style and one that is not."""

    prompt: str
    preferred: str
    other: str


def make_pairs(seed: int = 0) -> list[Pair]:
    """Make a pair for every thing and trouble, in an order drawn under ``seed``."""
    draw = random.Random(seed)
    cases = list(itertools.product(THINGS, TROUBLES))
    draw.shuffle(cases)
    return [_pair(draw, thing, trouble) for thing, trouble in cases]


def _pair(draw: random.Random, thing: str, trouble: str) -> Pair:
    said = trouble.format(day=draw.choice(DAYS))
    first, second = draw.sample(ADVICE, 2)
    promise = draw.choice(PROMISES)
    preferred = f"Thank you for telling us about the {thing}. Please {first}. {promise}"
    other = f"- {first}\n- {second}"
    return Pair(f"My {thing} {said}. {draw.choice(QUESTIONS)}", preferred, other)


def has_style(reply: str) -> bool:
    """Say whether a reply thanks first, goes on, has no list, and has short sentences only."""
    text = reply.strip()
    if not OPENING.match(text) or BULLET.search(text):
        return False
    sentences = [part for part in re.split(r"(?<=[.!?])\s+", text) if part]
    return len(sentences) >= 2 and all(len(s.split()) <= LONGEST_SENTENCE for s in sentences)


def as_examples(pairs: Sequence[Pair], start: int = 0) -> list[Any]:
    """The pairs as metier's examples."""
    from metier.core.types import Conversation, Example, PreferenceTarget, Provenance

    return [
        Example(
            Example.make_id("style", str(number)),
            Conversation.of(("user", pair.prompt)),
            PreferenceTarget(pair.preferred, pair.other),
            Provenance("style", "style", str(number)),
        )
        for number, pair in enumerate(pairs, start)
    ]
