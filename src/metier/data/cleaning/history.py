"""What cleaning and de-identification changed, page by page: counts by rule, then the texts.

Opening a page opens its texts, which is audited. Texts that were erased since are not shown.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from metier.core import ledger
from metier.core.errors import InputError, NotFound, nearest
from metier.core.ledger import Noted
from metier.core.steps import Change
from metier.core.workspace import Workspace
from metier.data.cleaning.undo import decisions

PAGE_CHANGES = 20
# Longer middles are shown whole: comparing them would take quadratic time.
COMPARED_CHARS = 2_000
CONTEXT_CHARS = 40


@dataclass(frozen=True, slots=True)
class RuleCount:
    """Changes made by one rule, and to how many rows; ``undone`` says for how many it is off now
    ("all", a number, or "")."""

    step: str
    rule: str
    changes: int
    rows: int
    undone: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One change with its texts; ``change`` is None when they were erased."""

    id: str
    example: str
    step: str
    rule: str
    change: Change | None


@dataclass(frozen=True, slots=True)
class Page:
    """A page of changes, counted from 1; ``total`` changes in all."""

    counts: tuple[RuleCount, ...]
    total: int
    page: int
    pages: int
    entries: tuple[Entry, ...]


def page_changes(
    ws: Workspace,
    *,
    rule: str | None = None,
    row: str | None = None,
    page: int = 1,
    size: int = PAGE_CHANGES,
    actor: str | None = None,
) -> Page:
    """Return one page of the changes by ``rule`` to the example ``row`` (None: by all, to all).

    ``row`` is an example's id, a change's, or the beginning of an example's.

    Raises:
        NotFound: no such row was changed, or nothing was changed by such a rule.
        InputError: there is no such page.
    """
    example = None if row is None else ledger.find_changed(ws, row)
    counts = _counts(ws, example)
    if rule is not None and all(one.rule != rule for one in counts):
        names = sorted({one.rule for one in counts})
        raise NotFound("a rule that changed something", got=rule, remedy=nearest(rule, names))
    total = sum(one.changes for one in counts if rule in (None, one.rule))
    pages = max(1, -(-total // size))
    if not 1 <= page <= pages:
        raise InputError("a page there is", got=str(page), remedy=f"pages go from 1 to {pages}")
    noted = ledger.list_changes(ws, example, rule=rule, offset=(page - 1) * size, limit=size)
    return Page(tuple(counts), total, page, pages, tuple(_open(ws, noted, actor)))


def _counts(ws: Workspace, example: str | None) -> list[RuleCount]:
    made = decisions(ws)
    off = {one.rule: f"{len(one.rows):,} rows" for one in made if one.rows}
    off |= {one.rule: "all" for one in made if not one.rows}
    return [
        RuleCount(step, rule, changes, rows, off.get(rule, ""))
        for (step, rule), (changes, rows) in ledger.count_changes(ws, example).items()
    ]


def _open(ws: Workspace, noted: Sequence[Noted], actor: str | None) -> list[Entry]:
    opened = ledger.open_changes(ws, noted, actor=actor, purpose="metier data changes")
    return [Entry(one.id, one.example_id, one.step, one.why, opened.get(one.id)) for one in noted]


Stretch = tuple[str, str]
"""What happened to a stretch ("same", "gone", "new" or "cut" out of the view) and its text."""


def differences(before: str, after: str, context: int = CONTEXT_CHARS) -> list[Stretch]:
    """Return what ``after`` made of ``before``, stretch by stretch, with a little around it."""
    start = _common(before, after)
    end = _common(before[start:][::-1], after[start:][::-1])
    old, new = before[start : len(before) - end], after[start : len(after) - end]
    stretches: list[Stretch] = [("same", before[:start])]
    if max(len(old), len(new)) > COMPARED_CHARS:
        stretches += [("gone", old), ("new", new)]
    else:
        matcher = SequenceMatcher(None, old, new, autojunk=False)
        for kind, i1, i2, j1, j2 in matcher.get_opcodes():
            if kind == "equal":
                stretches.append(("same", old[i1:i2]))
            else:
                stretches += [("gone", old[i1:i2]), ("new", new[j1:j2])]
    stretches.append(("same", before[len(before) - end :]))
    return _shortened([one for one in stretches if one[1]], context)


def _common(a: str, b: str) -> int:
    """Length of the longest common beginning, by halving: comparing slices is fast."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if a[low:middle] == b[low:middle] else (low, middle - 1)
    return low


def _shortened(stretches: list[Stretch], context: int) -> list[Stretch]:
    shown: list[Stretch] = []
    for place, (kind, text) in enumerate(stretches):
        first, last = place == 0, place == len(stretches) - 1
        room = context * (1 if first or last else 2)
        if kind != "same" or len(text) <= room:
            shown.append((kind, text))
            continue
        head = [] if first else [("same", text[:context])]
        tail = [] if last else [("same", text[-context:])]
        shown += [*head, ("cut", "…"), *tail]
    return shown


COMPARED_WORDS = 4_000
_WORDS = re.compile(r"\s+|\w+|[^\w\s]")


def word_differences(before: str, after: str) -> list[Stretch]:
    """Return what ``after`` made of ``before`` word by word, all of it; texts of more words than
    can be compared in good time are shown one after the other."""
    old, new = _WORDS.findall(before), _WORDS.findall(after)
    if max(len(old), len(new)) > COMPARED_WORDS:
        return [("gone", before), ("new", after)] if before != after else [("same", before)]
    found: list[Stretch] = []
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    for kind, i1, i2, j1, j2 in matcher.get_opcodes():
        if kind == "equal":
            found.append(("same", "".join(old[i1:i2])))
            continue
        parts = (("gone", "".join(old[i1:i2])), ("new", "".join(new[j1:j2])))
        found += [part for part in parts if part[1]]
    return found
