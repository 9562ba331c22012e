"""Is a stated confidence worth anything? Calibration, a temperature, and when to abstain.

    calibration(validation_predictions, test_predictions, bins=15, precision=0.95)

*Confidence* is the probability a model gave the choice it made. The *expected calibration error*
is the mean gap between confidence and share right over bins, of equal width (Naeini et al. 2015,
AAAI; Guo et al. 2017, arXiv 1706.04599) or of equal mass (adaptive: Nixon et al. 2019, arXiv
1904.01685). On few items it is above zero even for a perfect model, so it comes with what such a
model would show. A *temperature* is fitted on validation and judged on test; so is the threshold
under which the model abstains. An item without an answer counts as a full miss at confidence 1.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from metier.core.records import Prediction
from metier.core.types import Estimate, Score
from metier.models.choosing import certainty
from metier.scoring import Resampling, metric_info
from metier.scoring.base import Measured, Proportion, mean_statistic
from metier.scoring.statistics.bootstrap import Sums, clusters_of, estimate, undefined, warned
from metier.scoring.statistics.intervals import effective_n, wilson
from metier.scoring.types import DEFAULT

ECE, ADAPTIVE, TEMPERED, BRIER = "ece", "ece_adaptive", "ece_tempered", "brier"
PRECISION, COVERAGE = "abstention_precision", "abstention_coverage"
TEMPERATURES = tuple(float(t) for t in np.geomspace(0.05, 20.0, 241))
FEWEST_KEPT = 10
"""A threshold that answers fewer validation items than this is not chosen."""
SIMULATIONS = 200
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Stated:
    """One answer: its confidence (None: none was given), whether it was right, and, where a
    closed set was scored, the log-probabilities with the place of the choice made."""

    id: str
    cluster: str
    confidence: float | None
    right: bool
    logprobs: tuple[float, ...] = ()
    chosen: int = 0

    def at(self, temperature: float) -> float | None:
        """The confidence after dividing log-probabilities (or log-odds) by ``temperature``."""
        if self.confidence is None:
            return None
        if self.logprobs:
            return certainty([value / temperature for value in self.logprobs], self.chosen)
        p = min(max(self.confidence, 1e-9), 1 - 1e-9)
        return 1 / (1 + math.exp(-math.log(p / (1 - p)) / temperature))


@dataclass(frozen=True, slots=True)
class Bin:
    """One bin of the reliability curve: confidences from ``low`` to ``high``, their mean, and the
    share right with its interval."""

    low: float
    high: float
    confidence: float
    right: Estimate


@dataclass(frozen=True, slots=True)
class Calibration:
    """``metrics`` are on test. ``expected_ece`` is the mean error of a perfectly calibrated model
    with these confidences, ``expected_most`` what 95% of such models stay under. ``threshold``
    None: no threshold reached the wanted precision on validation."""

    metrics: Mapping[str, Estimate]
    curve: tuple[Bin, ...]
    tempered: tuple[Bin, ...]
    temperature: float
    threshold: float | None
    wanted_precision: float
    expected_ece: float
    expected_most: float
    validation_items: int


def calibration(
    validation: Sequence[Prediction],
    test: Sequence[Prediction],
    *,
    bins: int = 15,
    precision: float = 0.95,
    fields: Collection[str] = (),
    resampling: Resampling = DEFAULT,
) -> Calibration:
    """Fit temperature and threshold on validation, and measure both on test.

    ``fields`` are the closed fields of a structured reply: its confidence is about them.
    """
    tried, held = stated(validation, fields), stated(test, fields)
    temperature = fit_temperature(tried)
    threshold = choose_threshold(tried, precision)
    warm = [replace(one, confidence=one.at(temperature), logprobs=()) for one in held]
    metrics = {
        ECE: ece(held, ECE, equal_width(bins), resampling),
        ADAPTIVE: ece(held, ADAPTIVE, equal_mass(held, bins), resampling),
        TEMPERED: ece(warm, TEMPERED, equal_width(bins), resampling),
        BRIER: brier(held, resampling),
        **abstention(held, threshold, precision, resampling),
    }
    if not _given(tried):
        note = "no validation answers with a confidence: the temperature stayed at 1"
        metrics[TEMPERED] = warned(metrics[TEMPERED], note)
    expected, most = if_calibrated(held, equal_width(bins), resampling.seed)
    return Calibration(
        metrics,
        curve(held, equal_width(bins), resampling.level),
        curve(warm, equal_width(bins), resampling.level),
        temperature,
        threshold,
        precision,
        expected,
        most,
        len(tried),
    )


def stated(predictions: Sequence[Prediction], fields: Collection[str] = ()) -> list[Stated]:
    """Return the confidence of each prediction and whether it was right."""
    found = []
    for one in predictions:
        completion = one.completion
        failed = completion.error is not None or one.parsed is None
        scored = completion.choice_logprobs or {}
        names = list(scored)
        chosen = names.index(str(one.parsed)) if str(one.parsed) in names else -1
        sure = completion.confidence
        if sure is None and chosen >= 0:
            sure = certainty(list(scored.values()), chosen)
        found.append(
            Stated(
                one.example_id,
                one.cluster,
                None if failed else sure,
                not failed and _right(one, fields),
                tuple(scored.values()) if chosen >= 0 else (),
                max(chosen, 0),
            )
        )
    return found


def fit_temperature(answers: Sequence[Stated]) -> float:
    """Return the temperature with the least cross-entropy on these answers; 1 without any.

    Searched on a grid from 0.05 to 20: exact to about 1%. Guo et al. (2017), section 4.2; where
    only a confidence is known, it scales the log-odds of being right.
    """
    known = [one for one in answers if one.confidence is not None]
    if not known:
        return 1.0
    right = np.asarray([one.right for one in known])

    def loss(temperature: float) -> float:
        sure = np.asarray([one.at(temperature) for one in known], dtype=np.float64)
        sure = np.clip(sure, 1e-12, 1 - 1e-12)
        return float(-np.mean(np.where(right, np.log(sure), np.log(1 - sure))))

    return min((*TEMPERATURES, 1.0), key=lambda t: (loss(t), abs(math.log(t))))


def choose_threshold(answers: Sequence[Stated], precision: float) -> float | None:
    """Return the lowest confidence from which on the answers reach the precision; None: none.

    At least ``FEWEST_KEPT`` answers must be kept. What is chosen here is optimistic; the
    precision it has is the one measured on test.
    """
    known = sorted(((one.confidence, one.right) for one in answers if one.confidence is not None),
                   reverse=True)  # fmt: skip
    found, right = None, 0
    for kept, (sure, ok) in enumerate(known, 1):
        right += ok
        last_of_equals = kept == len(known) or known[kept][0] < sure
        if last_of_equals and kept >= FEWEST_KEPT and right / kept >= precision:
            found = sure
    return found


def abstention(
    answers: Sequence[Stated], threshold: float | None, precision: float, resampling: Resampling
) -> dict[str, Estimate]:
    """Return the precision of answers at or over the threshold, and the share that they are.

    Coverage counts all items; one without a confidence is abstained from.
    """
    if threshold is None:
        why = f"no threshold reached a precision of {precision:g} on validation: all abstained from"
        nothing = undefined(why, len(answers), len(answers), resampling.level)
        none_kept = [Score(one.id, 0.0, cluster=one.cluster) for one in answers]
        return {PRECISION: nothing, COVERAGE: _share(COVERAGE, none_kept, resampling)}
    kept = [one for one in answers if one.confidence is not None and one.confidence >= threshold]
    ids = {one.id for one in kept}
    covered = [Score(one.id, float(one.id in ids), cluster=one.cluster) for one in answers]
    right = [Score(one.id, float(one.right), cluster=one.cluster) for one in kept]
    return {
        PRECISION: _share(PRECISION, right, resampling),
        COVERAGE: _share(COVERAGE, covered, resampling),
    }


def equal_width(bins: int) -> Floats:
    """Return the inner edges of bins of equal width over 0 to 1."""
    return np.linspace(0.0, 1.0, bins + 1)[1:-1]


def equal_mass(answers: Sequence[Stated], bins: int) -> Floats:
    """Return the inner edges of bins that hold equally many answers; equal ones stay together."""
    sure = np.asarray([one.confidence for one in answers if one.confidence is not None])
    if not len(sure):
        return np.zeros(0)
    return np.unique(np.quantile(sure, np.linspace(0.0, 1.0, bins + 1)[1:-1]))


def ece(
    answers: Sequence[Stated], name: str, edges: Floats, resampling: Resampling = DEFAULT
) -> Estimate:
    """Return the expected calibration error with a bootstrap interval over fixed bins."""
    if not _given(answers):
        return _no_confidence(answers, resampling)
    records = [Score(one.id, None, cluster=one.cluster) for one in answers]
    sure, right = _filled(answers)
    place = np.searchsorted(edges, sure, side="left")
    bins = len(edges) + 1
    gaps = (sure - right).tolist()
    cells = [(i, int(b), gap) for i, (b, gap) in enumerate(zip(place, gaps, strict=True))]
    cells += [(i, bins, 1.0) for i in range(len(answers))]

    def reduce(sums: Floats) -> Floats:
        error: Floats = np.abs(sums[:, :bins]).sum(axis=1) / sums[:, bins]
        return error

    statistic = Sums.of(records, cells, bins + 1, reduce, _missing(answers))
    return estimate(statistic, replace(resampling, method="percentile"), (0.0, 1.0))


def brier(answers: Sequence[Stated], resampling: Resampling = DEFAULT) -> Estimate:
    """Return the mean squared gap between confidence and right (1) or wrong (0)."""
    if not _given(answers):
        return _no_confidence(answers, resampling)
    sure, right = _filled(answers)
    records = [
        Score(one.id, float(gap), cluster=one.cluster)
        for one, gap in zip(answers, (sure - right) ** 2, strict=True)
    ]
    metric = Measured(
        metric_info(BRIER), lambda rows: mean_statistic(rows, [row.value for row in rows])
    )
    return warned(metric(records, resampling), *_missing(answers))


def curve(answers: Sequence[Stated], edges: Floats, level: float = 0.95) -> tuple[Bin, ...]:
    """Return the bins that hold answers, with Wilson intervals on their effective number."""
    known = [one for one in answers if one.confidence is not None]
    place = np.searchsorted(edges, np.asarray([one.confidence for one in known]), side="left")
    bounds = [0.0, *edges.tolist(), 1.0]
    found = []
    for number in sorted(set(place.tolist())):
        part = [one for one, at in zip(known, place, strict=True) if at == number]
        sure = [one.confidence for one in part if one.confidence is not None]
        right = _bin_share(part, level)
        found.append(Bin(bounds[number], bounds[number + 1], float(np.mean(sure)), right))
    return tuple(found)


def if_calibrated(answers: Sequence[Stated], edges: Floats, seed: int) -> tuple[float, float]:
    """Return mean and 95th percentile of the error of a perfect model with these confidences."""
    known = [one.confidence for one in answers if one.confidence is not None]
    if not known:
        return math.nan, math.nan
    sure = np.asarray(known)
    place = np.searchsorted(edges, sure, side="left")
    rng = np.random.default_rng(seed)
    errors = []
    for _ in range(SIMULATIONS):
        gaps = sure - (rng.random(len(sure)) < sure)
        errors.append(np.abs(np.bincount(place, weights=gaps)).sum() / len(sure))
    return float(np.mean(errors)), float(np.quantile(errors, 0.95))


def _right(one: Prediction, fields: Collection[str]) -> bool:
    """Whether the part of an answer that the confidence is about is right."""
    wanted, got = one.expected, one.parsed
    if isinstance(wanted, Mapping) and isinstance(got, Mapping):
        return all(got.get(name) == wanted.get(name) for name in fields or wanted)
    return bool(wanted == got)


def _given(answers: Sequence[Stated]) -> bool:
    return any(one.confidence is not None for one in answers)


def _filled(answers: Sequence[Stated]) -> tuple[Floats, Floats]:
    """Confidence and right as arrays; an answer without confidence is a full miss."""
    sure = np.asarray([1.0 if one.confidence is None else one.confidence for one in answers])
    right = np.asarray([one.confidence is not None and one.right for one in answers], dtype=float)
    return sure, right


def _missing(answers: Sequence[Stated]) -> tuple[str, ...]:
    missing = sum(one.confidence is None for one in answers)
    if not missing:
        return ()
    return (f"{missing} of {len(answers)} items have no answer or no confidence: full misses",)


def _no_confidence(answers: Sequence[Stated], resampling: Resampling) -> Estimate:
    why = "no answer states a confidence: only closed choices that were scored do"
    return undefined(why, len(answers), len(answers), resampling.level)


def _share(name: str, records: Sequence[Score], resampling: Resampling) -> Estimate:
    if not records:
        return undefined("no items to measure", 0, 0, resampling.level)
    metric = Proportion(
        metric_info(name), lambda rows: mean_statistic(rows, [row.value for row in rows])
    )
    return metric(records, resampling)


def _bin_share(part: Sequence[Stated], level: float) -> Estimate:
    records = [Score(one.id, None, cluster=one.cluster) for one in part]
    names, index = clusters_of(records)
    hits = np.bincount(index, weights=[float(one.right) for one in part], minlength=len(names))
    sizes = np.bincount(index, minlength=len(names))
    worth = effective_n(hits.tolist(), sizes.tolist(), level)
    share = float(hits.sum() / len(part))
    low, high = wilson(share * worth, worth, level)
    return Estimate(share, low, high, len(part), len(names), level, "Wilson")
