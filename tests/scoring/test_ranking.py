import math

import numpy as np
import pytest

from metier.core.types import Score
from metier.scoring import Resampling, make_metric, paired_difference
from metier.scoring.statistics.bootstrap import leave_one_out

FAST = Resampling(100)


def scored(rows, clusters=None):
    """Records from (expected, {label: probability} or None) pairs; the answer is the likeliest."""
    found = []
    for i, (expected, given) in enumerate(rows):
        logs = None if given is None else {k: math.log(max(p, 1e-12)) for k, p in given.items()}
        got = None if given is None else max(given, key=given.__getitem__)
        many = isinstance(expected, list)
        answer = None if got is None else [got] if many else got
        detail = {} if logs is None else {"scores": logs}
        cluster = "" if clusters is None else clusters[i]
        found.append(Score(f"e{i:04d}", None, expected, answer, cluster=cluster, detail=detail))
    return found


def binary(pairs):
    return scored([(label, {"yes": p, "no": 1 - p}) for label, p in pairs])


def value(name, records):
    return make_metric(name)(records, FAST).value


def why(name, records):
    found = make_metric(name)(records, FAST)
    assert math.isnan(found.value) and found.method == "undefined"
    return " ".join(found.warnings)


# yes at 0.9, 0.6, 0.4; no at 0.7, 0.4, 0.1: of 9 pairs 0.9 wins 3, 0.6 wins 2, 0.4 wins 1 ties 1
MIXED = [("yes", 0.9), ("yes", 0.6), ("yes", 0.4), ("no", 0.7), ("no", 0.4), ("no", 0.1)]


def test_auroc_of_two_labels_by_hand():
    assert value("auroc", binary(MIXED)) == pytest.approx((3 + 2 + 1.5) / 9)
    assert value("auroc", binary([("yes", 0.9), ("no", 0.1)])) == 1.0
    assert value("auroc", binary([("yes", 0.1), ("no", 0.9)])) == 0.0
    assert value("auroc", binary([("yes", 0.5), ("no", 0.5)])) == 0.5


def test_pr_auc_by_hand():
    # for "yes": precision 1/1 at 0.9, 2/3 at 0.6, 3/5 at 0.4 (the tie counts against it);
    # for "no" (0.9, 0.6, 0.3 against 0.6, 0.4, 0.1): 1/1, 2/3 at the tie, 3/5 at 0.3
    yes, no = (1 + 2 / 3 + 3 / 5) / 3, (1 + 2 / 3 + 3 / 5) / 3
    assert value("pr_auc", binary(MIXED)) == pytest.approx((yes + no) / 2)


def made(n, labels, seed=0, ties=False):
    rng = np.random.default_rng(seed)
    wanted = rng.integers(0, len(labels), n)
    logits = rng.normal(size=(n, len(labels)))
    logits[np.arange(n), wanted] += 1.0
    table = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    if ties:  # the same few probabilities in every row
        steps = np.arange(1, len(labels) + 1) / sum(range(1, len(labels) + 1))
        table = steps[table.argsort(axis=1).argsort(axis=1)]
    rows = [
        (labels[w], dict(zip(labels, row, strict=True)))
        for w, row in zip(wanted, table, strict=True)
    ]
    return scored(rows), wanted, table


@pytest.mark.parametrize("ties", [False, True])
def test_macro_areas_equal_those_of_scikit_learn(ties):
    from sklearn.metrics import average_precision_score, roc_auc_score

    records, wanted, table = made(300, list("abcde"), ties=ties)
    expected = roc_auc_score(wanted, table, multi_class="ovr", average="macro")
    assert value("auroc", records) == pytest.approx(expected)
    one_hot = np.eye(5)[wanted]
    expected = average_precision_score(one_hot, table, average="macro")
    assert value("pr_auc", records) == pytest.approx(expected)


def test_areas_of_label_sets_equal_those_of_scikit_learn():
    from sklearn.metrics import (
        average_precision_score,
        label_ranking_average_precision_score,
        roc_auc_score,
    )

    rng = np.random.default_rng(3)
    table, names = rng.random((80, 6)), list("abcdef")
    wanted = rng.random((80, 6)) < 0.2 + 0.5 * table
    wanted[:, 0] |= ~wanted.any(axis=1)
    rows = [
        ([n for n, w in zip(names, line, strict=True) if w], dict(zip(names, row, strict=True)))
        for line, row in zip(wanted, table, strict=True)
    ]
    records = scored(rows)
    assert value("auroc", records) == pytest.approx(roc_auc_score(wanted, table))
    assert value("pr_auc", records) == pytest.approx(average_precision_score(wanted, table))
    expected = label_ranking_average_precision_score(wanted, table)
    assert value("map", records) == pytest.approx(expected)


def test_weights_count_clusters_as_if_their_items_were_repeated():
    records, _, _ = made(60, list("abc"), ties=True)
    records = [
        Score(r.example_id, None, r.expected, r.got, cluster=f"c{i % 20:02d}", detail=r.detail)
        for i, r in enumerate(records)
    ]
    weights = np.random.default_rng(1).integers(0, 4, size=(5, 20)).astype(float)
    for name in ("auroc", "pr_auc"):
        statistic = make_metric(name).statistic(records)
        found = statistic.at(weights)
        for row, got in zip(weights, found, strict=True):
            repeated = [
                Score(f"{r.example_id}-{k}", None, r.expected, r.got, detail=r.detail)
                for r in records
                for k in range(int(row[int(r.cluster[1:])]))
            ]
            assert got == pytest.approx(value(name, repeated))


