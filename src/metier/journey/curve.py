"""Learning curves of a project: any fitted baseline, or small tunes of its base."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from metier.core import ledger
from metier.core.codec import to_json
from metier.core.errors import InputError, nearest
from metier.core.ids import new_id
from metier.core.records import Probe, TuneRun
from metier.core.types import Example
from metier.journey.session import Session, load_project_base, make_bench
from metier.journey.verbs import TUNED, as_job

if TYPE_CHECKING:
    from metier.evaluate.bench import Bench, Contender
    from metier.evaluate.curve import Curve
    from metier.models.base import Base

KIND = "learning_curve"
FITTED = ("keyword", "tfidf", "nearest")
DRAWS = 3
"""Draws of each share for baselines that are fitted in a moment."""


def measure_curve(
    session: Session,
    rung: str = "tfidf",
    version: str = ledger.LATEST,
    *,
    shares: Sequence[float] = (0.1, 0.25, 0.5, 1.0),
    more: Sequence[int] = (100, 500, 1000),
) -> Curve:
    """Measure a rung after growing shares of the training rows, on validation rows.

    ``rung`` is a baseline that is fitted (keyword, tfidf, nearest), or ``tuned``: a small tune per
    share with the project's settings, each resumable and found again. Stored as a Probe.
    """
    from metier.evaluate.curve import learning_curve

    if rung not in (*FITTED, TUNED):
        remedy = nearest(rung, (*FITTED, TUNED))
        raise InputError("a rung that learns from rows", got=repr(rung), remedy=remedy)
    bench = make_bench(session, version)

    def work(_: object) -> Curve:
        fit = partial(_tuned, session, bench, load_project_base(session))
        draws = 1
        if rung != TUNED:
            fit, draws = partial(_fitted, bench, rung), DRAWS
        found = learning_curve(bench, fit, shares=shares, more=more, draws_per_share=draws)
        _keep(session, bench.version.id, found)
        return found

    config = {"rung": rung, "version": bench.version.id, "shares": list(shares)}
    return as_job(session, "tune" if rung == TUNED else "curve", config, work, lambda c: c.rung)


def tune_on(session: Session, bench: Bench, base: Base, rows: Sequence[Example]) -> TuneRun:
    """Return the finished run on these training rows with today's settings; tune where none is."""
    from metier.tune.run import Conditions, tune

    project = session.project
    whole = len(rows) == len(ledger.load_split(session.workspace, bench.version, "train"))
    only = None if whole else sorted(row.id for row in rows)
    known = _finished(session, bench, None if whole else len(rows))
    if known is not None:
        return known
    return tune(
        project.tune,
        bench.version,
        session.workspace,
        base,
        project.objective,
        system=project.project.system,
        progress=session.progress,
        under=Conditions(only=only),
    )


def _fitted(bench: Bench, rung: str, rows: Sequence[Example]) -> Contender:
    from metier.evaluate.bench import Contender
    from metier.models import classical

    fit = {"keyword": classical.keyword, "tfidf": classical.tfidf, "nearest": classical.nearest}
    return Contender(rung, fit[rung](rows, bench.objective))


def _tuned(session: Session, bench: Bench, base: Base, rows: Sequence[Example]) -> Contender:
    from metier.evaluate.baselines import tuned_contender

    return tuned_contender(bench, tune_on(session, bench, base, rows), base)


def _finished(session: Session, bench: Bench, rows: int | None) -> TuneRun | None:
    """The shares are drawn under one seed, so a share's size says which rows it holds."""
    project = session.project
    wanted = {**project.tune.model_dump(mode="json"), "system": project.project.system}
    for run in reversed(ledger.list_runs(session.workspace, bench.version.id)):
        settings = {name: run.config.get(name) for name in wanted}
        if run.state == "done" and run.config.get(ledger.PART) == rows and settings == wanted:
            return run
    return None


def _keep(session: Session, version_id: str, found: Curve) -> None:
    probe = Probe(
        id=new_id("probe"),
        created_at=datetime.now(UTC),
        kind=KIND,
        subject=found.rung,
        version_id=version_id,
        run_id=None,
        metrics={f"gain_{gain.more}": gain.estimate for gain in found.gains},
        detail={"metric": found.metric, "points": to_json(found.points)},
    )
    ledger.save_probe(session.workspace, probe)
