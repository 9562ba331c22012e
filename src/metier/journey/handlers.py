"""Job handlers: what a worker runs, by name. They are named in the queue, not imported."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from metier.core.jobs import Job, JobContext
from metier.core.types import Json
from metier.journey import verbs
from metier.journey.session import Session

HANDLERS: Mapping[str, str] = {
    "data": "metier.journey.handlers:build_data",
    "baseline": "metier.journey.handlers:measure_baselines",
    "tune": "metier.journey.handlers:tune",
    "evaluate": "metier.journey.handlers:evaluate",
    "cycle": "metier.journey.handlers:cycle",
}


def enqueue(session: Session, name: str, config: Mapping[str, Json]) -> Job:
    """Add a job that a worker with this project's store will run."""
    return session.workspace.jobs.enqueue(f"{name}", config)


def run_worker(session: Session, *, once: bool = False) -> int:
    """Run queued jobs until interrupted, or until none is left; return how many ran."""
    queue = session.workspace.jobs
    if not once:
        return queue.work_forever(HANDLERS, threading.Event(), session)
    count = 0
    while queue.work_once(HANDLERS, session) is not None:
        count += 1
    return count


def build_data(context: JobContext) -> Json:
    """Build a data version."""
    version = verbs.build_data(context.subject).version
    return {"version": version.id if version else None}


def measure_baselines(context: JobContext) -> Json:
    """Measure the untuned rungs."""
    rungs = context.config.get("rungs") or None
    reports = verbs.measure_baselines(context.subject, str(context.config["version"]), rungs)
    return {"evaluations": [report.id for report in reports]}


def tune(context: JobContext) -> Json:
    """Fine-tune the base."""
    return {"run": verbs.tune_base(context.subject, str(context.config["version"])).id}


def evaluate(context: JobContext) -> Json:
    """Measure a run on the test split."""
    return {"evaluation": verbs.evaluate_run(context.subject, str(context.config["run"])).id}


def cycle(context: JobContext) -> Json:
    """Run a whole cycle."""
    result = verbs.run_cycle(context.subject)
    return {"report": str(result.report), "run": result.run.id}
