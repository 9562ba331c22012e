"""The base-model advisor: what each base would be worth, and what it would cost in all.

For every base: the forecast of the tune itself, the task's metric after a short tune (the same
rows for all, measured on validation rows: no look at the test set is spent), what its replies
cost here, and what the labels cost. The total is told over a stated number of replies. A larger
base is advised only where it is shown to be better, by the paired difference's interval.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from metier.core import ledger
from metier.core.codec import to_json
from metier.core.ids import new_id
from metier.core.records import Difference, EvaluationReport, Probe, TuneRun
from metier.core.types import Estimate
from metier.journey.forecasting import Wanted, forecast_tunes
from metier.journey.session import Session, load_named_base, make_bench
from metier.scoring import metric_info, primary_metric

if TYPE_CHECKING:
    from metier.evaluate.bench import Bench
    from metier.tune.forecast.types import Forecast

KIND = "base_advice"
SPLIT = "validation"
FEWEST_ROWS = 16
SHORT_TUNE_ROOM = 0.8
"""Part of a short tune's time that goes into training; the rest into loading and validation."""


@dataclass(frozen=True, slots=True)
class Terms:
    """Over how many replies costs are told, the most seconds of each short tune (0: none), and the
    expert's seconds per label."""

    replies: int = 100_000
    tune_seconds: float = 60.0
    seconds_per_label: float = 30.0


@dataclass(frozen=True, slots=True)
class BaseOption:
    """One base. ``quality`` is the task's metric after a short tune on ``rows`` training rows
    (None: none was run, ``why_not`` says why); money is in US dollars, ``total_usd`` over the
    stated replies (None: the cost of a reply was not measured)."""

    forecast: Forecast
    quality: Estimate | None
    rows: int
    training_usd: float
    usd_per_1000: float | None
    annotation_usd: float
    total_usd: float | None
    evaluation: str | None
    why_not: str = ""

    @property
    def quality_words(self) -> str:
        """Quality with its interval and n, or why there is none."""
        return str(self.quality) if self.quality is not None else self.why_not


@dataclass(frozen=True, slots=True)
class Advice:
    """What was found. ``best`` is the base advised ("" where nothing can be); ``differences`` are
    paired, each base minus the best."""

    metric: str
    version_id: str
    terms: Terms
    options: tuple[BaseOption, ...]
    differences: tuple[Difference, ...]
    best: str
    words: tuple[str, ...]


def advise(session: Session, wanted: Wanted, terms: Terms = Terms()) -> Advice:
    """Forecast every base, tune each that fits for a short while, and weigh them.

    Raises InputError without validation rows where short tunes are asked for. Stored as a Probe.
    """
    bench = make_bench(session, wanted.version)
    if terms.tune_seconds:
        bench.measured(SPLIT)  # its error says how to get validation rows
    wanted = replace(wanted, version=bench.version.id, methods=wanted.methods[:1])
    forecasts = forecast_tunes(session, wanted)
    rows = _short_rows(bench, forecasts, terms)
    reports = [_short_tune(session, bench, one, rows) for one in forecasts]
    options = [
        _option(session, bench, one, report, len(rows), terms)
        for one, report in zip(forecasts, reports, strict=True)
    ]
    metric = primary_metric(bench.objective)
    found = _weigh(bench, metric, options, [one for one in reports if one is not None], terms)
    ledger.save_probe(session.workspace, _probe(found))
    return found


def _short_rows(bench: Bench, forecasts: Sequence[Forecast], terms: Terms) -> list[str]:
    """Ids of the rows that the slowest base that fits learns from in the time given."""
    from metier.evaluate.curve import nested_share

    train = bench.examples("train")
    slowest = max((one.seconds.total.value for one in forecasts if one.fits), default=0.0)
    if not terms.tune_seconds or not slowest:
        return []
    share = min(1.0, SHORT_TUNE_ROOM * terms.tune_seconds / slowest)
    share = min(1.0, max(share, FEWEST_ROWS / max(1, len(train))))
    return sorted(row.id for row in nested_share(train, share, bench.config.seed))


def _short_tune(
    session: Session, bench: Bench, one: Forecast, rows: Sequence[str]
) -> EvaluationReport | None:
    from metier.evaluate.baselines import tuned_contender
    from metier.evaluate.evaluate import evaluate

    if not one.fits or not rows:
        return None
    base = load_named_base(session, one.base)
    contender = tuned_contender(bench, _run(session, bench, base, rows), base)
    named = replace(contender, rung=f"short:{Path(one.base).name}")
    return evaluate(bench, named, split=SPLIT)


def _run(session: Session, bench: Bench, base: object, rows: Sequence[str]) -> TuneRun:
    from metier.tune.run import Conditions, tune

    project = session.project
    return tune(
        project.tune,
        bench.version,
        session.workspace,
        base,  # type: ignore[arg-type]
        project.objective,
        system=project.project.system,
        progress=session.progress,
        under=Conditions(only=rows),
    )


