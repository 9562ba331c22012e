"""Jobs survive their workers, and two that exclude each other never run at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from metier.core import jobs as jobs_module
from metier.core.errors import Busy, InputError, NotFound
from metier.core.jobs import JobCancelled, JobContext, JobQueue, Resources
from metier.core.processes import Owner
from metier.core.store.database import Database
from metier.core.store.tables import JobRow

HOLD = """
import sys, time
from metier.core.jobs import JobQueue
from metier.core.store.database import Database
def work(context):
    print("held", flush=True)
    time.sleep(60)
JobQueue(Database(sys.argv[1])).run_inline("tune", {}, work, exclusive="gpu")
"""
HERE = {name: f"{__name__}:{name}" for name in ("double", "fail", "refuse", "obey")}


def double(context: JobContext) -> dict[str, Any]:
    return {"value": 2 * context.config["value"], "subject": context.subject}


def fail(context: JobContext) -> None:
    raise RuntimeError("out of luck")


def refuse(context: JobContext) -> None:
    raise InputError("a file", got="none")


def obey(context: JobContext) -> None:
    assert context.cancelled.wait(10)
    context.check()


@contextmanager
def holder(url: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that runs a job holding the key ``gpu``."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, url], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


@pytest.fixture
def queue(database: Database) -> JobQueue:
    return JobQueue(database, capacity=Resources(gpus=1, memory_bytes=100))


def edit(database: Database, job_id: str, **changes: Any) -> None:
    with database.session() as session:
        row = session.get_one(JobRow, job_id)
        for name, value in changes.items():
            setattr(row, name, value)


def test_inline_work_returns_its_result_and_is_recorded(queue: JobQueue) -> None:
    assert queue.run_inline("add", {"a": 1}, lambda context: context.config["a"] + 1) == 2
    [job] = queue.list()
    assert (job.state, job.attempts, job.error) == ("done", 1, None)
    assert job.finished_at is not None


def test_inline_work_that_fails_says_why(queue: JobQueue) -> None:
    with pytest.raises(RuntimeError, match="out of luck"):
        queue.run_inline("fail", {}, fail)
    [job] = queue.list()
    assert (job.state, job.error) == ("failed", "RuntimeError: out of luck")


def test_a_live_holder_refuses_a_second_and_a_killed_one_is_taken_over(
    database_url: str, queue: JobQueue
) -> None:
    with holder(database_url) as process:
        with pytest.raises(Busy, match=f"process {process.pid} on .* runs since") as caught:
            queue.run_inline("tune", {}, double, exclusive="gpu")
        assert queue.list("running")[0].id in str(caught.value)
        assert queue.run_inline("other", {}, lambda _: 1, exclusive="else") == 1
        process.send_signal(signal.SIGKILL)
        while process.poll() is None:
            pass
    assert queue.run_inline("tune", {"value": 1}, lambda _: "mine", exclusive="gpu") == "mine"
    [killed] = queue.list("failed")
    assert killed.error is not None
    assert "ended without finishing" in killed.error


def test_a_killed_holder_that_nobody_waited_for_is_dead_too(
    database_url: str, queue: JobQueue
) -> None:
    with holder(database_url) as process:
        process.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # now it is a zombie
        assert queue.run_inline("tune", {}, lambda _: "mine", exclusive="gpu") == "mine"


def test_a_holder_elsewhere_is_taken_over_when_its_lease_ends(
    database: Database, queue: JobQueue
) -> None:
    far = replace(Owner.me("t"), machine="elsewhere", host="elsewhere")
    job = queue.enqueue("tune", {}, exclusive="gpu", max_attempts=1)
    soon = datetime.now(UTC) + timedelta(seconds=60)
    held = {"state": "running", "attempts": 1, "started_at": soon, "lease_until": soon}
    edit(database, job.id, owner=asdict(far), **held)
    with pytest.raises(Busy, match="on elsewhere"):
        queue.run_inline("tune", {}, lambda _: 1, exclusive="gpu")
    edit(database, job.id, lease_until=datetime.now(UTC) - timedelta(seconds=1))
    assert queue.run_inline("tune", {}, lambda _: 1, exclusive="gpu") == 1
    assert queue.get(job.id).state == "failed"


def test_a_recycled_pid_is_not_the_holder(database: Database, queue: JobQueue) -> None:
    parent = replace(Owner.me("t"), pid=os.getppid(), started=1)
    job = queue.enqueue("tune", {}, exclusive="gpu", max_attempts=1)
    edit(database, job.id, state="running", owner=asdict(parent), started_at=datetime.now(UTC))
    assert queue.run_inline("tune", {}, lambda _: 1, exclusive="gpu") == 1


def test_a_worker_runs_jobs_in_order_and_keeps_results(queue: JobQueue) -> None:
    first = queue.enqueue("double", {"value": 2})
    second = queue.enqueue("double", {"value": 3})
    queue.enqueue("unknown here", {})
    done = queue.work_once(HERE, "subject")
    assert done is not None
    assert (done.id, done.state) == (first.id, "done")
    assert done.result == {"value": 4, "subject": "subject"}
    assert (ran := queue.work_once(HERE)) is not None
    assert ran.id == second.id
    assert queue.work_once(HERE) is None


def test_a_failure_is_tried_again_later_and_a_users_mistake_is_not(
    queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = queue.enqueue("fail", {}, max_attempts=2)
    tried = queue.work_once(HERE)
    assert tried is not None
    assert (tried.state, tried.error) == ("queued", "RuntimeError: out of luck")
    assert queue.work_once(HERE) is None  # not before some seconds have passed
    monkeypatch.setattr(jobs_module, "RETRY_S", 0)
    with queue._db.session() as session:
        session.get_one(JobRow, job.id).not_before = None
    again = queue.work_once(HERE)
    assert again is not None
    assert (again.state, again.attempts) == ("failed", 2)
    queue.enqueue("refuse", {}, max_attempts=5)
    refused = queue.work_once(HERE)
    assert refused is not None
    assert (refused.state, refused.attempts) == ("failed", 1)


def test_a_dead_workers_job_is_queued_again(database: Database, queue: JobQueue) -> None:
    job = queue.enqueue("double", {"value": 1})
    gone = replace(Owner.me("t"), pid=2**22 - 1)
    edit(database, job.id, state="running", owner=asdict(gone), attempts=1)
    done = queue.work_once(HERE)
    assert done is not None
    assert (done.id, done.state, done.attempts) == (job.id, "done", 2)


def test_jobs_that_do_not_fit_wait_and_say_for_what(database: Database, queue: JobQueue) -> None:
    queue.enqueue("double", {"value": 1}, Resources(gpus=2))
    wide = queue.list()[0]
    assert queue.waits_for(wide.id) == "2 GPUs: this machine has 1, of which 0 are in use"
    keyed = queue.enqueue("double", {"value": 1}, exclusive="gpu")
    alike = queue.enqueue("double", {"value": 1}, exclusive="gpu")
    me = Owner.me("held")
    jobs_module._held.add("held")
    edit(database, keyed.id, state="running", owner=asdict(me))
    assert queue.waits_for(alike.id) == (
        f"{keyed.id} (double), which process {me.pid} on {me.host} runs"
    )
    assert queue.work_once(HERE) is None
    jobs_module._held.discard("held")


def test_cancelling(queue: JobQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs_module, "BEAT_S", 0.02)
    queued = queue.enqueue("double", {"value": 1})
    assert queue.cancel(queued.id).state == "cancelled"
    running = queue.enqueue("obey", {})

    def stop_it(context: JobContext) -> None:
        queue.cancel(context.job.id)
        obey(context)

    with pytest.raises(JobCancelled):
        queue.run_inline("obey", {}, stop_it)
    assert queue.list("cancelled")[0].name == "obey"
    assert queue.get(running.id).state == "queued"


def test_work_that_was_taken_over_is_told_so(
    database: Database, queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs_module, "BEAT_S", 0.02)

    def lose_it(context: JobContext) -> None:
        edit(database, context.job.id, owner=asdict(replace(Owner.me("other"), pid=1)))
        obey(context)

    with pytest.raises(JobCancelled, match="cancelled or taken over"):
        queue.run_inline("obey", {}, lose_it)
    assert queue.list()[0].state == "running"  # its new holder says how it ends


def test_a_lease_is_renewed_while_work_goes_on(
    queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs_module, "BEAT_S", 0.02)

    def look(context: JobContext) -> bool:
        before = queue.get(context.job.id).lease_until
        for _ in range(500):
            if queue.get(context.job.id).lease_until != before:
                return True
            threading.Event().wait(0.02)
        return False

    assert queue.run_inline("look", {}, look)


def test_many_workers_run_each_job_once(database_url: str, queue: JobQueue) -> None:
    for value in range(12):
        queue.enqueue("double", {"value": value})
    stop, counts = threading.Event(), []
    workers = [
        threading.Thread(target=lambda: counts.append(queue.work_forever(HERE, stop, poll_s=0.01)))
        for _ in range(3)
    ]
    for worker in workers:
        worker.start()
    while len(queue.list("done")) < 12:
        threading.Event().wait(0.02)
    stop.set()
    for worker in workers:
        worker.join()
    assert sum(counts) == 12
    assert {job.attempts for job in queue.list()} == {1}


def test_an_unknown_job_is_named(queue: JobQueue) -> None:
    with pytest.raises(NotFound, match="job_none"):
        queue.cancel("job_none")
