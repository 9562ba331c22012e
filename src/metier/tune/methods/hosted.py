"""Hosted tuning: the same rows, sent to a fine-tuning API, and a run as of any other tune.

    write the rows -> upload -> create the job -> watch it -> a run that names the tuned model

Every step is written down before it is taken: a run that stopped goes on with the same files and
the same job. A job that was created is never created again; one whose answer was lost is looked
for at the host first, by the file it trains on, whose name holds the run's id.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NoReturn

from metier.core import ledger
from metier.core.errors import ConfigError, InputError, ModelUnavailable, OutOfSpace
from metier.core.objective import Objective
from metier.core.progress import Progress, TaskProgress
from metier.core.records import DataVersion, MetricPoint, TuneRun
from metier.core.types import Conversation, Example, Json, PreferenceTarget, digest
from metier.core.workspace import Workspace
from metier.models.prompt import TUNED, render_example, render_prompt
from metier.tune.config import Hosted, TuneConfig
from metier.tune.methods.hosted_api import HostedApi, Unsure, unquoted

NOTE = "hosted.json"
"""The file of a hosted run's artifact: where the tuned model answers."""
PURPOSE = "tune"
Kind = Literal["supervised", "dpo"]
KINDS: Mapping[str, Kind] = {"sft": "supervised", "dpo": "dpo"}
ENDED = ("succeeded", "failed", "cancelled")
SERIES = {
    "train_loss": "train_loss",
    "train_mean_token_accuracy": "train_token_accuracy",
    "valid_loss": "validation_loss",
    "valid_mean_token_accuracy": "validation_token_accuracy",
    "full_valid_loss": "validation_loss",
    "full_valid_mean_token_accuracy": "validation_token_accuracy",
}
"""A host's names for its series -> those they are stored under; of the whole validation file last,
so that they stand where both are told."""
TRIES = 3
SILENT = Progress()
Check = Callable[[str, str, int], object]
"""(url, purpose, number of texts) -> anything, or raises EgressRefused."""


@dataclass(frozen=True)
class Host:
    """Where to send, and what permits it."""

    api: HostedApi
    check: Check
    sleep: Callable[[float], None] = time.sleep


@dataclass
class _Job:
    """A run on its way; ``state`` is what has been reached, and is stored at every change."""

    ws: Workspace
    run: TuneRun
    config: TuneConfig
    method: Hosted
    files: Mapping[str, bytes]
    host: Host
    state: dict[str, Json] = field(default_factory=dict)

    def keep(self, **changes: Json) -> None:
        """Store how far it has come, before anything else is done."""
        self.state |= changes
        summary = {"hosted": dict(self.state)}
        self.run = ledger.finish_run(self.ws, self.run.id, "running", None, summary)


def tune_hosted(
    config: TuneConfig,
    version: DataVersion,
    ws: Workspace,
    objective: Objective,
    host: Host,
    *,
    system: str = "",
    progress: Progress = SILENT,
    resume: bool = True,
) -> TuneRun:
    """Have a hosted model tuned on the version's training split; return the finished run.

    Interrupted, the job goes on at its host, and the same call takes it up again. Raises
    EgressRefused, InputError (the job failed or was cancelled; rows the API cannot take),
    ModelUnavailable (the host does not answer any more: the run can be continued).
    """
    method = config.method
    if not isinstance(method, Hosted):
        raise ConfigError('[tune] method.type = "hosted"', got=method.type)
    files = _files(config, version, ws, objective, system)
    identity = _identity(config, method, files)
    run = _find_or_start(
        config, version, ws, method, {"system": system, "identity": identity}, resume
    )
    job = _Job(ws, run, config, method, files, host, dict(run.summary.get("hosted", {})))
    with _state_on_failure(job), progress.task("tune at the host", None, "step") as task:
        host.check(method.url, PURPOSE, 0)
        found = _watch(job, _created(job, task), task)
        return _finish(job, found)


def trainable(config: TuneConfig, beginning: object) -> NoReturn:
    """Refuse: what is trained is not here. Raises ConfigError."""
    raise ConfigError(
        "a method that trains on this machine (a sweep, a curve or a forecast needs one)",
        got=f'method.type = "{config.method.type}"',
        remedy='take method = { type = "lora" } in [tune]',
    )


def cancel_hosted(ws: Workspace, run: TuneRun, host: Host) -> TuneRun:
    """Cancel the job of a run that is not finished. Raises InputError when there is none."""
    state: Mapping[str, Json] = run.summary.get("hosted", {})
    if run.state == "done" or "job" not in state:
        raise InputError(
            "a hosted run with a job under way",
            got=f"{run.id}, {run.state}" + ("" if "job" in state else ", without a job"),
        )
    host.check(host.api.url, PURPOSE, 0)
    found = host.api.cancel(str(state["job"]))
    summary = {"hosted": {**state, "status": found["status"]}, "why": "cancelled"}
    return ledger.finish_run(ws, run.id, "failed", None, summary)


