"""Leakage: the same text, nearly the same text or meaning, or the same group on two sides.

This is a gate of its own: it looks at the splits about to be frozen, however they came about, and
at what earlier versions measured on. Whatever split is neither train nor validation is measured.
Nothing is left to chance: near duplicates are searched for exactly (see ``similarity.across``).

    find_leaks(splits, Gate(near=0.9))                   within one version
    find_leaks(splits, Gate(near=0.9, before=sides))     and against earlier test sets
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain, islice
from typing import Literal

from metier.core.errors import InputError
from metier.core.records import CASE_SLICE, REGRESSION
from metier.core.types import Example
from metier.data.duplicates import prompt_key, prompt_text
from metier.similarity.across import NearLookup
from metier.similarity.embeddings import Embedder
from metier.similarity.semantic import SemanticLookup
from metier.similarity.slips import slips_across

LEARNED = ("validation", "train")
"""Splits that give way; of the two, validation is measured on, too."""
SHOWN = 5
CHUNK = 20_000
"""Rows whose texts are held at once."""

Kind = Literal["exact", "near", "semantic", "group"]
KINDS: tuple[Kind, ...] = ("exact", "near", "semantic", "group")


@dataclass(frozen=True, slots=True)
class Side:
    """Rows of one split: of the version being made, or of the earlier one named ``version``."""

    split: str
    rows: Sequence[Example]
    version: str | None = None

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.split if self.version is None else f"{self.split} of {self.version}"


@dataclass(frozen=True, slots=True)
class Gate:
    """What counts as a leak.

    Args:
        near: Jaccard similarity from which two prompts leak.
        before: what earlier versions measured on.
        semantic: cosine similarity from which two prompts leak, by ``embedder``; None: not looked
            at.
        slips: whether texts that differ by one slip leak as near ones do.
        group_of: the name under which groups compare; earlier versions hold keyed hashes.
    """

    near: float
    before: Sequence[Side] = ()
    semantic: float | None = None
    embedder: Embedder | None = None
    group_of: Callable[[str], str] = str
    slips: bool = False


@dataclass(frozen=True, slots=True)
class Leak:
    """Two rows that must not be on two sides. ``taints`` is the measured row, ``yields`` the one
    that would have to go; ``similarity`` is 1 for exact leaks, None for groups. ``version`` is the
    earlier version that measured on ``taints``, None for this one."""

    kind: Kind
    taints: Example
    yields: Example
    sides: tuple[str, str]
    similarity: float | None
    version: str | None = None


class Leaking(InputError):
    """The splits leak; ``leaks`` holds the pairs."""

    def __init__(self, expected: str, *, got: str, remedy: str, leaks: Sequence[Leak]) -> None:
        super().__init__(expected, got=got, remedy=remedy)
        self.leaks = tuple(leaks)


def find_leaks(splits: Mapping[str, Sequence[Example]], gate: Gate | float) -> list[Leak]:
    """Return the leaks between the splits, strongest kind first; one per yielding row.

    ``gate`` may be a number: the Jaccard similarity from which two prompts leak.
    """
    gate = gate if isinstance(gate, Gate) else Gate(gate)
    test, rest = _sides(splits, ("test",)), [n for n in splits if n not in ("test", *LEARNED)]
    measured = [*test, *gate.before, *_sides(splits, sorted(rest))]
    validation, train = (_sides(splits, (name,)) for name in LEARNED)
    # Regression rows stand beside validation: what failed is asked again, whoever asked it first.
    strict = [side for side in measured if side.split != REGRESSION]
    found: dict[Kind, list[Leak]] = {kind: [] for kind in KINDS}
    for left, right in ((strict, validation), ([*measured, *validation], train)):
        for leak in _between(left, right, gate):
            found[leak.kind].append(leak)
    first: dict[str, Leak] = {}
    for leak in chain.from_iterable(found.values()):
        first.setdefault(leak.yields.id, leak)
    return list(first.values())


def leaks_of_added(
    before: Mapping[str, Sequence[Example]],
    after: Mapping[str, Sequence[Example]],
    gate: Gate | float,
) -> list[Leak]:
    """Return the leaks that came with what joined the splits after they had passed the gate.

    For rows that grow from others: a new measured split is compared with everything learned from,
    and new rows to learn from with everything measured.
    """
    known = {row.id for name in LEARNED for row in before.get(name, ())}
    learned = {name: after[name] for name in LEARNED if name in after}
    added = {name: [r for r in rows if r.id not in known] for name, rows in learned.items()}
    old = {name: rows for name, rows in after.items() if name not in LEARNED and name in before}
    new = {name: rows for name, rows in after.items() if name not in LEARNED and name not in before}
    gate = gate if isinstance(gate, Gate) else Gate(gate)
    leaks = find_leaks({**new, **learned}, replace(gate, before=())) if new else []
    if any(added.values()):
        whole = {"validation": learned.get("validation", ()), "train": added.get("train", ())}
        leaks += find_leaks({**old, **whole}, gate)
    seen: dict[str, Leak] = {}
    for leak in leaks:
        if leak.taints.id not in known or leak.yields.id not in known:
            seen.setdefault(leak.yields.id, leak)
    return list(seen.values())


def _sides(splits: Mapping[str, Sequence[Example]], names: Sequence[str]) -> list[Side]:
    return [Side(name, splits[name]) for name in names if splits.get(name)]


def _between(left: Sequence[Side], right: Sequence[Side], gate: Gate) -> Iterator[Leak]:
    """Yield the leaks of the rows of ``right``, one of each kind at most."""
    if not left or not right:
        return
    known = _Known(left, gate)
    for side in right:
        for rows in _chunks(side.rows):
            yield from known.leaks(side.name, rows)


def _chunks(rows: Sequence[Example]) -> Iterator[list[Example]]:
    rest = iter(rows)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk


class _Known:
    """The rows that must not be learned from, and which others collide with them."""

    def __init__(self, sides: Sequence[Side], gate: Gate) -> None:
        self._gate, self._group_of = gate, lru_cache(maxsize=None)(gate.group_of)
        self._rows: list[tuple[Side, Example]] = []
        for side in sides:
            rows = sorted(filter(_is_measured, side.rows), key=lambda row: row.content_hash)
            self._rows += [(side, row) for row in rows]
        self._exact: dict[str, int] = {}
        self._groups: dict[str, int] = {}
        texts = []
        for place, (side, row) in enumerate(self._rows):
            self._exact.setdefault(prompt_key(row), place)
            if row.group is not None and side.split != REGRESSION:
                self._groups.setdefault(self._group_of(row.group), place)
            texts.append(prompt_text(row))
        self._texts = texts if gate.slips else []
        self._near = NearLookup(texts, gate.near)
        self._semantic = (
            SemanticLookup(texts, gate.semantic, gate.embedder)
            if gate.semantic is not None and gate.embedder is not None and texts
            else None
        )

    def leaks(self, name: str, rows: Sequence[Example]) -> Iterator[Leak]:
        """Yield the leaks of these rows of the side ``name``, at most one of each kind a row."""
        texts = [prompt_text(row) for row in rows]
        for row in rows:
            if (place := self._exact.get(prompt_key(row))) is not None:
                yield self._leak("exact", place, row, name, 1.0)
        for place, at, similarity in self._near.find(texts, first=True):
            yield self._leak("near", place, rows[at], name, similarity)
        for place, at, similarity in slips_across(self._texts, texts) if self._texts else ():
            yield self._leak("near", place, rows[at], name, similarity)
        for place, at, similarity in self._semantic.find(texts) if self._semantic else ():
            yield self._leak("semantic", place, rows[at], name, similarity)
        for row in rows:
            group = None if row.group is None else self._group_of(row.group)
            if group is not None and (place := self._groups.get(group)) is not None:
                yield self._leak("group", place, row, name, None)

    def _leak(
        self, kind: Kind, place: int, row: Example, name: str, similarity: float | None
    ) -> Leak:
        side, taints = self._rows[place]
        return Leak(kind, taints, row, (side.split, name), similarity, side.version)


def _is_measured(row: Example) -> bool:
    """Whether nothing like the row may be learned: learned cases ask whether they stuck."""
    return row.slices.get(CASE_SLICE) != "learned"


def refuse(leaks: Sequence[Leak]) -> None:
    """Raise when there are leaks, showing some of the pairs.

    Raises:
        Leaking: nothing is frozen.
    """
    if not leaks:
        return
    kinds: dict[str, int] = defaultdict(int)
    for leak in leaks:
        kinds[leak.kind] += 1
    counts = ", ".join(f"{n} by {_WORDS[kind]}" for kind, n in sorted(kinds.items()))
    shown = "".join(f"\n  {describe(leak)}" for leak in leaks[:SHOWN])
    more = f"\n  and {len(leaks) - SHOWN} more" if len(leaks) > SHOWN else ""
    earlier = ', or earlier = "none" to train on what earlier versions measured'
    raise Leaking(
        "splits that share no text and no group",
        got=f"{len(leaks)} rows that leak ({counts}):{shown}{more}",
        remedy="see the pairs with `metier data leaks`; take the rows out of one side, or set "
        '[data] leakage = "quarantine" to keep the test row and move the other to quarantine'
        + (earlier if any(leak.version for leak in leaks) else ""),
        leaks=leaks,
    )


_WORDS = {
    "exact": "the same text",
    "near": "nearly the same text",
    "semantic": "nearly the same meaning",
    "group": "the same group",
}


def describe(leak: Leak) -> str:
    """Say which two rows leak, by id and place; texts stay out of messages and logs."""
    measured = Side(leak.sides[0], (), leak.version).name
    rows = zip((measured, leak.sides[1]), (leak.taints, leak.yields), strict=True)
    places = " and ".join(
        f"{side} {row.id} ({row.provenance.source}:{row.provenance.locator})" for side, row in rows
    )
    measure = f", similarity {leak.similarity:.2f}" if leak.similarity is not None else ""
    return f"{_WORDS[leak.kind]}{measure}: {places}"
