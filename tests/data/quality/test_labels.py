import random

import numpy as np
import pytest

from data_examples import labelled
from metier.core.objective import Objective
from metier.core.progress import Progress
from metier.data.quality.config import QualityConfig
from metier.data.quality.labels import ask_labels, label_suspects
from metier.data.quality.out_of_fold import assign_folds, calibrate, judge, units_of
from quality_examples import TOPICS, forms, rows, several

CLASSIFY, MULTILABEL = Objective(task="classify"), Objective(task="multilabel")
FORM = Objective(
    task="structured",
    fields={
        "type": "object",
        "properties": {
            "topic": {"type": "string", "enum": sorted(TOPICS)},
            "reply": {"type": "string"},
        },
    },
)


def ask(examples, objective=CLASSIFY):
    return ask_labels(examples, objective, QualityConfig(), Progress())


def precision(question, planted):
    found = label_suspects(question, len(planted))
    return sum(one.example.id in planted for one in found) / len(planted)


def test_planted_label_errors_are_found():
    examples, planted = rows()
    (question,) = ask(examples)
    assert precision(question, planted) >= 0.9
    assert question.expected_errors == pytest.approx(len(planted), rel=0.5)
    worst = label_suspects(question)[0]
    assert worst.margin < 0
    assert worst.evidence["given"] == worst.given != worst.suggested


def test_in_the_closed_fields_of_a_form():
    examples, planted = forms()
    (question,) = ask(examples, FORM)
    assert question.name == "topic"
    assert precision(question, planted) >= 0.9


def test_each_label_of_several_is_a_question():
    examples, planted = several()
    found = {question.name: question for question in ask(examples, MULTILABEL)}
    assert sorted(found) == ["broken", *sorted(TOPICS)]
    assert precision(found["broken"], planted) >= 0.6
    assert {one.given for one in label_suspects(found["broken"])} <= {"yes", "no"}


def test_the_order_and_the_ids_of_the_rows_do_not_matter():
    examples, _ = rows(90, 6)
    (first,), shuffled = ask(examples), list(examples)
    random.Random(1).shuffle(shuffled)
    (second,) = ask(shuffled)
    assert [one.example.id for one in label_suspects(first)] == [
        one.example.id for one in label_suspects(second)
    ]
    assert np.array_equal(first.judged.p, second.judged.p)


def test_groups_and_equal_texts_are_never_torn():
    examples = [
        labelled(number, f"text {number // 4}", "a", group=f"g{number // 6}")
        for number in range(60)
    ]
    units = units_of(examples, lambda one: ("a",))
    folds = assign_folds(units, len(examples), 5)
    for number in range(60):
        assert folds[number] == folds[number // 6 * 6]
        assert folds[number] == folds[number // 4 * 4]
    assert len(set(folds.tolist())) > 1


def test_a_label_of_one_row_is_not_judged():
    examples, _ = rows(60, 3)
    examples.append(labelled(999, "What is the weather like", "weather"))
    (question,) = ask(examples)
    assert "ex_999" not in {one.id for one in question.fair_rows}
    assert "ex_999" not in {one.example.id for one in label_suspects(question)}


@pytest.mark.parametrize("count", [0, 1, 3])
def test_nothing_to_ask(count):
    assert ask([labelled(n, f"text {n}", "only") for n in range(count)]) == []


def test_texts_without_a_word_in_common():
    examples = [labelled(n, "?" * (n + 1), "ab"[n % 2]) for n in range(8)]
    (question,) = ask(examples)
    assert len(question.rows) == 8


def test_one_fold_without_any_other_label_is_not_fair():
    judged = judge(np.eye(4), np.array([0, 0, 1, 1]), ["a", "b"], np.array([0, 0, 1, 1]))
    assert not judged.fair.any()
    assert judged.p.sum(axis=1) == pytest.approx(np.ones(4))


def test_calibration_picks_a_sharp_softmax_where_scores_are_right():
    scores, given = np.eye(3), np.arange(3)
    fair = np.ones(3, dtype=bool)
    assert calibrate(scores, given, fair).max() > 0.99
    assert calibrate(scores, (given + 1) % 3, fair).max() < 0.4
