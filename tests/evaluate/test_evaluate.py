"""Measuring one contender: denominators, resuming, repeating, bad answers."""

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
    row,
    target,
    text_row,
)
from metier.core import ledger
from metier.core.costs import Prices
from metier.core.errors import BoundaryError, InputError
from metier.core.objective import Objective
from metier.core.types import Completion, LabelTarget
from metier.core.workspace import Workspace
from metier.evaluate.answers import answers_key, batch_folder
from metier.evaluate.bench import Contender
from metier.evaluate.config import EvaluateConfig
from metier.evaluate.evaluate import evaluate


def test_a_perfect_contender_gets_one_and_an_interval(workspace: Workspace) -> None:
    bench = bench_of(workspace)
    found = evaluate(bench, Contender("zero_shot", FakeCompleter(right)))
    assert found.metrics["f1_macro"].value == 1.0
    assert found.metrics["f1_macro"].low < 1.0
    assert (found.n, found.metrics["accuracy"].n) == (16, 16)
    assert found.confusion[""].labels == ("billing", "delivery")
    assert found.confusion[""].counts == ((8, 0, 0), (0, 8, 0))
    assert set(found.per_class[""]) == {"billing", "delivery"}
    assert found.metrics["latency_mean_s"].value == pytest.approx(0.01)
    assert found.metrics["output_tokens_mean"].value == 2


def test_the_report_is_stored_with_its_predictions_and_lineage(workspace: Workspace) -> None:
    bench = bench_of(workspace)
    found = evaluate(bench, Contender("zero_shot", FakeCompleter(right)))
    assert ledger.get_evaluation(workspace, found.id) == found
    predictions = ledger.load_predictions(workspace, found)
    assert [p.example_id for p in predictions] == [e.id for e in bench.examples("test")]
    assert predictions[0].expected == predictions[0].parsed == "delivery"
    chain = {node.ref.kind for node in workspace.lineage.trace(predictions[0].id, "up")}
    assert {"evaluation", "version", "example"} <= chain


def test_rows_that_fail_count_as_wrong_and_stay_in_the_denominator(workspace: Workspace) -> None:
    def reply(text: str) -> str:
        if text.endswith("203"):
            raise RuntimeError("engine lost the row")
        return right(text)

    found = evaluate(bench_of(workspace), Contender("zero_shot", FakeCompleter(reply)))
    assert found.n == found.metrics["accuracy"].n == 16
    assert found.metrics["accuracy"].value == pytest.approx(15 / 16)
    assert found.metrics["unanswered_rate"].value == pytest.approx(1 / 16)
    assert found.confusion[""].counts[0] == (7, 0, 1)
    assert "1 of 16 items failed and count as wrong" in found.warnings[0]
    assert "engine lost the row" in found.warnings[0]


def test_a_row_may_come_back_as_an_error(workspace: Workspace) -> None:
    class Failing(FakeCompleter):
        def complete(self, conversations, sampling):  # type: ignore[no-untyped-def]
            found = super().complete(conversations, sampling)
            return [replace(found[0], text="", error="too long"), *found[1:]]

    found = evaluate(bench_of(workspace), Contender("zero_shot", Failing(right)))
    assert found.metrics["accuracy"].value == pytest.approx(12 / 16)
    assert "4 of 16 items failed" in found.warnings[0]


def test_a_completer_that_fails_on_every_row_stops_the_evaluation(workspace: Workspace) -> None:
    def broken(text: str) -> str:
        raise RuntimeError("no weights")

    with pytest.raises(BoundaryError, match="completer fake: RuntimeError: no weights"):
        evaluate(bench_of(workspace), Contender("zero_shot", FakeCompleter(broken)))


def test_answers_outside_the_label_set_are_wrong_and_said(workspace: Workspace) -> None:
    contender = Contender("zero_shot", FakeCompleter(lambda text: "greetings"))
    found = evaluate(bench_of(workspace), contender)
    assert found.metrics["accuracy"].value == 0.0
    assert found.confusion[""].counts == ((0, 0, 8), (0, 0, 8))
    assert found.warnings == ("16 of 16 replies could not be read and count as wrong",)


