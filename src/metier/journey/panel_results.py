"""What a panel means for the project: automatic metrics beside it, and the gate.

found = project_results(session, "spring")
keep_results(session, "spring")      # as probes: targets of the stage "review" are judged on them
with_panels(ws, report)              # a report with what the newest panel found of it
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from statistics import fmean

from metier.core import ledger
from metier.core.errors import InputError, UserError
from metier.core.ids import new_id
from metier.core.lineage import Ref
from metier.core.records import Probe
from metier.core.types import Estimate, Json, Score
from metier.core.workspace import Workspace
from metier.journey.panelled import KIND
from metier.journey.reviewing import list_panels
from metier.journey.session import Session, make_bench
from metier.queue.queues import change_queue
from metier.review.panel import Candidate
from metier.review.ratings import read_answers
from metier.review.results import DimensionResult, PanelResults, panel_metrics, panel_results
from metier.scoring import Resampling, metric_info
from metier.scoring.goals.targets import PANEL
from metier.scoring.tasks import task_metrics


@dataclass(frozen=True, slots=True)
class Correlated:
    """How far an automatic metric follows the panel on one dimension, over the rated replies;
    signed so that agreement is positive. ``estimate`` None: ``why`` says what is missing."""

    metric: str
    dimension: str
    estimate: Estimate | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class ProjectResults:
    """A panel's results with the automatic metrics held against them."""

    found: PanelResults
    correlations: tuple[Correlated, ...]


def project_results(session: Session, name: str, *, correlate: bool = True) -> ProjectResults:
    """Work out a panel's results now. Raises NotFound, and InputError for a queue that is none."""
    found = panel_results(session.workspace, name, _resampling(session))
    related = tuple(_correlations(session, found)) if correlate else ()
    return ProjectResults(found, related)


def keep_results(session: Session, name: str, actor: str | None = None) -> list[Probe]:
    """Store a panel's results: a probe per candidate, with lineage to the panel. Audited.

    The newest is what targets of the stage "review" are judged on. Raises InputError for a panel
    that nobody has rated in.
    """
    ws = session.workspace
    found = panel_results(ws, name, _resampling(session))
    if not found.counts.answers:
        raise InputError("a panel with answers", got=f"{name!r}, which has none so far")
    kept = [
        ledger.save_probe(ws, _probe(found, one))
        for one in found.panel.candidates
        if panel_metrics(found, one.key)
    ]
    for probe in kept:
        parents = [(Ref("queue", name), "rated in"), (Ref("evaluation", probe.subject), "rates")]
        ws.lineage.record(Ref("probe", probe.id), parents)
    ws.audit.append(actor, "review.keep", name, {"answers": found.counts.answers})
    return kept


def close_panel(session: Session, name: str, actor: str) -> list[Probe]:
    """Take no more answers in a panel, and keep what it found."""
    change_queue(session.workspace, name, actor, state="closed")
    return keep_results(session, name, actor)


def keep_panels_of(session: Session, evaluation: str) -> None:
    """Keep the results of every panel that rates an evaluation and has answers that are not in
    the kept ones yet."""
    for queue in list_panels(session):
        rates = {str(one["evaluation"]) for one in (queue.settings or {})["candidates"]}
        if evaluation not in rates:
            continue
        answers = len(read_answers(session.workspace, queue).rows)
        newest = _newest(session.workspace, evaluation, queue.name)
        if answers and (newest is None or newest.detail.get("answers") != answers):
            keep_results(session, queue.name)


def _newest(ws: Workspace, evaluation: str, queue: str) -> Probe | None:
    found = ledger.list_probes(ws, KIND, subject=evaluation)
    return next((one for one in reversed(found) if one.detail.get("queue") == queue), None)


def _resampling(session: Session) -> Resampling:
    config = session.project.evaluate
    return Resampling(resamples=config.resamples, seed=config.seed, level=config.level)


