"""The numbers that the rules look at, read off a run's series once.

Losses of single steps are noisy, so they are read as means over a window of steps; how far such a
mean strays by chance is taken from the differences of neighbouring steps, which the trend hardly
touches (von Neumann et al. 1941, Annals of Mathematical Statistics 12(2)).

Progress is measured against the sum of learning rates so far, not against steps: on a schedule
that ends at zero the last steps are short, and a curve that looks flat may only have run out of
rate.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, median

from metier.core.records import MetricPoint
from metier.tune.diagnostics.types import Facts

Curve = tuple[tuple[int, float], ...]
"""(step, value), by step."""
TRAIN, VALIDATION, RATE, NORM = "train_loss", "validation_loss", "learning_rate", "grad_norm"
WINDOWS = 12
"""A run is read in about this many windows."""
SHORT_WINDOWS, SHORTEST = 60, 3
"""Rises are looked for in shorter ones, of at least so many steps."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A run in numbers. Losses are nats per supervised token; None: the series do not say.

    ``start`` before any step; ``reference`` what is to be beaten: guessing replies by their
    frequency, or the start where that is lower or replies do not repeat; ``noise`` the standard
    error of a short window's mean, ``peak`` the highest of these; ``late_share`` how much of the
    whole fall came in the second half of the learning rate spent.
    """

    steps: int
    broken_at: int | None
    start: float
    reference: float
    noise: float
    peak: float
    peak_step: int
    above_share: float
    train_end: float
    best: float | None
    best_step: int | None
    last: float | None
    late_share: float | None
    norm_start: float | None
    norm_end: float | None

    @property
    def end(self) -> float:
        """The lowest loss on rows that were held out, or the last one on those trained on."""
        return self.train_end if self.best is None else self.best

    @property
    def guessed(self) -> bool:
        """Whether the run ended no better than guessing replies by how often they occur."""
        return self.end >= 0.95 * self.reference

    @property
    def fall(self) -> float:
        """The share of the starting loss that is gone at the best point."""
        return (self.start - self.end) / self.start if self.start > 0 else 0.0

    def carried(self, held_out: float | None) -> float | None:
        """Return how much of what was learned on the training rows holds for held-out ones.

        The share of the training rows' fall below ``reference`` that a loss of ``held_out`` is;
        None where nothing was learned on the training rows.
        """
        learned = self.reference - self.train_end
        if held_out is None or learned <= 0.05 * self.reference:
            return None
        return (self.reference - held_out) / learned


def curve(points: Iterable[MetricPoint], name: str) -> Curve:
    """Return one series by step, finite or not."""
    return tuple(sorted((p.step, p.value) for p in points if p.name == name))


def read(points: Sequence[MetricPoint], facts: Facts) -> Reading | None:
    """Read the series; None where not one step has a finite loss."""
    every = curve(points, TRAIN)
    train = tuple(point for point in every if math.isfinite(point[1]))
    if not train:
        return None
    held_out = tuple(point for point in curve(points, VALIDATION) if math.isfinite(point[1]))
    width = max(1, len(train) // WINDOWS)
    means = _windows(train, width)
    start = held_out[0][1] if held_out and held_out[0][0] == 0 else means[0][1]
    short = max(SHORTEST, len(train) // SHORT_WINDOWS)
    brief, noise = _windows(train, short), _step_noise(train) / math.sqrt(short)
    peak_step, peak = max(brief, key=lambda point: point[1])
    after = tuple(point for point in held_out if point[0] > 0)
    best_step, best = min(after, key=lambda point: point[1], default=(None, None))
    norms = [value for _, value in curve(points, NORM) if math.isfinite(value)]
    blind = facts.blind_loss
    return Reading(
        steps=every[-1][0],
        broken_at=next((step for step, value in every if not math.isfinite(value)), None),
        start=start,
        reference=start if blind is None else min(start, blind),
        noise=noise,
        peak=peak,
        peak_step=peak_step,
        above_share=fmean(value > start + 4 * noise for _, value in brief),
        train_end=_end(train, facts.epochs, width),
        best=best,
        best_step=best_step,
        last=after[-1][1] if after else None,
        late_share=_late_share(means, dict(curve(points, RATE))),
        norm_start=median(norms[:width]) if norms else None,
        norm_end=median(norms[-width:]) if norms else None,
    )


def _windows(train: Curve, width: int) -> Curve:
    """Return rolling means over ``width`` steps, under each window's last step; at least one."""
    width = min(width, len(train))
    values = [value for _, value in train]
    return tuple(
        (train[end - 1][0], fmean(values[end - width : end]))
        for end in range(width, len(train) + 1)
    )


def _step_noise(train: Curve) -> float:
    """Return the standard deviation of single steps around the trend, robustly."""
    steps = [abs(b[1] - a[1]) for a, b in pairwise(train)]
    return 1.4826 * median(steps) / math.sqrt(2) if steps else 0.0


def _end(train: Curve, epochs: float, width: int) -> float:
    """Return the mean loss of the last steps: of the last epoch's second half, where there are
    several epochs, so that rows count alike."""
    half = round(len(train) / epochs / 2) if epochs >= 2 else width
    return fmean(value for _, value in train[-max(1, half) :])


def _late_share(means: Curve, rates: dict[int, float]) -> float | None:
    """Return the share of the whole fall that the second half of the learning rate brought."""
    if len(means) < 4 or means[0][1] <= means[-1][1]:
        return None
    spent, sums = 0.0, []
    for step in range(means[-1][0] + 1):
        spent += rates.get(step, 0.0)
        sums.append(spent)
    begun = sums[means[0][0]]
    half = begun + (spent - begun) / 2
    middle = next((value for step, value in means if sums[step] >= half), means[-1][1])
    return (middle - means[-1][1]) / (means[0][1] - means[-1][1])