def rows_of(
    examples: Sequence[Example],
    objective: Objective,
    labels: Sequence[str],
    system: str,
    kind: Kind,
) -> Iterator[dict[str, Json]]:
    """Yield the lines of the API: asked as at evaluation, answered as wanted.

    Supervised: ``{"messages": [...]}``, earlier assistant turns that are not learned with weight
    0; dpo: ``{"input": {"messages"}, "preferred_output", "non_preferred_output"}``. Rows without
    a target are left out. Raises InputError for a row without a preference in dpo.
    """
    for example in examples:
        if example.target is None:
            continue
        asked = _turns(render_prompt(example.conversation, objective, labels, TUNED, system))
        if kind == "supervised":
            reply = {"role": "assistant", "content": render_example(example, objective)}
            yield {"messages": [*asked, reply]}
            continue
        target = example.target
        if not isinstance(target, PreferenceTarget):
            raise InputError(
                "a preference in every row (chosen and rejected)",
                got=f"{example.id}, which has none",
                remedy='take algorithm = { type = "sft" } in [tune], or import preferences',
            )
        yield {
            "input": {"messages": asked},
            "preferred_output": [{"role": "assistant", "content": target.chosen}],
            "non_preferred_output": [{"role": "assistant", "content": target.rejected}],
        }


def _turns(conversation: Conversation) -> list[dict[str, Json]]:
    return [
        {"role": turn.role, "content": turn.text}
        | ({"weight": 0} if turn.role == "assistant" and not turn.weight else {})
        for turn in conversation.messages
    ]


def _kind(config: TuneConfig) -> Kind:
    name = config.algorithm.type
    if name not in KINDS:
        raise ConfigError(
            f"an algorithm that is hosted: {', '.join(KINDS)}",
            got=name,
            remedy="tune on this machine for the others",
        )
    return KINDS[name]


def _files(
    config: TuneConfig, version: DataVersion, ws: Workspace, objective: Objective, system: str
) -> dict[str, bytes]:
    """The files to upload, as bytes: training, and validation where there is a split."""
    found = {}
    for part, split in (("training", "train"), ("validation", "validation")):
        rows = ledger.load_split(ws, version, split) if split in version.splits else []
        if part == "validation":
            rows = rows[: config.eval_examples]
        lines = rows_of(rows, objective, version.labels, system, _kind(config))
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        if text:
            found[part] = text.encode("utf-8", "surrogatepass")
    if "training" not in found:
        raise InputError("training rows with a target", got=f"none in {version.id}")
    return found


def _identity(config: TuneConfig, method: Hosted, files: Mapping[str, bytes]) -> str:
    where = method.model_dump(mode="json", exclude={"key_env", "poll_s"})
    return digest(
        [where, config.algorithm.type, config.seed, [digest(one.hex()) for one in files.values()]]
    )


def _find_or_start(
    config: TuneConfig,
    version: DataVersion,
    ws: Workspace,
    method: Hosted,
    kept: dict[str, Json],
    resume: bool,
) -> TuneRun:
    stopped = [
        run
        for run in ledger.list_runs(ws, version.id)
        if run.state in ("running", "interrupted")
        and run.config.get("identity") == kept["identity"]
    ]
    if resume and stopped:
        return ledger.resume_run(ws, stopped[-1].id)
    return ledger.start_run(ws, version, method.model, config.model_dump(mode="json") | kept)


@contextmanager
def _state_on_failure(job: _Job) -> Iterator[None]:
    """Record how it stopped; what goes on at the host is ``interrupted``."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit, ModelUnavailable, OutOfSpace) as error:
        _record(job, "interrupted", error)
        raise
    except Exception as error:
        _record(job, "failed", error)
        raise


def _record(job: _Job, state: Literal["interrupted", "failed"], error: BaseException) -> None:
    summary = {"hosted": dict(job.state), "stopped_by": type(error).__name__, "why": str(error)}
    ledger.finish_run(job.ws, job.run.id, state, None, summary)


def _created(job: _Job, task: TaskProgress) -> str:
    """Return the job's id: that of before, or of a new job on files that are uploaded once."""
    if "job" in job.state:
        task.note(f"going on with the job {job.state['job']}")
        return str(job.state["job"])
    for part, lines in job.files.items():
        if part not in job.state:
            _upload(job, part, lines)
    training = str(job.state["training"])
    found = job.host.api.find_job(training) if job.state.get("creating") else None
    job.keep(creating=True)
    for _ in range(TRIES):
        if found is not None:
            break
        try:
            found = job.host.api.create(_body(job))
        except Unsure:
            found = job.host.api.find_job(training)
    if found is None:
        raise _lost(job, "creating the job")
    job.keep(job=str(found["id"]), status=found["status"])
    task.note(f"the job {found['id']} was created")
    return str(found["id"])


def _upload(job: _Job, part: str, lines: bytes) -> None:
    """Upload one file, unless it is there from before."""
    name = f"metier-{job.run.id}-{part}.jsonl"
    api, found = job.host.api, None
    if job.state.get("uploading") == part:
        found = api.find_file(name, len(lines))
    job.keep(uploading=part)
    for _ in range(TRIES):
        if found is not None:
            break
        job.host.check(job.method.url, PURPOSE, lines.count(b"\n"))
        try:
            found = api.upload(name, lines)
        except Unsure:
            found = api.find_file(name, len(lines))
    if found is None:
        raise _lost(job, f"uploading the {part} rows")
    job.keep(**{part: found})


