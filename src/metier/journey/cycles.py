"""The cycle: data, baselines, tune, evaluate, gate, report; then people, and the next one.

Each stage finds what it made before, so a cycle that was stopped anywhere goes on where it was. A
cycle that is complete is begun anew only when there is something to learn: other data, other
settings, or failures that people have corrected since.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from metier.core import ledger
from metier.core.errors import InputError, NotFound
from metier.core.records import Cycle, DataVersion, Difference, EvaluationReport, Release, TuneRun
from metier.core.types import digest
from metier.journey import verbs
from metier.journey.probed import asked_kinds
from metier.journey.probes import run_probes
from metier.journey.releases import make_release
from metier.journey.session import Session
from metier.queue.items import count_items
from metier.registry.releases import aliases, get_release
from metier.scoring.goals.looks import looks_words
from metier.scoring.goals.targets import CHAMPION, NO_BASELINES

if TYPE_CHECKING:
    from metier.evaluate.verdict import Verdict
    from metier.sources import SourceConfig

ADAPTER_FOLDER = "adapter"
CORRECTIONS = "corrections"
POLL_S = 2.0
Patience = Literal["ask", "wait", "now"]
_SHAPES_A_CYCLE = ("project", "objective", "data", "tune", "evaluate")


@dataclass(frozen=True)
class Wait:
    """Somebody whom the cycle waits for: who, for what, and how they do it."""

    who: str
    what: str
    how: str


@dataclass(frozen=True)
class StageState:
    """One stage of the cycle and how it stands."""

    name: str
    state: Literal["done", "running", "interrupted", "waiting", "to do"]
    detail: str


@dataclass(frozen=True)
class CycleState:
    """How the latest cycle stands: its stages, and who is waited for."""

    number: int
    stages: tuple[StageState, ...]
    waits: tuple[Wait, ...]


@dataclass(frozen=True)
class CycleResult:
    """What one cycle left behind."""

    cycle: Cycle
    version: DataVersion
    run: TuneRun
    reports: tuple[EvaluationReport, ...]
    differences: tuple[Difference, ...]
    verdict: Verdict
    release: Release
    adapter_folder: Path
    report: Path
    waits: tuple[Wait, ...]


def run_cycle(session: Session, patience: Patience = "ask") -> CycleResult | tuple[Wait, ...]:
    """Run the open cycle to its end, or begin the next when there is something to learn.

    Returns what it left, or whom the next one waits for. ``patience`` says what to do about people
    who have not done their part: "ask" returns at once, "wait" stays until they have, "now" takes
    what is there.
    """

    def work(_: object) -> CycleResult | tuple[Wait, ...]:
        cycle = _latest(session)
        if cycle is None or cycle.finished_at is not None:
            waits = _people(session, patience)
            if waits:
                return waits
        asked = what_is_asked(session)
        if cycle is None or (cycle.finished_at is not None and cycle.asked != asked):
            cycle = ledger.start_cycle(session.workspace, asked)
        if cycle.finished_at is not None:
            return _result(session, cycle)
        return _go_on(session, replace(cycle, asked=asked))

    return verbs.as_job(session, "cycle", {}, work, _told)


def what_is_asked(session: Session) -> str:
    """Return a hash of what a cycle would learn from: settings, source files, corrected cases."""
    project = session.project
    settings = [getattr(project, name).model_dump(mode="json") for name in _SHAPES_A_CYCLE]
    files = [_digest_of(source, session.root) for source in project.data.sources]
    cases = sorted(case.example.id for case in ledger.list_cases(session.workspace))
    return digest([settings, files, cases])


def _digest_of(source: SourceConfig, root: Path) -> str:
    """Return the digest of what a source holds now; of one that cannot be had, its path."""
    from metier.sources import open_source

    try:
        with open_source(source, root) as opened:
            return opened.digest
    except InputError:
        return source.path  # the build says what is wrong with it


def cycle_status(session: Session) -> CycleState:
    """Say how each stage of the latest cycle stands, and who is waiting for whom."""
    cycle = _latest(session)
    number = 1 if cycle is None else cycle.number
    return CycleState(number, tuple(_stages(session, cycle)), tuple(_waits(session, cycle)))


def _go_on(session: Session, cycle: Cycle) -> CycleResult:
    workspace = session.workspace
    version = verbs.frozen(verbs.build_data(session))
    cycle = ledger.update_cycle(workspace, replace(cycle, version_id=version.id))
    verbs.measure_baselines(session, version.id)
    run = verbs.finished_run(session, version) or verbs.tune_base(session, version.id)
    cycle = ledger.update_cycle(workspace, replace(cycle, run_id=run.id))
    report = verbs.evaluate_run(session, run.id)
    cycle = ledger.update_cycle(workspace, replace(cycle, evaluation_id=report.id))
    if "regression" in version.splits:
        again = verbs.evaluate_run(session, run.id, "regression")
        cycle = replace(cycle, regression_id=again.id)
    _measure_champion(session, version)
    run_probes(session, run.id, asked_kinds(session.project.objective))
    release = make_release(session, run.id)
    cycle = ledger.finish_cycle(workspace, replace(cycle, release_id=release.id))
    return _result(session, cycle)


def _measure_champion(session: Session, version: DataVersion) -> None:
    """Measure the champion beside the candidate where a target is relative to it."""
    objective = session.project.objective
    asked = any(one.relative_to == CHAMPION for one in (*objective.target, *objective.constraint))
    champion = aliases(session.workspace).get(CHAMPION) if asked else None
    if champion is not None:
        verbs.evaluate_run(session, champion.run_id, version=version.id, rung=CHAMPION)


def _result(session: Session, cycle: Cycle) -> CycleResult:
    workspace = session.workspace
    version = ledger.get_version(workspace, cycle.version_id or "")
    run = ledger.get_run(workspace, cycle.run_id or "")
    release = get_release(workspace, cycle.release_id or "")
    path = verbs.write_report(session, version.id)
    now = verbs.standing(session, version.id)
    return CycleResult(
        cycle=cycle,
        version=version,
        run=run,
        reports=now.reports,
        differences=now.differences,
        verdict=now.verdict,
        release=release,
        adapter_folder=_copy_adapter(session, run),
        report=path,
        waits=tuple(_waits(session, cycle)),
    )


def _copy_adapter(session: Session, run: TuneRun) -> Path:
    folder = session.root / ADAPTER_FOLDER
    if run.adapter is not None:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(session.workspace.artifacts.checkout(run.adapter), folder)
    return folder


def _told(result: CycleResult | tuple[Wait, ...]) -> str:
    return result.cycle.id if isinstance(result, CycleResult) else "waiting for people"


def _latest(session: Session) -> Cycle | None:
    cycles = ledger.list_cycles(session.workspace)
    return cycles[-1] if cycles else None


def _people(session: Session, patience: Patience) -> tuple[Wait, ...]:
    """Whom the next cycle waits for; with "wait", only once nobody is left, so: nobody."""
    first = _open_items(session)
    if not first or patience == "now" or not session.project.feedback.wait_for_people:
        return ()
    if patience == "ask":
        return (_experts(first),)
    with session.progress.task("waiting for people", total=first, unit="item") as task:
        left = first
        while left:
            time.sleep(POLL_S)
            now = _open_items(session)
            task.advance(left - now)
            left = now
    return ()


def _open_items(session: Session) -> int:
    counts = count_items(session.workspace, CORRECTIONS)
    return counts.get("open", 0) + counts.get("leased", 0)


def _experts(items: int) -> Wait:
    return Wait(
        "a domain expert",
        f"{items} served {'reply' if items == 1 else 'replies'} to correct",
        "metier serve, then the page /queues (or metier feedback export and correct)",
    )


def _waits(session: Session, cycle: Cycle | None) -> Iterator[Wait]:
    jobs = session.workspace.jobs
    for job in jobs.list("queued"):
        what = f"{job.name} ({job.id}): {jobs.waits_for(job.id) or 'nobody runs it'}"
        yield Wait("a worker", what, "metier worker")
    items = _open_items(session)
    if items:
        yield _experts(items)
    if cycle is None or cycle.release_id is None:
        return
    release = get_release(session.workspace, cycle.release_id)
    if _serves(session, release):
        return
    state = release.gate.get("state")
    if state == "passed":
        how = f"metier release promote {release.name}"
        yield Wait("the owner", f"to promote {release.name}, which passed the gate", how)
    else:
        why = "did not pass the gate" if state == "failed" else "needs more test items to be judged"
        how = f"metier release gate {release.name}; metier release promote --override --reason …"
        yield Wait("the owner", f"{release.name} {why}", how)


def _serves(session: Session, release: Release) -> bool:
    """Whether it is the champion, or another one was made champion after it."""
    champion = aliases(session.workspace).get(CHAMPION)
    return champion is not None and champion.number >= release.number


def _stages(session: Session, cycle: Cycle | None) -> Iterator[StageState]:
    version = _version(session, cycle)
    if version is None:
        yield StageState("data", "to do", "metier data build")
        return
    yield StageState("data", "done", f"{version.id} {dict(version.counts)}")
    reports = {report.rung: report for report in verbs.newest_per_rung(session, version.id)}
    untuned = [rung for rung in reports if rung not in NO_BASELINES]
    yield _stage("baselines", ", ".join(untuned), "metier baseline")
    yield _tune_state(session, version)
    candidate = reports.get(verbs.TUNED)
    looks = looks_words(version.looks_used, version.looks_budget)
    done = f"{candidate.id}; {looks}" if candidate else ""
    yield _stage("evaluate", done, "metier evaluate")
    release = cycle.release_id if cycle else None
    yield _stage("gate", _gate_words(session, release) if release else "", "metier cycle run")
    written = (session.root / verbs.REPORT_NAME).exists()
    yield _stage("report", verbs.REPORT_NAME if written else "", "metier report")


def _stage(name: str, done: str, command: str) -> StageState:
    return StageState(name, "done", done) if done else StageState(name, "to do", command)


def _gate_words(session: Session, release_id: str) -> str:
    release = get_release(session.workspace, release_id)
    return f"{release.name}: {str(release.gate.get('state', '')).replace('_', ' ')}"


def _version(session: Session, cycle: Cycle | None) -> DataVersion | None:
    try:
        key = cycle.version_id if cycle and cycle.version_id else ledger.LATEST
        return ledger.get_version(session.workspace, key)
    except NotFound:
        return None


def _tune_state(session: Session, version: DataVersion) -> StageState:
    runs = ledger.list_runs(session.workspace, version.id)
    if not runs:
        return StageState("tune", "to do", "metier tune")
    newest = runs[-1]
    if newest.state == "done":
        return StageState("tune", "done", newest.id)
    working = any(job.name in ("tune", "cycle") for job in session.workspace.jobs.list("running"))
    if working and newest.state == "running":
        return StageState("tune", "running", newest.id)
    return StageState("tune", "interrupted", f"{newest.id}: metier tune goes on")
