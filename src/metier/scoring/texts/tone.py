"""Tone: two proxies for how a reply meets the person who asked.

    empathy          share of five kinds of phrase that a reply holds: naming the feeling, apology,
                     thanks, offer of help, reassurance (``tone.toml``; English)
    personalisation  share of the question's own words (content words, names, numbers) that the
                     reply takes up

Both are easily pleased: stock phrases raise the first, repeating the question the second. They are
proxies: they gate nothing until ``metier metrics validate`` has shown that they follow the ratings
of people. A reply that is missing scores 0.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib.resources import files

from metier.core.types import Score
from metier.scoring.base import mean_of
from metier.scoring.registry import metrics
from metier.scoring.rules import asked_text, reply_text
from metier.scoring.texts.quantities import quantities
from metier.scoring.truth.supported import content
from metier.scoring.types import Metric

READ_CHARACTERS = 20_000


def kinds_of(text: str) -> tuple[str, ...]:
    """Return the kinds of empathic phrase that a text holds."""
    plain = text[:READ_CHARACTERS].replace("’", "'")
    return tuple(
        kind for kind, found in _lexicon().items() if any(one.search(plain) for one in found)
    )


def taken_up(question: str, reply: str) -> float | None:
    """Return the share of the question's own words and numbers that stand in the reply; None of a
    question that has none."""
    wanted = _own(question)
    return len(wanted & _own(reply)) / len(wanted) if wanted else None


@cache
def _lexicon() -> dict[str, tuple[re.Pattern[str], ...]]:
    text = files("metier.scoring.texts").joinpath("tone.toml").read_text(encoding="utf-8")
    return {
        kind: tuple(re.compile(one, re.IGNORECASE) for one in patterns)
        for kind, patterns in tomllib.loads(text).items()
    }


def _own(text: str) -> set[str]:
    text = text[:READ_CHARACTERS]
    numbers = {f"{one.value:g} {one.kind}" for one in quantities(text, spelled=False)}
    return set(content(text)) | numbers


def _empathy(record: Score) -> float:
    text = reply_text(record)
    return 0.0 if text is None else len(kinds_of(text)) / len(_lexicon())


def _personalisation(record: Score) -> float | None:
    asked, text = asked_text(record), reply_text(record)
    if asked is None or not _own(asked):
        return None
    return 0.0 if text is None else taken_up(asked, text)


@metrics.register("empathy")
def empathy() -> Metric:
    """Mean share of the kinds of empathic phrase a reply holds."""
    return mean_of("empathy", _empathy)


@metrics.register("personalisation")
def personalisation() -> Metric:
    """Mean share of the question's own words that the reply takes up."""
    why = "came without a question that has words of its own"
    return mean_of("personalisation", _personalisation, why)