def _lost(job: _Job, doing: str) -> ModelUnavailable:
    return ModelUnavailable(
        f"an answer from {job.method.url} while {doing}",
        got=f"{TRIES} that were lost, and nothing of it at the host",
        remedy="run `metier tune` again: it looks for it before it sends anything twice",
    )


def _body(job: _Job) -> dict[str, Json]:
    kind = _kind(job.config)
    given: dict[str, Json] = job.method.hyperparameters.model_dump(exclude_none=True)
    if kind == "dpo":
        given["beta"] = getattr(job.config.algorithm, "beta", "auto")
    body: dict[str, Json] = {
        "model": job.method.model,
        "training_file": job.state["training"],
        "method": {"type": kind, kind: {"hyperparameters": given}},
        "seed": job.config.seed,
        "metadata": {"metier_run": job.run.id},
    }
    if "validation" in job.state:
        body["validation_file"] = job.state["validation"]
    return body | ({"suffix": job.method.suffix} if job.method.suffix else {})


def _watch(job: _Job, job_id: str, task: TaskProgress) -> dict[str, Json]:
    """Ask until the job has ended, less often the longer nothing changes; return its last state."""
    wait, seen = job.method.poll_s, ""
    while True:
        found = job.host.api.job(job_id)
        status = str(found["status"])
        moved = _series(job, job_id, task)
        if status != seen:
            task.note(f"{job_id}: {status.replace('_', ' ')}")
            job.keep(status=status)
        if status in ENDED:
            return found
        fresh = moved or status != seen
        wait = job.method.poll_s if fresh else min(wait * 1.5, job.host.api.patience.most_s)
        seen = status
        job.host.sleep(wait)


def _series(job: _Job, job_id: str, task: TaskProgress) -> bool:
    """Store the points that checkpoints and events tell of; return whether any is new."""
    known = {(p.name, p.step): p.value for p in ledger.metric_points(job.ws, job.run.id)}
    told = [
        {"step": one.get("step_number"), **(one.get("metrics") or {})}
        for one in job.host.api.checkpoints(job_id)
    ]
    told += [
        one["data"]
        for one in job.host.api.events(job_id)
        if one.get("type") == "metrics" and isinstance(one.get("data"), dict)
    ]
    points = {(p.name, p.step): p for row in told for p in _points(row)}
    fresh = [p for key, p in sorted(points.items()) if known.get(key) != p.value]
    if fresh:
        ledger.record_metrics(job.ws, job.run.id, fresh)
        last = max(p.step for p in fresh)
        task.metric(last, **{p.name: p.value for p in fresh if p.step == last})
    return bool(fresh)


def _points(row: Mapping[str, Any]) -> Iterator[MetricPoint]:
    step = row.get("step")
    for theirs, ours in SERIES.items():
        value = row.get(theirs)
        if isinstance(step, int | float) and isinstance(value, int | float):
            yield MetricPoint(int(step), ours, float(value))


def _finish(job: _Job, found: Mapping[str, Json]) -> TuneRun:
    if found["status"] != "succeeded" or not found.get("fine_tuned_model"):
        error = found.get("error") or {}
        why = f"{error.get('code') or 'no code'}: {unquoted(str(error.get('message') or ''))}"
        raise InputError(
            f"the hosted job {found['id']} to succeed",
            got=f"{found['status']}" + (f" ({why})" if found["status"] == "failed" else ""),
            remedy="see the job at its host; `metier tune` then starts another one",
        )
    model = str(found["fine_tuned_model"])
    note = {"url": job.method.url, "model": model, "key_env": job.method.key_env,
            "base": job.method.model, "job": found["id"]}  # fmt: skip
    folder = Path(tempfile.mkdtemp(prefix="hosted-", dir=job.ws.work_dir))
    try:
        (folder / NOTE).write_text(json.dumps(note, indent=1), encoding="utf-8")
        tree = job.ws.artifacts.put_tree(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    summary = _summary(job, found, model)
    return ledger.finish_run(job.ws, job.run.id, "done", tree, summary)


def _summary(job: _Job, found: Mapping[str, Json], model: str) -> dict[str, Json]:
    last: dict[str, tuple[int, float]] = {}
    for point in ledger.metric_points(job.ws, job.run.id):
        last[point.name] = max(last.get(point.name, (-1, 0.0)), (point.step, point.value))
    started, ended = found.get("created_at"), found.get("finished_at")
    return {
        "hosted": {**job.state, "fine_tuned_model": model},
        "steps": max((step for step, _ in last.values()), default=None),
        "final_train_loss": last["train_loss"][1] if "train_loss" in last else None,
        "validation_loss": last["validation_loss"][1] if "validation_loss" in last else None,
        "trained_tokens": found.get("trained_tokens"),
        "train_seconds": ended - started if ended and started else None,
        "examples": job.files["training"].count(b"\n"),
        "validation_examples": job.files.get("validation", b"").count(b"\n"),
    }
