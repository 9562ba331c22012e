"""Runs Steps over examples: counts by reason, times, keeps every drop, change and suspicion.

A Step sees the whole view once (``fit``), then decides batch by batch. Batches run here until it
is clear that a process pool would pay for its start; what comes out is the same either way, in
the order of the input. Rows stream through: in memory are a few batches, and what a step learned.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter

from metier.core.errors import BoundaryError, boundary
from metier.core.progress import Progress
from metier.core.steps import Add, Change, Drop, FittedStep, Keep, Outcome, Step, Suspect
from metier.core.types import Example, Json
from metier.data.executors import Batches, Executor, LocalExecutor, Work
from metier.data.executors.local import POOL_PAYS_FROM_S
from metier.data.spool import Room, Spool
from metier.data.watch import Watched

BATCH_ROWS = 256


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

    examples: Sequence[Example]
    drops: Spool[Dropped] = field(default_factory=Spool)
    changes: Spool[Changed] = field(default_factory=Spool)
    suspects: Spool[Suspected] = field(default_factory=Spool)
    reports: list[StepReport] = field(default_factory=list)
    states: dict[str, Json] = field(default_factory=dict)

    @classmethod
    def within(cls, room: Room | None, examples: Sequence[Example]) -> Outcomes:
        """Start with these examples; what comes out goes to disk when it outgrows the room."""
        return cls(examples, Spool(room), Spool(room), Spool(room))

    def add(self, other: Outcomes) -> None:
        """Take in the drops, changes and suspects of other examples, to be stored with these."""
        self.drops += other.drops
        self.changes += other.changes
        self.suspects += other.suspects


@dataclass(frozen=True, slots=True)
class Frame:
    """How steps are run. ``restored`` holds what a person overruled: pairs of step and example id,
    or step and content hash where the source has changed since. Without a ``room``, everything
    stays in memory; without an ``executor``, steps run on the cores of this machine."""

    progress: Progress
    workers: int = 0
    batch_rows: int = BATCH_ROWS
    restored: frozenset[tuple[str, str]] = frozenset()
    pool_pays_from_s: float = POOL_PAYS_FROM_S
    room: Room | None = None
    executor: Executor | None = None

    @property
    def runs_on(self) -> Executor:
        """The executor, with the local one where none was set."""
        return self.executor or LocalExecutor(self.workers, self.pool_pays_from_s)


def run_steps(steps: Sequence[Step], examples: Sequence[Example], frame: Frame) -> Outcomes:
    """Run ``steps`` in order; rows in = rows kept + rows dropped - rows added.

    Raises:
        BoundaryError: a step failed, or lost or repeated an example.
    """
    outcomes = Outcomes.within(frame.room, examples)
    for step in steps:
        run_step(step, outcomes, frame)
    return outcomes


def run_step(step: Step, outcomes: Outcomes, frame: Frame) -> StepReport:
    """Run one step over ``outcomes.examples`` and record into ``outcomes`` what it did."""
    began = perf_counter()
    seen = outcomes.examples
    tally = _Tally(step.name, outcomes, frame)
    state: Json = None
    if isinstance(step, FittedStep):
        state = _fit(step, seen, frame.progress)
        outcomes.states[step.name] = state
    with frame.progress.task(f"data: {step.name}", total=len(seen), unit="rows") as task:
        for batch, result in frame.runs_on.run(Work(step, state), Batches(seen, frame.batch_rows)):
            tally.take(batch, result)
            task.advance(len(batch))
    report = tally.report(len(seen), perf_counter() - began)
    outcomes.examples = tally.kept
    outcomes.reports.append(report)
    return report


def _fit(step: FittedStep, examples: Sequence[Example], progress: Progress) -> Json:
    with (
        progress.task(f"data: {step.name}, first look", total=len(examples), unit="rows") as task,
        boundary(f"step {step.name}"),
    ):
        return step.fit(Watched(examples, task))


class _Tally:
    """Sorts the outcomes of one step and checks that none is missing."""

    def __init__(self, step: str, outcomes: Outcomes, frame: Frame) -> None:
        self.step, self.outcomes, self.restored = step, outcomes, frame.restored
        self.kept: Spool[Example] = Spool(frame.room)
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
