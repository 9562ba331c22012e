"""Evaluations and their predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from metier.core.codec import (
    from_json,
    predictions_from_parquet,
    predictions_to_parquet,
    to_json,
)
from metier.core.ledger.find import LATEST, find
from metier.core.ledger.looks import share_looks, sharing_looks, test_sets
from metier.core.ledger.versions import PARQUET, VERSION
from metier.core.lineage import Ref
from metier.core.records import EvaluationReport, Look, Prediction
from metier.core.store.tables import EvaluationRow, PredictionRow, VersionRow
from metier.core.workspace import Workspace

CANDIDATE = "tuned"
EVALUATION = ("evaluation", "metier evaluate")
_INDEXED = (
    "id", "created_at", "version_id", "split", "rung", "completer", "fingerprint", "run_id",
)  # fmt: skip


def save_evaluation(
    ws: Workspace, report: EvaluationReport, predictions: Sequence[Prediction]
) -> EvaluationReport:
    """Store a report with its predictions; what is returned points to their artifact.

    An evaluation of a candidate (rung "tuned", of a run) on "test" spends a look, once per
    fingerprint: choosing between candidates by the test set is what wears it out. All versions
    with these test items share the looks (``looks``); under other labels the same model is another
    look. Baselines and the champion beside it spend none.
    """
    artifact = ws.artifacts.put_bytes(predictions_to_parquet(predictions), PARQUET)
    saved = replace(report, predictions=artifact)
    with ws.db.session() as session:
        find(session, VersionRow, saved.version_id, *VERSION)
        _count_look(session, saved)
        indexed = {name: getattr(saved, name) for name in _INDEXED}
        session.add(EvaluationRow(**indexed, report=to_json(saved)))
        session.flush()
        rows = [
            {"id": one.id, "evaluation_id": saved.id, "example_id": one.example_id}
            for one in predictions
        ]
        ws.db.insert_new(session, PredictionRow, rows)
        parents = [(Ref("version", saved.version_id), "measured on")]
        if saved.run_id is not None:
            parents.append((Ref("run", saved.run_id), "measures"))
        ws.lineage.record(Ref("evaluation", saved.id), parents, session=session)
    return saved


def get_evaluation(ws: Workspace, key: str = LATEST) -> EvaluationReport:
    """Find an evaluation. Raises NotFound."""
    with ws.db.reading() as session:
        row = find(session, EvaluationRow, key, *EVALUATION)
        return from_json(EvaluationReport, row.report)


def list_evaluations(ws: Workspace, version_id: str | None = None) -> list[EvaluationReport]:
    """All evaluations, or those on one version, oldest first."""
    query = select(EvaluationRow).order_by(EvaluationRow.id)
    if version_id is not None:
        query = query.where(EvaluationRow.version_id == version_id)
    with ws.db.reading() as session:
        return [from_json(EvaluationReport, row.report) for row in session.scalars(query)]


def load_predictions(ws: Workspace, report: EvaluationReport | str) -> list[Prediction]:
    """The predictions of an evaluation, in the order they were saved. Raises NotFound."""
    found = get_evaluation(ws, report) if isinstance(report, str) else report
    return predictions_from_parquet(ws.artifacts.get_bytes(found.predictions))


def look_of(ws: Workspace, report: EvaluationReport) -> Look:
    """Which look at its test set an evaluation was, of how many.

    Measuring the same model again is the same look. What spends none has the number 0.
    """
    row = EvaluationRow
    with ws.db.reading() as session:
        here = session.get_one(VersionRow, report.version_id)
        ids, sets = sharing_looks(session, here.id), test_sets(session)
        query = select(row.version_id, row.fingerprint).where(
            row.version_id.in_(ids),
            row.split == "test",
            row.rung == CANDIDATE,
            row.run_id.is_not(None),
        )
        rows = session.execute(query.order_by(row.id))
        seen = list(dict.fromkeys((sets[version], fingerprint) for version, fingerprint in rows))
        counted = select(func.max(VersionRow.looks_used)).where(VersionRow.id.in_(ids))
        spent = max(session.scalar(counted) or 0, len(seen))
        this = (sets[here.id], report.fingerprint)
        number = seen.index(this) + 1 if report.split == "test" and this in seen else 0
        return Look(number, here.looks_budget, spent)


def _count_look(session: Session, report: EvaluationReport) -> None:
    if (report.split, report.rung) != ("test", CANDIDATE) or report.run_id is None:
        return
    shared, sets = share_looks(session, report.version_id), test_sets(session)
    same = [one.id for one in shared if sets[one.id] == sets[report.version_id]]
    seen = select(EvaluationRow.id).where(
        EvaluationRow.version_id.in_(same),
        EvaluationRow.split == "test",
        EvaluationRow.rung == CANDIDATE,
        EvaluationRow.fingerprint == report.fingerprint,
    )
    if session.scalars(seen.limit(1)).first() is None:
        for one in shared:
            one.looks_used += 1
