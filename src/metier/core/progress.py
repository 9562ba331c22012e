"""Progress: one stream of events that bars, pages and job logs all read.

    with Progress(json_lines(path)).task("tune", total=300, unit="step") as task:
        task.advance()
        task.metric(1, train_loss=2.31)

A sink is any callable that takes an Event. ``Progress()`` has none and is silent.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

ADVANCE_LOG_S = 0.1
EventKind = Literal["start", "advance", "metric", "note", "end"]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in a task.

    ``done`` and ``total`` count ``unit``s (total None: unknown); ``values`` belongs to ``step``
    in metric events; ``text`` holds a note, or how the task ended ("done" or the error's name);
    ``at`` is in seconds since the epoch.
    """

    kind: EventKind
    task: str
    done: float = 0
    total: float | None = None
    unit: str = ""
    step: int | None = None
    values: Mapping[str, float] = field(default_factory=dict)
    text: str = ""
    at: float = 0.0


Sink = Callable[[Event], None]


class TaskProgress:
    """One running task. Its methods may be called from any thread."""

    def __init__(self, emit: Sink, name: str, total: float | None, unit: str) -> None:
        self._emit, self.name, self._total, self._unit = emit, name, total, unit
        self._done: float = 0
        self._lock = threading.Lock()

    def advance(self, n: float = 1) -> None:
        """Count ``n`` more units as done."""
        with self._lock:
            self._done += n
            self._send("advance")

    def metric(self, step: int, **values: float) -> None:
        """Report values of named series at one step."""
        self._send("metric", step=step, values=values)

    def note(self, text: str) -> None:
        """Say something a person should read."""
        self._send("note", text=text)

    def _send(
        self,
        kind: EventKind,
        *,
        step: int | None = None,
        values: Mapping[str, float] | None = None,
        text: str = "",
    ) -> None:
        event = Event(
            kind, self.name, self._done, self._total, self._unit, step, values or {}, text,
            time.time(),
        )  # fmt: skip
        self._emit(event)


class Progress:
    """Hands the events of its tasks to every sink, in order."""

    def __init__(self, *sinks: Sink) -> None:
        self._sinks = sinks

    def emit(self, event: Event) -> None:
        """Send an event made elsewhere (another process, a log) to the sinks."""
        for sink in self._sinks:
            sink(event)

    @contextmanager
    def task(self, name: str, total: float | None = None, unit: str = "") -> Iterator[TaskProgress]:
        """Run a block as a task: a start event, the block's own events, an end event."""
        task = TaskProgress(self.emit, name, total, unit)
        task._send("start")
        outcome = "done"
        try:
            yield task
        except BaseException as error:
            outcome = type(error).__name__
            raise
        finally:
            task._send("end", text=outcome)

    def note(self, text: str) -> None:
        """Say something that belongs to no task."""
        self.emit(Event("note", "", text=text, at=time.time()))


def json_lines(path: Path) -> Sink:
    """Return a sink that appends events to ``path``, each as one line of JSON.

    Of the advances of a task at most ten a second are written; its end says how far it came.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    written: dict[str, float] = {}

    def write(event: Event) -> None:
        if event.kind == "advance":
            if event.at - written.get(event.task, 0.0) < ADVANCE_LOG_S:
                return
            written[event.task] = event.at
        with path.open("a", encoding="utf-8") as log:
            log.write(json.dumps(asdict(event), ensure_ascii=False) + "\n")

    return write
