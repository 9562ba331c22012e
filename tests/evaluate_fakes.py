"""Hand-written Completers and tiny data for the tests of evaluation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from metier.core import ledger
from metier.core.completer import Capabilities, Sampling
from metier.core.objective import Objective, Target
from metier.core.records import EvaluationReport
from metier.core.types import (
    Completion,
    CompletionTarget,
    Conversation,
    Estimate,
    Example,
    ExampleTarget,
    FieldsTarget,
    LabelTarget,
    Provenance,
    Timing,
    Usage,
)
from metier.core.workspace import Workspace
from metier.evaluate.bench import Bench
from metier.evaluate.config import EvaluateConfig

CLASSIFY = Objective(task="classify")
ROUTING = Objective(
    task="structured",
    fields={
        "type": "object",
        "properties": {
            "route": {"type": "string", "enum": ["billing", "delivery"]},
            "reply": {"type": "string"},
        },
    },
)
QUICK = EvaluateConfig(resamples=200, batch_size=4, validation_sample=20)


class FakeCompleter:
    """Answers by a function of the last user turn; counts what it was asked."""

    def __init__(
        self,
        reply: Callable[[str], str],
        name: str = "fake",
        score: Callable[[str, str], float] | None = None,
    ) -> None:
        self._reply, self._name, self._score = reply, name, score
        self.calls = 0
        self.asked: list[Conversation] = []

    @property
    def name(self) -> str:
        return self._name

    @property
    def fingerprint(self) -> str:
        return f"print of {self._name}"

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(scores=self._score is not None)

    def complete(
        self, conversations: Sequence[Conversation], sampling: Sampling
    ) -> list[Completion]:
        self.calls += 1
        self.asked += conversations
        return [
            Completion(self._reply(c.last_user), usage=Usage(9, 2), timing=Timing(0.01, None, 1))
            for c in conversations
        ]

    def score(
        self, conversations: Sequence[Conversation], choices: Sequence[str]
    ) -> list[list[float]]:
        self.calls += 1
        self.asked += conversations
        assert self._score is not None
        return [[self._score(c.last_user, choice) for choice in choices] for c in conversations]


def row(
    number: int, text: str, target: ExampleTarget, group: str | None = None, **slices: str
) -> Example:
    return Example(
        id=Example.make_id("tests", str(number)),
        conversation=Conversation.of(("user", text)),
        target=target,
        provenance=Provenance("rows.csv", "d", str(number)),
        group=group,
        slices=slices,
    )


def labelled(start: int, pairs: Sequence[tuple[str, str]], repeat: int = 1) -> list[Example]:
    found = []
    for index in range(repeat):
        for offset, (text, label) in enumerate(pairs):
            number = start + index * len(pairs) + offset
            found.append(row(number, f"{text} {number}", LabelTarget(label)))
    return found


PAIRS = [
    ("where is my parcel", "delivery"),
    ("the parcel is late", "delivery"),
    ("you charged me twice", "billing"),
    ("wrong amount on the invoice", "billing"),
]


def bench_of(
    ws: Workspace,
    objective: Objective = CLASSIFY,
    config: EvaluateConfig = QUICK,
    **splits: list[Example],
) -> Bench:
    """A bench on a version of the given splits; by default forty delivery and billing rows."""
    found = splits or {
        "train": labelled(0, PAIRS, 4),
        "validation": labelled(100, PAIRS, 2),
        "test": labelled(200, PAIRS, 4),
    }
    labels = sorted(
        {
            e.target.label
            for rows in found.values()
            for e in rows
            if isinstance(e.target, LabelTarget)
        }
    )
    version = ledger.save_version(ws, found, labels=labels, config={}, card={}, sources=[])
    return Bench(ws, version, objective, config)


def fields_row(number: int, text: str, route: str, reply: str) -> Example:
    return row(number, text, FieldsTarget({"route": route, "reply": reply}))


def text_row(number: int, text: str, reply: str) -> Example:
    return row(number, text, CompletionTarget(reply))


def right(text: str) -> str:
    """The right label of every row of PAIRS."""
    return "delivery" if "parcel" in text else "billing"


def report(
    rung: str,
    metrics: dict[str, tuple[float, float, float]],
    *,
    n: int = 400,
    day: int = 1,
    usd: float = 0.01,
) -> EvaluationReport:
    """A report made of numbers alone: metric -> (value, low, high)."""
    return EvaluationReport(
        id=f"eval_{rung}_{day}",
        created_at=datetime(2026, 11, day, tzinfo=UTC),
        version_id="ver_1",
        split="test",
        rung=rung,
        completer=rung,
        fingerprint=rung,
        run_id=None,
        n=n,
        metrics={name: Estimate(*values, n=n, clusters=n) for name, values in metrics.items()},
        per_class={},
        confusion={},
        settings={},
        usd_per_1000=usd,
        predictions="",
    )


def target(**fields: object) -> Target:
    return Target.model_validate(fields)


def paired(value: float, low: float, high: float):  # type: ignore[no-untyped-def]
    """A stand-in for the paired bootstrap that notes what it was asked."""
    asked: list[tuple[str, str, float]] = []

    def estimate(
        target: Target,
        a: EvaluationReport,
        b: EvaluationReport,
        factor: float,
        level: float | None = None,
    ) -> Estimate:
        asked.append((a.rung, b.rung, factor))
        return Estimate(value, low, high, n=400, clusters=400, level=level or 0.95)

    estimate.asked = asked  # type: ignore[attr-defined]
    estimate.single = lambda target, report, level: None  # type: ignore[attr-defined]
    return estimate
