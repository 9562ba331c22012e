"""A hosted tune sends the rows once, follows one job to its end, and leaves a run to evaluate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cases import LABELS, example, examples, settings
from hosted_server import KEY, FakeHost, lines, listening
from pydantic import ValidationError

from metier.core import ledger
from metier.core.errors import ConfigError, EgressRefused, InputError, ModelUnavailable
from metier.core.records import DataVersion
from metier.core.types import Conversation, Example, LabelTarget, Message, PreferenceTarget
from metier.journey import verbs
from metier.journey.exporting import find_tuned
from metier.journey.hosted import cancel_at_host
from metier.journey.releases import make_release
from metier.journey.session import Session, open_session
from metier.tune.config import TuneConfig
from metier.tune.methods import hosted_api
from metier.tune.methods.hosted import rows_of
from metier.tune.methods.hosted_api import Patience, unquoted

PROJECT = """
[project]
name = "desk"
system = "You sort the post."
[objective]
task = "{task}"
{more}
[evaluate]
resamples = 100
[tune]
method = {{ type = "hosted", url = "{url}", model = "small", key_env = "HOSTED_KEY", suffix = "desk", poll_s = 0.001 }}
{algorithm}
"""  # noqa: E501
PERMITS = """
[[privacy.egress]]
host = "127.0.0.1"
purpose = "{purpose}"
agreement = "test"
"""
DEIDENTIFIED = {"deidentify": {"profile": "patterns"}}


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHost]:
    monkeypatch.setenv("HOSTED_KEY", KEY)
    quick = Patience(0.001, 0.002, 5.0, 0.01)
    monkeypatch.setattr(hosted_api, "Patience", lambda: quick)
    with listening(FakeHost()) as up:
        yield up


def opened(root: Path, host: FakeHost, purposes: tuple[str, ...] = ("tune", "evaluate"),
           task: str = "classify", algorithm: str = "") -> Any:  # fmt: skip
    root.mkdir(exist_ok=True)
    labels = f"labels = {list(LABELS)}" if task == "classify" else ""
    text = PROJECT.format(task=task, url=host.url, more=labels, algorithm=algorithm)
    file = root / "metier.toml"
    file.write_text(text + "".join(PERMITS.format(purpose=one) for one in purposes))
    return open_session(file)


def freeze(session: Session, **changes: Any) -> DataVersion:
    splits = {"train": examples(9), "validation": examples(3, 50), "test": examples(6, 80)}
    values: dict[str, Any] = {"labels": LABELS, "config": DEIDENTIFIED, "card": {}, "sources": []}
    return ledger.save_version(session.workspace, splits, **values | changes)


def count(host: FakeHost, request: str) -> int:
    return host.requests.count(request)


def test_rows_are_sent_once_and_the_run_is_measured(host: FakeHost, tmp_path: Path) -> None:
    with opened(tmp_path, host) as session:
        version = freeze(session)
        run = verbs.tune_base(session)
        report = verbs.evaluate_run(session, run.id)
        points = ledger.metric_points(session.workspace, run.id)
        audit = [(one.action, one.subject, one.detail) for one in session.workspace.audit.entries()]
    assert (run.state, run.base, run.version_id) == ("done", "small", version.id)
    assert run.summary["hosted"]["fine_tuned_model"] == "ft:small:org:desk:1"
    assert run.summary["trained_tokens"] == 1234
    assert run.summary["train_seconds"] == 60
    train = lines(host.contents["file-1"])
    assert [len(lines(one)) for one in host.contents.values()] == [9, 3]
    assert train[0]["messages"][0] == {"role": "system", "content": "You sort the post."}
    assert train[0]["messages"][-1] == {"role": "assistant", "content": "billing"}
    (job,) = host.jobs.values()
    assert job["method"]["type"] == "supervised"
    assert job["validation_file"] == "file-2"
    assert {p.step: p.value for p in points if p.name == "validation_loss"} == {
        10: 2.5, 20: 1.25, 30: pytest.approx(2.5 / 3),
    }  # fmt: skip
    assert {p.step for p in points if p.name == "train_loss"} == {10, 11, 20, 21, 30, 31}
    assert report.run_id == run.id and report.n == 6
    assert {one["model"] for one in host.chats} == {"ft:small:org:desk:1"}
    sent = [detail for action, _, detail in audit if action == "egress.allowed"]
    assert sum(one["texts"] for one in sent if one["purpose"] == "tune") == 12


def test_the_real_client_reads_what_the_fake_host_says(host: FakeHost, tmp_path: Path) -> None:
    """The shapes are the API's own: otherwise what is shown here would show nothing."""
    openai = pytest.importorskip("openai")
    with openai.OpenAI(api_key=KEY, base_url=host.url, max_retries=0) as client:
        file = client.files.create(file=("a.jsonl", b'{"messages": []}\n'), purpose="fine-tune")
        job = client.fine_tuning.jobs.create(
            model="small", training_file=file.id, seed=1, method={"type": "supervised"},
        )  # fmt: skip
        for _ in range(5):
            job = client.fine_tuning.jobs.retrieve(job.id)
        assert job.status == "succeeded" and job.fine_tuned_model == "ft:small:org::1"
        told = list(client.fine_tuning.jobs.list_events(job.id))
        assert [one.type for one in told] == ["metrics"] * 3
        kept = list(client.fine_tuning.jobs.checkpoints.list(job.id))
        assert [one.metrics.full_valid_loss for one in kept][-1] == 2.5
        assert client.fine_tuning.jobs.cancel(job.id).status == "cancelled"
        assert [one.filename for one in client.files.list()] == ["a.jsonl"]


