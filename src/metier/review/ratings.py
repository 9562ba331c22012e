"""A panel's answers as the statistics want them: ratings, choices, repeats, times.

found = read_answers(ws, queue)
found.ratings("accuracy")      # severity.Rating, one per rater, reply and dimension
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

from sqlalchemy import select

from metier.core.store.tables import VersionExampleRow
from metier.core.types import Json
from metier.core.workspace import Workspace
from metier.queue.assignments import iter_answers
from metier.queue.types import Assignment, Item, Queue
from metier.review.panel import Panel, panel_of, read_subject
from metier.scoring.records import conversation_of
from metier.scoring.statistics.agreement_retest import Twice
from metier.scoring.statistics.severity_fit import Rating

LONGEST_S = 3600.0
"""Seconds from which a time is taken to be a break, and left out."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. ``keys`` are the candidates of replies a and b; ``twin``: the item was a hidden
    duplicate. ``value`` None: not their field."""

    person: str
    example: str
    keys: tuple[str, ...]
    group: str
    twin: bool
    value: Mapping[str, Json] | None
    seconds: float | None

    def rating_of(self, key: str) -> Mapping[str, int]:
        """What was given to one candidate, by dimension."""
        ratings = (self.value or {}).get("ratings") or {}
        if len(self.keys) == 1:
            return dict(ratings) if key == self.keys[0] else {}
        side = "ab"[self.keys.index(key)]
        return dict(ratings.get(side) or {})

    @property
    def preferred(self) -> str | None:
        """The preferred candidate, "tie", or None where no choice was asked for."""
        said = (self.value or {}).get("preferred")
        if said is None:
            return None
        return "tie" if said == "tie" else self.keys["ab".index(said)]


@dataclass(frozen=True)
class Answers:
    """All answers of a panel."""

    panel: Panel
    rows: tuple[Answer, ...]

    @property
    def own(self) -> tuple[Answer, ...]:
        """Those to items that were met for the first time."""
        return tuple(one for one in self.rows if not one.twin)

    def ratings(self, dimension: str) -> list[Rating]:
        """One dimension's ratings; candidates by their names."""
        return [
            Rating(one.example, one.person, self.panel.candidate(key).name, value, one.group)
            for one in self.own
            for key in one.keys
            if (value := one.rating_of(key).get(dimension)) is not None
        ]

    def choices(self) -> Iterator[tuple[Answer, str, str, float]]:
        """(answer, first, second, 1 win of the first, 0.5 tie, 0 loss), candidates by key.

        Side by side as chosen; from ratings: the mean over the dimensions that one person rated of
        both replies to one example.
        """
        for one in self.own:
            if one.preferred is not None:
                first, second = sorted(one.keys)
                won = {first: 1.0, second: 0.0}.get(one.preferred, 0.5)
                yield one, first, second, won
        if self.panel.mode == "rate":
            yield from self._rated_choices()

    def _rated_choices(self) -> Iterator[tuple[Answer, str, str, float]]:
        given: dict[tuple[str, str], dict[str, Answer]] = {}
        for one in self.own:
            given.setdefault((one.person, one.example), {})[one.keys[0]] = one
        for found in given.values():
            for first, second in combinations(sorted(found), 2):
                ours, theirs = found[first].rating_of(first), found[second].rating_of(second)
                both = ours.keys() & theirs.keys()
                if both:
                    gap = fmean(ours[name] - theirs[name] for name in both)
                    yield found[first], first, second, 0.5 if gap == 0 else float(gap > 0)

    def repeats(self) -> list[Twice]:
        """What people said of the same item twice: ratings by dimension, or the choice."""
        first = {(one.person, one.example, one.keys): one for one in self.own}
        found = []
        for one in self.rows:
            before = first.get((one.person, one.example, one.keys)) if one.twin else None
            if before is None or before.value is None or one.value is None:
                continue
            if one.preferred is not None and self.panel.mode == "compare":
                found.append(Twice(one.person, one.example, before.preferred, one.preferred))
            else:
                found += self._rated_twice(before, one)
        return found

    def _rated_twice(self, before: Answer, after: Answer) -> list[Twice]:
        key = after.keys[0]
        ours, theirs = before.rating_of(key), after.rating_of(key)
        return [
            Twice(after.person, f"{after.example} {name}", ours[name], theirs[name])
            for name in sorted(ours.keys() & theirs.keys())
        ]

    def times(self) -> list[tuple[str, bool, float]]:
        """(person, assisted, seconds) of a timed study; breaks are left out."""
        return [
            (one.person, bool(one.value.get("assisted")), one.seconds)
            for one in self.own
            if one.value is not None and one.seconds is not None and 0 < one.seconds < LONGEST_S
        ]


def read_answers(ws: Workspace, queue: Queue) -> Answers:
    """Read what a panel said so far."""
    panel = panel_of(queue)
    groups = _groups(ws, queue.version_id)
    rows = tuple(_answer(item, given, groups) for item, given in iter_answers(ws, queue.name))
    return Answers(panel, rows)


def _answer(item: Item, given: Assignment, groups: Mapping[str, str]) -> Answer:
    keys, example = read_subject(item.subject_id)
    group = groups.get(conversation_of(example), "")
    value = given.answer if isinstance(given.answer, Mapping) else None
    return Answer(
        given.person, example, keys, group, item.role == "duplicate", value, given.seconds
    )


def _groups(ws: Workspace, version_id: str | None) -> dict[str, str]:
    """The group of each example that has one: the customer, patient or conversation."""
    query = select(VersionExampleRow.example_id, VersionExampleRow.group_hash).where(
        VersionExampleRow.version_id == version_id, VersionExampleRow.group_hash.is_not(None)
    )
    with ws.db.reading() as session:
        return {one: group for one, group in session.execute(query) if group is not None}
