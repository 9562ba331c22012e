"""Samples of what a build would drop, change and suspect: what ``--dry-run`` shows.

The samples are texts of people in clear; they are made for the screen and stored nowhere.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Literal

from metier.core.steps import Change
from metier.core.types import Example, Json
from metier.data.build import BuildResult

What = Literal["dropped", "changed", "suspected"]
WIDTH = 160
CONTEXT = 30


@dataclass(frozen=True, slots=True)
class Sample:
    """Some rows that one step treated alike, of ``count`` in all."""

    step: str
    what: What
    reason: str
    count: int
    shown: tuple[str, ...]


def preview(result: BuildResult, each: int = 3, width: int = WIDTH) -> list[Sample]:
    """Return samples by step and reason, in the order of the build.

    Args:
        result: of a build, dry or not.
        each: rows shown for each reason.
        width: characters shown of a row.
    """
    found: dict[tuple[str, What, str], _Found] = defaultdict(_Found)
    for drop in result.drops:
        if found[drop.step, "dropped", drop.reason].wants(each):
            shown = _row(drop.example, dict(drop.evidence), width)
            found[drop.step, "dropped", drop.reason].shown.append(shown)
    for changed in result.changes:
        if found[changed.step, "changed", changed.change.rule].wants(each):
            shown = _difference(changed.change, width)
            found[changed.step, "changed", changed.change.rule].shown.append(shown)
    for suspect in result.suspects:
        if found[suspect.step, "suspected", suspect.reason].wants(each):
            shown = _row(suspect.example, dict(suspect.evidence), width)
            found[suspect.step, "suspected", suspect.reason].shown.append(shown)
    order = {step.name: place for place, step in enumerate(result.steps)}
    ranked = sorted(found.items(), key=lambda item: (order.get(item[0][0], -1), item[0]))
    return [
        Sample(step, what, reason, rows.count, tuple(rows.shown))
        for (step, what, reason), rows in ranked
    ]


@dataclass(slots=True)
class _Found:
    """Rows of one reason: all are counted, the first few are kept as they are shown."""

    count: int = 0
    shown: list[str] = field(default_factory=list)

    def wants(self, each: int) -> bool:
        """Count one more; say whether it is to be shown."""
        self.count += 1
        return len(self.shown) < each


def _row(example: Example, evidence: Json, width: int) -> str:
    where = f"{example.provenance.source}:{example.provenance.locator}"
    why = ", ".join(f"{key} {value}" for key, value in evidence.items())
    return f"{where} {_cut(example.conversation.text, width)!r} ({why})"


def _difference(change: Change, width: int) -> str:
    """Show where the two texts part."""
    before, after = change.before, change.after
    pairs = zip(before, after, strict=False)
    at = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(before), len(after)))
    start = max(0, at - CONTEXT)
    half = max(2 * CONTEXT, width // 2)
    return f"{_cut(before[start:], half)!r} -> {_cut(after[start:], half)!r}"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
