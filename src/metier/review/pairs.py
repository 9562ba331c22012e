"""Preferences: a panel's answers as pairs of replies (DPO) and as wanted or unwanted ones (KTO).

Of two replies to one example the one that more people prefer is chosen. With n people of whom w
prefer it (a tie is half a vote):

    disagreement   1 - |2w/n - 1|               0: all agree; 1: evenly split
    margin         mean difference of the ratings, in points of 1 to 5, of the people who rated
                   both; where nobody did, of means corrected for severity; where there are only
                   choices, 2w/n - 1 (all agree: 1 point)
    edge           2(w + 1)/(n + 2) - 1         how far the next person is expected to lean
    weight         edge * min(margin, 2) / 2    then divided by the mean, so that weights are 1 on
                                                average and the loss keeps its size

edge is Laplace's rule of succession: one vote of one is 1/3, three of three 3/5. A written reply
is preferred to each reply it was written beside: one vote, margin 5 less that reply's rating, at
least 1.

Of single replies, those rated ``wanted_at`` or more are wanted, those at ``unwanted_at`` or less
are not. Their weight is the edge of the people on the same side of the middle between the two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import fmean
from typing import Any, Literal, TypeVar

from metier.core.errors import InputError
from metier.review.evidence import HIGH, Evidence, Reply, Scored

By = Literal["ratings", "choices", "written"]
SAME_TEXT = "both replies are the same"
TIED = "as many prefer the one as the other"
FEW = "judged by too few people"
SPLIT = "people disagree too much"
CLOSE = "the margin is too small"
AGAINST = "ratings and choices point in different directions"
HARM = "the better reply was reported as harmful"
BETWEEN = "neither wanted nor unwanted"
BOTH_WAYS = "the same text is wanted and unwanted"
AGAIN = "the same once more"
POINTS = 2.0
"""Points of margin from which a pair weighs no more."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a preference must hold to. ``least_raters`` does not bind written replies, which one
    person makes; ``written`` False leaves these out."""

    least_margin: float = 0.5
    least_raters: int = 2
    most_disagreement: float = 0.5
    wanted_at: float = 4.0
    unwanted_at: float = 2.5
    severity: bool = True
    written: bool = True

    def check(self) -> None:
        """Raise InputError for numbers out of their ranges."""
        _within("least_margin", self.least_margin, 0, 4)
        _within("least_raters", self.least_raters, 1, 100)
        _within("most_disagreement", self.most_disagreement, 0, 1)
        _within("wanted_at", self.wanted_at, 1, 5)
        _within("unwanted_at", self.unwanted_at, 1, 5)
        if self.unwanted_at >= self.wanted_at:
            raise InputError(
                "unwanted_at below wanted_at", got=f"{self.unwanted_at} and {self.wanted_at}"
            )


@dataclass(frozen=True, slots=True)
class Pair:
    """``chosen`` is preferred to ``rejected``; ``assignments`` are the answers that say so."""

    example: str
    chosen: str
    rejected: str
    margin: float
    raters: int
    disagreement: float
    weight: float
    by: By
    assignments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A single reply that was wanted or not; ``score`` from 1 to 5 (None: by choices only)."""

    example: str
    text: str
    wanted: bool
    score: float | None
    raters: int
    disagreement: float
    weight: float
    assignments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Replies that make no preference, and why."""

    example: str
    why: str


Kept = TypeVar("Kept", Pair, Verdict)


def pairs_of(evidence: Evidence, terms: Terms) -> tuple[list[Pair], list[LeftOut]]:
    """Every pair of replies to one example, as a preference or with the reason why not."""
    terms.check()
    found: list[Pair | LeftOut] = []
    for replies in evidence.of_example().values():
        for one, other in combinations(replies, 2):
            made = _pair(evidence, terms, one, other)
            found += [] if made is None else [made]
    if terms.written:
        found += _written(evidence)
    return _sorted_out(found, lambda one: (one.example, one.chosen, one.rejected))


def verdicts_of(evidence: Evidence, terms: Terms) -> tuple[list[Verdict], list[LeftOut]]:
    """Every reply that was judged, as wanted or unwanted or with the reason why neither."""
    terms.check()
    found: list[Verdict | LeftOut] = []
    for reply, scored in sorted(evidence.scores.items()):
        found.append(_verdict(evidence, terms, reply, scored))
    found += _by_choices(evidence, terms)
    found += _unrated_harm(evidence)
    if terms.written:
        found += [
            Verdict(one.example, text, True, None, 1, 0.0, edge(1, 1), (one.assignment,))
            for one, text in evidence.written
        ]
    kept, left = _sorted_out(found, lambda one: (one.example, one.text, one.wanted))
    return _without_contradictions(kept, left)


def edge(wins: float, n: int) -> float:
    """How far the next person is expected to lean, -1 to 1: Laplace's rule of succession."""
    return 2 * (wins + 1) / (n + 2) - 1