def test_a_cluster_can_be_left_out():
    records, _, _ = made(30, list("ab"))
    statistic = make_metric("auroc").statistic(records)
    left = leave_one_out(statistic)
    assert left[0] == pytest.approx(value("auroc", records[1:]))


def test_intervals_are_resampled_and_systems_paired():
    records, _, _ = made(200, list("abc"))
    worse, _, _ = made(200, list("abc"), ties=True)
    found = make_metric("auroc")(records, FAST)
    assert found.low < found.value < found.high and found.n == 200
    paired = paired_difference(make_metric("auroc"), records, worse, FAST)
    difference = value("auroc", records) - value("auroc", worse)
    assert paired.estimate.value == pytest.approx(difference)
    assert paired.estimate.low < paired.estimate.value < paired.estimate.high


def test_items_without_scores_rank_worst():
    records = [*binary([("yes", 0.9), ("no", 0.1)]), Score("e9", None, "yes", None)]
    # the third "yes" loses to "no", and as no "no" it is taken for the surest "no"
    assert value("auroc", records) == pytest.approx(0.5)
    found = make_metric("auroc")(records, FAST)
    assert "1 of 3 items have no scores and rank worst" in found.warnings


def test_scores_that_are_no_numbers_are_no_scores():
    good = binary([("yes", 0.9), ("no", 0.1)])
    for odd in (math.nan, None, "0.5", True):
        bad = Score("e9", None, "yes", "yes", detail={"scores": {"yes": odd, "no": -1.0}})
        found = make_metric("auroc")([*good, bad], FAST)
        assert found.value == pytest.approx(0.5), odd
        assert "1 of 3 items have no scores and rank worst" in found.warnings


def test_a_label_without_a_chance_is_ranked_not_refused():
    sure = {"scores": {"yes": float("-inf"), "no": 0.0}}
    records = [Score("e1", None, "no", "no", detail=sure), *binary([("yes", 0.9)])]
    assert value("auroc", records) == 1.0


@pytest.mark.parametrize("name", ["auroc", "pr_auc", "top3_accuracy", "top5_accuracy", "map"])
def test_without_scores_nothing_is_said_but_why(name):
    records = [Score("e1", None, ["a"], ["a"]), Score("e2", None, ["b"], ["b"])]
    assert "no reply carries scores" in why(name, records)
    assert "no items" in why(name, [])


def test_one_class_cannot_be_ranked():
    records = binary([("yes", 0.9), ("yes", 0.2)])
    assert "all items are of one class" in why("auroc", records)
    assert "all items are of one class" in why("pr_auc", records)


def test_top_k_by_hand():
    given = {"a": 0.4, "b": 0.3, "c": 0.2, "d": 0.07, "é": 0.03}
    records = scored([(label, given) for label in "abcdé"])
    assert value("top3_accuracy", records) == pytest.approx(3 / 5)
    assert "with 5 labels every one is among the first 5" in why("top5_accuracy", records)
    outside = scored([("z", given), (None, given), ("a", given)])
    found = make_metric("top3_accuracy")(outside, FAST)
    assert found.value == pytest.approx(1 / 2)
    assert "1 of 3 items have no reference and were left out" in found.warnings


def test_top_k_equals_scikit_learns():
    from sklearn.metrics import top_k_accuracy_score

    records, wanted, table = made(200, list("abcdefgh"))
    for k in (3, 5):
        expected = top_k_accuracy_score(wanted, table, k=k)
        assert value(f"top{k}_accuracy", records) == pytest.approx(expected)


def test_the_answer_itself_is_the_first_of_the_top_whatever_its_score():
    given = {"scores": {"a": -1.0, "b": -2.0, "c": -3.0, "d": -4.0}}
    right = Score("e1", None, "d", "d", detail=given)  # chosen after a correction for preferences
    third = Score("e2", None, "c", "d", detail=given)  # d, a, b come before it
    assert value("top3_accuracy", [right, third]) == pytest.approx(1 / 2)


def test_ties_count_against_the_label():
    same = {"scores": dict.fromkeys("abcd", -1.0)}
    records = [Score(f"e{x}", None, x, None, detail=same) for x in "abcd"]
    assert value("top3_accuracy", records) == 0.0
    assert value("map", [Score("e", None, ["a"], [], detail=same)]) == pytest.approx(1 / 4)


def test_mean_average_precision_by_hand():
    given = {"I10": 0.9, "E11.9": 0.8, "J45": 0.7, "Z00": 0.6}
    records = scored([(["I10", "J45"], given), (["E11.9", "unknown"], given), ([], given)])
    first = (1 / 1 + 2 / 3) / 2
    second = (1 / 2 + 0) / 2  # a code the model does not know is never found
    found = make_metric("map")(records, FAST)
    assert found.value == pytest.approx((first + second) / 2)
    assert "1 of 3 items have no label to find and were left out" in found.warnings
