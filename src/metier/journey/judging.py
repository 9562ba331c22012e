"""Judging a project's replies: run the judges, hold them against people, say what they may gate.

What they find is stored as Probes: "judge" (subject: the evaluation that was judged) and
"judge_agreement" (subject: the judges' names). A judge that changed since (model, prompt,
dimensions) has agreed with nobody yet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from metier.core import ledger
from metier.core.errors import InputError, NotFound, nearest
from metier.core.ids import new_id
from metier.core.records import EvaluationReport, Probe
from metier.core.types import Estimate, Json, digest
from metier.evaluate.judge.check import Fault, check_judge
from metier.evaluate.judge.config import EndpointJudge, JudgeConfig, JudgeModel
from metier.evaluate.judge.types import Item, Pair
from metier.journey.judged import (
    AGREED,
    JUDGED,
    config_print,
    gates,
    judge_doubts,
    judge_names,
)
from metier.journey.session import Session, make_bench
from metier.journey.verbs import TUNED, as_job, newest_per_rung
from metier.privacy.egress import Egress
from metier.scoring import Resampling

if TYPE_CHECKING:
    from metier.core.completer import Completer
    from metier.evaluate.grounding import Truth
    from metier.evaluate.judge.panel import Judge

PURPOSE = "judge"


@dataclass(frozen=True, slots=True)
class JudgePlan:
    """What a run of the judges would ask: questions in all, and whether text leaves the machine."""

    evaluation: str
    judges: tuple[str, ...]
    dimensions: tuple[str, ...]
    items: int
    questions: int
    hosts: tuple[str, ...]


def plan_judging(session: Session, rung: str = TUNED, against: str | None = None) -> JudgePlan:
    """Say what ``judge_replies`` would ask, without asking."""
    config = _config(session)
    report = find_rung(session, rung)
    if against:
        find_rung(session, against)
    each = (2 if config.both_orders else 1) if against else 1
    hosts = tuple(one.url for one in config.model if isinstance(one, EndpointJudge))
    return JudgePlan(
        report.id,
        tuple(one.name for one in config.model),
        tuple(one.name for one in config.dimension),
        report.n,
        report.n * each * len(config.model),
        hosts,
    )


def judge_replies(
    session: Session,
    rung: str = TUNED,
    *,
    dimensions: Sequence[str] = (),
    against: str | None = None,
) -> Probe:
    """Judge the stored replies of a rung, or compare them with another rung's; keep the verdicts.

    The same judges on the same replies again give the probe that is there. Raises InputError when
    no judge is configured, EgressRefused when an endpoint may not be sent text.
    """
    config = _only(_config(session), dimensions)
    report = find_rung(session, rung)
    other = find_rung(session, against) if against else None
    judges = judges_of(session, config)
    prints = [judge.fingerprint for judge in judges]
    key = digest([report.id, other.id if other else "", prints, config.both_orders])
    for known in ledger.list_probes(session.workspace, JUDGED, subject=report.id):
        if known.detail.get("key") == key:
            return known

    def work(_: object) -> Probe:
        return _judge(session, judges, report, other, key)

    asked: Json = {"evaluation": report.id, "against": other.id if other else None}
    return as_job(session, "judge", asked, work, lambda probe: probe.id)


def judge_agreement(session: Session, ratings: Path, rung: str = TUNED) -> Probe:
    """Hold the configured judges against what people said in a file, and keep what was found.

    Rows name replies of the rung's newest evaluation, or bring their own.
    """
    from metier.evaluate.judge.agreement import pair_agreement, rating_agreement, read_human
    from metier.evaluate.judge.panel import prefer, rate

    config = _config(session)
    names = [one.name for one in config.dimension]
    human = read_human(ratings, _known(session, rung), names)
    judges = judges_of(session, config)
    settings = session.project.evaluate
    resampling = Resampling(settings.resamples, settings.seed, settings.level)
    with session.progress.task("judge what people judged"):
        if human.pairs:
            panel = prefer(judges, human.pairs, resampling, both_orders=config.both_orders)
            found = pair_agreement(panel, human, resampling)
        else:
            panel = rate(judges, human.items, resampling)
            found = rating_agreement(panel, human, resampling)
    found["judge.parse_failures"] = panel.metrics["judge.parse_failures"]
    detail: Json = {
        "fingerprint": config_print(config),
        "ratings": ratings.name,
        "judged": len(human.pairs) or len(human.items),
        "failures": panel.failures[:20],
    }
    probe = _probe(AGREED, judge_names(config), None, found, detail)
    saved = ledger.save_probe(session.workspace, probe)
    session.workspace.audit.append(None, "judge.agreement", probe.subject, {"file": ratings.name})
    return saved


def check_own_judges() -> dict[str, list[Fault]]:
    """Return the faults of metier's own judges, by what they judge; empty lists: none."""
    from metier.evaluate.judge.own import own_subjects

    return {subject.name: check_judge(subject) for subject in own_subjects()}


