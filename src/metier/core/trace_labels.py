"""Labels of a trace: one thing in a few words. Never text of people."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from metier.core.records import ERASED
from metier.core.refs import Ref
from metier.core.store.tables import (
    AliasRow,
    AssignmentRow,
    CaseRow,
    CycleRow,
    ErasureRow,
    EvaluationRow,
    FeedbackRow,
    GuidelineRow,
    InteractionRow,
    PredictionRow,
    ProbeRow,
    QuarantineRow,
    QueueItemRow,
    QueueRow,
    ReleaseRow,
    RunRow,
    SourceRow,
    VersionExampleRow,
    VersionRow,
)


class Labels:
    """Describes the things that a trace meets."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def tell(self, ref: Ref) -> str:
        """Return what a thing is, "" for kinds that only edges know."""
        tell = {
            "source": self._source,
            "example": self._example,
            "version": self._version,
            "run": self._run,
            "evaluation": self._evaluation,
            "prediction": self._prediction,
            "quarantine": self._quarantine,
            "release": self._release,
            "interaction": self._interaction,
            "feedback": self._feedback,
            "item": self._item,
            "assignment": self._assignment,
            "guideline": self._guideline,
            "queue": self._queue,
            "cycle": self._cycle,
            "probe": self._probe,
            "erasure": self._erasure,
        }.get(ref.kind)
        return "" if tell is None else tell(ref.id)

    def _source(self, ref_id: str) -> str:
        row = self._session.get_one(SourceRow, ref_id)
        return f"{row.path}, {row.rows:,} rows"

    def _example(self, ref_id: str) -> str:
        case = self._session.get(CaseRow, ref_id)
        if case is not None:
            return _case(case)
        member = select(VersionExampleRow).where(VersionExampleRow.example_id == ref_id)
        row = self._session.scalars(member.limit(1)).first()
        if row is not None and row.parent_id is not None:
            case = self._session.get(CaseRow, row.parent_id)
            if case is not None:
                return f"copy to measure on: {_case(case)}"
        if row is not None:
            return f"row {row.locator}"
        left_out = select(QuarantineRow.locator).where(QuarantineRow.example_id == ref_id)
        place = self._session.scalars(left_out.limit(1)).first()
        return "" if place is None else f"row {place}"

    def _version(self, ref_id: str) -> str:
        counts = self._session.get_one(VersionRow, ref_id).counts
        return ", ".join(f"{count:,} {split}" for split, count in counts.items())

    def _run(self, ref_id: str) -> str:
        row = self._session.get_one(RunRow, ref_id)
        return f"{row.base}, {row.state}"

    def _evaluation(self, ref_id: str) -> str:
        row = self._session.get_one(EvaluationRow, ref_id)
        mine = PredictionRow.evaluation_id == ref_id
        count = self._session.scalar(select(func.count()).where(mine)) or 0
        return f"{row.rung} on {row.split}, {count:,} predictions"

    def _probe(self, ref_id: str) -> str:
        row = self._session.get_one(ProbeRow, ref_id)
        return f"{row.kind} of {row.subject}"

    def _erasure(self, ref_id: str) -> str:
        row = self._session.get_one(ErasureRow, ref_id)
        return f"{row.certificate.get('rows', 0):,} rows, {row.created_at:%Y-%m-%d}"

    def _prediction(self, ref_id: str) -> str:
        row = self._session.get_one(PredictionRow, ref_id)
        return f"on {row.example_id}"

    def _quarantine(self, ref_id: str) -> str:
        row = self._session.get_one(QuarantineRow, ref_id)
        return f"{row.step}: {row.reason}"

    def _release(self, ref_id: str) -> str:
        row = self._session.get_one(ReleaseRow, ref_id)
        pointing = select(AliasRow.name).where(AliasRow.release_id == ref_id)
        aliases = self._session.scalars(pointing.order_by(AliasRow.name))
        mine = InteractionRow.release_id == ref_id
        count = self._session.scalar(select(func.count()).where(mine)) or 0
        return ", ".join([f"v{row.number}", *aliases, f"{count:,} replies"])

    def _interaction(self, ref_id: str) -> str:
        row = self._session.get_one(InteractionRow, ref_id)
        return f"{row.model}, {row.state}, {row.created_at:%Y-%m-%d %H:%M}"

    def _feedback(self, ref_id: str) -> str:
        row = self._session.get_one(FeedbackRow, ref_id)
        value = row.value["value"]
        return f"{row.metric}, {str(value).lower()}" if isinstance(value, bool) else row.metric

    def _assignment(self, ref_id: str) -> str:
        row = self._session.get_one(AssignmentRow, ref_id)
        return f"{row.person}, {row.state}"

    def _guideline(self, ref_id: str) -> str:
        row = self._session.get(GuidelineRow, ref_id)
        return "" if row is None else f"{row.name}, version {row.number}"

    def _item(self, ref_id: str) -> str:
        row = self._session.get_one(QueueItemRow, ref_id)
        return f"{row.queue}, " + ("erased" if row.note == ERASED else row.state)

    def _queue(self, ref_id: str) -> str:
        row = self._session.get(QueueRow, ref_id)
        if row is None:
            return ""
        given = (AssignmentRow.queue == ref_id, AssignmentRow.state == "done")
        answers = self._session.scalar(select(func.count()).where(*given)) or 0
        return f"{row.kind}, {row.state}, {answers:,} answers"

    def _cycle(self, ref_id: str) -> str:
        row = self._session.get_one(CycleRow, ref_id)
        return f"cycle {row.number}, {'done' if row.finished_at else 'not finished'}"


def _case(row: CaseRow) -> str:
    if not row.failed:
        return "case, the reply was right"
    return f"case, {'held back' if row.held_back else 'to learn from'}"
