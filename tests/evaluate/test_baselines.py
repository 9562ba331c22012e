"""Which baselines are measured, and that they are helped fairly."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evaluate_fakes import (
    CLASSIFY,
    PAIRS,
    QUICK,
    ROUTING,
    FakeCompleter,
    bench_of,
    fields_row,
    labelled,
    right,
    text_row,
)
from metier.core import ledger
from metier.core.errors import InputError
from metier.core.objective import Objective
from metier.core.progress import Event, Progress
from metier.core.workspace import Workspace
from metier.evaluate.baselines import baseline, run_baselines, rungs_of, tuned_contender
from metier.evaluate.config import EvaluateConfig


def model() -> FakeCompleter:
    return FakeCompleter(right, score=lambda text, label: float(label == right(text)))


def test_a_task_with_labels_gets_the_whole_ladder(workspace: Workspace) -> None:
    found = run_baselines(bench_of(workspace), model)
    assert [report.rung for report in found] == ["keyword", "tfidf", "zero_shot", "few_shot"]
    assert all(report.n == 16 and report.split == "test" for report in found)
    assert all(report.metrics["f1_macro"].value > 0.9 for report in found)
    zero_shot, few_shot = found[2:]
    assert {"prompt", "prior_correction", "options_tried"} <= zero_shot.settings["chosen"].keys()
    assert few_shot.settings["chosen"]["k"] == 4
    assert few_shot.settings["chosen"]["options_tried"] == 6  # three prompts, two ways to show


def test_a_second_run_measures_nothing_again(workspace: Workspace) -> None:
    bench, completer = bench_of(workspace), model()
    first = run_baselines(bench, lambda: completer)
    calls = completer.calls
    assert run_baselines(bench, lambda: completer) == first
    assert completer.calls == calls


def test_without_a_model_its_rungs_are_left_out_and_it_is_said(workspace: Workspace) -> None:
    events: list[Event] = []
    bench = replace(bench_of(workspace), progress=Progress(events.append))
    found = run_baselines(bench, None)
    assert [report.rung for report in found] == ["keyword", "tfidf"]
    notes = [event.text for event in events if event.kind == "note"]
    assert notes == ["left out for want of a language model: zero_shot, few_shot"]
    with pytest.raises(InputError, match="a language model for the rung 'few_shot'"):
        baseline(bench, "few_shot")


def test_the_model_is_loaded_only_for_rungs_that_need_it(workspace: Workspace) -> None:
    def refuse() -> FakeCompleter:
        raise AssertionError("nothing here needs the model")

    found = run_baselines(bench_of(workspace), refuse, rungs=["tfidf"])
    assert [report.rung for report in found] == ["tfidf"]


def test_an_unknown_rung_names_the_nearest(workspace: Workspace) -> None:
    with pytest.raises(InputError, match="did you mean 'few_shot'"):
        run_baselines(bench_of(workspace), model, rungs=["fewshot"])


@pytest.mark.parametrize(
    ("task", "rungs"),
    [
        ("summarize", ("nearest", "lead", "zero_shot", "few_shot")),
        ("answer", ("nearest", "zero_shot", "few_shot")),
        ("multilabel", ("keyword", "tfidf", "zero_shot", "few_shot")),
    ],
)
def test_rungs_follow_the_task(workspace: Workspace, task: str, rungs: tuple[str, ...]) -> None:
    bench = bench_of(workspace)
    assert rungs_of(replace(bench, objective=Objective(task=task))) == rungs
    config = EvaluateConfig(rungs=["tfidf"])
    assert rungs_of(replace(bench, config=config)) == ("tfidf",)


def test_summaries_are_compared_with_first_sentences(workspace: Workspace) -> None:
    rows = [
        text_row(
            i, f"Patient {i} has a cold. Rest helps. Bye. See you.", f"Patient {i} has a cold."
        )
        for i in range(12)
    ]
    bench = bench_of(
        workspace,
        Objective(task="summarize"),
        train=rows[:4],
        validation=rows[4:8],
        test=rows[8:],
    )
    nearest, lead = run_baselines(bench, None)
    assert lead.completer == "lead(1)"
    assert lead.metrics["rougeL"].value == 1.0
    assert nearest.metrics["rougeL"].value < 1.0
    assert lead.settings["chosen"]["validation_rougeL"] == 1.0


def test_structured_baselines_fill_every_field(workspace: Workspace) -> None:
    def rows(start: int) -> list:  # type: ignore[type-arg]
        found = [
            fields_row(start + i, f"parcel late {i}", "delivery", "It comes.") for i in range(6)
        ]
        return found + [
            fields_row(start + 50 + i, f"charged {i}", "billing", "We pay.") for i in range(6)
        ]

    bench = bench_of(workspace, ROUTING, train=rows(0), validation=rows(200), test=rows(400))
    keyword, tfidf = run_baselines(bench, None)
    assert keyword.metrics["route.f1_macro"].value == tfidf.metrics["route.f1_macro"].value == 1.0
    assert tfidf.metrics["reply.token_f1"].value == 1.0


def test_few_shot_prompts_show_training_rows_in_the_prompt_of_the_question(
    workspace: Workspace,
) -> None:
    bench, completer = bench_of(workspace), model()
    run_baselines(bench, lambda: completer, "You sort mail.", ["few_shot"])
    longest = max(completer.asked, key=lambda asked: len(asked.messages))
    roles = [message.role for message in longest.messages]
    assert roles == ["system", *["user", "assistant"] * 4, "user"]
    assert longest.messages[0].text.startswith("You sort mail.")
    train = {e.conversation.last_user for e in bench.examples("train")}
    shown = [m.text for m in longest.messages[1:-1] if m.role == "user"]
    assert all(any(text in prompt for text in train) for prompt in shown)


def test_a_run_without_adapter_cannot_be_measured(workspace: Workspace) -> None:
    bench = bench_of(workspace)
    run = ledger.start_run(workspace, bench.version, "metier/tiny", {})
    with pytest.raises(InputError, match="a tuning run with an adapter") as refused:
        tuned_contender(bench, run)
    assert refused.value.got == "state running, no adapter"


def test_a_run_that_saw_test_rows_is_refused(workspace: Workspace) -> None:
    seen = labelled(0, PAIRS)
    old = bench_of(workspace, train=seen)
    run = ledger.start_run(workspace, old.version, "metier/tiny", {})
    new = bench_of(workspace, CLASSIFY, QUICK, train=labelled(50, PAIRS), test=seen)
    with pytest.raises(InputError, match="was not trained on") as refused:
        tuned_contender(new, replace(run, adapter="abc"))
    assert refused.value.got.startswith("4 of its rows in the run's version")
