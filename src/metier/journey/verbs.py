"""The verbs of the journey: what the command line, job handlers and pages call.

Each takes an open ``Session`` and leaves its result in the workspace. Each long one runs as a job,
so that two of a kind never run on one workspace at once, and each can be repeated: what is done is
found again, what was interrupted goes on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from metier.core import ledger
from metier.core.artifacts import write_atomically
from metier.core.errors import InputError, NotFound, nearest
from metier.core.jobs import JobContext
from metier.core.records import DataVersion, Difference, EvaluationReport, Look, TuneRun
from metier.core.types import Json
from metier.journey.forecasting import keep_actual
from metier.journey.hosted import hosted_completer, tune_at_host, tuned_base_name
from metier.journey.probed import probes_of, with_probes
from metier.journey.resources import resources_for
from metier.journey.session import (
    Session,
    base_name,
    load_named_base,
    load_project_base,
    make_bench,
)
from metier.journey.trust import trust_of
from metier.scoring import Assumptions, HeldOut, Need, needs
from metier.scoring.goals.looks import look_level
from metier.tune.devices.world import ALONE, World

if TYPE_CHECKING:
    from metier.data.build import BuildResult
    from metier.evaluate.verdict import Verdict

T = TypeVar("T")
REPORT_NAME = "report.html"
TUNED = "tuned"


@dataclass(frozen=True)
class Standing:
    """Where a version stands: its reports (one per rung), differences to the candidate, verdict.

    ``look`` is the candidate's at the test set (None: nothing tuned was measured).
    """

    version: DataVersion
    reports: tuple[EvaluationReport, ...]
    differences: tuple[Difference, ...]
    verdict: Verdict
    look: Look | None = None


def check_objective(session: Session, seconds_per_label: float) -> list[Need]:
    """Say what each target asks of the test set, with what is known of it so far."""
    level = look_level(session.project.data.looks)
    assumptions = Assumptions(seconds_per_label=seconds_per_label, level=level)
    return needs(session.project.objective, _known_test_set(session), assumptions)


def build_data(session: Session, *, dry_run: bool = False) -> BuildResult:
    """Build a data version from the project's sources; a dry run stores nothing."""
    from metier.data.build import build

    project, workspace = session.project, session.workspace
    check_objective(session, 1.0)

    def work(_: object) -> BuildResult:
        return build(
            project.data,
            project.objective,
            workspace,
            session.root,
            session.progress,
            dry_run=dry_run,
        )

    if dry_run:
        return work(None)
    return as_job(session, "data", {}, work, lambda found: frozen(found).id)


def measure_baselines(
    session: Session, version: str = ledger.LATEST, rungs: Sequence[str] | None = None
) -> list[EvaluationReport]:
    """Measure the untuned rungs that fit the task on the version's test split."""
    from metier.evaluate.baselines import run_baselines

    bench = make_bench(session, version)
    project = session.project.project

    def work(_: object) -> list[EvaluationReport]:
        return run_baselines(
            bench,
            lambda: load_project_base(session),
            project.system,
            rungs,
            named=lambda name: load_named_base(session, name),
        )

    config: Json = {"version": bench.version.id, "rungs": list(rungs or [])}
    return as_job(session, "baseline", config, work, lambda _: bench.version.id)


def tune_base(
    session: Session, version: str = ledger.LATEST, *, restart: bool = False, world: World = ALONE
) -> TuneRun:
    """Fine-tune the project's base on a version; a stopped run goes on unless ``restart``.

    Of several processes (``world``) that all call this, the leader's is the job on record.
    """
    from metier.privacy.egress import Egress
    from metier.tune.run import Conditions, tune

    found = ledger.get_version(session.workspace, version)
    project = session.project
    if project.tune.method.type == "hosted":
        return _tune_at_host(session, found, restart=restart)

    def work(_: object) -> TuneRun:
        return tune(
            project.tune,
            found,
            session.workspace,
            load_project_base(session),
            project.objective,
            system=project.project.system,
            progress=session.progress,
            resume=not restart,
            under=Conditions(gate=Egress(project.privacy, session.workspace.audit), world=world),
        )

    if not world.leads:
        return work(None)
    config: Json = {"version": found.id, "restart": restart}
    run = as_job(session, "tune", config, work, lambda run: run.id)
    keep_actual(session, run)
    return run


def _tune_at_host(session: Session, version: DataVersion, *, restart: bool) -> TuneRun:
    def work(_: object) -> TuneRun:
        return tune_at_host(session, version, resume=not restart)

    config: Json = {"version": version.id, "restart": restart, "hosted": True}
    return as_job(session, "tune", config, work, lambda run: run.id)


def evaluate_run(
    session: Session,
    run: str = ledger.LATEST,
    split: str = "test",
    *,
    version: str | None = None,
    rung: str = TUNED,
) -> EvaluationReport:
    """Measure a finished run on a split of the version it was tuned on, or of another one.

    With documents in ``[retrieval]`` the run is also measured with passages, as the rung
    ``tuned_rag``. Raises InputError when the run is not finished or was trained on test rows of
    that version.
    """
    from metier.evaluate.baselines import tuned_contender
    from metier.evaluate.evaluate import evaluate
    from metier.evaluate.passages import library, tuned_rag, wants_tuned_rag

    found = ledger.get_run(session.workspace, run)
    if found.adapter is None:
        raise InputError(
            "a finished run",
            got=f"{found.id}, which is {found.state}",
            remedy="run `metier tune` again: it goes on from the last checkpoint",
        )
    bench = make_bench(session, version or found.version_id)

    def work(_: object) -> EvaluationReport:
        base = load_project_base(session) if found.base == base_name(session) else None
        hosted = hosted_completer(session, found)
        contender = replace(tuned_contender(bench, found, base, hosted), rung=rung)
        report = evaluate(bench, contender, split=split)
        if rung == TUNED and split == "test" and wants_tuned_rag(bench):
            evaluate(bench, tuned_rag(library(bench), contender), split=split)
        return report

    config: Json = {"run": found.id, "split": split, "version": bench.version.id}
    return as_job(session, "evaluate", config, work, lambda report: report.id)


