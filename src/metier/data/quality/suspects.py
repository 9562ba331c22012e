"""Suspects: rows that steps and measurements found reason to doubt, and what people say of them.

    open_suspects(ws)                              what waits, newest version's rows only
    show_suspect(ws, key)                          one row with what speaks against it (audited)
    decide(ws, objective, keys, "drop")            stored; the next build carries it out
    send_to_queue(ws, kind="label_error")          to people who work through a queue

A decision is about a row: it closes every suspicion of it that is open, and can be undone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import select

from metier.core import ledger
from metier.core.audit import current_actor
from metier.core.errors import InputError, NotFound, nearest
from metier.core.ledger import Noted
from metier.core.objective import Objective
from metier.core.store.tables import QueueItemRow
from metier.core.types import Example, FieldsTarget, Json, LabelsTarget, LabelTarget
from metier.core.workspace import Workspace
from metier.data.quality.decide import (
    RELABEL,
    SUSPECTS,
    Decision,
    Verdict,
    decisions_of,
    read_decision,
    same_key,
    target_words,
)
from metier.queue import (
    Item,
    NewItem,
    add_items,
    answer_item,
    items_of,
    list_items,
    reopen_item,
)

PURPOSE = "show suspect"


@dataclass(frozen=True, slots=True)
class SuspectRow:
    """A row under suspicion; ``ids`` are its suspicions, ``reasons`` theirs in the same order."""

    example_id: str
    ids: tuple[str, ...]
    reasons: tuple[str, ...]
    split: str


@dataclass(frozen=True, slots=True)
class Doubted:
    """A row with all that speaks against it: evidence by reason."""

    example: Example
    split: str
    evidence: Mapping[str, Mapping[str, Json]]

    @property
    def words(self) -> str:
        """The target as a person reads it."""
        return target_words(self.example.target)


def open_suspects(ws: Workspace, kind: str | None = None) -> list[SuspectRow]:
    """Return the rows of the latest version that wait for a decision.

    In the order in which they were found: most suspicious first within one measurement.
    """
    members = _sides(ws)
    rows: dict[str, list[Noted]] = {}
    for one in ledger.list_suspects(ws):
        if one.example_id in members:
            rows.setdefault(one.example_id, []).append(one)
    return [
        SuspectRow(
            example_id,
            tuple(one.id for one in found),
            tuple(one.why for one in found),
            members[example_id],
        )
        for example_id, found in rows.items()
        if kind is None or kind in {one.why for one in found}
    ]


def page_suspects(
    ws: Workspace, kind: str | None = None, *, after: str = "", limit: int = 50
) -> list[SuspectRow]:
    """Return what ``open_suspects`` does, a page at a time; ``after`` is the first id in ``ids`` of
    the row that came last."""
    try:
        version = ledger.get_version(ws)
    except NotFound:
        return []
    found = ledger.page_suspects(ws, version, reason=kind, after=after, limit=limit)
    return [_suspect(*one) for one in found]


def count_open(ws: Workspace) -> tuple[int, dict[str, int]]:
    """Return how many rows of the latest version wait, and how many for each reason."""
    try:
        return ledger.count_doubted(ws, ledger.get_version(ws))
    except NotFound:
        return 0, {}


def _suspect(example_id: str, split: str, noted: Sequence[Noted]) -> SuspectRow:
    ids, reasons = tuple(one.id for one in noted), tuple(one.why for one in noted)
    return SuspectRow(example_id, ids, reasons, split)


def count_kinds(rows: Sequence[SuspectRow]) -> dict[str, int]:
    """Return how many rows are doubted for each reason, most frequent first."""
    counts = Counter(reason for row in rows for reason in set(row.reasons))
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def show_suspect(ws: Workspace, key: str, *, actor: str | None = None) -> Doubted:
    """Return one row with its evidence; ``key`` begins a suspicion's or an example's id. Audited.

    Raises NotFound.
    """
    row = find_suspect(ws, key)
    noted = {one.id: one for one in _noted(ws, row)}
    evidence = {
        noted[one].why: ledger.open_suspect(ws, noted[one], actor=actor, purpose=PURPOSE)
        for one in row.ids
    }
    return Doubted(_example(ws, row), row.split, evidence)


def _noted(ws: Workspace, row: SuspectRow) -> list[Noted]:
    return ledger.open_of(ws, ledger.get_version(ws), [row.example_id])[0][2]


def find_suspect(ws: Workspace, key: str) -> SuspectRow:
    """Return the open row whose id, or one of whose suspicions' ids, begins with ``key``."""
    exact = _waiting(ws, key)
    if exact is not None:
        return exact
    rows = open_suspects(ws)
    found = [r for r in rows if key and any(one.startswith(key) for one in (r.example_id, *r.ids))]
    if len(found) == 1:
        return found[0]
    raise NotFound(
        "the id of a row under suspicion",
        got=f"{key!r}, which fits {len(found)} rows",
        remedy="list them with `metier data suspects`",
    )


def decide(
    ws: Workspace,
    objective: Objective,
    keys: Sequence[str],
    verdict: Verdict,
    label: str = "",
    *,
    actor: str | None = None,
) -> list[SuspectRow]:
    """Store what a person says of rows, which closes their suspicions; the next build acts on it.

    ``label`` is the right one for "relabel": a label, labels with commas, or ``field=value``.

    Raises:
        NotFound: a key fits no row, or several.
        InputError: the row has no such label to give; nothing is stored then.
    """
    rows = [find_suspect(ws, key) for key in keys]
    before = decisions_of(ws).by_id
    decided = [
        _decision(ws, objective, row, verdict, label, before.get(row.example_id)) for row in rows
    ]
    worker = actor or current_actor()
    for row, decision in zip(rows, decided, strict=True):
        _store(ws, row, decision, worker)
    return rows