def measure_truth(session: Session, rung: str = TUNED, *, by_judge: bool = False) -> Truth:
    """Hold the stored replies of a rung against their passages and questions, and keep it.

    ``by_judge`` lets the first configured judge decide on sentences, beside the rules.
    """
    from metier.evaluate.grounding import truth

    report = find_rung(session, rung)
    entails = judges_of(session, _config(session))[0].support if by_judge else None
    found = truth(make_bench(session, report.version_id), report, entails)
    unsupported = [asdict(one) for one in found.unsupported]
    detail: Json = {"unsupported": unsupported, "notes": list(found.notes), "by_judge": by_judge}
    ledger.save_probe(session.workspace, _probe("truth", report.id, report, found.metrics, detail))
    return found


def find_rung(session: Session, rung: str) -> EvaluationReport:
    """Return the newest test evaluation of a rung on the latest version, or the one of that id.

    Raises NotFound naming the nearest rung.
    """
    ws = session.workspace
    rungs = {one.rung: one for one in newest_per_rung(session, ledger.get_version(ws).id)}
    if rung in rungs:
        return rungs[rung]
    try:
        return ledger.get_evaluation(ws, rung)
    except NotFound:
        remedy = nearest(rung, rungs) if rungs else "run `metier evaluate` first"
        raise NotFound("a rung that was measured", got=repr(rung), remedy=remedy) from None


def judges_of(session: Session, config: JudgeConfig) -> list[Judge]:
    """Return the configured judges, models loaded. Raises ModelUnavailable where one cannot be."""
    from metier.evaluate.judge.panel import Judge

    dimensions = {one.name: one.description for one in config.dimension}
    return [
        Judge(one.name, _completer(session, one), dimensions, config.read, config.max_tokens)
        for one in config.model
    ]


def _judge(
    session: Session,
    judges: Sequence[Judge],
    report: EvaluationReport,
    other: EvaluationReport | None,
    key: str,
) -> Probe:
    from metier.evaluate.judge.panel import prefer, rate

    config = session.project.evaluate.judge
    resampling = make_bench(session, report.version_id).resampling
    with session.progress.task("judge"):
        if other is None:
            items = list(items_of(session, report).values())
            panel = rate(judges, items, resampling)
        else:
            pairs = pairs_of(session, report, other)
            panel = prefer(judges, pairs, resampling, both_orders=config.both_orders)
    metrics = [name for name in panel.metrics if gates(name)]
    detail: Json = {
        "key": key,
        "judges": [judge.name for judge in judges],
        "against": other.id if other else None,
        "untrusted": judge_doubts(session.workspace, config, metrics),
        "failures": panel.failures[:20],
        "ratings": [asdict(one) for one in panel.ratings],
        "choices": [asdict(one) for one in panel.choices],
    }
    probe = _probe(JUDGED, report.id, report, panel.metrics, detail)
    return ledger.save_probe(session.workspace, probe)


