"""Tuning runs: the list, one run with its curves while they grow, and the jobs at work."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from metier.apps.http.pages.allowed import may
from metier.apps.http.pages.frame import Here, PageRoute, Row, show
from metier.core import ledger
from metier.core.records import EvaluationReport, MetricPoint, TuneRun
from metier.core.types import Json
from metier.core.workspace import Workspace
from metier.journey.report import numbers
from metier.scoring import primary_metric

POLL_S = 0.5
STREAM_S = 15.0
"""A stream ends after this long and the browser asks again, so that no page holds up a stop."""
TAIL_BYTES = 65_536
LIVELY_S = 120.0
ENDS = ("_low", "_high", "_n")
"""Behind a series' name: the ends of its interval and its n, drawn as a band and not as curves."""
router = APIRouter(route_class=PageRoute, dependencies=[may("look")])


@router.get("/runs")
def runs_page(request: Request, site: Here) -> Response:
    """List the runs."""
    ws = site.session.workspace
    metric = primary_metric(site.session.project.objective)
    rows = run_rows(ledger.list_runs(ws), ledger.list_evaluations(ws), metric)
    return show(request, "runs.html.j2", runs=rows, metric=metric, jobs=job_rows(ws))


@router.get("/runs/jobs")
def jobs_part(request: Request, site: Here) -> Response:
    """Show the jobs at work; the list of runs asks for this again and again."""
    return show(request, "jobs.html.j2", jobs=job_rows(site.session.workspace))


@router.get("/runs/{key}")
def run_page(request: Request, site: Here, key: str) -> Response:
    """Show one run."""
    return show(request, "run.html.j2", **run_view(site.session.workspace, key))


@router.get("/runs/{key}/events")
async def run_events(request: Request, site: Here, key: str) -> Response:
    """Send a run's points as they are recorded, as server-sent events."""
    ws = site.session.workspace
    run = await run_in_threadpool(ledger.get_run, ws, key)
    served = getattr(request.app.state, "served", None)
    events = follow(ws, run.id, stopping=lambda: bool(getattr(served, "draining", False)))
    return StreamingResponse(events, media_type="text/event-stream")


def run_rows(
    runs: Sequence[TuneRun], reports: Sequence[EvaluationReport], metric: str
) -> list[Row]:
    """Return the runs, newest first, each with its newest evaluation on the test split."""
    tested = {one.run_id: one for one in reports if one.run_id and one.split == "test"}
    rows = []
    for run in reversed(runs):
        report = tested.get(run.id)
        estimate = report.metrics.get(metric) if report else None
        rows.append(
            {
                "run": run,
                "seconds": seconds_of(run),
                "loss": numbers.number(run.summary.get("validation_loss")),
                "loss_n": run.summary.get("validation_examples"),
                "value": numbers.interval(estimate),
                "n": estimate.n if estimate else None,
                "evaluation": report.id if report else None,
            }
        )
    return rows


def run_view(ws: Workspace, key: str) -> Row:
    """Return one run with its settings, findings, points and evaluations. Raises NotFound."""
    run = ledger.get_run(ws, key)
    reports = [one for one in ledger.list_evaluations(ws) if one.run_id == run.id]
    return {
        "run": run,
        "seconds": seconds_of(run),
        "settings": setting_rows(run.config),
        "diagnosis": diagnosis(run),
        "findings": findings(run),
        "points": point_rows(ledger.metric_points(ws, run.id)),
        "table": series_rows(ledger.metric_points(ws, run.id)),
        "reports": reports,
    }


def seconds_of(run: TuneRun) -> float | None:
    """Return how long a run took, or has been going; None when it stopped without saying when."""
    if run.finished_at is None and run.state != "running":
        return None
    return ((run.finished_at or datetime.now(UTC)) - run.started_at).total_seconds()


def setting_rows(config: Json) -> list[tuple[str, str]]:
    """Return settings as (name, value) in words, those of nested sections under their name."""
    rows = []
    for name, value in config.items():
        if isinstance(value, dict) and value:
            rows += [(f"{name}.{key}", numbers.setting(one)) for key, one in value.items()]
        elif value not in (None, "", {}, []):
            rows.append((name, _exact(value)))
    return rows


def diagnosis(run: TuneRun) -> list[Row]:
    """Return what the run's series show, in words, with the numbers that say so; the first is the
    verdict."""
    return [
        {**one, "title": words(one["name"]), "evidence": setting_rows(one["evidence"])}
        for one in run.summary.get("findings", ())
    ]