def undo(ws: Workspace, key: str, *, actor: str | None = None) -> str:
    """Take back the decision about the row whose id begins with ``key``; its suspicions are open
    again. Returns the row's id. Raises NotFound."""
    exact = items_of(ws, SUSPECTS, [key]).get(key)
    items = [exact] if exact is not None and exact.state == "done" else _begins(ws, key)
    if len(items) != 1 or not key:
        raise NotFound(
            "the id of an example that was decided on",
            got=f"{key!r}, which fits {len(items)} rows",
            remedy="list them with `metier data suspects --decided`",
        )
    subject = items[0].subject_id
    noted = ledger.suspect_ids(ws, subject)
    with ws.db.session() as session:
        reopen_item(ws, items[0].id, actor or current_actor(), session=session)
        ledger.close_suspects(ws, noted, reopen=True, session=session)
    return subject


def _begins(ws: Workspace, key: str) -> list[Item]:
    return [item for item in list_items(ws, SUSPECTS, "done") if item.subject_id.startswith(key)]


def recently_decided(ws: Workspace, limit: int = 10) -> list[tuple[str, str, Decision]]:
    """Return (example id, who, decision) of what was decided last, newest first."""
    row = QueueItemRow
    query = select(row.subject_id, row.answered_by, row.answer)
    query = query.where(row.queue == SUSPECTS, row.state == "done")
    query = query.order_by(row.answered_at.desc(), row.id.desc()).limit(limit)
    with ws.db.reading() as session:
        found = session.execute(query).all()
    read = [
        (one, who or "", read_decision((answer or {}).get("value"))) for one, who, answer in found
    ]
    return [(one, who, decision) for one, who, decision in read if decision is not None]


def send_to_queue(ws: Workspace, kind: str | None = None) -> int:
    """Put the open rows into the people's queue, most suspicious first; return how many."""
    rows = open_suspects(ws, kind)
    items = [
        NewItem("example", row.example_id, row.reasons, priority=len(rows) - place)
        for place, row in enumerate(rows)
    ]
    add_items(ws, SUSPECTS, items)
    return len(items)


def _decision(
    ws: Workspace,
    objective: Objective,
    row: SuspectRow,
    verdict: Verdict,
    label: str,
    before: Decision | None,
) -> Decision:
    """Return the decision; to accept a row that was relabelled is to keep its new label."""
    example = _example(ws, row)
    reasons = tuple(dict.fromkeys([*(before.reasons if before else ()), *row.reasons]))
    if verdict == "accept" and before is not None and before.verdict == RELABEL:
        return replace(before, reasons=reasons)
    same = before.same if before is not None and before.same else same_key(example)
    to = _read_label(ws, objective, example, label) if verdict == RELABEL else None
    return Decision(verdict, to, same, reasons)


def _read_label(ws: Workspace, objective: Objective, example: Example, label: str) -> Json:
    """Return the labels a person gave, in the shape of the row's target."""
    to: Json = None
    known: Sequence[str] = ledger.get_version(ws).labels
    match example.target:
        case LabelTarget():
            to, given = label.strip(), [label.strip()]
        case LabelsTarget():
            given = sorted({one.strip() for one in label.split(",") if one.strip()})
            to = given
        case FieldsTarget() if objective.enum_fields:
            field, _, value = label.rpartition("=")
            field = field.strip() or next(iter(objective.enum_fields))
            known, given = objective.enum_fields.get(field, []), [value.strip()]
            to = {field: value.strip()}
        case _:
            raise InputError(
                "a row with a label",
                got=f"{example.id}, whose target is a text",
                remedy="accept it or drop it; texts are corrected in their source",
            )
    wrong = next((one for one in given if known and one not in known), None)
    if wrong is not None or not label.strip():
        raise InputError(
            "one of the labels", got=repr(wrong or ""), remedy=nearest(wrong or "", known)
        )
    return to


def _store(ws: Workspace, row: SuspectRow, decision: Decision, worker: str) -> None:
    item = add_items(ws, SUSPECTS, [NewItem("example", row.example_id, row.reasons)])[0]
    value = {
        "decision": decision.verdict,
        "to": decision.to,
        "same": decision.same,
        "reasons": list(decision.reasons),
    }
    with ws.db.session() as session:
        answer_item(ws, item.id, worker, value, session=session)
        ledger.close_suspects(ws, row.ids, session=session)
        detail = {"decision": decision.verdict, "reasons": list(row.reasons)}
        ws.audit.append(worker, "suspect.decide", row.example_id, detail, session=session)


def _waiting(ws: Workspace, example_id: str) -> SuspectRow | None:
    """The open row with exactly this id: found without listing the others."""
    try:
        found = ledger.open_of(ws, ledger.get_version(ws), [example_id])
    except NotFound:
        return None
    return _suspect(*found[0]) if found else None


def _sides(ws: Workspace) -> dict[str, str]:
    try:
        version = ledger.get_version(ws)
    except NotFound:
        return {}
    return {one.example_id: one.split for one in ledger.list_members(ws, version)}


def _example(ws: Workspace, row: SuspectRow) -> Example:
    found = ledger.find_rows(ws, ledger.get_version(ws), [row.example_id])
    if row.example_id in found:
        return found[row.example_id][1]
    raise NotFound("a row of the latest version", got=row.example_id, remedy="build the data again")
