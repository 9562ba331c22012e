"""What is put in place of the findings of a text, by the operators that were chosen.

Training data and served requests are rewritten by these same functions.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from metier.core.workspace import Workspace
from metier.privacy.book import Book, rewritten
from metier.privacy.dates import shifted
from metier.privacy.operators import Keep, Operator, Shift, Surrogate, placeholder, replace
from metier.privacy.surrogates import Unit, replaced, units_of, with_clashes
from metier.privacy.types import Finding

MOST_WEEKS = 52


@dataclass(frozen=True, slots=True)
class Edit:
    """One replacement in a text: characters ``start`` to ``end`` become ``new``."""

    start: int
    end: int
    new: str
    kind: str


@dataclass(frozen=True, slots=True)
class Keys:
    """What a step needs of the workspace's key in another process."""

    groups: bytes = b""
    hashes: bytes = b""
    shifts: bytes = b""

    @classmethod
    def of(cls, ws: Workspace) -> Keys:
        """Derive them."""
        sealed = ws.sealed
        return cls(sealed.group_key, sealed.derive("hashed values"), sealed.derive("shifted dates"))

    def days(self, group: str) -> int:
        """Return by how many days a group's dates move: whole weeks, a year at most, never 0."""
        found = hmac.digest(self.shifts, group.encode("utf-8", "surrogatepass"), "sha256")
        number = int.from_bytes(found[:8], "big")
        weeks = 1 + number % MOST_WEEKS
        return 7 * (weeks if (number >> 40) % 2 else -weeks)


def edits_of(
    text: str,
    findings: Sequence[Finding],
    table: Mapping[str, Operator],
    book: Book,
    keyed: tuple[bytes, int],
) -> list[Edit]:
    """Return the replacements for what was found; ``keyed`` is the key of hashes and the days that
    dates move by."""
    units = with_clashes(text, units_of(text, with_surrogates(findings, table)), book)
    edits = [
        Edit(start, end, new, unit.kind)
        for (start, end, new), unit in zip(replaced(text, units, book), units, strict=True)
    ]
    for found in findings:
        operator = table.get(found.kind)
        if operator is None or isinstance(operator, Surrogate | Keep):
            continue
        for start, end in _left_over(found, units):
            new = _new_text(operator, found.kind, text[start:end], keyed)
            if new != text[start:end]:
                edits.append(Edit(start, end, new, found.kind))
    return sorted(edits, key=lambda one: one.start)


def _new_text(operator: Operator, kind: str, text: str, keyed: tuple[bytes, int]) -> str:
    key, days = keyed
    if isinstance(operator, Shift):
        return shifted(text, days) or placeholder(kind)
    return replace(operator, kind, text, key)


def with_surrogates(findings: Sequence[Finding], table: Mapping[str, Operator]) -> list[Finding]:
    """Return the findings that a surrogate stands for."""
    return [one for one in findings if isinstance(table.get(one.kind), Surrogate)]


def _left_over(found: Finding, units: Sequence[Unit]) -> list[tuple[int, int]]:
    """Return what of a finding no unit covers: units are widened to whole words."""
    pieces, at = [], found.start
    for unit in units:
        if unit.start < found.end and at < unit.end:
            pieces.append((at, unit.start))
            at = unit.end
    pieces.append((at, found.end))
    return [(start, end) for start, end in pieces if start < end]


def stages_of(text: str, edits: Sequence[Edit]) -> list[tuple[str, str]]:
    """Return (kind, text after it), kind by kind in order of appearance."""
    stages: list[tuple[str, str]] = []
    done: set[str] = set()
    for kind in dict.fromkeys(edit.kind for edit in edits):
        done.add(kind)
        now = [(one.start, one.end, one.new) for one in edits if one.kind in done]
        stages.append((kind, rewritten(text, now)))
    return stages
