"""What a panel's answers say of replies: scores of each by person, and votes between two.

    found = weigh(judged, terms)
    found.scores[("ex_1", "eval_2")].mean        4.5, corrected for who gave the ratings
    found.votes(("ex_1", "eval_2"), ("ex_1", "eval_7"))

Ratings are put on a scale from 1 to 5 (``scaled``). A person's score of a reply is the mean of the
dimensions that they rated of it; what they called not applicable is no part of it. Answers of
people who said "not my field" or "can't tell" do not count. Hidden duplicates do not count twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from metier.core.types import Json
from metier.scoring.statistics.severity_fit import Design, Rating, fit

LOW, HIGH = 1.0, 5.0
Reply = tuple[str, str]
"""(example id, evaluation whose reply it is)."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One person's answer to one item. ``replies`` are (evaluation, text) of replies a and b;
    ``harmed`` the evaluations whose reply was reported as harmful and not withdrawn since;
    ``open_harm`` those that nobody resolved."""

    assignment: str
    queue: str
    person: str
    example: str
    replies: tuple[tuple[str, str], ...]
    value: Mapping[str, Json] | None
    flags: tuple[str, ...] = ()
    twin: bool = False
    group: str = ""
    harmed: frozenset[str] = frozenset()
    open_harm: frozenset[str] = frozenset()

    @property
    def counts(self) -> bool:
        """Whether this person could judge the item, met for the first time."""
        aside = {"not_my_field", "cannot_tell"} & set(self.flags)
        return self.value is not None and not aside and not self.twin

    def ratings_of(self, place: int) -> dict[str, float]:
        """What was given to one of the replies, by dimension."""
        value = self.value or {}
        given = value.get("ratings") or {}
        given = given if len(self.replies) == 1 else given.get("ab"[place]) or {}
        aside = set(value.get("not_applicable") or ())
        return {name: float(one) for name, one in given.items() if name not in aside}


@dataclass(slots=True)
class Scored:
    """A reply's scores by person, 1 to 5: as given, and corrected for severity."""

    raw: dict[str, float] = field(default_factory=dict)
    corrected: dict[str, float] = field(default_factory=dict)
    assignments: list[str] = field(default_factory=list)

    @property
    def mean(self) -> float:
        """The mean corrected score."""
        return fmean(self.corrected.values())


@dataclass(frozen=True, slots=True)
class Votes:
    """How ``n`` people decide between two replies: ``wins`` of the first (a tie is half one)."""

    wins: float
    n: int
    assignments: tuple[str, ...]
    chosen: bool
    """Whether somebody chose side by side."""

    @property
    def lean(self) -> float:
        """-1 all for the second, 0 evenly split, 1 all for the first."""
        return 2 * self.wins / self.n - 1


@dataclass
class Evidence:
    """All that is known of replies and of two of one example."""

    texts: dict[Reply, str] = field(default_factory=dict)
    scores: dict[Reply, Scored] = field(default_factory=dict)
    choices: dict[tuple[Reply, Reply], dict[str, tuple[float, str]]] = field(default_factory=dict)
    written: list[tuple[Judged, str]] = field(default_factory=list)
    harmed: set[Reply] = field(default_factory=set)
    open_harm: dict[Reply, str] = field(default_factory=dict)
    leanings: dict[tuple[str, str], float] = field(default_factory=dict)
    answers: int = 0
    aside: int = 0

    def of_example(self) -> dict[str, list[Reply]]:
        """The replies of each example, in order."""
        found: dict[str, list[Reply]] = defaultdict(list)
        for one in sorted(self.texts):
            found[one[0]].append(one)
        return found

    def votes(self, one: Reply, other: Reply) -> Votes | None:
        """How people decide between two replies; None: nobody judged both, nor several each.

        Whoever chose, or rated both, has a vote, in which their severity plays no part. Where
        nobody did, everyone who rated the one meets everyone who rated the other (the Mann-Whitney
        statistic, on corrected scores), as so many votes as the smaller side has people.
        """
        votes = {who: won for who, (won, _) in self._chosen(one, other).items()}
        used = [assignment for _, assignment in self._chosen(one, other).values()]
        ours, theirs = self.scores.get(one, Scored()), self.scores.get(other, Scored())
        for who in ours.raw.keys() & theirs.raw.keys() - votes.keys():
            votes[who] = _won(ours.raw[who] - theirs.raw[who])
        used += [*ours.assignments, *theirs.assignments]
        if votes:
            chosen = bool(self._chosen(one, other))
            return Votes(sum(votes.values()), len(votes), tuple(dict.fromkeys(used)), chosen)
        if not ours.raw or not theirs.raw:
            return None
        met = [_won(a - b) for a in ours.corrected.values() for b in theirs.corrected.values()]
        n = min(len(ours.raw), len(theirs.raw))
        return Votes(fmean(met) * n, n, tuple(dict.fromkeys(used)), False)

    def margin(self, one: Reply, other: Reply) -> float | None:
        """By how many points the one was rated above the other: of the same people where somebody
        rated both, else of all; None where one of them was not rated."""
        ours, theirs = self.scores.get(one), self.scores.get(other)
        if ours is None or theirs is None:
            return None
        both = ours.raw.keys() & theirs.raw.keys()
        if both:
            return fmean(ours.raw[who] - theirs.raw[who] for who in both)
        return ours.mean - theirs.mean

    def _chosen(self, one: Reply, other: Reply) -> dict[str, tuple[float, str]]:
        if (one, other) in self.choices:
            return self.choices[one, other]
        turned = self.choices.get((other, one), {})
        return {who: (1 - won, assignment) for who, (won, assignment) in turned.items()}


