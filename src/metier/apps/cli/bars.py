"""Progress events drawn for a terminal (rich bars) or written as plain lines for a log."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichProgress

from metier.core.progress import Event

SECONDS_BETWEEN_LINES = 10.0


def values_text(event: Event) -> str:
    """``loss 2.13  lr 0.0002`` of a metric event."""
    return "  ".join(f"{name} {value:.4g}" for name, value in event.values.items())


class Bars:
    """One bar per running task; finished ones stay with their time, notes scroll above."""

    def __init__(self) -> None:
        self._rich = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[latest]}"),
            console=Console(stderr=True),
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Bars:
        self._rich.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._rich.stop()

    def __call__(self, event: Event) -> None:
        """Draw one event."""
        if event.kind == "note":
            words = f"{event.task}: {event.text}" if event.task else event.text
            self._rich.console.print(words, markup=False, highlight=False)
            return
        if event.kind == "start" or event.task not in self._tasks:
            self._tasks[event.task] = self._rich.add_task(event.task, total=event.total, latest="")
        task = self._tasks[event.task]
        if event.kind == "metric":
            self._rich.update(task, latest=values_text(event))
        elif event.kind == "advance":
            self._rich.update(task, completed=event.done, total=event.total)
        elif event.kind == "end":
            self._rich.update(task, completed=event.done, total=event.total or event.done or 1)
            self._rich.stop_task(task)


def plain_lines(stream: TextIO) -> Callable[[Event], None]:
    """Return a sink that writes a line at each start and end and for notes, and every ten seconds
    between. Ends say how long the task took.
    """
    started: dict[str, float] = {}
    said: dict[str, float] = {}
    latest: dict[str, str] = {}

    def sink(event: Event) -> None:
        now = time.monotonic()
        counted = f"{event.done:g}/{event.total:g}" if event.total else ""
        latest[event.task] = values_text(event) or latest.get(event.task, "")
        if event.kind == "start":
            started[event.task] = said[event.task] = now
            words = f"of {event.total:g}" if event.total else ""
            line = f"starts {words}"
        elif event.kind == "end":
            took = now - started.pop(event.task, now)
            line = f"{counted} {event.text} in {took:.1f} s {latest[event.task]}"
        elif event.kind == "note":
            line = event.text
        elif now - said.get(event.task, 0.0) < SECONDS_BETWEEN_LINES:
            return
        else:
            said[event.task] = now
            line = f"{counted} {latest[event.task]}"
        whose = f"[{event.task}] " if event.task else ""
        stream.write(f"{whose}{' '.join(line.split())}\n")
        stream.flush()

    return sink