def items_of(session: Session, report: EvaluationReport) -> dict[str, Item]:
    """Return what is judged of an evaluation, by example id: question, reply, passages, reference.

    A reply that failed has no text.
    """
    from metier.evaluate.grounding import grounded_records
    from metier.scoring.rules import asked_text, expected_text, reply_text
    from metier.scoring.truth.supported import CONTEXT

    records, _ = grounded_records(make_bench(session, report.version_id), report)
    return {
        one.example_id: Item(
            one.example_id,
            asked_text(one) or "",
            reply_text(one),
            "\n\n".join(one.detail.get(CONTEXT, [])[1:]),
            expected_text(one) or "",
            one.cluster,
        )
        for one in records
    }


def pairs_of(session: Session, report: EvaluationReport, other: EvaluationReport) -> list[Pair]:
    """Return the replies of two evaluations to the same examples, the first one's as a.

    Raises InputError when they do not hold the same examples.
    """
    ours, theirs = items_of(session, report), items_of(session, other)
    if set(ours) != set(theirs):
        raise InputError(
            "two evaluations of the same examples",
            got=f"{len(set(ours) ^ set(theirs))} examples that only one of them has",
            remedy="measure both on the same version and split",
        )
    return [
        Pair(i.id, i.question, i.reply, theirs[i.id].reply, i.context, i.reference, i.cluster)
        for i in ours.values()
    ]


def _completer(session: Session, model: JudgeModel) -> Completer:
    if isinstance(model, EndpointJudge):
        return _endpoint(session, model)
    from metier.models.base import load_base
    from metier.models.engines.local import LocalCompleter

    folder = session.root / model.base
    name = str(folder) if folder.is_dir() else model.base
    allowed = session.project.project.trust_remote_code
    return LocalCompleter(load_base(name, allow_remote_code=allowed))


def _endpoint(session: Session, model: EndpointJudge) -> Completer:
    from metier.models.engines.endpoint import EndpointCompleter, EndpointSettings

    egress = Egress(session.project.privacy, session.workspace.audit)

    def check(url: str, purpose: str, texts: int) -> None:
        egress.check(url, purpose, texts)

    settings = EndpointSettings(purpose=PURPOSE, api_key_env=model.api_key_env)
    return EndpointCompleter(model.url, model.model, check, settings)


def _config(session: Session) -> JudgeConfig:
    config = session.project.evaluate.judge
    if not config.model:
        raise InputError(
            "a judge",
            got="none in [evaluate.judge]",
            remedy='add [[evaluate.judge.model]] with type = "local", name and base',
        )
    return config


def _only(config: JudgeConfig, names: Sequence[str]) -> JudgeConfig:
    known = {one.name: one for one in config.dimension}
    for name in names:
        if name not in known:
            remedy = nearest(name, known)
            raise InputError("a dimension of [evaluate.judge]", got=repr(name), remedy=remedy)
    kept = tuple(known[name] for name in dict.fromkeys(names)) or config.dimension
    return config.model_copy(update={"dimension": kept})


def _probe(
    kind: str,
    subject: str,
    report: EvaluationReport | None,
    metrics: Mapping[str, Estimate],
    detail: Mapping[str, Json],
) -> Probe:
    version, run = (report.version_id, report.run_id) if report else (None, None)
    now = datetime.now(UTC)
    return Probe(new_id("probe"), now, kind, subject, version, run, metrics, detail)


def _known(session: Session, rung: str) -> dict[str, Item]:
    """The replies of a rung by example and prediction id; {} where nothing was measured yet."""
    try:
        report = find_rung(session, rung)
    except NotFound:
        return {}
    items = items_of(session, report)
    predictions = ledger.load_predictions(session.workspace, report)
    named = {one.id: items[one.example_id] for one in predictions if one.example_id in items}
    return {**items, **named}
