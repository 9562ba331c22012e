"""Answers of several people to the same items: who said what, as the coefficients of agreement
read it.

    answers = answers_of([("i1", "ana", "yes"), ("i1", "ben", "no"), ("i2", "ana", "yes")])

Not everybody answers everything: an answer that is missing is not there, and is no answer "no".
Items are the resampling unit of every interval, or the groups they come from, where one customer
or patient gave several.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metier.core.errors import InputError
from metier.core.types import Estimate, Score
from metier.scoring.statistics.bootstrap import FloatArray, Sums, estimate, undefined
from metier.scoring.types import Resampling

Value = Hashable
IntArray = NDArray[np.int64]
Bounds = tuple[float | None, float | None]
BEYOND_CHANCE: Bounds = (-1.0, 1.0)
MOST_DRAWN = 5_000
"""Items above which an interval is the jackknife's: nothing is drawn, and it differs in the fourth
digit only."""


@dataclass(frozen=True)
class Answers:
    """Answers in long form: ``item``, ``person`` and ``value`` index ``items``, ``people`` and
    ``values``; one entry per answer. ``groups`` names each item's resampling unit ("": itself)."""

    items: tuple[str, ...]
    people: tuple[str, ...]
    values: tuple[Value, ...]
    item: IntArray
    person: IntArray
    value: IntArray
    groups: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.item)

    @cached_property
    def counts(self) -> FloatArray:
        """How many people gave each item each value [items, values]."""
        table = np.zeros((len(self.items), len(self.values)))
        np.add.at(table, (self.item, self.value), 1.0)
        return table

    @cached_property
    def sizes(self) -> FloatArray:
        """How many answers each item has [items]."""
        return np.bincount(self.item, minlength=len(self.items)).astype(np.float64)

    @property
    def records(self) -> list[Score]:
        """The items as the bootstrap takes them."""
        groups = self.groups or ("",) * len(self.items)
        return [Score(one, None, cluster=g) for one, g in zip(self.items, groups, strict=True)]

    def where(self, keep: NDArray[np.bool_]) -> Answers:
        """Return the answers that ``keep`` [answers] marks, and the items and people that have
        one; the values stay, so that two parts can be held side by side."""
        items, item = np.unique(self.item[keep], return_inverse=True)
        people, person = np.unique(self.person[keep], return_inverse=True)
        return replace(
            self,
            items=tuple(self.items[i] for i in items),
            people=tuple(self.people[i] for i in people),
            item=item.astype(np.int64),
            person=person.astype(np.int64),
            value=self.value[keep],
            groups=tuple(self.groups[i] for i in items) if self.groups else (),
        )

    def paired(self) -> Answers:
        """Return the items with two answers or more: only those can agree."""
        return self.where(self.sizes[self.item] >= 2)

    def of_items(self, names: Iterable[str]) -> Answers:
        """Return the answers to some items."""
        wanted = set(names)
        chosen = np.asarray([one in wanted for one in self.items], dtype=bool)
        return self.where(chosen[self.item])

    def of_people(self, *names: str) -> Answers:
        """Return the answers of some people, to the items that at least two of them answered."""
        chosen = np.asarray([one in names for one in self.people], dtype=bool)
        return self.where(chosen[self.person]).paired()

    def shared(self) -> dict[tuple[str, str], int]:
        """Return how many items every two people both answered, by their names in order."""
        from scipy.sparse import csr_array

        shape = (len(self.items), len(self.people))
        gave = csr_array((np.ones(len(self)), (self.item, self.person)), shape=shape)
        both = (gave.T @ gave).toarray()
        order = sorted(range(len(self.people)), key=lambda index: self.people[index])
        return {
            (self.people[i], self.people[j]): int(both[i, j]) for i, j in combinations(order, 2)
        }

    def mapped(self, change: Callable[[Any], Value]) -> Answers:
        """Return the same answers with every value changed, e.g. to "this label or another"."""
        changed = [change(one) for one in self.values]
        values = tuple(dict.fromkeys(changed))
        place = np.asarray([values.index(one) for one in changed], dtype=np.int64)
        return replace(self, values=values, value=place[self.value])


def answers_of(
    rows: Iterable[tuple[str, str, Value | None]],
    values: Sequence[Value] = (),
    groups: Mapping[str, str] | None = None,
) -> Answers:
    """Return (item, person, value) rows as Answers; a value of None is no answer.

    ``values`` gives the possible ones and their order; what is not in it comes after, in order
    of appearance. ``groups`` maps an item to its resampling unit.

    Raises InputError where one person answered one item twice: of repeated answers the consistency
    of a person is measured (``agreement_retest``), not the agreement of people.
    """
    places: tuple[dict[Any, int], dict[Any, int], dict[Any, int]] = ({}, {}, {})
    places[2].update((one, index) for index, one in enumerate(values))
    cells = []
    for row in rows:
        if row[2] is not None:
            cells.append([at.setdefault(one, len(at)) for at, one in zip(places, row, strict=True)])
    table = np.asarray(cells, dtype=np.int64).reshape(-1, 3)
    _refuse_twice(table, tuple(places[0]), tuple(places[1]))
    items, people, named = (tuple(at) for at in places)
    of_item = tuple((groups or {}).get(one, "") for one in items) if groups else ()
    return Answers(items, people, named, table[:, 0], table[:, 1], table[:, 2], of_item)


def _refuse_twice(table: IntArray, items: Sequence[str], people: Sequence[str]) -> None:
    _, first, times = np.unique(table[:, :2], axis=0, return_index=True, return_counts=True)
    again = np.flatnonzero(times > 1)
    if len(again):
        item, person, _ = table[first[again[0]]]
        raise InputError(
            "one answer of a person per item",
            got=f"{times[again[0]]} of {people[person]} to item {items[item]}",
            remedy="count the last one; repeated answers show a person's consistency",
        )


def why_not(answers: Answers) -> str | None:
    """Say why agreement cannot be told at all; None where it can."""
    if not len(answers):
        return "nobody has answered yet"
    if len(answers.people) == 1:
        return "only one person has answered: agreement takes two"
    if not np.any(answers.sizes >= 2):
        return "no item has the answers of two people yet: nothing can be compared"
    return None


def flat(answers: Answers) -> str | None:
    """Say why agreement beyond chance cannot be told; None where it can."""
    given = np.unique(answers.paired().value)
    if len(given) > 1:
        return None
    one = answers.values[given[0]]
    return (
        f"everybody gave every item the same answer, {_quoted(one)}: nothing varies, so that "
        "agreement beyond chance cannot be told from answering without looking; see the percent"
    )


def measured(answers: Answers, sums: Sums, resampling: Resampling, bounds: Bounds) -> Estimate:
    """Return a coefficient with its interval; where it is undefined, why, in words."""
    why = why_not(answers)
    count = len(sums.clusters)
    if why is not None:
        return undefined(why, sums.n, count, resampling.level)
    found = estimate(sums, fitting(resampling, count), bounds)
    if found.method != "undefined":
        return found
    return undefined(flat(answers) or "undefined on these answers", sums.n, count, found.level)


def fitting(resampling: Resampling, clusters: int) -> Resampling:
    """Return how the interval is made: drawn, or of many items the jackknife's."""
    return replace(resampling, method="t") if clusters > MOST_DRAWN else resampling


def _quoted(value: Any) -> str:
    if isinstance(value, frozenset):
        return "{" + ", ".join(sorted(map(str, value))) + "}"
    return repr(value) if isinstance(value, str) else str(value)
