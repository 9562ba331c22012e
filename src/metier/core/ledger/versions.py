"""Sources and data versions."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain, islice
from typing import Any, BinaryIO

from sqlalchemy import select
from sqlalchemy.orm import Session

from metier.core.codec import examples_from_parquet, read_examples, write_examples
from metier.core.columns import Hashes, Marks
from metier.core.errors import InputError, NotFound, nearest, out_of_space
from metier.core.ids import new_id
from metier.core.ledger.find import LATEST, columns, find, record
from metier.core.ledger.looks import share_looks
from metier.core.lineage import Ref
from metier.core.records import DataVersion
from metier.core.store.tables import SourceRow, VersionExampleRow, VersionRow
from metier.core.types import Example, Json, digest, hash_members
from metier.core.workspace import Workspace

SUCCEEDED_BY = "succeeded_by"
"""The key of an emptied version's card that names the version that took its place."""
PARQUET = "application/vnd.apache.parquet"
VERSION = ("data version", "metier data build")


@dataclass(frozen=True, slots=True)
class Member:
    """One example of a version; ``content_hash`` is that of the frozen example."""

    example_id: str
    content_hash: str
    split: str


def record_source(ws: Workspace, path: str, source_digest: str, rows: int) -> Ref:
    """Note a source that rows were read from; the same digest is the same source.

    A source that grows under one digest (feedback) takes the new number of rows.
    """
    source = Ref("source", "src_" + digest([source_digest])[:24])
    row = {
        "id": source.id,
        "path": path,
        "digest": source_digest,
        "rows": rows,
        "created_at": datetime.now(UTC),
    }
    with ws.db.session() as session:
        ws.db.insert_new(session, SourceRow, [row])
        session.get_one(SourceRow, source.id).rows = rows
    return source


def save_version(
    ws: Workspace,
    splits: Mapping[str, Sequence[Example]],
    *,
    labels: Sequence[str],
    config: Mapping[str, Json],
    card: Mapping[str, Json],
    sources: Sequence[Ref],
    looks_budget: int = 5,
    made_from: tuple[Ref, str] | None = None,
) -> DataVersion:
    """Freeze examples as a version; the same examples in the same splits, with the same label set,
    are the same version.

    Group names are replaced by keyed hashes (``SealedStore.group_hash``) before anything is
    hashed or written: what is loaded again has those. ``made_from`` is another version and what
    was done: a version with its test items, under other labels or fewer of them, shares its looks.
    Raises InputError when an id comes twice.
    """
    _refuse_twins(splits)
    parents = [(one, "imported from") for one in sources] + ([made_from] if made_from else [])
    # A file that found no room says so once more when it is closed: that is told alike.
    with out_of_space("freezing a version"), ExitStack() as stack:
        files = {
            split: stack.enter_context(tempfile.TemporaryFile(dir=ws.work_dir)) for split in splits
        }
        hashes = {split: _freeze(ws, rows, files[split]) for split, rows in splits.items()}
        found = hash_members(hashes, labels)
        known = _built_again(ws, found, parents, card)
        if known is not None:
            return known
        artifacts = {split: ws.artifacts.put_stream(file, PARQUET) for split, file in files.items()}
    version = DataVersion(
        id=new_id("ver"),
        hash=found,
        created_at=datetime.now(UTC),
        counts={split: len(rows) for split, rows in splits.items()},
        splits=artifacts,
        labels=tuple(labels),
        card=dict(card),
        config=dict(config),
        looks_budget=looks_budget,
    )
    stored = _store(ws, version, _memberships(ws, version.id, splits, hashes), parents)
    return stored or _built_again(ws, found, parents, card) or version  # another process was faster


def _freeze(ws: Workspace, examples: Iterable[Example], sink: BinaryIO) -> Hashes:
    """Write a split as it will be stored; return its content hashes."""
    hashes = Hashes()

    def keyed() -> Iterator[Example]:
        for example in examples:
            one = _keyed(ws, example)
            hashes.add(one.content_hash)
            yield one

    write_examples(keyed(), sink)
    sink.flush()
    return hashes


def get_version(ws: Workspace, key: str = LATEST) -> DataVersion:
    """Find a data version. Raises NotFound."""
    with ws.db.reading() as session:
        return _version(find(session, VersionRow, key, *VERSION))


def list_versions(ws: Workspace) -> list[DataVersion]:
    """All data versions, oldest first."""
    with ws.db.reading() as session:
        rows = session.scalars(select(VersionRow).order_by(VersionRow.id))
        return [_version(row) for row in rows]


def load_split(ws: Workspace, version: DataVersion | str, split: str) -> list[Example]:
    """The examples of one split, in the order they were frozen in. Raises NotFound."""
    return examples_from_parquet(ws.artifacts.get_bytes(split_artifact(ws, version, split)))


