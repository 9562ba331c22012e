"""Rules: what a check says of one reply. Each type of ``[[objective.check]]`` registers one.

    @checks.register("length")
    def length(check: LengthCheck, materials: Materials) -> Rule: ...

A rule is given the reply's text and the record it comes from; a reply that is not there never
reaches it: it fails.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from metier.core.plugins import Registry
from metier.core.types import Json, Score


@dataclass(frozen=True, slots=True)
class Outcome:
    """``passed`` None: the rule says nothing of this item, and ``why`` completes "n items ..."."""

    passed: bool | None
    why: str = ""


PASSED = Outcome(True)
Rule = Callable[[str, Score], Outcome]
checks: Registry[Rule] = Registry("checks")


@dataclass(frozen=True, slots=True)
class Noted:
    """A rule with something that every reader of its numbers must know."""

    rule: Rule
    notes: tuple[str, ...]

    def __call__(self, text: str, record: Score) -> Outcome:
        """Apply the rule."""
        return self.rule(text, record)


def failed(why: str) -> Outcome:
    """Return a failure for a reason in words."""
    return Outcome(False, why)


def reply_text(record: Score) -> str | None:
    """Return the reply as text; None where there is no answer, or only blanks.

    Texts as they were read; anything else (labels, objects) as it was written.
    """
    if record.detail.get("error") or record.got is None:
        return None
    text = record.got if isinstance(record.got, str) else _written(record)
    return text if text.strip() else None


def asked_text(record: Score) -> str | None:
    """Return the question the record answers, None when it was not handed over."""
    asked = record.detail.get("asked")
    return asked if isinstance(asked, str) and asked.strip() else None


def expected_text(record: Score) -> str | None:
    """Return the reference as text, None when there is none."""
    return None if record.expected is None else _flat(record.expected)


def _written(record: Score) -> str:
    raw = record.detail.get("raw")
    return raw if isinstance(raw, str) and raw.strip() else _flat(record.got)


def _flat(value: Json) -> str:
    """A value's texts and numbers, a line each, in order."""
    if isinstance(value, dict):
        return "\n".join(_flat(item) for item in value.values())
    if isinstance(value, list | tuple):
        return "\n".join(_flat(item) for item in value)
    return "" if value is None else str(value)