def standing(session: Session, version: str = ledger.LATEST) -> Standing:
    """Judge what has been measured on a version's test split so far."""
    from metier.evaluate.compare import Comparison, compare_all
    from metier.evaluate.verdict import verdict

    bench = make_bench(session, version)
    reports = newest_per_rung(session, bench.version.id)
    comparison = Comparison(bench)
    candidate = next((report for report in reports if report.rung == TUNED), None)
    differences = compare_all(comparison, candidate, reports) if candidate else []
    look = ledger.look_of(session.workspace, candidate) if candidate else None
    doubts = trust_of(session.workspace, bench.objective, bench.config.judge)
    probed = [with_probes(session.workspace, report) for report in reports]
    found = verdict(bench.objective, probed, differences, comparison, doubts, look=look)
    return Standing(bench.version, tuple(reports), tuple(differences), found, look)


def write_report(session: Session, version: str = ledger.LATEST, out: Path | None = None) -> Path:
    """Write the report of a version; return the file's path."""
    from metier.journey.failures import failures_of
    from metier.journey.movement import movement
    from metier.journey.report import ReportInputs, build_report

    now = standing(session, version)
    tuned = [report.run_id for report in now.reports if report.run_id is not None]
    inputs = ReportInputs(
        project=session.project.project.name,
        objective=session.project.objective,
        version=now.version,
        reports=now.reports,
        differences=now.differences,
        verdict=now.verdict,
        runs=[ledger.get_run(session.workspace, run_id) for run_id in tuned],
        movement=movement(session),
        probes=[one for run_id in tuned[-1:] for one in probes_of(session.workspace, run_id)],
        failures=failures_of(session, now.verdict, now.reports),
    )
    path = (out or session.root / REPORT_NAME).resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    page = build_report(session.workspace, inputs, worst=session.project.evaluate.worst_examples)
    write_atomically(path, BytesIO(page.encode()))
    session.workspace.audit.append(None, "report.write", now.version.id, {"file": path.name})
    return path


def as_job(
    session: Session,
    name: str,
    config: Mapping[str, Json],
    work: Callable[[JobContext], T],
    subject: Callable[[T], str],
) -> T:
    """Run ``work`` as the only job of its name on this workspace, and note in the audit log what
    it was done to (``subject`` of the result).

    Raises Busy when another process runs one of the same name.
    """
    workspace = session.workspace
    needs = resources_for(session.project, name)
    result = workspace.jobs.run_inline(name, config, work, exclusive=name, resources=needs)
    workspace.audit.append(None, name, subject(result), dict(config))
    return result


def frozen(built: BuildResult) -> DataVersion:
    """The version a build froze. Raises InputError after a dry run."""
    if built.version is None:
        raise InputError("a data version", got="a dry run, which freezes none")
    return built.version


def _known_test_set(session: Session) -> HeldOut:
    """What is known of the test set before, or after, it was measured."""
    workspace = session.workspace
    try:
        version = ledger.get_version(workspace)
    except NotFound:
        return HeldOut()
    reports = newest_per_rung(session, version.id)
    values = {
        report.rung: {name: estimate.value for name, estimate in report.metrics.items()}
        for report in reports
    }
    candidate = next((report for report in reports if report.rung == TUNED), None)
    return HeldOut(
        n=version.counts.get("test", 0),
        class_counts=_class_counts(version),
        references=values,
        observed=dict(candidate.metrics) if candidate else {},
    )


def _class_counts(version: DataVersion) -> dict[str, dict[str, int]]:
    """Labels of the test split by field, from the data card (``field=label`` or ``label``)."""
    counts: dict[str, Counter[str]] = {}
    balance = version.card.get("splits", {}).get("test", {}).get("labels", {})
    for key, count in balance.items():
        field, _, label = key.rpartition("=")
        counts.setdefault(field, Counter())[label] += count
    return {field: dict(found) for field, found in counts.items()}


def newest_per_rung(session: Session, version_id: str) -> list[EvaluationReport]:
    """The newest test report of each rung, in the order the rungs were first measured."""
    newest: dict[str, EvaluationReport] = {}
    for report in ledger.list_evaluations(session.workspace, version_id):
        if report.split == "test":
            newest[report.rung] = report
    return list(newest.values())


def find_report(session: Session, key: str) -> EvaluationReport:
    """Find an evaluation by its id, or by a rung of the latest version. Raises NotFound."""
    version = ledger.get_version(session.workspace)
    rungs = {report.rung: report for report in newest_per_rung(session, version.id)}
    if key in rungs:
        return rungs[key]
    try:
        return ledger.get_evaluation(session.workspace, key)
    except NotFound:
        raise NotFound(
            "an evaluation's id, or a rung measured on the latest version",
            got=repr(key),
            remedy=nearest(key, rungs),
        ) from None


def finished_run(session: Session, version: DataVersion) -> TuneRun | None:
    """The newest finished run with today's data (all of it), base, prompt and settings."""
    project = session.project
    wanted = {**project.tune.model_dump(mode="json"), "system": project.project.system}
    for run in reversed(ledger.list_runs(session.workspace, version.id)):
        if ledger.PART in run.config:  # a point of a learning curve
            continue
        settings = {name: run.config.get(name) for name in wanted}
        if run.state == "done" and run.base == tuned_base_name(session) and settings == wanted:
            return run
    return None