def _pair(evidence: Evidence, terms: Terms, one: Reply, other: Reply) -> Pair | LeftOut | None:
    votes = evidence.votes(one, other)
    if votes is None:
        return None
    rated = evidence.margin(one, other)
    lean = votes.lean if abs(votes.lean) > 1e-9 else (rated or 0.0)
    first, second = (one, other) if lean > 0 else (other, one)
    sign = 1.0 if lean > 0 else -1.0
    wins = votes.wins if lean > 0 else votes.n - votes.wins
    apart = 1 - abs(votes.lean)
    margin = abs(votes.lean) if rated is None else sign * rated
    why = _refused(evidence, terms, first, second, (votes.n, apart, margin))
    if lean == 0:
        why = why if why == SAME_TEXT else TIED
    if why is not None:
        return LeftOut(one[0], why)
    texts = evidence.texts[first], evidence.texts[second]
    weight = edge(wins, votes.n) * min(margin, POINTS) / POINTS
    by: By = "choices" if votes.chosen else "ratings"
    return Pair(one[0], *texts, margin, votes.n, apart, weight, by, votes.assignments)


def _refused(
    evidence: Evidence,
    terms: Terms,
    first: Reply,
    second: Reply,
    measured: tuple[int, float, float],
) -> str | None:
    raters, apart, margin = measured
    if evidence.texts[first] == evidence.texts[second]:
        return SAME_TEXT
    if first in evidence.harmed:
        return HARM
    if raters < terms.least_raters:
        return FEW
    if apart > terms.most_disagreement:
        return SPLIT
    if margin < 0:
        return AGAINST
    return CLOSE if margin < terms.least_margin or margin == 0 else None


def _written(evidence: Evidence) -> Iterator[Pair | LeftOut]:
    for one, text in evidence.written:
        for candidate, reply in one.replies:
            if reply.strip() == text:
                yield LeftOut(one.example, SAME_TEXT)
                continue
            scored = evidence.scores.get((one.example, candidate))
            margin = max(1.0, HIGH - scored.mean) if scored is not None else 1.0
            weight = edge(1, 1) * min(margin, POINTS) / POINTS
            yield Pair(
                one.example, text, reply, margin, 1, 0.0, weight, "written", (one.assignment,)
            )


def _verdict(evidence: Evidence, terms: Terms, reply: Reply, scored: Scored) -> Verdict | LeftOut:
    score, n = scored.mean, len(scored.raw)
    wanted = score >= terms.wanted_at
    if reply in evidence.open_harm:
        wanted = False
    elif reply in evidence.harmed and wanted:
        return LeftOut(reply[0], HARM)
    elif n < terms.least_raters:
        return LeftOut(reply[0], FEW)
    elif not wanted and score > terms.unwanted_at:
        return LeftOut(reply[0], BETWEEN)
    middle = (terms.wanted_at + terms.unwanted_at) / 2
    above = sum(one > middle for one in scored.corrected.values())
    wins = above if wanted else n - above
    if reply in evidence.open_harm:
        wins = n
    apart = 1 - abs(2 * wins / n - 1)
    if apart > terms.most_disagreement:
        return LeftOut(reply[0], SPLIT)
    used = tuple(dict.fromkeys(scored.assignments))
    text = evidence.texts[reply]
    return Verdict(reply[0], text, wanted, score, n, apart, max(edge(wins, n), 0.0), used)


def _by_choices(evidence: Evidence, terms: Terms) -> Iterator[Verdict | LeftOut]:
    """Of replies that were compared but not rated: the preferred one was wanted."""
    for one, other in evidence.choices:
        if one in evidence.scores or other in evidence.scores:
            continue
        made = _pair(evidence, terms, one, other)
        if isinstance(made, LeftOut):
            yield made
        elif made is not None:
            for text, wanted in ((made.chosen, True), (made.rejected, False)):
                yield Verdict(
                    made.example, text, wanted, None, made.raters, made.disagreement,
                    made.weight, made.assignments,
                )  # fmt: skip


def _unrated_harm(evidence: Evidence) -> Iterator[Verdict]:
    for reply in sorted(evidence.open_harm.keys() - evidence.scores.keys()):
        if reply in evidence.texts:
            text, used = evidence.texts[reply], (evidence.open_harm[reply],)
            yield Verdict(reply[0], text, False, None, 1, 0.0, edge(1, 1), used)


def _sorted_out(
    found: Iterable[Kept | LeftOut], key: Callable[[Any], object]
) -> tuple[list[Kept], list[LeftOut]]:
    """Each preference once, weighted to a mean of 1; and what was left out."""
    kept: dict[object, Kept] = {}
    left: list[LeftOut] = []
    for one in found:
        if isinstance(one, LeftOut):
            left.append(one)
        elif key(one) in kept:
            left.append(LeftOut(one.example, AGAIN))
        else:
            kept[key(one)] = one
    return normalised(list(kept.values())), left


def normalised(kept: Sequence[Kept]) -> list[Kept]:
    """The preferences with weights that are 1 on average; those without weight go."""
    having = [one for one in kept if one.weight > 0]
    if not having:
        return []
    mean = fmean(one.weight for one in having)
    return [replace(one, weight=one.weight / mean) for one in having]


def _without_contradictions(
    kept: list[Verdict], left: list[LeftOut]
) -> tuple[list[Verdict], list[LeftOut]]:
    said: dict[tuple[str, str], set[bool]] = {}
    for one in kept:
        said.setdefault((one.example, one.text), set()).add(one.wanted)
    torn = {key for key, both in said.items() if len(both) == 2}
    left = [*left, *(LeftOut(example, BOTH_WAYS) for example, _ in sorted(torn))]
    return normalised([one for one in kept if (one.example, one.text) not in torn]), left


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise InputError(f"{name} from {low} to {high}", got=f"{value:g}")