def test_nothing_leaves_without_permission(host: FakeHost, tmp_path: Path) -> None:
    with opened(tmp_path, host, purposes=("evaluate",)) as session:
        freeze(session)
        with pytest.raises(EgressRefused, match='purpose = "tune"'):
            verbs.tune_base(session)
        assert ledger.list_runs(session.workspace)[0].state == "failed"
    assert host.requests == []


def test_rows_that_name_people_do_not_leave(host: FakeHost, tmp_path: Path) -> None:
    with opened(tmp_path, host) as session:
        freeze(session, config={"deidentify": "none"})
        with pytest.raises(EgressRefused, match="de-identified"):
            verbs.tune_base(session)
    assert host.requests == []


@pytest.mark.parametrize("request_name", ["POST /v1/files", "POST /v1/fine_tuning/jobs"])
@pytest.mark.parametrize("statuses", [[429, 503], [0]])
def test_refusals_and_lost_answers_do_not_send_twice(
    host: FakeHost, tmp_path: Path, request_name: str, statuses: list[int]
) -> None:
    host.refusals = {request_name: list(statuses), "GET /v1/fine_tuning/jobs/ftjob-1": [429, 500]}
    with opened(tmp_path, host) as session:
        freeze(session)
        assert verbs.tune_base(session).state == "done"
    assert len(host.files) == 2 and len(host.jobs) == 1


class Killed(BaseException):
    """As SIGKILL: nothing of ours gets to run afterwards."""


