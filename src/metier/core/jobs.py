"""Jobs: a durable queue in the database.

A job is run inline (``run_inline``: the CLI and notebooks) or by a worker (``work_once``). Who
runs one holds a lease and renews it; a holder that died is taken over, at once on the same
machine and when the lease ends elsewhere. Handlers are named ``module:function``, not imported.

    enqueue: queued -> running -> done | failed | cancelled
                ^---------- retry --'
"""

from __future__ import annotations

import importlib
import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, TypeVar

from sqlalchemy import or_, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import IntegrityError as UniqueViolation
from sqlalchemy.orm import Session

from metier.core.codec import to_json
from metier.core.errors import Busy, MetierError, NotFound, UserError
from metier.core.ids import new_id
from metier.core.processes import Owner
from metier.core.store.database import Database
from metier.core.store.tables import JobRow
from metier.core.types import Json

T = TypeVar("T")
JobState = Literal["queued", "running", "done", "failed", "cancelled"]
LEASE_S = 60.0
BEAT_S = 5.0
RETRY_S = 5.0
_log = logging.getLogger(__name__)
_held: set[str] = set()  # tokens of the holds of this process


@dataclass(frozen=True, slots=True)
class Resources:
    """What a job needs, or a machine has."""

    gpus: int = 0
    memory_bytes: int = 0

    @classmethod
    def here(cls) -> Resources:
        """What this machine has; NVIDIA GPUs are counted from the driver's own listing."""
        gpus = Path("/proc/driver/nvidia/gpus")
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return cls(len(list(gpus.iterdir())) if gpus.is_dir() else 0, memory)


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work and how it stands. Of jobs with one ``exclusive`` key, one runs."""

    id: str
    name: str
    config: Mapping[str, Json]
    state: JobState
    resources: Resources
    exclusive: str | None
    attempts: int
    max_attempts: int
    owner: Owner | None
    lease_until: datetime | None
    cancel_requested: bool
    error: str | None
    result: Mapping[str, Json] | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class JobCancelled(MetierError):
    """Raised by ``JobContext.check`` when someone cancelled the job, or took it over."""


class JobContext:
    """What running work knows of its job. ``subject`` is what the worker was given to work on."""

    def __init__(self, job: Job, subject: Any = None) -> None:
        self.job, self.subject = job, subject
        self.cancelled = threading.Event()
        self.result: Json = None

    @property
    def config(self) -> Mapping[str, Json]:
        """The job's config."""
        return self.job.config

    def check(self) -> None:
        """Call this now and then. Raises JobCancelled when the work should stop."""
        if self.cancelled.is_set():
            raise JobCancelled(f"{self.job.id} ({self.job.name}) was cancelled or taken over")


Handlers = Mapping[str, str]
"""Job name -> ``module:function``; the function takes a JobContext, may return a JSON object."""


