"""Runs Steps over examples: counts by reason, times, keeps every drop, change and suspicion.

A Step sees the whole view once (``fit``), then decides batch by batch. Batches run here until it
is clear that a process pool would pay for its start; what comes out is the same either way, in
the order of the input.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter, thread_time
from typing import Any

from metier.core.errors import BoundaryError, boundary
from metier.core.progress import Progress
from metier.core.steps import Add, Change, Drop, FittedStep, Keep, Outcome, Step, Suspect
from metier.core.types import Example, Json

BATCH_ROWS = 256
# A pool costs about a second: fresh interpreters that import the step's libraries.
POOL_PAYS_FROM_S = 4.0
TRIAL_S = 0.4


@dataclass(frozen=True, slots=True)
class Dropped:
    """One example a step took out, with the reason and what shows it."""

    step: str
    example: Example
    reason: str
    evidence: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Changed:
    """One edit a step made."""

    step: str
    example: Example
    change: Change


@dataclass(frozen=True, slots=True)
class Suspected:
    """One example that stays and that a person should look at."""

    step: str
    example: Example
    reason: str
    evidence: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class StepReport:
    """What one step did, in rows; ``changes`` counts edits by rule."""

    name: str
    seen: int
    kept: int
    changed: int
    dropped: Mapping[str, int]
    suspected: Mapping[str, int]
    changes: Mapping[str, int]
    added: int
    restored: int
    seconds: float


@dataclass(slots=True)
class Outcomes:
    """What came out of the steps run so far; ``states`` holds what fitted steps learned."""

    examples: list[Example]
    drops: list[Dropped] = field(default_factory=list)
    changes: list[Changed] = field(default_factory=list)
    suspects: list[Suspected] = field(default_factory=list)
    reports: list[StepReport] = field(default_factory=list)
    states: dict[str, Json] = field(default_factory=dict)

    def add(self, other: Outcomes) -> None:
        """Take in the drops, changes and suspects of other examples, to be stored with these."""
        self.drops += other.drops
        self.changes += other.changes
        self.suspects += other.suspects


@dataclass(frozen=True, slots=True)
class Frame:
    """How steps are run. ``restored`` holds what a person overruled: pairs of step and example id,
    or step and content hash where the source has changed since."""

    progress: Progress
    workers: int = 0
    batch_rows: int = BATCH_ROWS
    restored: frozenset[tuple[str, str]] = frozenset()
    pool_pays_from_s: float = POOL_PAYS_FROM_S


def run_steps(steps: Sequence[Step], examples: Sequence[Example], frame: Frame) -> Outcomes:
    """Run ``steps`` in order; rows in = rows kept + rows dropped - rows added.

    Raises:
        BoundaryError: a step failed, or lost or repeated an example.
    """
    outcomes = Outcomes(list(examples))
    for step in steps:
        run_step(step, outcomes, frame)
    return outcomes


def run_step(step: Step, outcomes: Outcomes, frame: Frame) -> StepReport:
    """Run one step over ``outcomes.examples`` and record into ``outcomes`` what it did."""
    began = perf_counter()
    seen = outcomes.examples
    tally = _Tally(step.name, outcomes, frame.restored)
    with frame.progress.task(f"data: {step.name}", total=len(seen), unit="rows") as task:
        state: Json = None
        if isinstance(step, FittedStep):
            with boundary(f"step {step.name}"):
                state = step.fit(seen)
            outcomes.states[step.name] = state
        for batch, result in _apply(step, seen, state, frame):
            tally.take(batch, result)
            task.advance(len(batch))
    report = tally.report(len(seen), perf_counter() - began)
    outcomes.examples = tally.kept
    outcomes.reports.append(report)
    return report


class _Tally:
    """Sorts the outcomes of one step and checks that none is missing."""

    def __init__(self, step: str, outcomes: Outcomes, restored: frozenset[tuple[str, str]]) -> None:
        self.step, self.outcomes, self.restored = step, outcomes, restored
        self.kept: list[Example] = []
        self.drops: Counter[str] = Counter()
        self.suspicions: Counter[str] = Counter()
        self.rules: Counter[str] = Counter()
        self.changed = self.added = self.overruled = 0

    def take(self, batch: Sequence[Example], result: Sequence[Outcome]) -> None:
        settled = [o.example.id for o in result if not isinstance(o, Add)]
        if settled != [example.id for example in batch]:
            raise BoundaryError(
                f"step {self.step}: must answer once for each example, in order; "
                f"{len(batch)} went in, {len(settled)} came out"
            )
        for outcome in result:
            self._one(outcome)

    def _one(self, outcome: Outcome) -> None:
        match outcome:
            case Drop(example=example) if self._is_restored(example):
                self.overruled += 1
                self.kept.append(example)
            case Drop(example=example, reason=reason, evidence=evidence):
                self.drops[reason] += 1
                self.outcomes.drops.append(Dropped(self.step, example, reason, evidence))
            case Keep(example=example, changes=changes):
                self.changed += bool(changes)
                self.rules.update(change.rule for change in changes)
                self.outcomes.changes.extend(Changed(self.step, example, c) for c in changes)
                self.kept.append(example)
            case Suspect(example=example, reason=reason, evidence=evidence):
                self.suspicions[reason] += 1
                self.outcomes.suspects.append(Suspected(self.step, example, reason, evidence))
                self.kept.append(example)
            case Add(example=example):
                self.added += 1
                self.kept.append(example)

    def _is_restored(self, example: Example) -> bool:
        if not self.restored:
            return False
        by_id, by_content = (self.step, example.id), (self.step, example.content_hash)
        return by_id in self.restored or by_content in self.restored

    def report(self, seen: int, seconds: float) -> StepReport:
        return StepReport(
            name=self.step,
            seen=seen,
            kept=len(self.kept),
            changed=self.changed,
            dropped=dict(sorted(self.drops.items())),
            suspected=dict(sorted(self.suspicions.items())),
            changes=dict(sorted(self.rules.items())),
            added=self.added,
            restored=self.overruled,
            seconds=seconds,
        )


Batch = Sequence[Example]


def core_count() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _apply(
    step: Step, examples: Sequence[Example], state: Json, frame: Frame
) -> Iterator[tuple[Batch, list[Outcome]]]:
    """Yield each batch with its outcomes, in order; hand the rest to a pool when that pays."""
    batches = [
        examples[at : at + frame.batch_rows] for at in range(0, len(examples), frame.batch_rows)
    ]
    workers = frame.workers or core_count()
    began = thread_time()  # of this thread: a busy machine is no reason for more processes
    for number, batch in enumerate(batches, start=1):
        yield batch, apply_batch(step, batch, state)
        spent = thread_time() - began
        left_s = spent / number * (len(batches) - number)
        tried = spent >= min(TRIAL_S, frame.pool_pays_from_s)
        if workers > 1 and tried and left_s >= frame.pool_pays_from_s and number < len(batches):
            yield from _in_pool(step, batches[number:], state, workers)
            return


def apply_batch(step: Step, batch: Batch, state: Json) -> list[Outcome]:
    """Apply a step to one batch; whatever escapes is named after the step."""
    with boundary(f"step {step.name}"):
        return list(step.apply(batch, state))


def _in_pool(
    step: Step, batches: Sequence[Batch], state: Json, workers: int
) -> Iterator[tuple[Batch, list[Outcome]]]:
    # joblib's loky starts fresh interpreters and does not import __main__ again: it neither
    # forks the threads of torch or of a database, nor needs a __main__ guard in the user's script.
    import joblib

    pool: Any = joblib.Parallel(n_jobs=workers, return_as="generator", batch_size=1)
    results = pool(joblib.delayed(apply_batch)(step, batch, state) for batch in batches)
    yield from zip(batches, results, strict=True)
