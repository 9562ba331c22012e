"""Copies of erased rows in what the workspace keeps: predictions, table rows, caches, logs.

Whatever repeats what only the erased rows said goes: predictions are dropped, texts in tables
become ``[erased]``, and files that are made again when they are needed are removed whole.
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Collection, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from metier.core import ledger
from metier.core.codec import dumps, predictions_to_parquet
from metier.core.ledger.erasures import repoint_predictions
from metier.core.ledger.versions import PARQUET
from metier.core.records import ERASED, EvaluationReport, Prediction
from metier.core.store.tables import (
    ArtifactRow,
    Base,
    CaseRow,
    Document,
    FeedbackRow,
    InteractionRow,
    PredictionRow,
)
from metier.core.workspace import Workspace
from metier.data.erase.values import OwnValues
from metier.queue import forget_records, forget_subject

NOT_TEXT = frozenset(
    {"alembic_version", "api_keys", "artifacts", "audit", "edges", "erasures", "sealed_keys"}
)
"""Tables that hold ids, hashes and numbers only (the audit chain may not be changed)."""


def drop_predictions(ws: Workspace, gone: Collection[str], values: OwnValues) -> int:
    """Drop predictions about the examples, and those that repeat their values; count them."""
    dropped = 0
    for report in ledger.list_evaluations(ws):
        if not report.predictions:
            continue
        held = ledger.load_predictions(ws, report)
        kept = [one for one in held if not _tells(one, gone, values)]
        if len(kept) < len(held):
            dropped += len(held) - len(kept)
            _replace_predictions(ws, report, held, kept)
    return dropped


def _tells(one: Prediction, gone: Collection[str], values: OwnValues) -> bool:
    if one.example_id in gone:
        return True
    said = [one.completion.text, one.completion.error or ""]
    written = [dumps(one.parsed), dumps(one.expected), dumps(dict(one.slices))]
    return any(values.within(text) for text in (*said, *written))


def _replace_predictions(
    ws: Workspace, report: EvaluationReport, held: list[Prediction], kept: list[Prediction]
) -> None:
    artifact = ws.artifacts.put_bytes(predictions_to_parquet(kept), PARQUET)
    repoint_predictions(ws, report.id, artifact)
    left = {one.id for one in kept}
    with ws.db.session() as session:
        for one in held:
            if one.id not in left:
                session.execute(delete(PredictionRow).where(PredictionRow.id == one.id))


def erase_replies(ws: Workspace, group: str) -> int:
    """Empty the replies that were served to the group, and what was said about them."""
    user = ws.sealed.group_hash(group)
    with ws.db.session() as session:
        query = select(InteractionRow).where(InteractionRow.user_hash == user)
        found = list(session.scalars(query))
        for row in found:
            row.asked, row.replies, row.state = [], [], "erased"
            _forget_about(session, row.id)
    return len(found)


def forget_answers(ws: Workspace, gone: Collection[str]) -> int:
    """Empty what people said of these examples and were shown in queues; count the items."""
    with ws.db.session() as session:
        count = sum(forget_subject(session, one, ERASED) for one in sorted(gone))
    delete_artifacts(ws, forget_records(ws, gone))
    return count


def _forget_about(session: Session, interaction_id: str) -> None:
    of_reply = FeedbackRow.interaction_id == interaction_id
    for said in session.scalars(select(FeedbackRow).where(of_reply)):
        said.value, said.tags = {"value": ERASED}, {}
    forget_subject(session, interaction_id, ERASED)
    session.execute(delete(CaseRow).where(CaseRow.interaction_id == interaction_id))


def scrub_rows(ws: Workspace, values: OwnValues) -> dict[str, int]:
    """Put ``[erased]`` for every text in a table that repeats a value; count rows by table."""
    counts: dict[str, int] = {}
    with ws.db.session() as session:
        for mapper in Base.registry.mappers:
            table: Any = mapper.class_
            if table.__tablename__ in NOT_TEXT:
                continue
            names = [one.key for one in mapper.column_attrs if _holds_text(one.columns[0])]
            changed = sum(_scrub(row, names, values) for row in session.scalars(select(table)))
            if changed:
                counts[table.__tablename__] = changed
    return counts


def _holds_text(column: Any) -> bool:
    if column.primary_key or column.foreign_keys:
        return False
    return isinstance(column.type, Document) or column.type.python_type is str


def _scrub(row: Any, names: list[str], values: OwnValues) -> bool:
    changed = False
    for name in names:
        before = getattr(row, name)
        after = before if before is None else values.scrubbed(before, ERASED)
        if after != before:
            setattr(row, name, after)
            changed = True
    return changed


def clear_files(ws: Workspace, values: OwnValues) -> int:
    """Remove what is made again when needed (caches, checkouts, checkpoints) and take values out
    of logs; count the files."""
    count = sum(1 for path in ws.work_dir.rglob("*") if path.is_file())
    for path in ws.work_dir.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in ws.logs_dir.rglob("*"):
        if path.is_file():
            count += _clear_log(path, values)
    return count


def _clear_log(path: Path, values: OwnValues) -> bool:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    kept = [f"{ERASED}\n" if values.within(line) else line for line in lines]
    if kept == lines:
        return False
    path.write_text("".join(kept), encoding="utf-8")
    return True


def drop_artifacts(ws: Workspace, values: OwnValues, began: datetime) -> int:
    """Delete artifacts that repeat a value, and rows or predictions stored before ``began`` that
    nothing refers to any more; count them.

    A tree (an index made from rows) goes with the files that no other tree has.
    """
    with ws.db.reading() as session:
        known = list(session.scalars(select(ArtifactRow.digest)))
    here = [one for one in known if ws.artifacts.exists(one)]
    bad = {one for one in here if not one.startswith("tree_") and _repeats(ws, one, values)}
    bad |= _left_behind(ws, began) & set(here)
    trees = [one for one in here if one.startswith("tree_")]
    files = {tree: {entry["digest"] for entry in ws.artifacts.files(tree)} for tree in trees}
    for tree in trees:
        if files[tree] & bad:
            others = set().union(*(files[one] for one in trees if one != tree))
            bad |= {tree} | (files[tree] - others)
    delete_artifacts(ws, bad)
    return len(bad)


def delete_artifacts(ws: Workspace, digests: Collection[str]) -> None:
    """Delete the bytes of artifacts, and what is known of them."""
    for one in sorted(digests):
        ws.artifacts.delete(one)
    with ws.db.session() as session:
        for one in sorted(digests):
            session.execute(delete(ArtifactRow).where(ArtifactRow.digest == one))


def _left_behind(ws: Workspace, began: datetime) -> set[str]:
    """What versions and evaluations held before they were given other rows."""
    tables = ArtifactRow.media_type == PARQUET, ArtifactRow.created_at < began
    with ws.db.reading() as session:
        known = set(session.scalars(select(ArtifactRow.digest).where(*tables)))
    splits = {one for version in ledger.list_versions(ws) for one in version.splits.values()}
    return known - splits - {one.predictions for one in ledger.list_evaluations(ws)}


def _repeats(ws: Workspace, digest: str, values: OwnValues) -> bool:
    data = ws.artifacts.get_bytes(digest)
    return any(needle in data for needle in values.needles) or any(
        values.within(text) for text in _readable(data)
    )


def _readable(data: bytes) -> Iterator[str]:
    """Yield the texts of Parquet and UTF-8 files; nothing of others (weights)."""
    if data[:4] == b"PAR1":
        import pyarrow.parquet as pq

        table = pq.read_table(io.BytesIO(data))
        for column in table.columns:
            yield from (str(value) for value in column.to_pylist() if value is not None)
        return
    try:
        yield data.decode("utf-8")
    except UnicodeDecodeError:
        return
