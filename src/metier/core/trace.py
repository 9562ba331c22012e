"""Trace: walks lineage, from edges where things are few and from index tables where they are many.

Members of a large set are never listed because the set was met on the way: a version says how many
examples it has, a release how many replies it gave. Only an evaluation or release that is asked
about itself lists some: the first predictions, the newest replies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import ColumnElement, select, union
from sqlalchemy.orm import InstrumentedAttribute, Session

from metier.core.errors import NotFound
from metier.core.refs import Direction, Node, Ref
from metier.core.store.tables import (
    AssignmentRow,
    CaseRow,
    CycleRow,
    EdgeRow,
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
from metier.core.trace_labels import Labels

Step = tuple[Ref, str]
LISTED = 20  # predictions or replies shown of what is asked about itself
NOT_LEARNED = ("test", "regression")
_IDS: dict[str, list[InstrumentedAttribute[Any]]] = {
    "source": [SourceRow.id],
    "example": [VersionExampleRow.example_id, QuarantineRow.example_id, CaseRow.example_id],
    "version": [VersionRow.id],
    "run": [RunRow.id],
    "evaluation": [EvaluationRow.id],
    "prediction": [PredictionRow.id],
    "quarantine": [QuarantineRow.id],
    "release": [ReleaseRow.id],
    "interaction": [InteractionRow.id],
    "feedback": [FeedbackRow.id],
    "item": [QueueItemRow.id],
    "assignment": [AssignmentRow.id],
    "guideline": [GuidelineRow.id],
    "queue": [QueueRow.name],
    "cycle": [CycleRow.id],
    "probe": [ProbeRow.id],
    "erasure": [ErasureRow.id],
}
_PREFIXES = {
    "src_": "source",
    "ex_": "example",
    "ver_": "version",
    "run_": "run",
    "eval_": "evaluation",
    "pred_": "prediction",
    "quar_": "quarantine",
    "rel_": "release",
    "chatcmpl-": "interaction",
    "fb_": "feedback",
    "item_": "item",
    "asg_": "assignment",
    "guide_": "guideline",
    "cyc_": "cycle",
    "probe_": "probe",
    "era_": "erasure",
}
_ORDER = {"source": 0, "example": 1, "run": 2, "version": 3, "artifact": 4}


def find_ref(session: Session, key: str) -> Ref:
    """Find what an id, or an unambiguous beginning of one, names. Raises NotFound."""
    kinds = [kind for prefix, kind in _PREFIXES.items() if key.startswith(prefix)]
    for exact in (True, False):
        found = sorted(_matches(session, key, kinds or list(_IDS), exact), key=lambda ref: ref.id)
        if len(found) == 1:
            return found[0]
        if found:
            raise NotFound(
                "one thing",
                got=f"{key!r}, which begins {found[0].id} and {found[1].id}",
                remedy="give more of it",
            )
    raise NotFound(
        "the id of a source, example, version, run, evaluation, prediction, release, reply, "
        "feedback, queue item or cycle",
        got=f"nothing that begins with {key!r}",
        remedy="`metier data versions`, `metier release list`, `metier report` and --json outputs "
        "show ids; a reply's came with it (chatcmpl-…)",
    )


def _matches(session: Session, key: str, kinds: list[str], exact: bool) -> set[Ref]:
    def named(column: InstrumentedAttribute[Any]) -> Any:
        return column == key if exact else column.startswith(key, autoescape=True)

    found: set[Ref] = set()
    if not key:
        return found
    for kind in kinds:
        for column in _IDS[kind]:
            ids = session.scalars(select(column).where(named(column)).distinct().limit(2))
            found |= {Ref(kind, one) for one in ids}
    if not found:  # things that only edges know: artifacts, and what plugins record
        ends = union(
            select(EdgeRow.child_kind, EdgeRow.child_id).where(named(EdgeRow.child_id)),
            select(EdgeRow.parent_kind, EdgeRow.parent_id).where(named(EdgeRow.parent_id)),
        )
        found = {Ref(kind, one) for kind, one in session.execute(ends)}
    return found


class Trace:
    """One walk. It remembers the examples it came through, to answer for those alone."""

    def __init__(self, session: Session, direction: Direction) -> None:
        self._session = session
        self._up = direction == "up"
        self._examples: set[str] = set()
        self._root: Ref | None = None
        self._labels = Labels(session)

    def walk(self, root: Ref) -> list[Node]:
        """Return the nodes depth first, each thing once, beginning with ``root``."""
        self._root = root
        nodes: list[Node] = []
        seen: set[Ref] = set()
        stack: list[tuple[Ref, int, str, Ref | None]] = [(root, 0, "", None)]
        while stack:
            ref, depth, relation, via = stack.pop()
            if ref in seen:
                continue
            seen.add(ref)
            nodes.append(Node(ref, depth, relation, self._labels.tell(ref), via))
            if ref.kind == "example":
                self._examples |= {ref.id, *(() if self._up else self._copies(ref.id))}
            stack += [(to, depth + 1, how, ref) for to, how in reversed(self._next(ref))]
        return nodes

    def _next(self, ref: Ref) -> list[Step]:
        steps = list(self._recorded(ref))
        if self._up:
            tables: dict[str, Callable[[str], Iterator[Step]]] = {
                "prediction": self._prediction_up,
                "example": self._example_up,
                "quarantine": self._quarantine_up,
                "release": self._release_up,
                "interaction": self._interaction_up,
                "feedback": self._feedback_up,
                "item": self._item_up,
                "assignment": self._assignment_up,
            }
        else:
            tables = {
                "example": self._example_down,
                "evaluation": self._evaluation_down,
                "release": self._release_down,
                "interaction": self._interaction_down,
                "item": self._item_down,
                "cycle": self._cycle_down,
            }
        if ref.kind in tables:
            steps += tables[ref.kind](ref.id)
        if ref.kind == "version" and not self._up and self._examples:
            steps = [step for step in steps if self._touched(ref.id, step[0])]
        return list(dict.fromkeys(steps))

    def _recorded(self, ref: Ref) -> Iterator[Step]:
        here, there = (EdgeRow.child_id, EdgeRow.parent_id)
        kind, other = (EdgeRow.child_kind, EdgeRow.parent_kind)
        if not self._up:
            here, there, kind, other = there, here, other, kind
        query = select(other, there, EdgeRow.relation).where(here == ref.id, kind == ref.kind)
        found = self._session.execute(query.order_by(there)).all()
        for to_kind, to_id, how in sorted(found, key=lambda row: _ORDER.get(row[0], 9)):
            yield Ref(to_kind, to_id), how

    def _prediction_up(self, prediction_id: str) -> Iterator[Step]:
        row = self._session.get_one(PredictionRow, prediction_id)
        yield Ref("evaluation", row.evaluation_id), "part of"
        yield Ref("example", row.example_id), "answers"

    def _example_up(self, example_id: str) -> Iterator[Step]:
        case = self._session.get(CaseRow, example_id)
        if case is not None:
            yield Ref("item", case.item_id), "answered in"
            yield Ref("interaction", case.interaction_id), "corrects"
        yield from self._labelled_in(example_id)
        members = select(VersionExampleRow.parent_id, VersionExampleRow.source_digest).where(
            VersionExampleRow.example_id == example_id
        )
        for parent, digest in self._session.execute(members.distinct()):
            if parent is not None:
                yield Ref("example", parent), "made from"
            yield from self._sources(digest)
        left_out = select(QuarantineRow.source_digest).where(QuarantineRow.example_id == example_id)
        for left_out_of in self._session.scalars(left_out.distinct()):
            yield from self._sources(left_out_of)

    def _quarantine_up(self, row_id: str) -> Iterator[Step]:
        row = self._session.get_one(QuarantineRow, row_id)
        if row.example_id is not None:
            yield Ref("example", row.example_id), "holds"
        yield from self._sources(row.source_digest)

    def _release_up(self, release_id: str) -> Iterator[Step]:
        made = select(CycleRow.id).where(CycleRow.release_id == release_id)
        for cycle in self._session.scalars(made.order_by(CycleRow.id)):
            yield Ref("cycle", cycle), "came of"

    def _interaction_up(self, interaction_id: str) -> Iterator[Step]:
        row = self._session.get_one(InteractionRow, interaction_id)
        if row.release_id is not None:  # else another provider's model answered
            yield Ref("release", row.release_id), "answered by"

    def _feedback_up(self, feedback_id: str) -> Iterator[Step]:
        row = self._session.get_one(FeedbackRow, feedback_id)
        yield Ref("interaction", row.interaction_id), "said about"

    def _item_up(self, item_id: str) -> Iterator[Step]:
        row = self._session.get_one(QueueItemRow, item_id)
        if row.subject_kind in ("reply", "pair"):  # of a panel: "c1:ex_…", see metier.review.panel
            example = row.subject_id.partition(":")[2].partition("~")[0].partition("#")[0]
            yield Ref("example", example), "asks about"
            yield Ref("queue", row.queue), "part of"
            return
        gone = self._session.get(InteractionRow, row.subject_id) is None
        if row.subject_kind != "interaction" or not gone:
            yield Ref(row.subject_kind, row.subject_id), "asks about"
        given = select(AssignmentRow.id).where(
            AssignmentRow.item_id == item_id, AssignmentRow.state == "done"
        )
        for one in self._session.scalars(given.order_by(AssignmentRow.place)):
            yield Ref("assignment", one), "answered by"

    def _labelled_in(self, example_id: str) -> Iterator[Step]:
        """The items on which people said what is right, of queues in which rows are labelled."""
        item = QueueItemRow
        query = select(item.id).join(QueueRow, QueueRow.name == item.queue)
        about = (item.subject_kind == "example", item.subject_id == example_id)
        settled = (QueueRow.kind == "label", item.answered_by.is_not(None))
        for one in self._session.scalars(query.where(*about, *settled).order_by(item.id)):
            yield Ref("item", one), "labelled in"

    def _assignment_up(self, assignment_id: str) -> Iterator[Step]:
        row = self._session.get_one(AssignmentRow, assignment_id)
        queue = self._session.get(QueueRow, row.queue)
        if queue is None or queue.guideline is None or row.guideline_number is None:
            return
        under = select(GuidelineRow.id).where(
            GuidelineRow.name == queue.guideline, GuidelineRow.number == row.guideline_number
        )
        for one in self._session.scalars(under):
            yield Ref("guideline", one), "given under"

    def _sources(self, digest: str | None) -> Iterator[Step]:
        for source in self._session.scalars(select(SourceRow).where(SourceRow.digest == digest)):
            yield Ref("source", source.id), "read from"

    def _example_down(self, example_id: str) -> Iterator[Step]:
        members = select(VersionExampleRow).where(VersionExampleRow.example_id == example_id)
        for row in self._session.scalars(members.order_by(VersionExampleRow.version_id)):
            yield Ref("version", row.version_id), f"holds it for {row.split}"
        for child in self._copies(example_id):
            yield Ref("example", child), "made from"
        left_out = select(QuarantineRow.id).where(QuarantineRow.example_id == example_id)
        for row_id in self._session.scalars(left_out.order_by(QuarantineRow.id)):
            yield Ref("quarantine", row_id), "left it out"

    def _copies(self, example_id: str) -> list[str]:
        """The examples made from one."""
        children = select(VersionExampleRow.example_id).where(
            VersionExampleRow.parent_id == example_id
        )
        return list(self._session.scalars(children.distinct().order_by("example_id")))

    def _release_down(self, release_id: str) -> Iterator[Step]:
        if self._root != Ref("release", release_id):
            return
        newest = select(InteractionRow.id).where(InteractionRow.release_id == release_id)
        for one in self._session.scalars(newest.order_by(InteractionRow.id.desc()).limit(LISTED)):
            yield Ref("interaction", one), "answered by"

    def _interaction_down(self, interaction_id: str) -> Iterator[Step]:
        if self._root is not None and self._root.kind == "release":
            return
        said = select(FeedbackRow.id).where(FeedbackRow.interaction_id == interaction_id)
        for one in self._session.scalars(said.order_by(FeedbackRow.id)):
            yield Ref("feedback", one), "said about"
        asked = select(QueueItemRow.id).where(
            QueueItemRow.subject_kind == "interaction", QueueItemRow.subject_id == interaction_id
        )
        for one in self._session.scalars(asked.order_by(QueueItemRow.id)):
            yield Ref("item", one), "asks about"
        yield from self._cases(CaseRow.interaction_id == interaction_id, "corrects")

    def _item_down(self, item_id: str) -> Iterator[Step]:
        yield from self._cases(CaseRow.item_id == item_id, "answered in")

    def _cases(self, which: ColumnElement[bool], how: str) -> Iterator[Step]:
        found = select(CaseRow.example_id).where(which).order_by(CaseRow.example_id)
        for one in self._session.scalars(found):
            yield Ref("example", one), how

    def _cycle_down(self, cycle_id: str) -> Iterator[Step]:
        row = self._session.get_one(CycleRow, cycle_id)
        left = {
            "version": (row.version_id,),
            "run": (row.run_id,),
            "evaluation": (row.evaluation_id, row.regression_id),
            "release": (row.release_id,),
        }
        for kind, ids in left.items():
            for one in ids:
                if one is not None:
                    yield Ref(kind, one), "came of"

    def _evaluation_down(self, evaluation_id: str) -> Iterator[Step]:
        query = (
            select(PredictionRow)
            .where(PredictionRow.evaluation_id == evaluation_id)
            .order_by(PredictionRow.id)
        )
        if self._examples:
            query = query.where(PredictionRow.example_id.in_(self._examples))
        elif self._root == Ref("evaluation", evaluation_id):
            query = query.limit(LISTED)
        else:
            return
        for row in self._session.scalars(query):
            yield Ref("prediction", row.id), "part of"

    def _touched(self, version_id: str, child: Ref) -> bool:
        """Whether the examples walked through had a part in what came of their version."""
        if child.kind in ("run", "release"):
            query = select(VersionExampleRow.example_id).where(
                VersionExampleRow.version_id == version_id,
                VersionExampleRow.example_id.in_(self._examples),
                VersionExampleRow.split.not_in(NOT_LEARNED),
            )
        elif child.kind == "evaluation":
            query = select(PredictionRow.id).where(
                PredictionRow.evaluation_id == child.id,
                PredictionRow.example_id.in_(self._examples),
            )
        else:
            return True
        return self._session.scalars(query.limit(1)).first() is not None
