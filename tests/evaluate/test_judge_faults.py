"""Judges that flatter, each with one of the faults reported of evaluation libraries: all caught."""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import pytest

from metier.core.completer import Completer, Sampling
from metier.core.types import Conversation
from metier.evaluate.judge.check import BLOCKS, Case, Fault, Kind, Subject, check_judge
from metier.evaluate.judge.own import own_subjects


def write(asked: Conversation, verdicts: Sequence[bool]) -> str:
    """A well-behaved model in the form of a usual library: a JSON object."""
    return json.dumps({"verdicts": [{"verdict": int(good)} for good in verdicts]})


def objects(text: str) -> list[dict[str, object]]:
    found = [json.loads(match) for match in re.findall(r"\{\"verdicts\": \[.*?\]\}", text)]
    return [one for one in found if isinstance(one, dict)]


@dataclass(frozen=True)
class StubJudge:
    """A third party's judge: a prompt, JSON back, a mean. Fair but for the faults switched on."""

    counts_emitted: bool = False
    drops_errors: bool = False
    raw: tuple[str, ...] = ()
    takes: str = "only"

    def __call__(self, cases: Sequence[Case], model: Completer) -> float:
        values = [self._one(case, model) for case in cases]
        if self.drops_errors:
            values = [value for value in values if not math.isnan(value)]
        return fmean(values) if values else math.nan

    def _one(self, case: Case, model: Completer) -> float:
        try:
            answer = model.complete([self._prompt(case)], Sampling())[0]
            if answer.error:
                raise RuntimeError(answer.error)
        except RuntimeError:
            return math.nan if self.drops_errors else 0.0
        verdicts = self._verdicts(answer.text)
        if verdicts is None:
            return 0.0
        total = len(verdicts) if self.counts_emitted else len(case.claims)
        return sum(verdicts) / total if total else 0.0

    def _verdicts(self, text: str) -> list[int] | None:
        found = objects(text)
        if not found:
            return [] if self.counts_emitted else None
        if self.takes == "only" and len(found) != 1:
            return None
        chosen = found[-1 if self.takes == "last" else 0]
        return [one["verdict"] for one in chosen["verdicts"]]  # type: ignore[attr-defined, index]

    def _prompt(self, case: Case) -> Conversation:
        parts = {"question": case.question, "context": case.context, "reply": case.reply}
        shown = [f"{name}:\n{self._clean(name, text)}" for name, text in parts.items()]
        claims = [self._clean("reply", claim) for claim in case.claims]
        return Conversation.of(("user", "\n".join([*shown, *claims, "Answer in JSON."])))

    def _clean(self, block: str, text: str) -> str:
        if block in self.raw:
            return text
        return "\n".join(f"> {line}" for line in text.replace("<|", "< |").splitlines())


def names(judge: StubJudge, kind: Kind = "faithfulness") -> list[str]:
    return [fault.name for fault in check_judge(Subject("stub", kind, judge, write))]


@pytest.mark.parametrize("subject", own_subjects(), ids=lambda subject: subject.name)
def test_our_own_judges_have_no_fault(subject: Subject) -> None:
    assert check_judge(subject) == []


@pytest.mark.parametrize("kind", ["faithfulness", "context_recall"])
def test_a_fair_third_party_has_no_fault(kind: Kind) -> None:
    assert names(StubJudge(), kind) == []


@pytest.mark.parametrize(
    ("judge", "kind", "fault"),
    [
        (StubJudge(counts_emitted=True), "faithfulness", "faithfulness_denominator"),
        (StubJudge(counts_emitted=True), "context_recall", "context_recall_denominator"),
        (StubJudge(drops_errors=True), "faithfulness", "errors_dropped"),
        (StubJudge(raw=("context",)), "faithfulness", "context_unsanitised"),
        (StubJudge(takes="first"), "faithfulness", "first_verdict_taken"),
        (StubJudge(takes="last"), "faithfulness", "last_verdict_taken"),
        (StubJudge(raw=("question",)), "faithfulness", "question_unsanitised"),
        (StubJudge(raw=("reply",)), "faithfulness", "reply_unsanitised"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_fault_is_named_and_no_other(judge: StubJudge, kind: Kind, fault: str) -> None:
    assert names(judge, kind) == [fault]


def test_all_faults_at_once_are_all_named() -> None:
    worst = StubJudge(counts_emitted=True, drops_errors=True, raw=BLOCKS, takes="first")
    assert set(names(worst)) == {
        "faithfulness_denominator",
        "errors_dropped",
        *(f"{block}_unsanitised" for block in BLOCKS),
        "first_verdict_taken",
    }


@pytest.mark.parametrize("value", [1.0, 0.0, 0.5, math.nan])
def test_a_judge_that_never_looks_is_unresponsive(value: float) -> None:
    subject = Subject("blind", "rating", lambda cases, model: value, write)
    assert check_judge(subject)[0].name == "unresponsive"


def test_a_judge_that_raises_flatters_nobody_but_answers_nothing() -> None:
    def broken(cases: Sequence[Case], model: Completer) -> float:
        raise ValueError("no")

    assert [one.name for one in check_judge(Subject("broken", "rating", broken, write))] == [
        "unresponsive"
    ]


def test_a_number_that_becomes_nan_is_a_fault() -> None:
    def judge(cases: Sequence[Case], model: Completer) -> float:
        values = [StubJudge(drops_errors=True)._one(case, model) for case in cases]
        return fmean(values)

    assert names_of(check_judge(Subject("nan", "faithfulness", judge, write))) == ["errors_dropped"]


def names_of(faults: Sequence[Fault]) -> list[str]:
    return [fault.name for fault in faults]


def test_what_was_seen_is_told() -> None:
    subject = Subject("stub", "faithfulness", StubJudge(counts_emitted=True), write)
    (fault,) = check_judge(subject)
    assert fault.seen == "gives 1.00 of its scale where 1 of 10 verdicts came, a good one"
