"""Balance and bias: who is in the data, which labels they get, where a model errs.

    parts           rows of every label, slice and large group, as a share of all
    label_rates     how often a slice or group gets a label, against the rest
    error_rates     how often an out-of-fold model disagrees there, against the rest

Differences have Newcombe's hybrid score interval (1998, Statistics in Medicine 17, method 10) on
effective numbers of items, since rows of one group are not independent; p-values are those of the
interval, Holm-adjusted over all differences of a table. A difference is a finding about the data,
not a proof of unfairness: who asks for what may truly differ.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from metier.core.types import Estimate, Example, Score
from metier.data.labels import strata
from metier.data.quality.labels import Question
from metier.scoring.statistics.agreement import share_estimate
from metier.scoring.statistics.intervals import effective_n, wilson
from metier.scoring.statistics.multiplicity import holm

LEVEL = 0.95
METHOD = "Newcombe, on effective items"
Member = Callable[[Example], bool]


@dataclass(frozen=True, slots=True)
class Part:
    """A label, slice or group: ``kind`` and ``name``, and its share of all rows."""

    kind: str
    name: str
    share: Estimate


@dataclass(frozen=True, slots=True)
class Gap:
    """A rate inside a slice or group less the rate outside; ``label`` is "" for errors."""

    part: str
    label: str
    inside: Estimate
    outside: Estimate
    difference: Estimate
    p_value: float
    p_adjusted: float = math.nan

    @property
    def significant(self) -> bool:
        """Whether it may be told from chance, all differences of its table counted."""
        return self.p_adjusted < 1 - LEVEL


@dataclass(frozen=True, slots=True)
class Balance:
    """Who is in the data. ``left_out`` counts slices and groups with too few rows to speak of."""

    rows: int
    groups: int
    largest_group: int
    parts: tuple[Part, ...]
    label_rates: tuple[Gap, ...]
    error_rates: tuple[Gap, ...]
    left_out: int


def measure_balance(
    examples: Sequence[Example],
    closed: Sequence[str],
    questions: Sequence[Question],
    fewest: int,
) -> Balance:
    """Return the balance of some rows; ``questions`` hold what out-of-fold models made of them."""
    counts = Counter(name for one in examples for name in strata(one, closed))
    masks, small = _parts(examples, fewest)
    labels = sorted(name for name, count in counts.items() if count >= fewest)
    shown = [
        *(Part("label", name, _among(examples, _has(name, closed))) for name in sorted(counts)),
        *(Part(kind, name, _among(examples, mask)) for (kind, name), mask in masks.items()),
    ]
    groups = Counter(one.group for one in examples if one.group is not None)
    return Balance(
        len(examples),
        len(groups),
        max(groups.values(), default=0),
        tuple(sorted(shown, key=lambda part: (part.kind, -part.share.value, part.name))),
        _table(
            _gap(examples, [float(_has(label, closed)(one)) for one in examples], part, label)
            for part in masks.items()
            for label in labels
        ),
        _table(
            _gap(question.fair_rows, [float(not one) for one in question.right], part, "")
            for question in questions
            for part in masks.items()
        ),
        small,
    )


def _parts(examples: Sequence[Example], fewest: int) -> tuple[dict[tuple[str, str], Member], int]:
    """Return slices and groups of ``fewest`` rows or more, and how many have fewer."""
    rows: dict[tuple[str, str], int] = defaultdict(int)
    for one in examples:
        for key, value in one.slices.items():
            rows["slice", f"{key}={value}"] += 1
        if one.group is not None:
            rows["group", one.group] += 1
    kept = sorted(part for part, count in rows.items() if fewest <= count < len(examples))
    small = sum(count < fewest for (kind, _), count in rows.items() if kind == "slice")
    return {part: _in(*part) for part in kept}, small


def _in(kind: str, name: str) -> Member:
    if kind == "group":
        return lambda one: one.group == name
    key, _, value = name.partition("=")
    return lambda one: one.slices.get(key) == value


def _has(label: str, closed: Sequence[str]) -> Member:
    return lambda one: label in strata(one, closed)


def _among(examples: Sequence[Example], member: Member) -> Estimate:
    return share_estimate([_score(one, float(member(one))) for one in examples])


def _score(example: Example, value: float, *, alone: bool = False) -> Score:
    return Score(example.id, value, cluster="" if alone else example.group or "")


def _gap(
    examples: Sequence[Example],
    values: Sequence[float],
    part: tuple[tuple[str, str], Member],
    label: str,
) -> Gap | None:
    """Return a rate inside a part against outside; None where a side is empty."""
    (kind, name), member = part
    sides: dict[bool, list[Score]] = {True: [], False: []}
    for example, value in zip(examples, values, strict=True):
        here = member(example)
        # Of one group alone the question is about its own next rows.
        sides[here].append(_score(example, value, alone=kind == "group" and here))
    if not (sides[True] and sides[False]):
        return None
    inside, outside = share_estimate(sides[True]), share_estimate(sides[False])
    worth = _worth(sides[True]), _worth(sides[False])
    difference, p = newcombe(inside, outside, worth)
    return Gap(name, label, inside, outside, difference, p)


def _worth(records: Sequence[Score]) -> float:
    """Return how many independent items some records are worth."""
    sums: dict[str, float] = defaultdict(float)
    sizes: Counter[str] = Counter()
    for one in records:
        name = one.cluster or one.example_id
        sums[name] += one.value or 0.0
        sizes[name] += 1
    names = sorted(sizes)
    return effective_n([sums[name] for name in names], [sizes[name] for name in names], LEVEL)


def newcombe(
    inside: Estimate, outside: Estimate, worth: tuple[float, float]
) -> tuple[Estimate, float]:
    """Return inside - outside with its interval, and the p-value that goes with it."""
    value = inside.value - outside.value
    low, high = _ends(inside.value, outside.value, worth, LEVEL)
    found = replace(inside, value=value, low=low, high=high, level=LEVEL, method=METHOD)
    return found, _p_value(inside.value, outside.value, worth)


def _ends(a: float, b: float, worth: tuple[float, float], level: float) -> tuple[float, float]:
    low_a, high_a = wilson(a * worth[0], worth[0], level)
    low_b, high_b = wilson(b * worth[1], worth[1], level)
    down = math.hypot(a - low_a, high_b - b)
    up = math.hypot(high_a - a, b - low_b)
    return max(-1.0, a - b - down), min(1.0, a - b + up)


def _p_value(a: float, b: float, worth: tuple[float, float]) -> float:
    """Return the largest p at which the interval of level 1 - p leaves 0 out, by bisection."""
    if a == b:
        return 1.0
    out, within = -30.0, 0.0  # of the logarithm of p
    for _ in range(40):
        middle = (out + within) / 2
        low, high = _ends(a, b, worth, 1 - math.exp(middle))
        if low <= 0 <= high:
            out = middle
        else:
            within = middle
    return math.exp(within)


def _table(gaps: Iterable[Gap | None]) -> tuple[Gap, ...]:
    """Return the gaps with adjusted p-values, the surest first."""
    known = [gap for gap in gaps if gap is not None]
    adjusted = holm([gap.p_value for gap in known])
    found = [replace(gap, p_adjusted=p) for gap, p in zip(known, adjusted, strict=True)]
    return tuple(sorted(found, key=lambda gap: (gap.p_value, gap.part, gap.label)))