def _option(
    session: Session,
    bench: Bench,
    one: Forecast,
    report: EvaluationReport | None,
    rows: int,
    terms: Terms,
) -> BaseOption:
    prices = session.project.costs
    labels = sum(bench.version.counts.values())
    annotation = labels * terms.seconds_per_label / 3600 * prices.usd_per_annotator_hour
    training = one.usd.value
    each = None if report is None else report.usd_per_1000
    total = None if each is None else training + annotation + terms.replies / 1000 * each
    why = "" if report is not None else ("no short tune" if one.fits else "does not fit")
    return BaseOption(
        forecast=one,
        quality=None if report is None else report.metrics[primary_metric(bench.objective)],
        rows=0 if report is None else rows,
        training_usd=training,
        usd_per_1000=each,
        annotation_usd=annotation,
        total_usd=total,
        evaluation=None if report is None else report.id,
        why_not=why,
    )


def _weigh(
    bench: Bench,
    metric: str,
    options: Sequence[BaseOption],
    reports: Sequence[EvaluationReport],
    terms: Terms,
) -> Advice:
    from metier.evaluate.compare import Comparison

    known = [one for one in options if one.quality is not None and one.total_usd is not None]
    if not known:
        words = tuple(_without_quality(options))
        return Advice(metric, bench.version.id, terms, tuple(options), (), "", words)
    sign = 1.0 if metric_info(metric, bench.objective).higher_is_better else -1.0
    by_id = {report.id: report for report in reports}
    comparison = Comparison(bench)

    def gain(a: BaseOption, b: BaseOption) -> Difference:
        first, second = by_id[str(a.evaluation)], by_id[str(b.evaluation)]
        return comparison.differences(first, second, [metric])[0]

    # From the cheapest up: a dearer base must be shown to be better than the best so far.
    cheap_first = sorted(known, key=lambda one: float(one.total_usd or 0.0))
    best = cheap_first[0]
    for other in cheap_first[1:]:
        found = gain(other, best).estimate
        if min(sign * found.low, sign * found.high) > 0:
            best = other
    others = [one for one in cheap_first if one is not best]
    differences = tuple(gain(one, best) for one in others)
    words = (
        _headline(best, cheap_first, metric, terms),
        *(_beside(o, best, d, metric, sign) for o, d in zip(others, differences, strict=True)),
        _caveat(best, bench),
        *(f"{o.forecast.base}: {o.why_not}." for o in options if o.quality is None),
    )
    name = best.forecast.base
    return Advice(metric, bench.version.id, terms, tuple(options), differences, name, words)


def _headline(
    best: BaseOption, cheap_first: Sequence[BaseOption], metric: str, terms: Terms
) -> str:
    total = float(best.total_usd or 0.0)
    words = (
        f"Take {best.forecast.base}: {metric} {best.quality}, "
        f"${total:,.2f} in all over {terms.replies:,} replies."
    )
    cheapest = cheap_first[0]
    if cheapest is best:
        return words
    more = total - float(cheapest.total_usd or 0.0)
    return f"{words} That is ${more:,.2f} more than {cheapest.forecast.base}, and it is better."


def _beside(
    other: BaseOption, best: BaseOption, found: Difference, metric: str, sign: float
) -> str:
    e = found.estimate
    interval = f"{e.value:+.3f} [{e.low:+.3f}, {e.high:+.3f}], n = {e.n}, paired"
    cost = float(other.total_usd or 0.0) - float(best.total_usd or 0.0)
    money = f"${abs(cost):,.2f} {'more' if cost >= 0 else 'less'} in all"
    if max(sign * e.low, sign * e.high) < 0:
        verdict = "it is worse"
    elif min(sign * e.low, sign * e.high) > 0:
        verdict = "it is better"
    else:
        verdict = "no difference is shown"
        if found.detectable is not None:
            verdict += f" (these rows show one of {found.detectable:.3f} four times in five)"
    return f"{other.forecast.base}: {money}; {metric} {interval}: {verdict}."


def _caveat(best: BaseOption, bench: Bench) -> str:
    whole = len(bench.examples("train"))
    part = f"{best.rows:,} of {whole:,} training rows" if best.rows < whole else "all training rows"
    return (
        f"Quality is after a short tune on {part}, on validation rows; a base that learns more "
        "slowly may catch up on all of them. No look at the test set was spent."
    )


def _without_quality(options: Sequence[BaseOption]) -> Iterator[str]:
    fitting = [one for one in options if one.forecast.fits]
    if not fitting:
        yield "None of these bases fits here; the changes that would make each fit stand above."
        return
    cheapest = min(fitting, key=lambda one: one.training_usd)
    yield (
        f"Cheapest to tune that fits: {cheapest.forecast.base}, ${cheapest.training_usd:.2f}. "
        "Without a short tune nothing is known of quality: give --tune-seconds more than 0."
    )


def _probe(found: Advice) -> Probe:
    return Probe(
        id=new_id("probe"),
        created_at=datetime.now(UTC),
        kind=KIND,
        subject=found.best or "none",
        version_id=found.version_id,
        run_id=None,
        metrics={
            f"quality.{Path(one.forecast.base).name}": one.quality
            for one in found.options
            if one.quality is not None
        },
        detail={
            "words": list(found.words),
            "terms": to_json(found.terms),
            "totals": {one.forecast.base: one.total_usd for one in found.options},
        },
    )
