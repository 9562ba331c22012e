"""Tuning runs and their series."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from sqlalchemy import select

from metier.core.errors import NotFound
from metier.core.ids import new_id
from metier.core.ledger.find import LATEST, columns, find, record
from metier.core.lineage import Ref
from metier.core.records import DataVersion, MetricPoint, RunState, TuneRun
from metier.core.store.tables import MetricPointRow, RunRow
from metier.core.types import Json
from metier.core.workspace import Workspace

RUN = ("tuning run", "metier tune")


def start_run(
    ws: Workspace, version: DataVersion | str, base: str, config: Mapping[str, Json]
) -> TuneRun:
    """Note that a tuning run begins."""
    version_id = version if isinstance(version, str) else version.id
    run = TuneRun(
        id=new_id("run"),
        version_id=version_id,
        base=base,
        state="running",
        started_at=datetime.now(UTC),
        finished_at=None,
        config=dict(config),
        adapter=None,
        summary={},
    )
    with ws.db.session() as session:
        session.add(RunRow(**columns(RunRow, run)))
        session.flush()
        ws.lineage.record(
            Ref("run", run.id), [(Ref("version", version_id), "trained on")], session=session
        )
    return run


def record_metrics(ws: Workspace, run_id: str, points: Iterable[MetricPoint]) -> None:
    """Store points of a run's series; a step that is recorded again takes the new value."""
    with ws.db.session() as session:
        for point in points:
            finite = math.isfinite(point.value)
            session.merge(
                MetricPointRow(
                    run_id=run_id,
                    name=point.name,
                    step=point.step,
                    value=float(point.value) if finite else None,
                    note=None if finite else repr(float(point.value)),
                )
            )


def metric_points(ws: Workspace, run_id: str) -> list[MetricPoint]:
    """A run's points, by series and step."""
    query = (
        select(MetricPointRow)
        .where(MetricPointRow.run_id == run_id)
        .order_by(MetricPointRow.name, MetricPointRow.step)
    )
    with ws.db.reading() as session:
        return [MetricPoint(row.step, row.name, _value(row)) for row in session.scalars(query)]


def finish_run(
    ws: Workspace,
    run_id: str,
    state: RunState,
    adapter: str | None = None,
    summary: Mapping[str, Json] | None = None,
) -> TuneRun:
    """Note how a run ended; ``adapter`` is the tree artifact it left. Raises NotFound."""
    with ws.db.session() as session:
        row = find(session, RunRow, run_id, *RUN)
        row.state, row.adapter, row.summary = state, adapter, dict(summary or {})
        row.finished_at = None if state == "running" else datetime.now(UTC)
        if adapter is not None:
            made = Ref("artifact", adapter)
            ws.lineage.record(made, [(Ref("run", row.id), "made by")], session=session)
        return _run(row)


PART = "only_rows"
"""In the config of a run on some of the training rows: how many. Learning curves make them."""


TRIAL_OF = "trial_of"
"""In the config of a run that is a trial of a sweep: which. What it found is adopted as a run."""


def resume_run(ws: Workspace, run_id: str) -> TuneRun:
    """Note that a run which had stopped goes on. Raises NotFound."""
    with ws.db.session() as session:
        row = find(session, RunRow, run_id, *RUN)
        row.state, row.finished_at = "running", None
        return _run(row)


def get_run(ws: Workspace, key: str = LATEST) -> TuneRun:
    """Find a tuning run; the latest is one on all the data, and no trial. Raises NotFound."""
    if key == LATEST:
        own = [run for run in list_runs(ws) if TRIAL_OF not in run.config]
        whole = [run for run in own if PART not in run.config]
        if own:
            return (whole or own)[-1]
        raise NotFound("a tuning run", got="none so far", remedy="make one with `metier tune`")
    with ws.db.reading() as session:
        return _run(find(session, RunRow, key, *RUN))


def list_runs(ws: Workspace, version_id: str | None = None) -> list[TuneRun]:
    """All tuning runs, or those on one version, oldest first."""
    query = select(RunRow).order_by(RunRow.id)
    if version_id is not None:
        query = query.where(RunRow.version_id == version_id)
    with ws.db.reading() as session:
        return [_run(row) for row in session.scalars(query)]


def _run(row: RunRow) -> TuneRun:
    return record(TuneRun, row)


def _value(row: MetricPointRow) -> float:
    return row.value if row.value is not None else float(row.note or "nan")