def test_a_test_set_of_one_class_is_measured_with_a_warning(workspace: Workspace) -> None:
    splits = {"train": labelled(0, PAIRS), "test": labelled(50, PAIRS[:1], 5)}
    found = evaluate(bench_of(workspace, **splits), Contender("keyword", FakeCompleter(right)))
    assert found.metrics["f1_macro"].value == 1.0
    assert "all test items have the same label, so nothing is told apart" in found.warnings


def test_an_empty_split_is_refused_in_words(workspace: Workspace) -> None:
    bench = bench_of(workspace, train=labelled(0, PAIRS))
    with pytest.raises(InputError, match="examples with a target in split 'test'"):
        evaluate(bench, Contender("keyword", FakeCompleter(right)))


def test_the_same_contender_is_not_asked_twice(workspace: Workspace) -> None:
    bench, completer = bench_of(workspace), FakeCompleter(right)
    first = evaluate(bench, Contender("zero_shot", completer))
    calls = completer.calls
    assert evaluate(bench, Contender("zero_shot", completer)) == first
    assert completer.calls == calls
    again = evaluate(bench, Contender("zero_shot", completer), force=True)
    assert again.id != first.id and completer.calls == 2 * calls


def test_new_prices_measure_the_stored_answers_again(workspace: Workspace) -> None:
    bench, completer = bench_of(workspace), FakeCompleter(right)
    first = evaluate(bench, Contender("zero_shot", completer))
    calls = completer.calls
    dearer = replace(bench, prices=Prices(usd_per_cpu_hour=3.6))
    second = evaluate(dearer, Contender("zero_shot", completer))
    assert completer.calls == calls
    assert second.id != first.id
    assert second.usd_per_1000 == pytest.approx(0.01, rel=1e-6)  # 1,000 x 0.01 s at $3.60 an hour
    ids = [{p.id for p in ledger.load_predictions(workspace, one)} for one in (first, second)]
    assert not ids[0] & ids[1]


def test_an_interrupted_evaluation_goes_on_from_its_last_batch(workspace: Workspace) -> None:
    bench = bench_of(workspace)

    class Interrupted(FakeCompleter):
        def complete(self, conversations, sampling):  # type: ignore[no-untyped-def]
            if self.calls == 2:
                raise KeyboardInterrupt
            return super().complete(conversations, sampling)

    contender = Contender("zero_shot", Interrupted(right))
    with pytest.raises(KeyboardInterrupt):
        evaluate(bench, contender)
    folder = batch_folder(bench, answers_key(bench, contender, "test"))
    assert len(list(folder.glob("*.parquet"))) == 2
    going_on = FakeCompleter(right)
    found = evaluate(bench, Contender("zero_shot", going_on))
    assert going_on.calls == 2  # sixteen rows in batches of four, two of them were on disk
    assert found.metrics["accuracy"].value == 1.0
    assert not folder.exists()


def test_a_torn_batch_file_is_made_again(workspace: Workspace) -> None:
    bench, completer = bench_of(workspace), FakeCompleter(right)
    contender = Contender("zero_shot", completer)
    folder = batch_folder(bench, answers_key(bench, contender, "test"))
    folder.mkdir(parents=True)
    (folder / "0000000-4.parquet").write_bytes(b"PAR1 torn")
    assert evaluate(bench, contender).metrics["accuracy"].value == 1.0
    assert completer.calls == 4


def test_a_test_sample_is_the_same_for_every_contender(workspace: Workspace) -> None:
    config = EvaluateConfig(resamples=200, test_sample=6)
    bench = bench_of(workspace, config=config)
    first = evaluate(bench, Contender("a", FakeCompleter(right, "a")))
    second = evaluate(bench, Contender("b", FakeCompleter(right, "b")))
    items = [[p.example_id for p in ledger.load_predictions(workspace, r)] for r in (first, second)]
    assert len(items[0]) == 6 and items[0] == items[1]


