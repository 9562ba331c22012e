"""``metier decide``: is tuning worth it here? One page, before anything large is spent.

Every option is measured on the same validation rows: a classical baseline, the untuned base with a
prompt, with examples, with retrieval, a hosted model if ``[decide] hosted`` names one and egress
permits it, and tuning, projected from small tunes. No look at the sealed test set is spent.
Beside quality stand the money of setting up, of running, and of putting wrong replies right.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from metier.core import ledger
from metier.core.codec import to_json
from metier.core.costs import Prices
from metier.core.errors import InputError, MetierError
from metier.core.ids import new_id
from metier.core.records import EvaluationReport, Probe
from metier.core.types import Estimate
from metier.evaluate.decide_config import DecideConfig
from metier.journey.curve import measure_curve
from metier.journey.session import Session, load_project_base, make_bench
from metier.journey.verbs import TUNED, as_job
from metier.scoring import metric_info, primary_metric

if TYPE_CHECKING:
    from metier.evaluate.bench import Bench, Contender
    from metier.evaluate.curve import Curve

KIND = "decision"
SPLIT = "validation"
FEW_ROWS = 200
SMALL_SHARES = (0.1, 0.25, 0.5, 1.0)
Kind = Literal["classical", "prompt", "few_shot", "rag", "hosted", "tuned"]
KINDS: dict[str, Kind] = {
    "tfidf": "classical",
    "nearest": "classical",
    "zero_shot": "prompt",
    "few_shot": "few_shot",
    "rag": "rag",
}


@dataclass(frozen=True, slots=True)
class Option:
    """One way to do the work.

    ``quality`` is the task's primary metric on validation rows (``projected``: foretold from a
    learning curve). ``p95_s`` seconds; ``usd_up_front`` engineer and machine, once;
    ``usd_per_1000`` running it; ``usd_per_reply`` running it and putting wrong replies right
    (None: today's cost is not known). ``break_even`` replies until the up-front cost is back,
    ``payback_months`` at the volume entered (inf: never; None: not known).
    """

    name: str
    kind: Kind
    quality: Estimate
    projected: bool
    p95_s: Estimate | None
    usd_up_front: float
    usd_per_1000: float
    usd_per_reply: Estimate | None
    break_even: float | None
    payback_months: float | None
    evaluation: str | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """What was found. ``best`` names the option advised; ``words`` say why."""

    metric: str
    version_id: str
    options: tuple[Option, ...]
    best: str
    words: tuple[str, ...]
    curve: Curve | None
    prices: Prices
    left_out: tuple[str, ...]


def decide(session: Session, version: str = ledger.LATEST, *, tune: bool = True) -> Decision:
    """Measure and weigh the options; ``tune`` False projects nothing (no training at all).

    Raises InputError without validation rows. Stored as a Probe.
    """
    bench = make_bench(session, version)
    bench.measured(SPLIT)

    def work(_: object) -> list[tuple[Kind, EvaluationReport]]:
        return [(kind, _measure(bench, one)) for kind, one in _contenders(session, bench, left_out)]

    left_out: list[str] = []
    measured = as_job(session, "baseline", {"decide": True}, work, lambda _: bench.version.id)
    curve = _small_tunes(session, version) if tune else None
    options = [_option(session, kind, report) for kind, report in measured]
    if curve is not None:
        options.append(_projected(session, bench, curve))
    metric = primary_metric(bench.objective)
    best, words = _advise(session, metric, options)
    found = Decision(
        metric, bench.version.id, tuple(options), best, (*words, *_caveats(session, bench, curve)),
        curve, session.project.costs, tuple(left_out),
    )  # fmt: skip
    ledger.save_probe(session.workspace, _probe(found))
    return found


def _contenders(
    session: Session, bench: Bench, left_out: list[str]
) -> Iterator[tuple[Kind, Contender]]:
    from metier.evaluate.baselines import baseline, rungs_of

    system = session.project.project.system
    base = load_project_base(session)
    for rung in rungs_of(bench):
        if rung in KINDS:
            yield KINDS[rung], baseline(bench, rung, lambda: base, system)
    if not any(rung == "rag" for rung in rungs_of(bench)):
        left_out.append("retrieval: no documents are named in [retrieval]")
    hosted = session.project.decide.hosted
    if not hosted:
        left_out.append("a hosted model: none is named in [decide] hosted")
        return
    try:
        yield "hosted", _hosted(session, bench, hosted)
    except MetierError as error:
        left_out.append(f"the hosted model {hosted}: {error}")


def _hosted(session: Session, bench: Bench, name: str) -> Contender:
    from metier.evaluate.baselines import baseline
    from metier.models.engines.endpoint import EndpointCompleter, EndpointSettings
    from metier.privacy import Egress

    named = {one.name: one for one in session.project.serve.upstream}
    if name not in named:
        raise InputError("the name of a [[serve.upstream]]", got=repr(name))
    upstream = named[name]
    egress = Egress(session.project.privacy, session.workspace.audit)

    def check(url: str, purpose: str, texts: int) -> None:
        egress.check(url, purpose, texts)

    settings = EndpointSettings(purpose="evaluate", api_key_env=upstream.api_key_env)
    completer = EndpointCompleter(upstream.url, upstream.model, check, settings)
    found = baseline(bench, "zero_shot", lambda: completer, session.project.project.system)
    return replace(found, rung=f"hosted:{name}")


def _measure(bench: Bench, contender: Contender) -> EvaluationReport:
    from metier.evaluate.evaluate import evaluate

    return evaluate(bench, contender, split=SPLIT)


def _small_tunes(session: Session, version: str) -> Curve:
    share = session.project.decide.small_share
    shares = [share * one for one in SMALL_SHARES]
    rows = len(make_bench(session, version).examples("train"))
    used = max(1, int(share * rows))
    more = sorted({used, rows - used} - {0})
    return measure_curve(session, TUNED, version, shares=shares, more=more)


def _option(session: Session, kind: Kind, report: EvaluationReport) -> Option:
    metric = primary_metric(session.project.objective)
    hours = {"prompt": 1, "few_shot": 1, "hosted": 1}.get(kind, 0)
    config = session.project.decide
    up_front = (
        hours * config.prompt_hours + (config.retrieval_hours if kind == "rag" else 0)
    ) * config.usd_per_engineer_hour
    found = Option(
        name=report.rung,
        kind=kind,
        quality=report.metrics[metric],
        projected=False,
        p95_s=report.metrics.get("latency_p95_s"),
        usd_up_front=up_front,
        usd_per_1000=report.usd_per_1000,
        usd_per_reply=None,
        break_even=None,
        payback_months=None,
        evaluation=report.id,
        notes=report.warnings,
    )
    return _weighed(found, config, metric)


def _projected(session: Session, bench: Bench, curve: Curve) -> Option:
    """Tuning on all training rows: quality from the curve, cost from what the small tunes took."""
    config, prices = session.project.decide, session.project.costs
    rows, last = len(bench.examples("train")), curve.points[-1]
    report = ledger.get_evaluation(session.workspace, last.evaluations[-1])
    run = ledger.get_run(session.workspace, report.run_id or "")
    whole = last.rows >= rows
    quality = last.estimate
    if not whole:
        needed = rows - last.rows
        quality = next((g.projected for g in curve.gains if g.more == needed), quality)
    seconds = float(run.summary.get("train_seconds") or 0.0) * rows / max(1, last.rows)
    device = str(report.settings.get("device", "cpu")).partition(",")[0]
    hourly = prices.usd_per_cpu_hour if device == "cpu" else prices.usd_per_gpu_hour
    found = Option(
        name=TUNED,
        kind="tuned",
        quality=quality,
        projected=not whole,
        p95_s=report.metrics.get("latency_p95_s"),
        usd_up_front=config.tuning_hours * config.usd_per_engineer_hour + seconds / 3600 * hourly,
        usd_per_1000=report.usd_per_1000,
        usd_per_reply=None,
        break_even=None,
        payback_months=None,
        evaluation=report.id,
        notes=() if whole else (f"projected from tunes on up to {last.rows:,} of {rows:,} rows",),
    )
    return _weighed(found, config, curve.metric)


def _weighed(option: Option, config: DecideConfig, metric: str) -> Option:
    """Add what a reply costs in all, and when the up-front cost is back."""
    now = config.current_usd_per_reply
    if now is None:
        return option
    wrong = now if config.usd_per_wrong_reply is None else config.usd_per_wrong_reply
    sure = option.quality
    better = metric_info(metric.partition("@")[0]).higher_is_better
    shares = [1 - v if better else v for v in (sure.value, sure.low, sure.high)]
    run = option.usd_per_1000 / 1000
    value, *ends = (run + wrong * share for share in shares)
    per_reply = replace(sure, value=value, low=min(ends), high=max(ends))
    saved = now - value
    even = option.usd_up_front / saved if saved > 0 else math.inf
    monthly = config.replies_per_month
    return replace(
        option,
        usd_per_reply=per_reply,
        break_even=even,
        payback_months=even / monthly if monthly else None,
    )


def _advise(session: Session, metric: str, options: Sequence[Option]) -> tuple[str, list[str]]:
    """Advise the cheapest option in all where money is known, else the simplest one that no other
    beats beyond the interval."""
    priced = [one for one in options if one.usd_per_reply is not None]
    reached = [one for one in options if _reaches(session, metric, one)]
    if priced:
        saving = [one for one in priced if one.break_even is not None and one.break_even < math.inf]
        if not saving:
            return "today's process", ["No option costs less than the work does today."]
        best = min(saving, key=lambda one: _yearly(one, session.project.decide))
    elif reached:
        best = min(reached, key=lambda one: (one.usd_up_front, one.usd_per_1000))
    else:
        best = _simplest(metric, options)
    words = [_headline(best, reached), *_against_tuning(metric, best, options)]
    if priced:
        words.append(_money(best, session.project.decide))
    return best.name, words


def _yearly(option: Option, config: DecideConfig) -> float:
    """Cost of the first year; without a volume, of 10,000 replies a month."""
    replies = 12 * (config.replies_per_month or 10_000)
    each = option.usd_per_reply.value if option.usd_per_reply else 0.0
    return option.usd_up_front + replies * each


def _simplest(metric: str, options: Sequence[Option]) -> Option:
    sign = 1 if metric_info(metric.partition("@")[0]).higher_is_better else -1
    top = max(options, key=lambda one: sign * one.quality.value)
    least, most = top.quality.low, top.quality.high
    within = [one for one in options if one.quality.high >= least and one.quality.low <= most]
    return min(within, key=lambda one: (one.usd_up_front, one.usd_per_1000))


def _reaches(session: Session, metric: str, option: Option) -> bool:
    """Whether the worse end meets every absolute target on this metric (False: there is none)."""
    targets = [
        one
        for one in session.project.objective.target
        if one.metric == metric and one.slice is None and one.label is None
        and (one.at_least is not None or one.at_most is not None)
    ]  # fmt: skip
    low, high = option.quality.low, option.quality.high
    return bool(targets) and all(
        low >= one.at_least if one.at_least is not None else high <= (one.at_most or 0.0)
        for one in targets
    )


def _headline(best: Option, reached: Sequence[Option]) -> str:
    how = "Tune" if best.kind == "tuned" else "Don't tune"
    why = f"{best.name} {'is projected to reach' if best.projected else 'reaches'} {best.quality}"
    if best.name in {one.name for one in reached}:
        why += ", by its worse end too what is asked"
    return f"{how}: {why}."


def _against_tuning(metric: str, best: Option, options: Sequence[Option]) -> list[str]:
    tuned = next((one for one in options if one.kind == "tuned"), None)
    if tuned is None or best.kind == "tuned":
        return []
    how = "projected at" if tuned.projected else "measured at"
    return [f"Tuning is {how} {metric} {tuned.quality}, for ${tuned.usd_up_front:,.0f} up front."]


def _money(best: Option, config: DecideConfig) -> str:
    even = f"{best.break_even:,.0f} replies" if best.break_even is not None else "not known"
    words = f"{best.name} costs ${best.usd_up_front:,.0f} up front and is even after {even}"
    if best.payback_months is not None:
        words += f": {best.payback_months:.1f} months at {config.replies_per_month:,} a month"
    return words + "."


def _caveats(session: Session, bench: Bench, curve: Curve | None) -> Iterator[str]:
    rows = len(bench.examples(SPLIT))
    yield (
        f"Measured on {rows:,} validation rows; prompts were chosen on up to "
        f"{bench.config.validation_sample:,} of them, which flatters the prompted options a little."
    )
    labelled = rows + len(bench.examples("train"))
    if labelled < FEW_ROWS:
        yield f"Only {labelled:,} labelled rows: with {FEW_ROWS} the intervals become useful."
    if session.project.decide.current_usd_per_reply is None:
        yield "Enter current_usd_per_reply in [decide] to see break-even and payback."
    prices = session.project.costs
    named = ", ".join(f"{key} ({where})" for key, where in prices.source.items())
    yield f"Prices as of {prices.as_of:%d %B %Y}; with a source: {named or 'none, round figures'}."
    if curve is not None:
        yield f"Tuning's quality comes from {len(curve.points)} tunes of {TUNED} on growing shares."


def _probe(found: Decision) -> Probe:
    kept = [to_json(option) for option in found.options]
    return Probe(
        id=new_id("probe"),
        created_at=datetime.now(UTC),
        kind=KIND,
        subject=found.best,
        version_id=found.version_id,
        run_id=None,
        metrics={f"{found.metric} of {one.name}": one.quality for one in found.options},
        detail={"options": kept, "words": list(found.words), "left_out": list(found.left_out)},
    )
