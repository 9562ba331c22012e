"""The quality of a version's rows, as a verb: measured as a job, suspects and numbers stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from metier.core import ledger
from metier.core.records import Probe
from metier.data.quality.report import Quality, keep, measure, rows_of
from metier.journey.session import Session, load_named_base, load_project_base
from metier.journey.verbs import as_job

if TYPE_CHECKING:
    from metier.core.completer import Completer

PROJECT = "project"
"""The name that means the project's own base model."""


@dataclass(frozen=True)
class QualityResult:
    """What was found; ``probe`` is None after a dry run, which stores nothing."""

    version_id: str
    found: Quality
    probe: Probe | None


def measure_quality(
    session: Session,
    version: str = ledger.LATEST,
    *,
    loss: str = "",
    dry_run: bool = False,
) -> QualityResult:
    """Look for what may be wrong with a version's training and validation rows.

    ``loss`` names a base model whose losses written targets are ranked by, "project" the
    project's own; "": none, which is much faster.
    """
    ws, project = session.workspace, session.project
    frozen = ledger.with_rows(ws, version)

    def work(_: object) -> QualityResult:
        rows = rows_of(ws, frozen)
        completer = _completer(session, loss) if loss else None
        found = measure(rows, project.objective, project.data.quality, session.progress, completer)
        return QualityResult(frozen.id, found, None if dry_run else keep(ws, frozen, found))

    if dry_run:
        return work(None)
    config = {"version": frozen.id, "loss": loss}
    return as_job(session, "quality", config, work, lambda result: result.version_id)


def _completer(session: Session, name: str) -> Completer:
    from metier.models.engines.local import LocalCompleter

    if name == PROJECT:
        return LocalCompleter(load_project_base(session))
    return LocalCompleter(load_named_base(session, name))