def test_fields_are_measured_each(workspace: Workspace) -> None:
    rows = [fields_row(i, f"parcel {i}", "delivery", "It is on its way.") for i in range(4)]
    rows += [fields_row(9, "charged twice", "billing", "We pay it back.")]

    def reply(text: str) -> str:
        if text == "parcel 0":
            return "I do not know"
        route = "refunds" if "charged" in text else "delivery"
        return f'{{"route": "{route}", "reply": "It is on its way."}}'

    bench = bench_of(workspace, ROUTING, test=rows)
    found = evaluate(bench, Contender("zero_shot", FakeCompleter(reply)))
    assert found.metrics["route.accuracy"].value == pytest.approx(3 / 5)
    assert found.metrics["schema_valid"].value == pytest.approx(3 / 5)
    assert 0.6 < found.metrics["reply.token_f1"].value < 0.8
    assert found.per_class["route"]["delivery"]["recall"].value == pytest.approx(3 / 4)
    assert "1 of 5 replies could not be read and count as wrong" in found.warnings
    outside = "field 'route': 1 answers lie outside the label set and count as wrong"
    assert outside in found.warnings


def test_texts_are_measured_with_rouge(workspace: Workspace) -> None:
    rows = [text_row(i, f"summarise note {i}", "patient has a cold") for i in range(4)]
    bench = bench_of(workspace, Objective(task="summarize"), test=rows)
    found = evaluate(bench, Contender("lead", FakeCompleter(lambda text: "patient has a fever")))
    assert found.metrics["rouge1"].value == pytest.approx(0.75)
    assert found.metrics["rougeL"].n == 4
    assert found.confusion == {} and found.per_class == {}


def test_slices_that_targets_name_are_measured(workspace: Workspace) -> None:
    objective = CLASSIFY.model_copy(
        update={"target": [target(metric="accuracy", at_least=0.5, slice="channel=mail")]}
    )
    rows = [
        row(i, "parcel", LabelTarget("delivery" if i % 2 else "billing"), channel=channel)
        for i, channel in enumerate(["mail", "mail", "chat", "chat"])
    ]
    bench = bench_of(workspace, objective, test=rows)
    found = evaluate(bench, Contender("keyword", FakeCompleter(right)))
    assert found.metrics["accuracy@channel=mail"].n == 2
    lost = CLASSIFY.model_copy(
        update={"target": [target(metric="accuracy", at_least=0.5, slice="channel=fax")]}
    )
    with pytest.raises(InputError, match="channel=chat, channel=mail"):
        evaluate(replace(bench, objective=lost), Contender("keyword", FakeCompleter(right)))


def test_rows_of_one_group_are_one_cluster(workspace: Workspace) -> None:
    rows = [row(i, f"parcel {i}", LabelTarget("delivery"), group=f"c{i // 3}") for i in range(6)]
    rows += [row(9, "charged", LabelTarget("billing"), group="c9")]
    bench = bench_of(workspace, test=rows)
    found = evaluate(bench, Contender("keyword", FakeCompleter(right)))
    assert (found.metrics["accuracy"].n, found.metrics["accuracy"].clusters) == (7, 3)


def test_time_is_taken_where_the_completer_reports_none(workspace: Workspace) -> None:
    class Timeless(FakeCompleter):
        def complete(self, conversations, sampling):  # type: ignore[no-untyped-def]
            return [Completion(right(c.last_user)) for c in conversations]

    found = evaluate(bench_of(workspace), Contender("tfidf", Timeless(right)))
    assert found.metrics["latency_mean_s"].value > 0


def test_what_was_chosen_and_how_is_in_the_settings(workspace: Workspace) -> None:
    contender = Contender("few_shot", FakeCompleter(right), chosen={"k": 4}, warnings=("careful",))
    found = evaluate(bench_of(workspace), contender)
    assert found.settings["chosen"] == {"k": 4}
    assert (found.settings["resamples"], found.settings["seed"]) == (QUICK.resamples, QUICK.seed)
    assert found.warnings == ("careful",)
