import math

import numpy as np
import pytest

from metier.core.errors import InputError, UserError
from metier.core.types import Score
from metier.scoring import (
    Resampling,
    confusion,
    make_metric,
    per_class,
    rare_classes,
    support,
)
from metier.scoring.labels.classification import decisions, label_of

FAST = Resampling(100)


def answers(*pairs, clusters=None):
    names = clusters or [""] * len(pairs)
    return [
        Score(f"e{i:04d}", None, expected, got, cluster=c)
        for i, ((expected, got), c) in enumerate(zip(pairs, names, strict=True))
    ]


# right: a 2 of 3, b 1 of 2, c 0 of 1; predicted: a 3, b 2, none 1
SMALL = answers(("a", "a"), ("a", "a"), ("a", "b"), ("b", "b"), ("b", "a"), ("c", None))


def value(name, records, **arguments):
    return make_metric(name, **arguments)(records, FAST).value


def test_accuracy_and_error_rate_by_hand():
    assert value("accuracy", SMALL) == pytest.approx(3 / 6)
    assert value("error_rate", SMALL) == pytest.approx(3 / 6)
    assert value("unanswered_rate", SMALL) == pytest.approx(1 / 6)


def test_macro_micro_and_weighted_by_hand():
    f1 = {"a": 2 * 2 / (3 + 3), "b": 2 * 1 / (2 + 2), "c": 0.0}
    assert value("f1_macro", SMALL) == pytest.approx(sum(f1.values()) / 3)
    assert value("f1_weighted", SMALL) == pytest.approx((3 * f1["a"] + 2 * f1["b"]) / 6)
    assert value("precision_micro", SMALL) == pytest.approx(3 / 5)  # five answers were given
    assert value("recall_micro", SMALL) == pytest.approx(3 / 6)
    assert value("f1_micro", SMALL) == pytest.approx(2 * 3 / (6 + 5))
    assert value("precision_macro", SMALL) == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    assert value("recall_macro", SMALL) == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)


def test_values_equal_those_of_scikit_learn():
    from sklearn.metrics import f1_score, matthews_corrcoef, precision_score, recall_score

    rng = np.random.default_rng(0)
    labels = [f"c{i}" for i in range(12)]
    wanted = [labels[i] for i in rng.integers(0, 12, 400)]
    got = [w if rng.random() < 0.7 else labels[rng.integers(0, 12)] for w in wanted]
    records = answers(*zip(wanted, got, strict=True))
    assert value("f1_macro", records) == pytest.approx(f1_score(wanted, got, average="macro"))
    weighted = f1_score(wanted, got, average="weighted")
    assert value("f1_weighted", records) == pytest.approx(weighted)
    precision = precision_score(wanted, got, average="macro")
    assert value("precision_macro", records) == pytest.approx(precision)
    recall = recall_score(wanted, got, average="macro")
    assert value("recall_macro", records) == pytest.approx(recall)
    assert value("mcc", records) == pytest.approx(matthews_corrcoef(wanted, got))


def test_macro_goes_over_the_labels_of_the_references_only():
    records = answers(("a", "a"), ("a", "z"), ("b", "b"))
    assert value("f1_macro", records) == pytest.approx((2 / 3 + 1) / 2)
    assert value("precision_micro", records) == pytest.approx(2 / 3)  # z counts as a mistake


def test_label_sets_by_hand():
    records = answers((["a", "b"], ["a"]), (["b"], ["b", "c"]), ([], []), (["a"], None))
    # right a 1, b 1; expected a 2, b 2; predicted a 1, b 1, c 1
    assert value("f1_micro", records) == pytest.approx(2 * 2 / (4 + 3))
    assert value("f1_macro", records) == pytest.approx(2 / 3)
    assert value("exact_match", records) == pytest.approx(1 / 4)


def test_label_sets_equal_those_of_scikit_learn():
    from sklearn.metrics import f1_score

    rng = np.random.default_rng(1)
    wanted, got = rng.random((60, 4)) < 0.4, rng.random((60, 4)) < 0.4
    wanted[:4] |= np.eye(4, dtype=bool)
    names = np.asarray(list("abcd"))
    records = answers(
        *((names[w].tolist(), names[g].tolist()) for w, g in zip(wanted, got, strict=True))
    )
    for average in ("macro", "micro"):
        expected = f1_score(wanted, got, average=average)
        assert value(f"f1_{average}", records) == pytest.approx(expected)


def test_spans_count_when_place_and_label_agree():
    drug = {"start": 0, "end": 7, "label": "drug"}
    dose = {"start": 8, "end": 13, "label": "dose"}
    shifted = {"start": 8, "end": 12, "label": "dose"}
    renamed = {"start": 0, "end": 7, "label": "dose"}
    assert value("f1_micro", answers(([drug, dose], [dose, drug]))) == 1.0
    assert value("f1_micro", answers(([drug, dose], [drug, shifted]))) == pytest.approx(0.5)
    assert value("f1_micro", answers(([drug], [renamed]))) == 0.0
    assert support(answers(([drug, dose], []))) == {"dose": 1, "drug": 1}


