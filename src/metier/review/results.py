"""What a panel found: per dimension, side by side, per reviewer, and in time.

    found = panel_results(ws, "spring")
    found.dimensions[0].report.candidates[0].corrected     # for an average rater, on average items
    found.wins[0].rate                                     # first against second, ties count half

Everything is resampled by item (and customer or conversation); times go by person.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median

from metier.core.ledger.harms import Harm, list_harms
from metier.core.types import Estimate, Score
from metier.core.workspace import Workspace
from metier.queue.queues import get_queue, queue_counts
from metier.queue.types import Counts, Queue
from metier.review.panel import Panel
from metier.review.ratings import Answer, Answers, read_answers
from metier.scoring.goals.targets import PANEL
from metier.scoring.statistics.agreement import mean_estimate, share_estimate
from metier.scoring.statistics.agreement_retest import Consistency, consistency
from metier.scoring.statistics.intervals import t_quantile
from metier.scoring.statistics.severity import (
    CandidateDifference,
    SeverityReport,
    correct_severity,
)
from metier.scoring.types import DEFAULT, Resampling

FEW_PEOPLE = 5


@dataclass(frozen=True, slots=True)
class DimensionResult:
    """One dimension: means as rated and corrected, severities, differences to the references."""

    name: str
    low: int
    high: int
    report: SeverityReport
    differences: tuple[CandidateDifference, ...]
    """Every candidate less the champion and the baseline."""


@dataclass(frozen=True, slots=True)
class Wins:
    """``first`` against ``second``: shares of the comparisons; ``rate`` counts a tie as half."""

    first: str
    second: str
    win: Estimate
    tie: Estimate
    loss: Estimate
    rate: Estimate


@dataclass(frozen=True, slots=True)
class PersonTime:
    """One person's typical (geometric mean) seconds with and without assistance."""

    person: str
    plain_s: float
    assisted_s: float
    plain: int
    assisted: int


@dataclass(frozen=True, slots=True)
class Handling:
    """A timed study. ``ratio``: time with assistance over time without, within people; its n
    counts people."""

    people: tuple[PersonTime, ...]
    plain_s: float
    assisted_s: float
    ratio: Estimate


@dataclass(frozen=True, slots=True)
class Said:
    """What was said of one candidate's replies beside ratings."""

    candidate: str
    answers: int
    marked: int
    rewritten: int
    harms: int
    open_harms: int


@dataclass(frozen=True, slots=True)
class PanelResults:
    """All that a panel found. ``not_applicable`` and ``outside`` count what was not rated."""

    queue: Queue
    panel: Panel
    counts: Counts
    raters: int
    dimensions: tuple[DimensionResult, ...]
    wins: tuple[Wins, ...]
    consistency: tuple[Consistency, ...]
    handling: Handling | None
    said: tuple[Said, ...]
    not_applicable: Mapping[str, int]
    outside: int
    median_s: float | None
    harms: tuple[Harm, ...]

    def of(self, dimension: str) -> DimensionResult | None:
        """A dimension's result; None where nobody rated it."""
        return next((one for one in self.dimensions if one.name == dimension), None)


def panel_results(ws: Workspace, name: str, resampling: Resampling = DEFAULT) -> PanelResults:
    """Work out a panel's results from the answers given so far. Raises NotFound, InputError."""
    queue = get_queue(ws, name)
    answers = read_answers(ws, queue)
    panel, harms = answers.panel, tuple(list_harms(ws, name))
    scale = _scale(panel)
    return PanelResults(
        queue=queue,
        panel=panel,
        counts=queue_counts(ws, name),
        raters=len({one.person for one in answers.rows}),
        dimensions=tuple(_dimensions(answers, resampling)),
        wins=tuple(win_rates(answers, resampling)),
        consistency=tuple(consistency(answers.repeats(), scale, resampling)),
        handling=handling(answers.times(), resampling.level) if panel.mode == "timed" else None,
        said=tuple(_said(answers, harms)),
        not_applicable=_not_applicable(answers.own),
        outside=sum(one.value is None for one in answers.own),
        median_s=median_seconds(one.seconds for one in answers.rows),
        harms=harms,
    )


def panel_metrics(found: PanelResults, key: str) -> dict[str, Estimate]:
    """One candidate's numbers under the names that targets of stage "review" use."""
    name = found.panel.candidate(key).name
    metrics = {
        f"{PANEL}{one.name}": mean.corrected
        for one in found.dimensions
        for mean in one.report.candidates
        if mean.candidate == name
    }
    reference = reference_of(found.panel)
    for one in found.wins:
        if (one.first, one.second) == (name, reference):
            metrics[f"{PANEL}win_rate"] = one.rate
    if found.handling is not None:
        metrics[f"{PANEL}handling_time_ratio"] = found.handling.ratio
    return metrics


def reference_of(panel: Panel) -> str | None:
    """The candidate that wins are counted against: champion, else baseline, else the last."""
    found = _references(panel)
    return found[0] if found else None


def win_rates(answers: Answers, resampling: Resampling = DEFAULT) -> list[Wins]:
    """Every pair of candidates both ways round, in their order."""
    panel = answers.panel
    given: dict[tuple[str, str], list[tuple[Answer, float]]] = {}
    for one, first, second, won in answers.choices():
        given.setdefault((first, second), []).append((one, won))
        given.setdefault((second, first), []).append((one, 1.0 - won))
    order = [one.key for one in panel.candidates]
    ordered = sorted(given, key=lambda pair: (order.index(pair[0]), order.index(pair[1])))
    return [_wins(panel, pair, given[pair], resampling) for pair in ordered]