class JobQueue:
    """The jobs of one workspace; ``capacity`` is what this machine offers to them."""

    def __init__(
        self, db: Database, *, capacity: Resources | None = None, lease_s: float = LEASE_S
    ) -> None:
        self._db, self._capacity, self._lease_s = db, capacity or Resources.here(), lease_s

    def enqueue(
        self,
        name: str,
        config: Mapping[str, Json],
        resources: Resources | None = None,
        *,
        exclusive: str | None = None,
        max_attempts: int = 3,
    ) -> Job:
        """Add a job for a worker."""
        row = _new_row(name, config, resources, exclusive)
        row.max_attempts = max_attempts
        with self._db.session() as session:
            session.add(row)
        return _job(row)

    def run_inline(
        self,
        name: str,
        config: Mapping[str, Json],
        work: Callable[[JobContext], T],
        *,
        exclusive: str | None = None,
        resources: Resources | None = None,
    ) -> T:
        """Run ``work`` as a job of this process and return its result; what it raises passes.

        Raises Busy when another live process runs a job with the same ``exclusive`` key.
        """
        row = _new_row(name, config, resources, exclusive)
        with _hold() as owner:
            self._take(row, owner)
            context = JobContext(_job(row))
            with self._running(context, owner):
                return work(context)

    def work_once(self, handlers: Handlers, subject: Any = None) -> Job | None:
        """Run the oldest queued job that may run now; return it as it ended, or None.

        What a handler raises is recorded on the job, not raised: a UserError fails it, anything
        else is tried again up to ``max_attempts``.
        """
        with _hold() as owner:
            job = self._claim(handlers, owner)
            if job is None:
                return None
            context = JobContext(job, subject)
            try:
                with self._running(context, owner):
                    context.result = to_json(_load(handlers[job.name])(context))
            except Exception as error:
                _log.info("%s (%s) ended with %r", job.id, job.name, error)  # it is on the job too
        return self.get(job.id)

    def work_forever(
        self,
        handlers: Handlers,
        stop: threading.Event,
        subject: Any = None,
        *,
        poll_s: float = 1.0,
    ) -> int:
        """Run jobs until ``stop`` is set; return how many ran."""
        count = 0
        while not stop.is_set():
            if self.work_once(handlers, subject) is None:
                stop.wait(poll_s)
            else:
                count += 1
        return count

    def list(self, state: JobState | None = None) -> list[Job]:
        """Jobs, newest first."""
        query = select(JobRow).order_by(JobRow.id.desc())
        if state is not None:
            query = query.where(JobRow.state == state)
        with self._db.reading() as session:
            return [_job(row) for row in session.scalars(query)]

    def get(self, job_id: str) -> Job:
        """Find a job by id. Raises NotFound."""
        with self._db.reading() as session:
            return _job(_row(session, job_id))

    def cancel(self, job_id: str) -> Job:
        """Cancel a queued job at once; ask a running one to stop at its next check."""
        with self._db.session() as session:
            row = _row(session, job_id, lock=True)
            if row.state == "queued":
                row.state, row.finished_at = "cancelled", datetime.now(UTC)
            elif row.state == "running":
                row.cancel_requested = True
            return _job(row)

    def waits_for(self, job_id: str) -> str | None:
        """In words, what keeps a queued job from running; None when nothing does."""
        with self._db.reading() as session:
            return self._obstacle(session, _row(session, job_id))

    def _take(self, row: JobRow, owner: Owner) -> None:
        try:
            with self._db.session() as session:
                self._release_dead(session)
                if row.exclusive is not None:
                    _refuse_if_held(session, row.exclusive)
                self._start(row, owner)
                session.add(row)
        except UniqueViolation:  # another process took the key between look and write
            with self._db.reading() as session:
                _refuse_if_held(session, row.exclusive or "")
            raise

    def _claim(self, handlers: Handlers, owner: Owner) -> Job | None:
        now = datetime.now(UTC)
        query = (
            select(JobRow)
            .where(JobRow.state == "queued", JobRow.name.in_(list(handlers)))
            .where(or_(JobRow.not_before.is_(None), JobRow.not_before <= now))
            .order_by(JobRow.id)
            .with_for_update(skip_locked=True)
        )
        try:
            with self._db.session() as session:
                self._release_dead(session)
                for row in session.scalars(query):
                    if self._obstacle(session, row) is None:
                        self._start(row, owner)
                        return _job(row)
        except UniqueViolation:  # another worker took the exclusive key first
            return None
        return None

    def _start(self, row: JobRow, owner: Owner) -> None:
        now = datetime.now(UTC)
        row.state, row.owner, row.attempts = "running", asdict(owner), row.attempts + 1
        row.started_at, row.lease_until = now, now + timedelta(seconds=self._lease_s)
        row.error = None

    def _release_dead(self, session: Session) -> None:
        query = select(JobRow).where(JobRow.state == "running").with_for_update(skip_locked=True)
        for row in session.scalars(query):
            owner = _owner(row)
            if owner is not None and _is_dead(owner, row.lease_until):
                _give_back(row, f"{owner} ended without finishing it")
        session.flush()

    def _obstacle(self, session: Session, row: JobRow) -> str | None:
        running = session.scalars(select(JobRow).where(JobRow.state == "running")).all()
        for other in running:
            if row.exclusive is not None and other.exclusive == row.exclusive:
                return f"{other.id} ({other.name}), which {_owner(other)} runs"
        here = [one for one in running if (owner := _owner(one)) and owner.is_local]
        for field, unit in (("gpus", "GPUs"), ("memory_bytes", "bytes of memory")):
            needs, has = row.resources.get(field, 0), getattr(self._capacity, field)
            used = sum(one.resources.get(field, 0) for one in here)
            if needs and used + needs > has:
                return f"{needs} {unit}: this machine has {has}, of which {used} are in use"
        return None

    @contextmanager
    def _running(self, context: JobContext, owner: Owner) -> Iterator[None]:
        """Hold the lease while the block runs, then record how it ended."""
        stop = threading.Event()
        beat = threading.Thread(target=self._beat, args=(context, owner, stop), daemon=True)
        beat.start()
        try:
            yield
        except BaseException as error:
            self._end(context, owner, error)
            raise
        else:
            self._end(context, owner, None)
        finally:
            stop.set()
            beat.join()

    def _end(self, context: JobContext, owner: Owner, error: BaseException | None) -> None:
        with self._db.session() as session:
            row = _row(session, context.job.id, lock=True)
            if not _is_held_by(row, owner):
                return  # taken over: its new holder records the end
            if error is None:
                row.state, row.result, row.error = "done", context.result, None
            elif isinstance(error, JobCancelled):
                row.state = "cancelled"
            elif isinstance(error, UserError) or not isinstance(error, Exception):
                row.state, row.error = "failed", _told(error)
            else:
                _give_back(row, _told(error), delay_s=RETRY_S * 2**row.attempts)
            row.lease_until = None
            if row.state != "queued":
                row.finished_at = datetime.now(UTC)

    def _beat(self, context: JobContext, owner: Owner, stop: threading.Event) -> None:
        """Renew the lease and listen for a cancellation, until told to stop."""
        while not stop.wait(min(self._lease_s / 4, BEAT_S)):
            try:
                with self._db.session() as session:
                    row = _row(session, context.job.id, lock=True)
                    if not _is_held_by(row, owner) or row.cancel_requested:
                        context.cancelled.set()
                        return
                    row.lease_until = datetime.now(UTC) + timedelta(seconds=self._lease_s)
            except (MetierError, DBAPIError) as error:
                _log.warning("the lease of %s was not renewed: %s", context.job.id, error)


