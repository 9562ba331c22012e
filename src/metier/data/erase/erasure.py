"""erase: everything the workspace keeps of a group goes, and a certificate says what went.

    plan = plan_erasure(ws, "patient 17")     # what would go; changes nothing
    erase(ws, "patient 17", reason="request of 3 May", actor="dpo")

The order makes an interrupted erasure safe to begin again: versions get successors, copies go,
then the group's key is destroyed and with it every sealed value, and at last every byte is looked
through. What was learned cannot be taken out of weights: adapters that learned from the rows are
listed, and may not be promoted again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain

from metier.core import ledger
from metier.core.codec import dumps
from metier.core.errors import Busy, InputError, IntegrityError, NotFound
from metier.core.ledger.erasures import (
    Holding,
    add_erasure,
    holdings,
    list_erasures,
    runs_on,
    succeed,
)
from metier.core.progress import Progress
from metier.core.records import ERASED, DataVersion
from metier.core.store.tables import InteractionRow, QueueItemRow, ReleaseRow, SealedKeyRow
from metier.core.types import Example, Json
from metier.core.workspace import Workspace
from metier.data.erase.scan import Scan, scan_project, scan_workspace
from metier.data.erase.stored import (
    clear_files,
    drop_artifacts,
    drop_predictions,
    erase_replies,
    forget_answers,
    scrub_rows,
)
from metier.data.erase.values import OwnValues, own_values

REASON_CHARS = 5


@dataclass(frozen=True, slots=True)
class Plan:
    """What an erasure would touch. ``adapters`` are (run, version, releases)."""

    group_hash: str
    rows: int
    versions: dict[str, dict[str, int]]
    adapters: tuple[tuple[str, str, tuple[str, ...]], ...]
    sealed: int
    replies: int
    sources: dict[str, tuple[str, ...]]
    items: int = 0
    """Items of queues that were imported under this very name, without a data version."""

    @property
    def empty(self) -> bool:
        """Whether the workspace holds nothing of the group."""
        return not (self.rows or self.sealed or self.replies or self.items)


@dataclass(frozen=True, slots=True)
class Erased:
    """An erasure that was carried out; ``certificate`` is stored with it."""

    id: str
    certificate: dict[str, Json]


def plan_erasure(ws: Workspace, group: str) -> Plan:
    """Say what erasing a group would touch, and change nothing.

    ``group`` is the name as the sources have it, its keyed hash, or for a row without a group its
    example id.
    """
    held = holdings(ws, group)
    versions: dict[str, Counter[str]] = {}
    for one in held:
        versions.setdefault(one.version_id, Counter())[one.split] += 1
    learned = [key for key, splits in versions.items() if splits.keys() & {"train", "validation"}]
    sealed, replies = _count(ws, group)
    return Plan(
        ws.sealed.group_hash(group),
        len({one.example_id for one in held}),
        {key: dict(sorted(counts.items())) for key, counts in versions.items()},
        tuple((run, version, _releases(ws, run)) for run, version in runs_on(ws, learned)),
        sealed,
        replies,
        _sources(ws, held),
        _items(ws, group),
    )


def erase(
    ws: Workspace,
    group: str,
    *,
    reason: str,
    actor: str | None = None,
    progress: Progress | None = None,
) -> Erased:
    """Erase a group, and return the certificate.

    Raises:
        InputError: no reason is given.
        NotFound: the workspace holds nothing of it.
        Busy: a job runs, which may be reading what is to go.
        IntegrityError: a value is still found after all of it; what was done stays done.
    """
    if len(reason.strip()) < REASON_CHARS:
        raise InputError(
            f"a reason of at least {REASON_CHARS} characters",
            got=repr(reason),
            remedy="say why the rows go: it stands in the certificate and in the audit log",
        )
    _refuse_while_running(ws)
    began = datetime.now(UTC)
    plan = plan_erasure(ws, group)
    if plan.empty:
        raise _nothing_of(ws, plan)
    bars = progress or Progress()
    ws.audit.append(actor, "data.erase", plan.group_hash, {"reason": reason, "rows": plan.rows})
    held = holdings(ws, group)
    gone = {one.example_id for one in held} | ({group} if plan.items else set())
    with bars.task("erase: what only these rows say", unit="rows"):
        values = _values(ws, held, gone)
    successors = {}
    with bars.task("erase: versions", total=len(plan.versions), unit="versions") as task:
        for key in plan.versions:
            old = ledger.get_version(ws, key)
            successors[key] = succeed(ws, old, gone).id if old.splits else None
            task.advance(1)
    with bars.task("erase: copies"):
        account = _forget_copies(ws, group, gone, values, began)
    with bars.task("erase: key"):
        account["sealed_values"] = ws.sealed.erase_group(group, actor=actor, reason=reason)
        for example_id in sorted(gone):
            if ws.sealed.group_hash(example_id) != plan.group_hash:
                ws.sealed.erase_group(example_id, actor=actor, reason=reason)
        ws.db.compact()
    with bars.task("erase: looking through every byte"):
        inside, beside = scan_workspace(ws, values), scan_project(ws, values)
    certificate = _certificate(plan, successors, account, values, inside, beside, reason)
    certificate["exports"] = _exports(ws, plan)
    done = add_erasure(ws, group, certificate, gone, actor=actor)
    if inside.found:
        raise IntegrityError(
            "no trace of the group under .metier",
            got=f"something that only its rows said in {', '.join(inside.found[:5])}",
            remedy=f"look at these files; certificate {done.id} lists them",
        )
    return Erased(done.id, certificate)


def _nothing_of(ws: Workspace, plan: Plan) -> NotFound:
    before = [one.id for one in list_erasures(ws) if one.group_hash == plan.group_hash]
    got = f"none that is called so (hash {plan.group_hash})"
    if before:
        got = f"none any more: it was erased, see certificate {before[-1]}"
    return NotFound(
        "a group that the workspace holds something of",
        got=got,
        remedy="give the name as the source file has it, or an example id for a row without "
        "a group; names are compared letter by letter",
    )


def _refuse_while_running(ws: Workspace) -> None:
    running = ws.jobs.list("running")
    if running:
        raise Busy(
            "no job at work while rows are erased",
            got=", ".join(f"{job.name} {job.id}" for job in running[:3]),
            remedy="wait for it or cancel it, and erase then",
        )


def _values(ws: Workspace, held: Sequence[Holding], gone: Collection[str]) -> OwnValues:
    erased: dict[str, Example] = {}
    others = []
    for version in ledger.list_versions(ws):
        for split in version.splits:
            others.append((version, split))
    for version_id in sorted({one.version_id for one in held}):
        version = ledger.get_version(ws, version_id)
        for split in version.splits:
            for example in ledger.iter_split(ws, version, split):
                if example.id in gone:
                    erased[example.content_hash] = example
    rest = chain.from_iterable(_rest(ws, version, split, gone) for version, split in others)
    return own_values(list(erased.values()), rest)


def _rest(ws: Workspace, version: DataVersion, split: str, gone: Collection[str]) -> list[Example]:
    return [one for one in ledger.iter_split(ws, version, split) if one.id not in gone]


def _forget_copies(
    ws: Workspace, group: str, gone: Collection[str], values: OwnValues, began: datetime
) -> dict[str, Json]:
    predictions = drop_predictions(ws, gone, values)
    replies = erase_replies(ws, group)
    answers = forget_answers(ws, gone)
    rows = scrub_rows(ws, values)
    files = clear_files(ws, values)
    artifacts = drop_artifacts(ws, values, began)
    return {
        "predictions": predictions,
        "replies": replies,
        "answers": answers,
        "table_rows": rows,
        "files": files,
        "artifacts": artifacts,
    }


def _count(ws: Workspace, group: str) -> tuple[int, int]:
    from sqlalchemy import func, select

    found = ws.sealed.group_hash(group)
    live = SealedKeyRow.group_hash == found, SealedKeyRow.erased_at.is_(None)
    with ws.db.reading() as session:
        keys = session.scalar(select(func.count()).select_from(SealedKeyRow).where(*live)) or 0
        mine = InteractionRow.user_hash == found, InteractionRow.state != "erased"
        query = select(func.count()).select_from(InteractionRow).where(*mine)
        return keys, session.scalar(query) or 0


def _items(ws: Workspace, group: str) -> int:
    from sqlalchemy import func, select

    about = QueueItemRow.subject_id == group, QueueItemRow.note.is_distinct_from(ERASED)
    with ws.db.reading() as session:
        return session.scalar(select(func.count()).select_from(QueueItemRow).where(*about)) or 0


def _releases(ws: Workspace, run: str) -> tuple[str, ...]:
    from sqlalchemy import select

    with ws.db.reading() as session:
        query = select(ReleaseRow.number).where(ReleaseRow.run_id == run)
        return tuple(f"v{number}" for number in session.scalars(query.order_by(ReleaseRow.number)))


def _sources(ws: Workspace, held: Sequence[Holding]) -> dict[str, tuple[str, ...]]:
    from sqlalchemy import select

    from metier.core.store.tables import SourceRow

    places: dict[str, set[str]] = {}
    with ws.db.reading() as session:
        paths = {one.digest: one.path for one in session.scalars(select(SourceRow))}
    for one in held:
        if one.source_digest in paths:
            places.setdefault(paths[one.source_digest], set()).add(one.locator)
    return {path: tuple(sorted(rows)) for path, rows in sorted(places.items())}


def _exports(ws: Workspace, plan: Plan) -> list[Json]:
    """Where versions that held a row were written to, as the audit log has it."""
    return [
        {
            "version": one.subject,
            "folder": str(one.detail.get("folder") or one.detail.get("file") or "somewhere"),
            "at": f"{one.at:%Y-%m-%d}",
            "by": one.actor,
        }
        for one in ws.audit.entries()
        if one.action == "data.export" and one.subject in plan.versions
    ]


def _certificate(
    plan: Plan,
    successors: dict[str, str | None],
    account: dict[str, Json],
    values: OwnValues,
    inside: Scan,
    beside: Scan,
    reason: str,
) -> dict[str, Json]:
    found: dict[str, Json] = {
        "group": plan.group_hash,
        "reason": reason,
        "rows": plan.rows,
        "versions": [
            {"version": key, "successor": successors[key], "rows": counts}
            for key, counts in plan.versions.items()
        ],
        "adapters": [
            {"run": run, "version": version, "releases": list(releases)}
            for run, version, releases in plan.adapters
        ],
        "removed": account,
        "values": len(values.words) + len(values.phrases),
        "scan": {
            "files": inside.files,
            "bytes": inside.size_bytes,
            "needles": len(values.needles),
            "found": list(inside.found),
        },
        "sources": {path: list(rows) for path, rows in plan.sources.items()},
        "beside": list(beside.found),
    }
    assert dumps(found)  # it is stored as JSON
    return found
