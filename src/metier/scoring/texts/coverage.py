"""Coverage: does a reply take up every part of a question that has several?

    parts("What does it cost, and when will it arrive? Also, can I return it?")
    # ["What does it cost,", "and when will it arrive?", "Also, can I return it?"]

A question is split by rule: numbered or bulleted lines, sentences that end in a question mark, and
within these where ", and when ..." or "and also ..." begins another. Statements beside questions
are not parts; a text without a question is one part. A part is covered when the reply holds enough
of its content words (stemmed; English stop words left out). That is lexical: a part answered in
other words alone is missed, one that is only repeated counts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from metier.core.checks import PartsCheck
from metier.core.types import Score
from metier.scoring.base import mean_of
from metier.scoring.materials import Materials
from metier.scoring.registry import metrics
from metier.scoring.rules import PASSED, Outcome, Rule, asked_text, checks, failed, reply_text
from metier.scoring.texts.words import sentences
from metier.scoring.truth.supported import content
from metier.scoring.types import Metric

SHARE = 0.5
READ_CHARACTERS = 20_000
_OPENERS = (
    "what|when|where|which|who|whom|whose|why|how|can|could|do|does|did|is|are|was|were|will|would|"
    "should|shall|may|must|has|have|am"
)
_ITEM = re.compile(r"(?m)^[ \t]*(?:\(?(?:\d{1,2}|[a-hA-H])[.)]|[-*•])[ \t]+")
_JOINT = re.compile(
    rf"(?:[,;]\s*|\s+)(?=(?:and|or|but|plus)\s+(?:also\s+)?(?:if\s+so,?\s+)?(?:{_OPENERS})\b)"
    r"|(?:[,;]\s*|\s+)(?=and\s+also\b|as\s+well\s+as\b)"
    rf"|[;,]\s+(?=(?:{_OPENERS})\b)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a question; ``held`` is the share of its content words in the reply."""

    text: str
    held: float


def parts(question: str) -> list[str]:
    """Return the parts of a question in order; [] of a blank one."""
    text = question[:READ_CHARACTERS].strip()
    marks = list(_ITEM.finditer(text))
    if len(marks) >= 2:
        ends = [*(mark.start() for mark in marks[1:]), len(text)]
        items = [text[m.end() : end].strip() for m, end in zip(marks, ends, strict=True)]
        return [item for item in items if content(item)]
    asked = [one for one in sentences(text) if one.rstrip("\"')”’").endswith(("?", "？"))]
    found = [piece for one in asked for piece in _pieces(one)]
    return _standing([piece for piece in found if piece]) or ([text] if text else [])


def covered(question: str, reply: str) -> list[Part]:
    """Return how much of each part's content words the reply holds."""
    held = set(content(reply))
    found = []
    for text in parts(question):
        wanted = set(content(text))
        if wanted:
            found.append(Part(text, len(wanted & held) / len(wanted)))
    return found


def _pieces(question: str) -> list[str]:
    """A question split at its joints; a piece without words of its own stays with the one before,
    since "and why?" asks about the same thing."""
    found: list[str] = []
    for piece in _JOINT.split(question):
        if found and not content(piece):
            found[-1] = f"{found[-1]} {piece.strip()}"
        else:
            found.append(piece.strip())
    return found


def _standing(pieces: list[str]) -> list[str]:
    return [piece for piece in pieces if content(piece)]


def _grade(record: Score) -> float | None:
    asked, reply = asked_text(record), reply_text(record)
    if asked is None or not covered(asked, ""):
        return None
    if reply is None:
        return 0.0
    found = covered(asked, reply)
    return sum(part.held >= SHARE for part in found) / len(found)


@metrics.register("coverage")
def coverage() -> Metric:
    """Mean share of a question's parts that the reply takes up; no reply takes up none."""
    return mean_of("coverage", _grade, "came without a question that has words to look for")


@checks.register("parts")
def parts_rule(check: PartsCheck, materials: Materials) -> Rule:
    """Every part of the question is taken up."""

    def rule(text: str, record: Score) -> Outcome:
        asked = asked_text(record)
        found = covered(asked, text) if asked else []
        if not found:
            return Outcome(None, "came without a question that has words to look for")
        missed = [part.text for part in found if part.held < check.share]
        if missed:
            return failed("not taken up: " + "; ".join(repr(one[:60]) for one in missed))
        return PASSED

    return rule
