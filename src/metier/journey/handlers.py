"""Job handlers: what a worker runs, by name. They are named in the queue, not imported.

A queued job carries the settings it was asked with, so a worker needs no copy of the project: the
database and the artifact store are enough. Only work that reads the project's own files asks for
a worker that has the folder.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from metier.config import Project
from metier.core.jobs import Handlers, Job, JobContext
from metier.core.progress import Progress
from metier.core.types import Json
from metier.core.workspace import Workspace
from metier.journey import verbs
from metier.journey.resources import resources_for
from metier.journey.session import SILENT, Session, base_name

_HERE = "metier.journey.handlers:"
ANYWHERE: Handlers = {
    "baseline": _HERE + "measure_baselines",
    "tune": _HERE + "tune",
    "evaluate": _HERE + "evaluate",
    "probe": _HERE + "probe",
}
"""What a worker without the project's folder can run."""
HANDLERS: Handlers = {**ANYWHERE, "data": _HERE + "build_data", "cycle": _HERE + "cycle"}


@dataclass(frozen=True)
class Seat:
    """Where a worker sits: what it shares with the others, and its own folder and progress.
    ``has_project``: the folder is the project's, with the files that it names."""

    workspace: Workspace
    root: Path
    has_project: bool
    progress: Progress = SILENT


def enqueue(session: Session, name: str, config: Mapping[str, Json]) -> Job:
    """Add a job, with the project's settings and what it needs, for any worker of this store."""
    project = session.project.model_dump(mode="json")
    project["project"]["base"] = base_name(session)
    needs = resources_for(session.project, name)
    return session.workspace.jobs.enqueue(name, {**config, "project": project}, needs)


def run_worker(seat: Seat, *, once: bool = False) -> int:
    """Run queued jobs until interrupted, or until none is left; return how many ran."""
    queue = seat.workspace.jobs
    handlers = HANDLERS if seat.has_project else ANYWHERE
    if not once:
        return queue.work_forever(handlers, threading.Event(), seat)
    count = 0
    while queue.work_once(handlers, seat) is not None:
        count += 1
    return count


def build_data(context: JobContext) -> Json:
    """Build a data version."""
    version = verbs.build_data(_session(context)).version
    return {"version": version.id if version else None}


def measure_baselines(context: JobContext) -> Json:
    """Measure the untuned rungs."""
    rungs = context.config.get("rungs") or None
    reports = verbs.measure_baselines(_session(context), str(context.config["version"]), rungs)
    return {"evaluations": [report.id for report in reports]}


def tune(context: JobContext) -> Json:
    """Fine-tune the base."""
    return {"run": verbs.tune_base(_session(context), str(context.config["version"])).id}


def evaluate(context: JobContext) -> Json:
    """Measure a run on the test split."""
    return {"evaluation": verbs.evaluate_run(_session(context), str(context.config["run"])).id}


def probe(context: JobContext) -> Json:
    """Measure side effects of a run."""
    from metier.journey.probed import KINDS, kinds_of
    from metier.journey.probes import run_probes

    kinds = kinds_of(context.config.get("kinds") or list(KINDS))
    found = run_probes(_session(context), str(context.config["run"]), kinds)
    return {"probes": [one.id for one in found]}


def cycle(context: JobContext) -> Json:
    """Run a whole cycle."""
    from metier.journey.cycles import CycleResult, run_cycle

    result = run_cycle(_session(context))
    if isinstance(result, CycleResult):
        return {"cycle": result.cycle.id, "release": result.release.id}
    return {"waits": [wait.what for wait in result]}


def _session(context: JobContext) -> Session:
    """The job's own settings, in this worker's seat."""
    seat: Seat = context.subject
    project = Project.model_validate(context.config["project"])
    return Session(project, seat.root, seat.workspace, seat.progress)
