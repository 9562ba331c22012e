"""Which items people should look at: drawn, or where labels teach or mend the most.

    by                    picks
    random                rows of a split, any as likely as another
    stratified            of each label (or value of a slice) as many, as far as there are
    uncertain             where a model's best two answers are closest
    disagreeing           where two evaluations gave different answers, or people did
    weak_slice            the slice or label with the lowest grade, its worst items first
    suspects              rows that a quality measurement doubts
    baseline_failures     what the untuned model gets wrong, its surest errors first
    production_failures   served replies that somebody called bad

Each function returns all picks in order, best first; the caller takes as many as are wanted. The
same rows and seed give the same order, whatever order the rows came in: ties and draws follow a
hash of seed and id. Every pick says why.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import zip_longest
from typing import Literal, get_args

from metier.core.records import Prediction
from metier.core.types import Json

By = Literal[
    "random",
    "stratified",
    "uncertain",
    "disagreeing",
    "weak_slice",
    "suspects",
    "baseline_failures",
    "production_failures",
]
WAYS: tuple[By, ...] = get_args(By)
LABEL = "label"
FEWEST = 5
"""Items that a slice needs to be called weak."""
LONGEST_LABEL = 60


@dataclass(frozen=True, slots=True)
class Pick:
    """One item and why it was picked, in words that hold no text of its row."""

    id: str
    reason: str


def draw(seed: int, id: str) -> bytes:
    """The place of an item in a random order that seed and id alone decide."""
    return blake2b(f"{seed}\n{id}".encode(), digest_size=8).digest()


def pick_random(ids: Iterable[str], seed: int) -> list[Pick]:
    """All items in random order."""
    return [Pick(one, "drawn at random") for one in sorted(set(ids), key=lambda i: draw(seed, i))]


def pick_stratified(strata: Mapping[str, Sequence[str]], seed: int, key: str = LABEL) -> list[Pick]:
    """Items by turns: one of each stratum, then the next of each, while it lasts.

    ``strata`` maps an item to the strata it is in (several labels: the rarest counts).
    """
    sizes: dict[str, int] = defaultdict(int)
    for names in strata.values():
        for name in names:
            sizes[name] += 1
    piles: dict[str, list[str]] = defaultdict(list)
    for one in sorted(strata, key=lambda i: draw(seed, i)):
        names = strata[one] or ("",)
        piles[min(names, key=lambda name: (sizes[name], name))].append(one)
    rounds = zip_longest(*(piles[name] for name in sorted(piles)))
    named = sorted(piles)
    return [
        Pick(one, f"{key} {name or 'none'}, one of {sizes[name] or len(piles[name])}")
        for turn in rounds
        for name, one in zip(named, turn, strict=True)
        if one is not None
    ]


def pick_uncertain(predictions: Iterable[Prediction], seed: int) -> list[Pick]:
    """Items whose best two answers are closest in probability (margin sampling); where a model
    gave only one confidence, that; those without any are left out."""
    found = [(doubt, one) for one in predictions if (doubt := _doubt(one)) is not None]
    found.sort(key=lambda pair: (pair[0][0], draw(seed, pair[1].example_id)))
    return [Pick(one.example_id, words) for (_, words), one in found]


def pick_disagreeing(
    ours: Iterable[Prediction], theirs: Iterable[Prediction], seed: int
) -> list[Pick]:
    """Items that two models answered differently, where they were surest first."""
    other = {one.example_id: one for one in theirs}
    pairs = [(one, other[one.example_id]) for one in ours if one.example_id in other]
    apart = [(a, b) for a, b in pairs if _folded(a.parsed) != _folded(b.parsed)]
    apart.sort(key=lambda p: (-min(_surest(p[0]), _surest(p[1])), draw(seed, p[0].example_id)))
    return [Pick(a.example_id, "two models answered differently") for a, _ in apart]


def pick_divided(answers: Mapping[str, Sequence[Json]], seed: int) -> list[Pick]:
    """Items on which people disagreed, the most divided first: by how few gave the commonest
    answer."""
    shares = {}
    for one, given in answers.items():
        counts: dict[str, int] = defaultdict(int)
        for value in given:
            counts[_folded(value)] += 1
        if len(counts) > 1:
            shares[one] = (max(counts.values()), len(given))
    order = sorted(shares, key=lambda i: (shares[i][0] / shares[i][1], draw(seed, i)))
    return [Pick(one, f"{shares[one][0]} of {shares[one][1]} people agreed") for one in order]


def weakest(
    predictions: Sequence[Prediction], grades: Mapping[str, float], fewest: int = FEWEST
) -> str:
    """The slice ``key=value``, or ``label=name``, of ``fewest`` items or more whose mean grade is
    lowest; "" where no slice is that large."""
    parts: dict[str, list[float]] = defaultdict(list)
    for one in predictions:
        for name in parts_of(one):
            parts[name].append(grades.get(one.example_id, 0.0))
    means = {
        name: sum(values) / len(values)
        for name, values in parts.items()
        if fewest <= len(values) < len(predictions)
    }
    return min(means, key=lambda name: (means[name], name), default="")


def pick_slice(
    predictions: Iterable[Prediction], grades: Mapping[str, float], part: str, seed: int
) -> list[Pick]:
    """The items of a slice, the worst graded first."""
    inside = [one for one in predictions if part in parts_of(one)]
    mean = sum(grades.get(one.example_id, 0.0) for one in inside) / max(len(inside), 1)
    inside.sort(key=lambda p: (grades.get(p.example_id, 0.0), draw(seed, p.example_id)))
    words = f"in {part}, where the mean grade is {mean:.2f} (n {len(inside)})"
    return [Pick(one.example_id, words) for one in inside]


def pick_failures(
    predictions: Iterable[Prediction], grades: Mapping[str, float], seed: int, whose: str
) -> list[Pick]:
    """Items graded under 1, the worst first and of equals the surest error."""
    wrong = [one for one in predictions if grades.get(one.example_id, 1.0) < 1.0]
    wrong.sort(
        key=lambda p: (grades[p.example_id], -_surest(p), draw(seed, p.example_id)),
    )
    return [
        Pick(one.example_id, f"{whose} got it wrong (grade {grades[one.example_id]:.2f})")
        for one in wrong
    ]


def pick_reasoned(reasons: Mapping[str, Sequence[str]], seed: int) -> list[Pick]:
    """Items that come with reasons of their own, those with the most first."""
    order = sorted(reasons, key=lambda one: (-len(reasons[one]), draw(seed, one)))
    return [Pick(one, ", ".join(dict.fromkeys(reasons[one]))) for one in order]


def parts_of(prediction: Prediction) -> tuple[str, ...]:
    """The slices an item is in, and the label, or the short fields, that are expected of it."""
    parts = [f"{key}={value}" for key, value in prediction.slices.items()]
    wanted = prediction.expected
    named = wanted.items() if isinstance(wanted, Mapping) else [(LABEL, wanted)]
    parts += [f"{name}={v}" for name, v in named if isinstance(v, str) and len(v) <= LONGEST_LABEL]
    return tuple(parts)


def _doubt(one: Prediction) -> tuple[float, str] | None:
    """How close a model's best two answers are (0: equally likely), in words too."""
    scores = one.completion.choice_logprobs
    if scores and len(scores) > 1:
        chances = _chances(scores)
        (first, p), (second, q) = chances[:2]
        return p - q, f"the model gave {first} {p:.0%} and {second} {q:.0%}"
    confidence = one.completion.confidence
    if confidence is not None:
        return confidence, f"the model was {confidence:.0%} sure"
    return None


def _surest(one: Prediction) -> float:
    scores = one.completion.choice_logprobs
    return _chances(scores)[0][1] if scores else one.completion.confidence or 0.0


def _chances(scores: Mapping[str, float]) -> list[tuple[str, float]]:
    top = max(scores.values())
    weights = {label: math.exp(value - top) for label, value in scores.items()}
    total = sum(weights.values())
    order = sorted(weights, key=lambda label: (-weights[label], label))
    return [(label, weights[label] / total) for label in order]


def _folded(value: Json) -> str:
    if isinstance(value, str):
        return " ".join(value.split()).casefold()
    from metier.core.types import digest

    return digest(value)
