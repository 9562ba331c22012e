"""Failures are grouped by what they have in common, against chance, and become a data request."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from evaluate_fakes import CLASSIFY, ROUTING, bench_of, fields_row, row, text_row
from failure_desk import messages, swapped
from metier.core.errors import InputError
from metier.core.ids import new_id
from metier.core.objective import Objective
from metier.core.records import Prediction
from metier.core.types import Completion, Example, FieldsTarget, Json, LabelsTarget, LabelTarget
from metier.core.workspace import Workspace
from metier.evaluate.baselines import baseline, tuned_contender
from metier.evaluate.bench import Bench
from metier.evaluate.config import EvaluateConfig
from metier.evaluate.evaluate import evaluate
from metier.evaluate.failures.find import Failures, clusters_of_failures, find_failures
from metier.evaluate.failures.requests import (
    csv_of,
    items_for_width,
    markdown_of,
    rows_to_reach,
    written,
)
from metier.evaluate.failures.types import FailureCluster
from metier.scoring import Resampling
from metier.tune.config import TuneConfig
from metier.tune.run import tune

FEW = Resampling(resamples=200)
SWAPPED = ("billing", "delivery")


def desk_bench(ws: Workspace, train: list[Example]) -> Bench:
    return bench_of(ws, train=train, test=messages(240, 99, 5000))


def clusters_of(
    examples: Sequence[Example],
    got: Callable[[Example], Json],
    objective: Objective = CLASSIFY,
) -> list[FailureCluster]:
    predictions = [
        Prediction(new_id("pred"), e.id, Completion(str(got(e))), got(e), wanted(e), e.group or "")
        for e in examples
    ]
    return clusters_of_failures(objective, predictions, examples, FEW)


def wanted(example: Example) -> Json:
    target = example.target
    if isinstance(target, LabelsTarget):
        return list(target.labels)
    if isinstance(target, FieldsTarget):
        return dict(target.fields)
    return getattr(target, "label", None) or getattr(target, "text", None)


def label_of(example: Example) -> str:
    assert isinstance(example.target, LabelTarget)
    return example.target.label


@pytest.fixture(scope="module")
def swapped_desk(tmp_path_factory: pytest.TempPathFactory) -> Failures:
    """A TF-IDF model, trained where two of six classes are swapped in 30% of their rows."""
    with Workspace.create(tmp_path_factory.mktemp("swapped")) as ws:
        bench = desk_bench(ws, swapped(messages(240, 1), SWAPPED, 0.3))
        return find_failures(bench, evaluate(bench, baseline(bench, "tfidf")))


def test_two_classes_swapped_in_training_are_named_first(swapped_desk: Failures) -> None:
    first = swapped_desk.clusters[0]
    assert set(first.labels) == set(SWAPPED) and first.kind == "confusion"
    assert "confuses `billing` and `delivery` with each other" in first.words
    assert first.stands_out and first.adjusted_p < 0.01
    assert first.excess > 10 and first.share.low > 0.1
    assert first.failed > sum(one.failed for one in swapped_desk.clusters[1:])


@pytest.mark.slow
def test_the_bundled_base_tuned_on_them_names_them_first_too(tmp_path: Path) -> None:
    from metier.models.base import load_base

    base = load_base("metier/tiny")
    with Workspace.create(tmp_path) as ws:
        bench = desk_bench(ws, swapped(messages(900, 1), SWAPPED, 0.3))
        config = TuneConfig.model_validate(
            {"method": {"type": "full"}, "lr": 1e-3, "epochs": 4, "batch_tokens": 1024}
        )
        run = tune(config, bench.version, ws, base, CLASSIFY)
        found = find_failures(bench, evaluate(bench, tuned_contender(bench, run, base)))
    first = found.clusters[0]
    assert set(first.labels) == set(SWAPPED) and first.kind == "confusion"
    assert first.stands_out, first


def test_the_request_asks_first_whether_the_labels_are_right(swapped_desk: Failures) -> None:
    check, collect = swapped_desk.request.rows[:2]
    assert (check.action, check.now, check.train) == ("check", 80, 80)
    assert "`billing` or `delivery`" in check.what
    assert collect.action == "collect" and 30 <= collect.train <= 500
    assert "square root" in collect.assumption
    assert collect.test == 0, "80 test items of the two give the interval that is planned for"
    assert "never train on test rows" in swapped_desk.notes[0]


def test_without_swapping_the_pair_does_not_stand_out(tmp_path: Path) -> None:
    with Workspace.create(tmp_path) as ws:
        bench = desk_bench(ws, messages(240, 1))
        found = find_failures(bench, evaluate(bench, baseline(bench, "tfidf")))
    assert all(set(one.labels) != set(SWAPPED) for one in found.clusters)
    assert found.failed.value < 0.05


def test_errors_that_fall_anywhere_name_no_pair() -> None:
    queues = ["a", "b", "c", "d", "e", "f"]
    for seed in range(10):
        rng = random.Random(seed)
        examples = [row(n, f"text {n}", LabelTarget(queues[n % 6])) for n in range(300)]
        answers = {
            e.id: rng.choice(queues) if rng.random() < 0.3 else label_of(e) for e in examples
        }
        found = clusters_of(examples, lambda e, answers=answers: answers[e.id])
        assert not [one.name for one in found if one.stands_out]


def test_a_confusion_is_named_by_what_the_messages_say() -> None:
    examples = [
        row(
            n,
            f"{'invoice for parcel' if n % 3 == 0 else 'some other matter'} number{n}",
            LabelTarget(["billing", "delivery", "returns"][n % 7 % 3]),
        )
        for n in range(420)
    ]

    def got(example: Example) -> str:
        label = label_of(example)
        hit = label == "billing" and "invoice" in example.conversation.text
        return "delivery" if hit and random.Random(example.id).random() < 0.7 else label

    first = clusters_of(examples, got)[0]
    assert first.name == "confuses `billing` with `delivery`"
    assert "invoice for parcel" in first.when[0].words
    assert first.when[0].of < first.of and first.when[0].failed == first.failed
    assert f"says 'invoice for parcel'; {first.failed} of {first.when[0].of}, 0." in first.words


def test_a_hard_class_and_a_drawn_answer_are_no_pairs() -> None:
    queues = ["a", "b", "c", "d", "e", "f"]
    examples = [row(n, f"text {n}", LabelTarget(queues[n % 6])) for n in range(360)]
    rng = random.Random(1)
    hard = {e.id: rng.choice(queues) if label_of(e) == "a" else label_of(e) for e in examples}
    found = [one for one in clusters_of(examples, lambda e: hard[e.id]) if one.stands_out]
    assert [(one.kind, one.labels) for one in found] == [("hard", ("a",))]
    drawn = {e.id: "f" if rng.random() < 0.25 else label_of(e) for e in examples}
    found = [one for one in clusters_of(examples, lambda e: drawn[e.id]) if one.stands_out]
    assert [(one.kind, one.labels) for one in found] == [("drawn", ("f",))]


def test_unreadable_answers_of_one_class_are_a_cluster() -> None:
    examples = [row(n, f"text {n}", LabelTarget("abcd"[n % 4])) for n in range(200)]
    found = clusters_of(
        examples, lambda e: None if label_of(e) == "a" and e.id[-1] < "c" else label_of(e)
    )
    assert found[0].kind == "unanswered" and "no readable answer where `a`" in found[0].name


def test_one_person_with_many_failures_counts_once() -> None:
    examples = [
        row(n, f"text {n}", LabelTarget("abcdef"[n % 6]), "one" if n % 6 == 0 and n < 60 else None)
        for n in range(360)
    ]
    found = clusters_of(examples, lambda e: "b" if e.group == "one" else label_of(e))
    assert found[0].failed == 10 and not found[0].stands_out


def test_missed_and_added_labels_of_several() -> None:
    objective = Objective(task="multilabel")
    examples = [
        row(n, f"text {n}", LabelsTarget(("rash", "fever") if n % 2 else ("cough",)))
        for n in range(120)
    ]

    def got(example: Example) -> list[str]:
        assert isinstance(example.target, LabelsTarget)
        if example.id[-1] > "7":
            return list(example.target.labels)
        return ["rash"] if "fever" in example.target.labels else ["cough", "cold"]

    names = {one.name: one for one in clusters_of(examples, got, objective)}
    assert names["misses `fever`"].stands_out and names["misses `fever`"].of == 60
    assert names["adds `cold` where it is not wanted"].of == 120


def test_spans_in_the_wrong_place_are_no_confusion_of_labels() -> None:
    objective = Objective(task="extract", labels=["date", "drug"])
    examples = [text_row(n, f"text {n}", "x") for n in range(60)]
    span = {"start": 0, "end": 4, "label": "date"}
    predictions = [
        Prediction(new_id("p"), e.id, Completion("x"), [{**span, "end": 5}], [span], "")
        for e in examples
    ]
    found = clusters_of_failures(objective, predictions, examples, FEW)
    assert found[0].name == "finds `date` in the wrong place"


def test_poor_texts_are_named_by_their_messages_and_what_replies_lack() -> None:
    examples = [
        text_row(
            n,
            f"{'fridge warranty claim' if n % 4 == 0 else 'parcel delivery date'} number{n}",
            "send the receipt within two years" if n % 4 == 0 else "it comes on monday",
        )
        for n in range(160)
    ]

    def got(example: Example) -> str:
        return "please wait" if "fridge" in example.conversation.text else "it comes on monday"

    first = clusters_of(examples, got, Objective(task="answer"))
    theme = next(one for one in first if one.kind == "theme")
    assert "fridge warranty claim" in theme.name and theme.stands_out
    assert (theme.failed, theme.of) == (40, 40)
    assert "receipt" in " ".join(theme.lacks) and "please wait" in " ".join(theme.adds)
    form = next(one for one in first if one.kind == "form")
    assert "less than half as long as wanted" in form.name and form.stands_out


def test_perfect_answers_have_no_failures() -> None:
    examples = [text_row(n, f"text {n}", "fine") for n in range(40)]
    assert clusters_of(examples, lambda e: "fine", Objective(task="answer")) == []
    labelled = [row(n, f"text {n}", LabelTarget("ab"[n % 2])) for n in range(40)]
    assert clusters_of(labelled, label_of) == []


def test_every_field_of_a_structured_reply_is_looked_at() -> None:
    routes = ("billing", "delivery")
    examples = [
        fields_row(n, f"message about {'a' * (n % 3 + 1)} {n}", routes[n % 2], "we look into it")
        for n in range(120)
    ]

    def got(example: Example) -> dict[str, str]:
        bad = example.id[-1] < "5"
        route = wanted(example)["route"]
        reply = "no no no no no no no no no no" if bad else "we look into it"
        return {"route": "delivery" if bad else route, "reply": reply}

    found = clusters_of(examples, got, ROUTING)
    assert {one.field for one in found} == {"route", "reply"}
    assert any(one.name == "reply: the reply repeats itself" for one in found)


def test_a_report_of_another_version_is_refused(tmp_path: Path) -> None:
    with Workspace.create(tmp_path) as ws:
        bench = bench_of(ws)
        report = evaluate(bench, baseline(bench, "keyword"))
        other = bench_of(ws, train=messages(12, 1), test=messages(12, 2, 100))
        with pytest.raises(InputError, match="a report on version"):
            find_failures(other, report)


def test_groups_of_the_config_are_compared(tmp_path: Path) -> None:
    aged = [
        e.changed("aged", slices={"age_band": "65+" if n % 2 else "18-64"})
        for n, e in enumerate(messages(120, 3, 900))
    ]
    config = EvaluateConfig(resamples=200, groups=["age_band", "gender"])
    with Workspace.create(tmp_path) as ws:
        bench = bench_of(ws, CLASSIFY, config, train=messages(60, 1), test=aged)
        found = find_failures(bench, evaluate(bench, baseline(bench, "keyword")))
    assert [one.attribute for one in found.fairness] == ["age_band", "gender"]
    assert found.fairness[0].gaps and "slices of a [data] source" in found.fairness[1].notes[0]


@pytest.mark.parametrize(
    ("share", "goal", "now", "rows"),
    [(0.4, 0.2, 50, 150), (0.4, 0.2, 1000, 500), (0.4, 0.4, 50, 30), (0.4, 0.0, 20, 300)],
)
def test_rows_follow_the_square_root_rule(share: float, goal: float, now: int, rows: int) -> None:
    assert rows_to_reach(share, goal, now) == rows


def test_items_for_an_interval() -> None:
    assert items_for_width(0.5) == 97  # (1.96 / 0.1)^2 / 4 = 96.04
    assert items_for_width(0.01) == 35, "rare failures are planned as if they were one in ten"


def test_the_request_can_be_handed_out(swapped_desk: Failures) -> None:
    page, table = markdown_of(swapped_desk.request), csv_of(swapped_desk.request)
    assert page.startswith("# Data for the next cycle") and "## 1. Check 80 rows" in page
    assert "- Why: confuses `billing` and `delivery` with each other" in page
    assert table.splitlines()[0] == "action,what,train,test,why,assumption"
    assert len(table.splitlines()) == len(swapped_desk.request.rows) + 1
    assert '"action": "check"' in written(swapped_desk.request, Path("a.json"))
    with pytest.raises(InputError, match=r"\.md, \.csv or \.json"):
        written(swapped_desk.request, Path("a.docx"))