def handling(times: Sequence[tuple[str, bool, float]], level: float = 0.95) -> Handling | None:
    """Compare times within people; None before anybody worked in both arms.

    The mean over people of the difference of log seconds, with Student's t; on the scale of the
    ratio. Times are skewed: the logarithm makes them nearly symmetric, and the ratio is what one
    asks for.
    """
    logs: dict[str, tuple[list[float], list[float]]] = {}
    for person, helped, seconds in times:
        logs.setdefault(person, ([], []))[int(helped)].append(math.log(seconds))
    both = {who: arms for who, arms in sorted(logs.items()) if arms[0] and arms[1]}
    if not both:
        return None
    people = tuple(
        PersonTime(who, math.exp(fmean(a)), math.exp(fmean(b)), len(a), len(b))
        for who, (a, b) in both.items()
    )
    plain = fmean(fmean(a) for a, _ in both.values())
    assisted = fmean(fmean(b) for _, b in both.values())
    gaps = [fmean(b) - fmean(a) for a, b in both.values()]
    return Handling(people, math.exp(plain), math.exp(assisted), _ratio(gaps, level))


def median_seconds(seconds: Iterable[float | None]) -> float | None:
    """The median of the times that are known."""
    known = [one for one in seconds if one is not None and one > 0]
    return median(known) if known else None


def _ratio(gaps: Sequence[float], level: float) -> Estimate:
    n, mean = len(gaps), fmean(gaps)
    notes = (f"{n} people only",) if n < FEW_PEOPLE else ()
    if n < 2:
        why = "one person only: how much people differ is not known"
        return Estimate(math.exp(mean), math.nan, math.nan, n, n, level, "undefined", (why,))
    error = math.sqrt(sum((one - mean) ** 2 for one in gaps) / (n - 1) / n)
    arm = t_quantile(level, n - 1) * error
    method = "paired by person: t interval of the mean log ratio"
    low, high = math.exp(mean - arm), math.exp(mean + arm)
    return Estimate(math.exp(mean), low, high, n, n, level, method, notes)


def _dimensions(answers: Answers, resampling: Resampling) -> Iterable[DimensionResult]:
    for one in answers.panel.dimensions:
        ratings = answers.ratings(one.name)
        if not ratings:
            continue
        report = correct_severity(ratings, (one.low, one.high), resampling)
        differences = tuple(_against(answers.panel, report))
        yield DimensionResult(one.name, one.low, one.high, report, differences)


def _against(panel: Panel, report: SeverityReport) -> Iterable[CandidateDifference]:
    """Differences to the references, turned so that the reference is second."""
    references, seen = _references(panel), set[frozenset[str]]()
    for reference in reversed(references):
        for one in report.differences:
            pair = frozenset((one.first, one.second))
            if pair in seen or reference not in pair:
                continue
            seen.add(pair)
            if one.second == reference:
                yield one
            elif one.first == reference:
                yield CandidateDifference(one.second, one.first, _turned(one.estimate))


def _turned(one: Estimate) -> Estimate:
    return replace(one, value=-one.value, low=-one.high, high=-one.low)


def _references(panel: Panel) -> list[str]:
    """Names of champion and baseline; without either, of the last candidate."""
    if panel.reference is not None:
        return [panel.reference]
    named = [
        one.name
        for role in ("champion", "baseline")
        for one in panel.candidates
        if one.role == role
    ]
    return named or [panel.candidates[-1].name]


def _wins(
    panel: Panel,
    pair: tuple[str, str],
    given: Sequence[tuple[Answer, float]],
    resampling: Resampling,
) -> Wins:
    def records(grade: Mapping[float, float]) -> list[Score]:
        return [
            Score(f"{one.example} {one.person}", grade[won], cluster=one.group or one.example)
            for one, won in given
        ]

    win, tie, loss = (
        share_estimate(records({1.0: 0.0, 0.5: 0.0, 0.0: 0.0} | {which: 1.0}), resampling)
        for which in (1.0, 0.5, 0.0)
    )
    rate = mean_estimate(records({1.0: 1.0, 0.5: 0.5, 0.0: 0.0}), resampling, (0.0, 1.0))
    first, second = (panel.candidate(key).name for key in pair)
    return Wins(first, second, win, tie, loss, rate)


def _scale(panel: Panel) -> tuple[int, int] | None:
    """The scale of repeated answers; None where they are choices, or scales differ."""
    scales = {(one.low, one.high) for one in panel.dimensions}
    return scales.pop() if panel.mode == "rate" and len(scales) == 1 else None


def _said(answers: Answers, harms: Sequence[Harm]) -> Iterable[Said]:
    for candidate in answers.panel.candidates:
        own = [one for one in answers.own if candidate.key in one.keys]
        about = [one for one in harms if one.candidate == candidate.evaluation]
        yield Said(
            candidate.name,
            len(own),
            sum(_is_marked(one, candidate.key) for one in own),
            sum("better" in (one.value or {}) for one in own),
            len(about),
            sum(one.resolved_at is None for one in about),
        )


def _is_marked(one: Answer, key: str) -> bool:
    side = "ab"[one.keys.index(key)]
    return any(mark.get("reply", "a") == side for mark in (one.value or {}).get("wrong", ()))


def _not_applicable(rows: Iterable[Answer]) -> dict[str, int]:
    return dict(
        Counter(name for one in rows for name in (one.value or {}).get("not_applicable", ()))
    )
