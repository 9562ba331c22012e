"""Worlds whose truth is known, for the tests in which the statistics check themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from metier.core.types import Score
from metier.scoring import Resampling, make_metric

Rng = np.random.Generator


@dataclass(frozen=True)
class World:
    """Test sets are drawn by ``draw(rng)``; ``truth`` is what ``metric`` would be on all items."""

    metric: str
    truth: float
    draw: Callable[[Rng], list[Score]]


def shares(p: float, n: int) -> World:
    """Independent yes/no items."""

    def draw(rng: Rng) -> list[Score]:
        return [
            Score(f"e{i}", None, "yes", "yes" if right else "no")
            for i, right in enumerate(rng.random(n) < p)
        ]

    return World("accuracy", p, draw)


def classes(labels: int, n: int, recall: float, metric: str = "f1_macro", seed: int = 0) -> World:
    """Classes of unequal size, a recall per class, mistakes spread over the others."""
    rng = np.random.default_rng(seed)
    share = rng.dirichlet(np.full(labels, 3.0)) + 0.3 / labels
    found = np.clip(rng.normal(recall, 0.08, labels), 0.05, 0.97)
    wrong = rng.random((labels, labels)) + 0.1
    np.fill_diagonal(wrong, 0)
    table = wrong / wrong.sum(axis=1, keepdims=True) * (1 - found)[:, None] + np.diag(found)
    joint = (share / share.sum())[:, None] * table
    right, rows, columns = np.diag(joint), joint.sum(axis=1), joint.sum(axis=0)
    f1 = 2 * right / (rows + columns)
    truth = {"accuracy": right.sum(), "f1_macro": f1.mean(), "f1_weighted": f1 @ rows}[metric]

    def draw(rng: Rng) -> list[Score]:
        cells = rng.choice(labels**2, size=n, p=joint.ravel())
        return [
            Score(f"e{i}", None, f"c{cell // labels}", f"c{cell % labels}")
            for i, cell in enumerate(cells)
        ]

    return World(metric, float(truth), draw)


def texts(a: float, b: float, n: int, zeros: float = 0.1) -> World:
    """Grades as ROUGE gives them: in 0 to 1, skewed (Beta), and a share that is 0."""

    def draw(rng: Rng) -> list[Score]:
        values = rng.beta(a, b, n) * (rng.random(n) >= zeros)
        return [Score(f"e{i}", float(value)) for i, value in enumerate(values)]

    return World("mean", (1 - zeros) * a / (a + b), draw)


def grouped_shares(p: float, groups: int, spread: float = 4.0) -> World:
    """Yes/no items in groups of 1 to 8 that share a trait: Beta with sum ``spread``."""

    def draw(rng: Rng) -> list[Score]:
        found = []
        for group in range(groups):
            easy = rng.beta(p * spread, (1 - p) * spread)
            for item, right in enumerate(rng.random(int(rng.integers(1, 9))) < easy):
                got = "yes" if right else "no"
                found.append(Score(f"e{group}-{item}", None, "yes", got, cluster=f"c{group}"))
        return found

    return World("accuracy", p, draw)


def grouped_texts(a: float, b: float, groups: int) -> World:
    """Skewed grades in groups of 1 to 8, half of whose spread the group shares."""

    def draw(rng: Rng) -> list[Score]:
        found = []
        for group in range(groups):
            shared = rng.beta(a, b)
            for item in range(int(rng.integers(1, 9))):
                value = float((shared + rng.beta(a, b)) / 2)
                found.append(Score(f"e{group}-{item}", value, cluster=f"c{group}"))
        return found

    return World("mean", a / (a + b), draw)


def coverage(world: World, sets: int, resamples: int = 400, method: str = "bca") -> float:
    """Return how often the 95% interval of ``sets`` test sets holds the truth."""
    metric, hits = make_metric(world.metric), 0
    for seed in range(sets):
        records = world.draw(np.random.default_rng([7, seed]))
        found = metric(records, Resampling(resamples, seed=seed, method=method))
        hits += found.low <= world.truth <= found.high
    return hits / sets


def equal_pair(rng: Rng, n: int, labels: int = 5) -> tuple[list[Score], list[Score]]:
    """Two systems equally good on every item, whose mistakes partly agree."""
    return pair(rng, n, labels, 0.0)


def pair(rng: Rng, n: int, labels: int, gain: float) -> tuple[list[Score], list[Score]]:
    """Two systems whose mistakes partly agree; the first is better by ``gain`` on hard items."""
    wanted = rng.integers(labels, size=n)
    hard = rng.random(n) < 0.4
    sides = []
    for extra in (gain, 0.0):
        right = rng.random(n) < np.where(hard, 0.5 + extra, 0.95)
        got = np.where(right, wanted, rng.integers(labels, size=n))
        sides.append(
            [
                Score(f"e{i:04d}", None, f"c{w}", f"c{g}")
                for i, (w, g) in enumerate(zip(wanted, got, strict=True))
            ]
        )
    return sides[0], sides[1]


def text_pair(rng: Rng, n: int) -> tuple[list[Score], list[Score]]:
    """Two equally good systems with skewed grades that partly agree."""
    shared = rng.beta(1.5, 4, n)
    return tuple(  # type: ignore[return-value]
        [Score(f"e{i:04d}", float(v)) for i, v in enumerate((shared + rng.beta(1.5, 4, n)) / 2)]
        for _ in "ab"
    )


def false_alarms(
    sets: int,
    draw: Callable[[Rng], tuple[list[Score], list[Score]]],
    p_of: Callable[[list[Score], list[Score], Resampling], float],
) -> float:
    """Return how often ``p_of`` two systems is under 0.05."""
    found = 0
    for seed in range(sets):
        a, b = draw(np.random.default_rng([13, seed]))
        found += p_of(a, b, Resampling(400, seed=seed)) < 0.05
    return found / sets