@contextmanager
def _hold() -> Iterator[Owner]:
    """This process as an owner, known as alive before any other thread can read of it."""
    owner = Owner.me(new_id("hold"))
    _held.add(owner.token)
    try:
        yield owner
    finally:
        _held.discard(owner.token)


def _new_row(
    name: str, config: Mapping[str, Json], resources: Resources | None, exclusive: str | None
) -> JobRow:
    return JobRow(
        id=new_id("job"),
        name=name,
        config=dict(config),
        state="queued",
        resources=asdict(resources or Resources()),
        exclusive=exclusive,
        attempts=0,
        max_attempts=1,
        cancel_requested=False,
        created_at=datetime.now(UTC),
    )


def _row(session: Session, job_id: str, *, lock: bool = False) -> JobRow:
    row = session.get(JobRow, job_id, with_for_update=lock or None)
    if row is None:
        raise NotFound("a job", got=job_id, remedy="see `metier jobs list`")
    return row


def _job(row: JobRow) -> Job:
    fields = {name: getattr(row, name) for name in Job.__dataclass_fields__}
    return Job(**fields | {"resources": Resources(**row.resources), "owner": _owner(row)})


def _owner(row: JobRow) -> Owner | None:
    return None if row.owner is None else Owner(**row.owner)


def _is_held_by(row: JobRow, owner: Owner) -> bool:
    return row.state == "running" and _owner(row) == owner


def _is_dead(owner: Owner, lease_until: datetime | None) -> bool:
    if not owner.is_local:
        return lease_until is not None and lease_until < datetime.now(UTC)
    if owner.pid == os.getpid():
        return owner.token not in _held
    return not owner.is_alive()


def _give_back(row: JobRow, why: str, delay_s: float = 0) -> None:
    """Queue a job again whose attempt failed, or fail it when that was the last one."""
    row.error, row.lease_until = why, None
    if row.cancel_requested:
        row.state = "cancelled"
    elif row.attempts < row.max_attempts:
        row.state = "queued"
        row.not_before = datetime.now(UTC) + timedelta(seconds=delay_s) if delay_s else None
    else:
        row.state, row.finished_at = "failed", datetime.now(UTC)


def _refuse_if_held(session: Session, exclusive: str) -> None:
    query = select(JobRow).where(JobRow.state == "running", JobRow.exclusive == exclusive)
    row = session.scalars(query).first()
    if row is not None:
        raise Busy(
            f"no other command at work on {exclusive!r} in this workspace",
            got=f"{row.name} ({row.id}), which {_owner(row)} runs since "
            f"{row.started_at:%Y-%m-%d %H:%M:%S} UTC",
            remedy="wait until it ends, or stop that process and try again",
        )


def _load(place: str) -> Callable[[JobContext], Json]:
    module, _, function = place.partition(":")
    found: Callable[[JobContext], Json] = getattr(importlib.import_module(module), function)
    return found


def _told(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    return str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