def test_mcc_of_one_label_is_undefined_in_words():
    found = make_metric("mcc")(answers(("a", "a"), ("a", "a")), FAST)
    assert math.isnan(found.value) and found.method == "undefined"
    assert any("at least two labels" in warning for warning in found.warnings)


def test_mcc_perfect_and_reversed():
    pairs = [("a", "a"), ("b", "b")] * 10
    assert value("mcc", answers(*pairs)) == pytest.approx(1.0)
    assert value("mcc", answers(*[(w, "b" if g == "a" else "a") for w, g in pairs])) == -1.0


def test_one_class_has_its_own_figures():
    assert value("f1", SMALL, label="a") == pytest.approx(2 / 3)
    assert value("precision", SMALL, label="b") == pytest.approx(1 / 2)
    never = make_metric("precision", label="c")(SMALL, FAST)
    assert math.isnan(never.value)
    assert never.warnings[0] == "class 'c' is never predicted"
    absent = make_metric("recall", label="z")(SMALL, FAST)
    assert absent.warnings[0] == "class 'z' is not in the references"
    with pytest.raises(InputError, match="name it with label"):
        make_metric("f1")


def test_per_class_says_how_small_each_class_is():
    table = per_class(SMALL, FAST)
    assert list(table) == ["a", "b", "c"]  # the most frequent first
    assert table["a"]["recall"].value == pytest.approx(2 / 3)
    assert table["a"]["recall"].n == 3 and table["b"]["precision"].n == 2
    assert table["b"]["f1"].warnings == ("only 2 test items of class 'b'",)
    assert table["c"]["f1"].value == 0.0 and table["c"]["f1"].high > 0.5


def test_per_class_equals_the_single_class_metric():
    table = per_class(SMALL, FAST)
    for name in ("f1", "precision", "recall"):
        assert make_metric(name, label="a")(SMALL, FAST) == table["a"][name]


def test_f1_interval_of_a_class_covers_what_its_share_says():
    # right 9, false 1, missed 0: J = 9/10, F1 = 18/19
    records = answers(*[("a", "a")] * 9, ("b", "a"), *[("b", "b")] * 10)
    found = per_class(records)["a"]["f1"]
    assert found.value == pytest.approx(18 / 19)
    low = 0.5958  # Wilson for 9 of 10
    assert found.low == pytest.approx(2 * low / (1 + low), abs=1e-3)


def test_clusters_widen_the_interval_of_a_share():
    right = [("a", "a")] * 50 + [("a", "b")] * 50
    apart = make_metric("accuracy")(answers(*right))
    names = [f"p{i // 10}" for i in range(100)]
    whole = make_metric("accuracy")(answers(*right, clusters=names))
    assert apart.method == "Wilson"
    assert "effective items" in whole.method and whole.clusters == 10
    assert whole.high - whole.low > 2 * (apart.high - apart.low)


def test_perfect_answers_are_not_certain():
    found = make_metric("f1_macro")(answers(*[("a", "a"), ("b", "b")] * 50))
    assert found.value == found.high == 1.0
    assert found.low == pytest.approx(0.963, abs=1e-3)


def test_rare_classes_are_named_apart():
    records = answers(*[("a", "a")] * 30, *[("b", "b")] * 4, ("c", "a"))
    assert rare_classes(records) == {"b": 4, "c": 1}
    warned = make_metric("f1_macro")(records, FAST).warnings
    assert any(
        "2 of 3 classes have fewer than 20 test items (fewest: 1 of 'c')" in w for w in warned
    )


def test_items_without_a_reference_are_left_out_and_counted():
    records = answers(("a", "a"), (None, "b"), ("b", "b"))
    for name in ("accuracy", "f1_macro", "f1_micro", "mcc"):
        found = make_metric(name)(records, FAST)
        assert found.value == 1.0 and found.n == 2
        assert any("1 of 3 items have no reference" in warning for warning in found.warnings)


def test_confusion_has_a_column_for_no_answer():
    table = confusion(SMALL)
    assert table.labels == ("a", "b", "c")
    assert table.counts == ((2, 1, 0, 0), (1, 1, 0, 0), (0, 0, 0, 1))


def test_labels_that_are_not_text_keep_their_json_form():
    assert label_of(True) == "true" and label_of(3) == "3" and label_of(None) is None
    assert decisions(["x", 1]) == {"x": "x", "1": "1"}
    assert value("accuracy", answers((1, 1), (True, False))) == 0.5


def test_same_seed_same_interval_whatever_the_order():
    one = make_metric("f1_macro")(SMALL, Resampling(300, seed=5))
    two = make_metric("f1_macro")(SMALL[::-1], Resampling(300, seed=5))
    assert (one.low, one.high) == (two.low, two.high)
    assert make_metric("f1_macro")(SMALL, Resampling(300, seed=6)) != one


def test_an_unknown_metric_names_the_nearest():
    with pytest.raises(UserError, match="did you mean 'f1_macro'"):
        make_metric("f1_makro")
