"""A run's settings and series in MLflow, beside metier's own store. Extra: ``mlflow``.

``[tune] mlflow`` is a tracking URI: sqlite:///… or file:… on this machine, or a server's http(s)
address, which passes the privacy egress check before every message (purpose "mlflow"). Sent are
numbers and settings, never rows or prompts. A server that does not answer stops no training: what
could not be sent is kept and tried again, and said at the end where it never got through.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Protocol

from metier.core.errors import ConfigError, MetierError, OutOfMemory, OutOfSpace
from metier.core.records import MetricPoint, RunState, TuneRun
from metier.core.types import Json

PURPOSE = "mlflow"
EXPERIMENT = "metier"
RUN_TAG = "metier.run"
SEND_S = 15.0
MOST_METRICS, MOST_PARAMS = 1000, 100
"""Entries that one message to MLflow may hold (its REST API's limits)."""
LONGEST_VALUE = 500
UNSENT = ("system", "identity")
"""Settings that are kept here: words of the project's own, and a hash of the rows."""
STATES: dict[RunState, str] = {
    "done": "FINISHED",
    "failed": "FAILED",
    "interrupted": "KILLED",
    "running": "RUNNING",
}
INTERRUPTIONS = (KeyboardInterrupt, SystemExit, OutOfSpace, OutOfMemory)
"""What a run can be continued after."""
Note = Callable[[str], None]


class Gate(Protocol):
    """The egress check; ``metier.privacy.egress.Egress`` is one."""

    def check(self, url: str, purpose: str, texts: int = 1) -> Any:
        """Raise EgressRefused unless a text may go there."""
        ...


class Tracker:
    """One run in MLflow: found again by its tag when the run is resumed."""

    def __init__(self, uri: str, run: TuneRun, gate: Gate | None, note: Note) -> None:
        self._uri, self._gate, self._note = uri, gate, note
        self._waiting: list[MetricPoint] = []
        self._sent = time.monotonic()
        self._why = ""
        self._permit()
        self._client = _client(uri)
        self._run_id = self._find_or_start(run)

    def __call__(self, points: Sequence[MetricPoint]) -> None:
        """Take points; they are sent a few times a minute."""
        self._waiting += points
        if time.monotonic() - self._sent > SEND_S:
            self._send()

    def end(self, state: RunState, summary: Mapping[str, Json]) -> None:
        """Send what is left, the numbers of the summary, and how the run ended."""
        numbers = {name: value for name, value in summary.items() if _is_number(value)}
        step = int(numbers.get("steps") or 0)
        found = [MetricPoint(step, f"summary/{name}", value) for name, value in numbers.items()]
        self._waiting += found
        self._send()
        if self._waiting:
            self._note(f"{len(self._waiting)} points did not get to MLflow: {self._why}")
            return
        with suppress(Exception):  # all numbers are there; its mark is not worth an error
            self._client.set_terminated(self._run_id, STATES[state])

    def _send(self) -> None:
        from mlflow.entities import Metric

        self._sent = time.monotonic()
        now = int(time.time() * 1000)
        # MLflow's stores take no NaN in every version; metier's own store keeps them.
        finite = [point for point in self._waiting if math.isfinite(point.value)]
        try:
            for at in range(0, len(finite), MOST_METRICS):
                self._permit()
                part = finite[at : at + MOST_METRICS]
                metrics = [Metric(point.name, point.value, now, point.step) for point in part]
                self._client.log_batch(self._run_id, metrics=metrics)
        except MetierError:
            raise
        except Exception as error:
            self._say(error)
            return
        self._waiting = []

    def _permit(self) -> None:
        if not self._uri.startswith(("http://", "https://")):
            return
        if self._gate is None:
            raise ConfigError(
                "the project's [privacy.egress] for a tracking server",
                got=f"mlflow = {self._uri.split('?')[0]!r} without it",
                remedy="tune from the project, or give egress to tune()",
            )
        self._gate.check(self._uri, PURPOSE, 1)

    def _find_or_start(self, run: TuneRun) -> str:
        from mlflow.entities import Param

        experiment = self._client.get_experiment_by_name(EXPERIMENT)
        where = experiment.experiment_id if experiment else None
        where = where or self._client.create_experiment(EXPERIMENT)
        found = self._client.search_runs([where], f"tags.`{RUN_TAG}` = '{run.id}'", max_results=1)
        if found:
            self._client.update_run(found[0].info.run_id, status=STATES["running"])
            return str(found[0].info.run_id)
        tags = {RUN_TAG: run.id, "metier.version": run.version_id}
        made = self._client.create_run(where, tags=tags, run_name=run.id)
        params = [Param(name, value) for name, value in flat(run.config).items()]
        params.append(Param("base", run.base[:LONGEST_VALUE]))
        for at in range(0, len(params), MOST_PARAMS):
            self._client.log_batch(made.info.run_id, params=params[at : at + MOST_PARAMS])
        return str(made.info.run_id)

    def _say(self, error: Exception) -> None:
        words = (str(error).strip() or type(error).__name__).splitlines()[0]
        if words != self._why:
            self._note(f"MLflow does not take the series now ({words}); they are tried again")
        self._why = words


def flat(config: Mapping[str, Json], prefix: str = "") -> dict[str, str]:
    """Return settings as MLflow's params: nested names joined by dots, values as text."""
    found: dict[str, str] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}.")
        elif value is not None and name not in UNSENT:
            found[prefix + name] = str(value)[:LONGEST_VALUE]
    return found


def _client(uri: str) -> Any:
    # MLflow reports its use to its makers unless told not to; nothing leaves but by the check.
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    if uri.startswith("file:"):
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    try:
        from mlflow import MlflowClient
    except ImportError as error:
        raise ConfigError(
            "the extra mlflow for [tune] mlflow",
            got="mlflow is not installed",
            remedy='pip install "metier[mlflow]", or leave mlflow out',
        ) from error
    return MlflowClient(tracking_uri=uri)


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@contextmanager
def told_to(tracker: Tracker | None) -> Iterator[None]:
    """Tell MLflow when a run stops half-way."""
    try:
        yield
    except BaseException as error:
        if tracker is not None:
            tracker.end("interrupted" if isinstance(error, INTERRUPTIONS) else "failed", {})
        raise
