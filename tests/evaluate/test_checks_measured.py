"""Checks and optional metrics in an evaluation: measured anew where they change, never answered."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evaluate_fakes import QUICK, FakeCompleter, bench_of, text_row
from metier.core.errors import InputError
from metier.core.objective import Objective
from metier.core.workspace import Workspace
from metier.evaluate.bench import Bench, Contender
from metier.evaluate.compare import Comparison
from metier.evaluate.evaluate import evaluate
from metier.evaluate.files.limits import shortfalls

CODES = {"type": "catalogue", "name": "known_codes", "pattern": r"\b[A-Z]\d\b", "file": "codes.txt"}
PARTS = {"type": "parts", "name": "all_parts"}


def asked(*checks: dict[str, object], **more: object) -> Objective:
    return Objective.model_validate({"task": "answer", "check": list(checks), **more})


def prepared(ws: Workspace) -> tuple[Bench, Contender]:
    (ws.root / "codes.txt").write_text("A1\nB2\n", encoding="utf-8")
    rows = [text_row(n, f"Which lamp costs {n} euros?", "Take A1.") for n in range(8)]
    train = [text_row(100 + n, f"Which bulb {n}?", "Take B2.") for n in range(4)]
    bench = bench_of(ws, asked(), QUICK, train=train, test=rows)
    completer = FakeCompleter(lambda text: "Take A1." if "1" in text else "The lamp that costs C3.")
    return bench, Contender("zero_shot", completer)


def test_new_checks_measure_stored_answers_and_ask_nobody(workspace: Workspace) -> None:
    bench, contender = prepared(workspace)
    first = evaluate(bench, contender)
    calls = contender.completer.calls
    wider = replace(bench, objective=asked(CODES, PARTS, metrics=["coverage", "reading_ease"]))
    second = evaluate(wider, contender)
    assert contender.completer.calls == calls and second.id != first.id
    assert "known_codes" not in first.metrics
    assert second.metrics["known_codes"].value == 1 / 8
    assert second.metrics["all_parts"].value == 7 / 8
    assert second.metrics["coverage"].n == 8
    assert evaluate(wider, contender).id == second.id


def test_another_list_measures_anew(workspace: Workspace) -> None:
    bench, contender = prepared(workspace)
    bench = replace(bench, objective=asked(CODES))
    before = evaluate(bench, contender)
    (workspace.root / "codes.txt").write_text("A1\nC3\n", encoding="utf-8")
    after = evaluate(bench, contender)
    assert before.metrics["known_codes"].value == 1 / 8
    assert after.metrics["known_codes"].value == 1.0


def test_a_missing_list_is_told_before_anything_is_asked(workspace: Workspace) -> None:
    bench, contender = prepared(workspace)
    bench = replace(bench, objective=asked({**CODES, "file": "none.txt"}))
    with pytest.raises(InputError, match=r"none.txt.*\n.*no such file"):
        evaluate(bench, contender)
    assert contender.completer.calls == 0


def test_checks_are_compared_and_limited_like_any_metric(workspace: Workspace) -> None:
    bench, contender = prepared(workspace)
    bench = replace(bench, objective=asked(CODES, PARTS))
    ours = evaluate(bench, contender)
    other = Contender("few_shot", FakeCompleter(lambda text: "Take B2.", "other"))
    theirs = evaluate(bench, other)
    found = {one.metric: one.estimate.value for one in Comparison(bench).differences(ours, theirs)}
    assert found["known_codes"] == -7 / 8 and found["all_parts"] == 7 / 8
    missed = shortfalls({"zero_shot": ours.metrics}, {"known_codes": 0.5})
    assert [one.metric for one in missed] == ["known_codes"]