def weigh(
    judged: Sequence[Judged], scales: Mapping[str, tuple[float, float]], severity: bool = True
) -> Evidence:
    """Gather what people said. ``scales`` are the ends of each dimension; with ``severity`` what a
    rater leans by (``scoring.statistics.severity_fit``) is taken off their ratings."""
    found = Evidence()
    counting = [one for one in judged if one.counts]
    found.answers, found.aside = len(counting), len(judged) - len(counting)
    if severity:
        found.leanings = leanings(counting, scales)
    for one in judged:
        _add_texts(found, one)
    for one in counting:
        _add_scores(found, one, scales)
        _add_choice(found, one)
        better = (one.value or {}).get("better")
        if isinstance(better, str) and better.strip():
            found.written.append((one, better.strip()))
    return found


def leanings(
    judged: Iterable[Judged], scales: Mapping[str, tuple[float, float]]
) -> dict[tuple[str, str], float]:
    """By how many points (of 1 to 5) each rater lies above the average one, by (dimension, rater).

    0 where raters and replies cannot be told apart.
    """
    by_dimension: dict[str, list[Rating]] = defaultdict(list)
    for one in judged:
        for place, (candidate, _) in enumerate(one.replies):
            for name, value in one.ratings_of(place).items():
                rating = scaled(value, scales.get(name, (LOW, HIGH)))
                by_dimension[name].append(
                    Rating(one.example, one.person, candidate, rating, one.group)
                )
    found = {}
    for name, ratings in by_dimension.items():
        fitted = fit(Design.of(ratings))
        for who, leaning in zip(fitted.design.raters, fitted.leanings, strict=True):
            found[name, who] = float(leaning)
    return found


def scaled(value: float, ends: tuple[float, float]) -> float:
    """A rating on a scale from 1 to 5."""
    low, high = ends
    return LOW + (HIGH - LOW) * (value - low) / (high - low)


def _add_texts(found: Evidence, one: Judged) -> None:
    for candidate, text in one.replies:
        found.texts[one.example, candidate] = text
    found.harmed |= {(one.example, key) for key in one.harmed}
    for key in one.open_harm:
        found.open_harm.setdefault((one.example, key), one.assignment)


def _add_scores(found: Evidence, one: Judged, scales: Mapping[str, tuple[float, float]]) -> None:
    for place, (candidate, _) in enumerate(one.replies):
        given = one.ratings_of(place)
        if not given:
            continue
        values = {name: scaled(v, scales.get(name, (LOW, HIGH))) for name, v in given.items()}
        scored = found.scores.setdefault((one.example, candidate), Scored())
        scored.raw[one.person] = fmean(values.values())
        scored.corrected[one.person] = fmean(
            value - found.leanings.get((name, one.person), 0.0) for name, value in values.items()
        )
        scored.assignments.append(one.assignment)


def _add_choice(found: Evidence, one: Judged) -> None:
    preferred = (one.value or {}).get("preferred")
    if preferred not in ("a", "b", "tie") or len(one.replies) != 2:
        return
    first, second = ((one.example, candidate) for candidate, _ in one.replies)
    won = {"a": 1.0, "b": 0.0}.get(str(preferred), 0.5)
    if second < first:
        first, second, won = second, first, 1 - won
    found.choices.setdefault((first, second), {})[one.person] = (won, one.assignment)


def _won(gap: float) -> float:
    return 0.5 if abs(gap) < 1e-9 else float(gap > 0)