def findings(run: TuneRun) -> list[tuple[str, str]]:
    """Return what a run measured of itself and its data, as (what, value)."""
    return [
        (words(name), numbers.setting(value))
        for name, value in run.summary.items()
        if value not in (None, {}, []) and name != "findings"
    ]


def words(name: str) -> str:
    """Return a name from the store for reading: ``lr_too_high`` is ``lr too high``."""
    return name.replace("_", " ")


def point_rows(points: Sequence[MetricPoint]) -> list[tuple[str, int, float | None]]:
    """Return points as (series, step, value), which is how they travel to the page."""
    return [(p.name, p.step, p.value if math.isfinite(p.value) else None) for p in points]


def series_rows(points: Sequence[MetricPoint]) -> list[Row]:
    """Return each series in figures: points, first, last (with interval and n where it has them),
    lowest and highest and where."""
    series: dict[str, list[MetricPoint]] = {}
    for point in points:
        series.setdefault(point.name, []).append(point)
    aside = {name + end for name in series if f"{name}_low" in series for end in ENDS}
    return [
        {
            "name": words(name),
            "n": len(found),
            "first": numbers.number(found[0].value),
            "last": _with_interval(name, series),
            "lowest": numbers.number(lowest.value),
            "at": lowest.step,
            "highest": numbers.number(highest.value),
            "highest_at": highest.step,
        }
        for name, found in series.items()
        if name not in aside
        for lowest in [min(found, key=lambda one: one.value)]
        for highest in [max(found, key=lambda one: one.value)]
    ]


def _with_interval(name: str, series: Mapping[str, Sequence[MetricPoint]]) -> str:
    last = numbers.number(series[name][-1].value)
    low, high, n = (series[name + end][-1].value if name + end in series else None for end in ENDS)
    if low is None or n is None:
        return last
    return f"{last} [{numbers.number(low)}, {numbers.number(high)}], n {n:g}"


async def follow(
    ws: Workspace,
    run_id: str,
    poll_s: float = POLL_S,
    stream_s: float = STREAM_S,
    stopping: Callable[[], bool] = lambda: False,
) -> AsyncIterator[str]:
    """Yield server-sent events: ``points`` (first all, then those new or changed), ``state``, and
    ``end`` once the run is over. Ends early after ``stream_s`` seconds, or when the server is
    ``stopping``."""
    sent: dict[tuple[str, int], float | None] = {}
    until = time.monotonic() + stream_s
    yield "retry: 300\n\n"
    while True:
        run = await run_in_threadpool(ledger.get_run, ws, run_id)
        points = point_rows(await run_in_threadpool(ledger.metric_points, ws, run_id))
        new = [p for p in points if sent.get(p[:2], math.nan) != p[2]]
        sent |= {p[:2]: p[2] for p in new}
        if new:
            yield _event("points", new)
        if run.state != "running":
            yield _event("end", {"state": run.state})
            return
        if stopping() or time.monotonic() >= until:
            return
        yield _event("state", {"state": run.state, "seconds": seconds_of(run)})
        await asyncio.sleep(poll_s)


def job_rows(ws: Workspace) -> list[Row]:
    """Return running and queued jobs, with progress where this machine runs them."""
    at_work = progress_rows(ws.logs_dir / "progress.jsonl")
    rows = []
    for job in ws.jobs.list():
        if job.state == "running":
            since = job.started_at.timestamp() if job.started_at else 0.0
            tasks = [one for one in at_work if one["at"] >= since]
            rows.append({"job": job, "tasks": tasks, "waits": None})
        elif job.state == "queued":
            waits = ws.jobs.waits_for(job.id) or "a worker: metier worker"
            rows.append({"job": job, "tasks": [], "waits": waits})
    return rows


def progress_rows(log: Path) -> list[Row]:
    """Return the tasks that the end of a progress log shows at work in the last two minutes."""
    if not log.is_file():
        return []
    with log.open("rb") as file:
        file.seek(max(log.stat().st_size - TAIL_BYTES, 0))
        lines = file.read().decode("utf-8", "replace").splitlines()
    latest: dict[str, Row] = {}
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:  # the first line may be cut
            continue
        if event["kind"] == "end":
            latest.pop(event["task"], None)
        elif event["task"]:
            latest[event["task"]] = event
    return [one for one in latest.values() if time.time() - one["at"] < LIVELY_S]


def _event(name: str, data: Json) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


def _exact(value: Json) -> str:
    return f"{value:g}" if isinstance(value, float) else numbers.setting(value)