@pytest.mark.parametrize("place", [0, 1, 2, 3, 4, 5, 6])
def test_killed_anywhere_it_goes_on_with_the_same_job(
    host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    """Killed at each write to the store: before or after it was carried out."""
    from metier.tune.methods import hosted

    kept = hosted._Job.keep
    calls = [0]

    def dying(self: Any, **changes: Any) -> None:
        calls[0] += 1
        if calls[0] == place + 1:
            if place % 2:
                kept(self, **changes)
            raise Killed
        kept(self, **changes)

    monkeypatch.setattr(hosted._Job, "keep", dying)
    monkeypatch.setattr(hosted, "_record", lambda *_: None)
    with opened(tmp_path, host) as session:
        freeze(session)
        with pytest.raises(Killed):
            verbs.tune_base(session)
        run = verbs.tune_base(session)
        assert [one.id for one in ledger.list_runs(session.workspace)] == [run.id]
    assert run.state == "done"
    assert len(host.files) == 2
    assert len(host.jobs) == 1


def test_a_host_that_is_gone_leaves_a_run_to_go_on_with(host: FakeHost, tmp_path: Path) -> None:
    host.refusals = {"GET /v1/fine_tuning/jobs/ftjob-1": [503] * 12}
    with opened(tmp_path, host) as session:
        freeze(session)
        with pytest.raises(ModelUnavailable, match="found again"):
            verbs.tune_base(session)
        stopped = ledger.get_run(session.workspace)
        assert (stopped.state, stopped.summary["hosted"]["job"]) == ("interrupted", "ftjob-1")
        host.refusals = {}
        run = verbs.tune_base(session)
    assert (run.id, run.state) == (stopped.id, "done")
    assert count(host, "POST /v1/fine_tuning/jobs") == 1
    assert count(host, "POST /v1/files") == 2


def test_a_job_that_fails_says_why_without_text_of_rows(host: FakeHost, tmp_path: Path) -> None:
    host.script = ("validating_files", "failed")
    host.error = {"code": "invalid_file", "message": "line 3: 'my parcel is late' is no turn"}
    with opened(tmp_path, host) as session:
        freeze(session)
        with pytest.raises(InputError, match="invalid_file: line 3: … is no turn"):
            verbs.tune_base(session)
        run = ledger.get_run(session.workspace)
        assert run.state == "failed" and "parcel" not in str(run.summary)
        host.script = ("running", "succeeded")
        again = verbs.tune_base(session)  # a failed job is not gone on with
    assert again.id != run.id and len(host.jobs) == 2


def test_a_job_is_cancelled(host: FakeHost, tmp_path: Path) -> None:
    host.refusals = {"GET /v1/fine_tuning/jobs/ftjob-1": [503] * 12}
    with opened(tmp_path, host) as session:
        freeze(session)
        with pytest.raises(ModelUnavailable):
            verbs.tune_base(session)
        run = cancel_at_host(session)
        assert (run.state, run.summary["hosted"]["status"]) == ("failed", "cancelled")
    assert host.jobs["ftjob-1"]["status"] == "cancelled"


def test_a_wrong_key_is_said_at_once(
    host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOSTED_KEY", "other")
    with opened(tmp_path, host) as session:
        freeze(session)
        with pytest.raises(ModelUnavailable, match="HTTP 401 wrong key"):
            verbs.tune_base(session)


def test_preferences_are_sent_as_pairs(host: FakeHost, tmp_path: Path) -> None:
    pairs = [
        replace(example(n, f"question {n}", None), target=PreferenceTarget("good", "bad"))
        for n in range(4)
    ]
    how = 'algorithm = { type = "dpo", beta = 0.2 }'
    with opened(tmp_path, host, task="chat", algorithm=how) as session:
        values: dict[str, Any] = {"labels": (), "config": DEIDENTIFIED, "card": {}, "sources": []}
        ledger.save_version(session.workspace, {"train": pairs}, **values)
        run = verbs.tune_base(session)
    assert run.state == "done"
    row = lines(host.contents["file-1"])[0]
    assert sorted(row) == ["input", "non_preferred_output", "preferred_output"]
    assert row["preferred_output"] == [{"role": "assistant", "content": "good"}]
    method = host.jobs["ftjob-1"]["method"]
    assert method["type"] == "dpo" and method["dpo"]["hyperparameters"]["beta"] == 0.2


def test_turns_that_are_not_learned_have_weight_zero() -> None:
    from cases import OBJECTIVE

    turns = (Message.of("user", "a"), Message.of("assistant", "b", 0), Message.of("user", "c"))
    asked = replace(Conversation.of(("user", "x")), messages=turns)
    row: Example = replace(example(1, "x", LabelTarget("billing")), conversation=asked)
    (line,) = rows_of([row, example(2, "y", None)], OBJECTIVE, LABELS, "", "supervised")
    assert [turn.get("weight") for turn in line["messages"]] == [None, None, 0, None, None]
    with pytest.raises(InputError, match="a preference in every row"):
        list(rows_of([row], OBJECTIVE, LABELS, "", "dpo"))


def test_what_a_host_decides_is_not_set_here() -> None:
    method = {"type": "hosted", "model": "small"}
    TuneConfig.model_validate({"method": method, "seed": 3})
    with pytest.raises(ValidationError, match=r"takes no lr, epochs"):
        TuneConfig.model_validate({"method": method, "lr": 1e-3, "epochs": 2})
    with pytest.raises(ValidationError, match=r"algorithm\.loss_share"):
        TuneConfig.model_validate(
            {"method": method, "algorithm": {"type": "sft", "loss_share": "fields"}}
        )
    with pytest.raises(ValidationError):
        settings(method=method | {"hyperparameters": {"n_epochs": 0}})


def test_what_has_no_weights_here_is_neither_exported_nor_released(
    host: FakeHost, tmp_path: Path
) -> None:
    with opened(tmp_path, host) as session:
        freeze(session)
        run = verbs.tune_base(session)
        for refused in (lambda: find_tuned(session, run.id), lambda: make_release(session, run.id)):
            with pytest.raises(InputError, match="tuned at a host"):
                refused()
        assert verbs.finished_run(session, ledger.get_version(session.workspace)) is not None


def test_an_algorithm_that_no_host_has_is_refused(host: FakeHost, tmp_path: Path) -> None:
    with opened(tmp_path, host, algorithm='algorithm = { type = "kto" }') as session:
        freeze(session)
        with pytest.raises(ConfigError, match="sft, dpo"):
            verbs.tune_base(session)
    assert host.requests == []


def test_what_a_host_quotes_is_left_out() -> None:
    assert unquoted('bad "secret words" at `x`') == "bad … at …"