def _probe(found: PanelResults, candidate: Candidate) -> Probe:
    metrics = panel_metrics(found, candidate.key)
    for one in found.dimensions:
        metrics |= dict(_gaps(found, one, candidate))
    detail: dict[str, Json] = {
        "queue": found.queue.name,
        "candidate": candidate.name,
        "answers": sum(found.counts.people.values()),
        "raters": found.raters,
        "open_harms": sum(one.resolved_at is None for one in found.harms),
    }
    now = datetime.now(UTC)
    return Probe(
        new_id("probe"), now, KIND, candidate.evaluation, found.queue.version_id,
        candidate.run_id, metrics, detail,
    )  # fmt: skip


def _gaps(
    found: PanelResults, one: DimensionResult, candidate: Candidate
) -> Iterator[tuple[str, Estimate]]:
    """Differences of this candidate to every other one, by the other's evaluation."""
    ids = {other.name: other.evaluation for other in found.panel.candidates}
    for gap in one.report.differences:
        if gap.first == candidate.name:
            yield f"{PANEL}{one.name} - {ids[gap.second]}", gap.estimate
        elif gap.second == candidate.name:
            e = gap.estimate
            turned = replace(e, value=-e.value, low=-e.high, high=-e.low)
            yield f"{PANEL}{one.name} - {ids[gap.first]}", turned


def _correlations(session: Session, found: PanelResults) -> Iterator[Correlated]:
    """Every automatic metric with a value per reply, against every dimension."""
    answers = read_answers(session.workspace, found.queue)
    if not found.dimensions:
        return
    values = _values(session, found)
    for one in found.dimensions:
        severity = {r.rater: r.severity.value for r in one.report.raters}
        rated: dict[tuple[str, str], list[float]] = {}
        for rating in answers.ratings(one.name):
            lifted = rating.value + severity.get(rating.rater, 0.0)
            rated.setdefault((rating.candidate, rating.item), []).append(lifted)
        for metric, own in values.items():
            yield _correlated(session, metric, one.name, own, rated)


_Values = Mapping[tuple[str, str], tuple[float, Score]]


def _correlated(
    session: Session,
    metric: str,
    dimension: str,
    own: _Values,
    rated: Mapping[tuple[str, str], Sequence[float]],
) -> Correlated:
    from metier.scoring.statistics.validity import correlation

    keys = [key for key in rated if key in own and not math.isnan(own[key][0])]
    info = metric_info(metric, session.project.objective)
    sign = 1 if info.higher_is_better else -1
    ours = [sign * own[key][0] for key in keys]
    theirs = [fmean(rated[key]) for key in keys]
    records = [own[key][1] for key in keys]
    try:
        found = correlation(ours, theirs, records, resampling=_resampling(session))
    except InputError as error:
        return Correlated(metric, dimension, None, f"{error.got} rated replies: {error.expected}")
    if not math.isfinite(found.value):
        return Correlated(metric, dimension, None, "; ".join(found.warnings) or "undefined")
    return Correlated(metric, dimension, found)


def _values(session: Session, found: PanelResults) -> dict[str, _Values]:
    """Each metric's value of every candidate's reply: (candidate, example) -> (value, record)."""
    from metier.evaluate.beside import materials_of
    from metier.evaluate.failures.items import item_values
    from metier.evaluate.turns import every_turn
    from metier.scoring.builtin import make_metric
    from metier.scoring.records import records_of

    objective, ws = session.project.objective, session.workspace
    version = ledger.version_now(ws, found.queue.version_id or ledger.LATEST)
    materials = materials_of(make_bench(session, version.id))
    names = [
        name
        for name in task_metrics(objective)
        if metric_info(name, objective).kind in ("proportion", "mean")
    ]
    values: dict[str, dict[tuple[str, str], tuple[float, Score]]] = {name: {} for name in names}
    for candidate in found.panel.candidates:
        report = ledger.get_evaluation(ws, candidate.evaluation)
        measured = ledger.version_now(ws, report.version_id)
        examples = every_turn(ledger.load_split(ws, measured, report.split))
        records = records_of(ledger.load_predictions(ws, report), examples)
        records = [replace(one, cluster=one.cluster or one.example_id) for one in records]
        for name in names:
            metric = make_metric(name, objective=objective, materials=materials)
            try:
                own = item_values(metric, records)
            except UserError:  # a metric that cannot be had of single replies
                continue
            for record, value in zip(records, own, strict=True):
                values[name][candidate.name, record.example_id] = float(value), record
    return {name: own for name, own in values.items() if own}