def iter_split(ws: Workspace, version: DataVersion | str, split: str) -> Iterator[Example]:
    """Yield what ``load_split`` returns, a few rows in memory at a time.

    Raises NotFound, or IntegrityError before the first row when the stored bytes were changed.
    """
    digest = split_artifact(ws, version, split)
    if not ws.artifacts.verify(digest):
        ws.artifacts.get_bytes(digest)  # says what is wrong with it
    with ws.artifacts.open(digest) as source:
        yield from read_examples(source)


def with_rows(ws: Workspace, version: DataVersion | str) -> DataVersion:
    """Return a version that still holds its rows; of one that was emptied, name the successor.

    Raises NotFound.
    """
    found = get_version(ws, version) if isinstance(version, str) else version
    if not found.splits and SUCCEEDED_BY in found.card:
        raise NotFound(
            f"rows of {found.id}",
            got="none: it held rows that were erased",
            remedy=f"use the version that took its place, {found.card[SUCCEEDED_BY]}",
        )
    return found


def version_now(ws: Workspace, version_id: str) -> DataVersion:
    """The version, or the one that took its place since rows of it were erased. Raises NotFound."""
    found = get_version(ws, version_id)
    while not found.splits and SUCCEEDED_BY in found.card:
        found = get_version(ws, found.card[SUCCEEDED_BY])
    return found


def split_artifact(ws: Workspace, version: DataVersion | str, split: str) -> str:
    """The digest of the Parquet file of a version's split. Raises NotFound."""
    found = with_rows(ws, version)
    if split not in found.splits:
        raise NotFound(f"a split of {found.id}", got=split, remedy=nearest(split, found.splits))
    return found.splits[split]


def list_members(ws: Workspace, version: DataVersion) -> list[Member]:
    """Which examples a version holds, without reading them."""
    row = VersionExampleRow
    query = select(row.example_id, row.content_hash, row.split).where(row.version_id == version.id)
    with ws.db.reading() as session:
        return [Member(*found) for found in session.execute(query)]


def _keyed(ws: Workspace, example: Example) -> Example:
    if example.group is None:
        return example
    return replace(example, group=ws.sealed.group_hash(example.group))


def _refuse_twins(splits: Mapping[str, Sequence[Example]]) -> None:
    ids = Marks(one.id for examples in splits.values() for one in examples)
    twins = ids.repeats()
    if len(twins):
        every = chain.from_iterable(splits.values())
        first = next(islice(every, int(twins[0]), None))
        raise InputError(
            "every example once in a version",
            got=f"{len(set(ids.firsts()[twins].tolist()))} ids that come more than once, "
            f"e.g. {first.id}",
            remedy="give each added example an id of its own and each example one split",
        )


def _store(
    ws: Workspace,
    version: DataVersion,
    members: Iterable[Mapping[str, Any]],
    parents: Sequence[tuple[Ref, str]],
) -> DataVersion | None:
    """Insert a version with its members and edges; None when its hash is there already."""
    with ws.db.session() as session:
        row = columns(VersionRow, version) | {"built_at": version.created_at}
        ws.db.insert_new(session, VersionRow, [row])
        if session.get(VersionRow, version.id) is None:
            return None
        ws.db.insert_new(session, VersionExampleRow, members)
        return _linked(ws, session, version.id, parents)


def _built_again(
    ws: Workspace, found: str, parents: Sequence[tuple[Ref, str]], card: Mapping[str, Json]
) -> DataVersion | None:
    """The version with that hash, if there is one, which is thereby the one built last.

    It takes the card of this build: its sources may have changed in rows that were left out.
    """
    with ws.db.session() as session:
        row = session.scalars(select(VersionRow).where(VersionRow.hash == found)).first()
        if row is None:
            return None
        row.built_at = datetime.now(UTC)
        row.card = dict(card)
        session.flush()
        return _linked(ws, session, row.id, parents)


def _linked(
    ws: Workspace, session: Session, version_id: str, parents: Sequence[tuple[Ref, str]]
) -> DataVersion:
    """Record what a version was made from (a version not from itself), and share its looks."""
    others = [(one, how) for one, how in parents if one.id != version_id]
    ws.lineage.record(Ref("version", version_id), others, session=session)
    return _version(next(o for o in share_looks(session, version_id) if o.id == version_id))


def _version(row: VersionRow) -> DataVersion:
    return record(DataVersion, row, labels=tuple(row.labels))


def _memberships(
    ws: Workspace,
    version_id: str,
    splits: Mapping[str, Sequence[Example]],
    hashes: Mapping[str, Hashes],
) -> Iterator[dict[str, Any]]:
    for split, examples in splits.items():
        for place, one in enumerate(examples):
            yield {
                "version_id": version_id,
                "example_id": one.id,
                "split": split,
                "content_hash": hashes[split][place],
                "group_hash": None if one.group is None else ws.sealed.group_hash(one.group),
                "source_digest": one.provenance.digest,
                "locator": one.provenance.locator,
                "parent_id": one.provenance.parent,
            }
