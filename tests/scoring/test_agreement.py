"""Coefficients of agreement against the published worked examples, and by hand."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from scipy.stats import kendalltau

from metier.core.errors import InputError
from metier.core.types import Score
from metier.scoring import Resampling
from metier.scoring.statistics.agreement_answers import Answers, answers_of
from metier.scoring.statistics.agreement_coefficients import (
    cohen,
    fleiss,
    krippendorff,
    percent,
)
from metier.scoring.statistics.agreement_metrics import kendall, metrics_with_panel
from metier.scoring.statistics.agreement_pairs import (
    confusion,
    per_label,
    per_pair,
    per_span_label,
)
from metier.scoring.statistics.agreement_retest import Twice, consistency
from metier.scoring.statistics.agreement_sets import (
    apart,
    characters,
    f1_distance,
    jaccard,
    masi,
    pairwise_f1,
    pairwise_same,
    stretches,
    words,
)
from metier.scoring.statistics.agreement_time import drift

FAST = Resampling(200)

# Cohen (1960), Educational and Psychological Measurement 20(1), 37-46, table 2; with the weights
# of Cohen (1968), Psychological Bulletin 70(4), 213-220, table 1.
COHEN = ((88, 14, 18), (10, 40, 10), (2, 6, 12))
COHEN_COST = ((0, 1, 3), (1, 0, 6), (3, 6, 0))
# Landis and Koch (1977), Biometrics 33(1), 159-174, table 1: 149 patients of Winnipeg.
LANDIS = ((38, 5, 0, 1), (33, 11, 3, 0), (10, 14, 5, 6), (3, 7, 3, 10))
# Fleiss (1971), Psychological Bulletin 76(5), 378-382, table 1: 30 patients, 6 psychiatrists;
# depression, personality disorder, schizophrenia, neurosis, other.
FLEISS = """00060 03003 01401 00006 03030 20400 00402 20310 20040 00006
10050 11040 03300 10050 02031 00501 30012 51000 02040 10203
00006 01050 02013 20040 10041 05010 40002 02040 10500 00006"""
# The worked example of https://en.wikipedia.org/wiki/Fleiss%27_kappa: 10 subjects, 14 raters.
WIKIPEDIA = (
    (0, 0, 0, 0, 14), (0, 2, 6, 4, 2), (0, 0, 3, 5, 6), (0, 3, 9, 2, 0), (2, 2, 8, 1, 1),
    (7, 7, 0, 0, 0), (3, 2, 6, 3, 0), (2, 5, 3, 2, 2), (6, 5, 2, 1, 0), (0, 2, 2, 3, 7),
)  # fmt: skip
# Krippendorff (2011), Computing Krippendorff's Alpha-Reliability, sections C and D.
KRIPPENDORFF = {
    "A": "1 2 3 3 2 1 4 1 2 . . .",
    "B": "1 2 3 3 2 2 4 1 2 5 . 3",
    "C": ". 3 3 3 2 3 4 2 2 5 1 .",
    "D": "1 2 3 3 2 4 4 1 2 5 1 .",
}


def of_table(table) -> Answers:
    """Two people whose joint answers a table counts."""
    size = range(len(table))
    cells = [(i, j) for i in size for j in size for _ in range(table[i][j])]
    return of_pairs(cells, values=list(size))


def of_pairs(pairs, values=()) -> Answers:
    """What a and b said of each item."""
    said = [(f"i{n}", dict(zip("ab", pair, strict=True))) for n, pair in enumerate(pairs)]
    return answers_of([(item, who, v) for item, by in said for who, v in by.items()], values)


def of_counts(table) -> Answers:
    """As many people per item as the row of counts says; who they are makes no difference."""
    rows = []
    for number, counts in enumerate(table):
        given = [v for v, count in enumerate(counts) for _ in range(int(count))]
        rows += [(f"i{number}", f"p{who}", value) for who, value in enumerate(given)]
    return answers_of(rows)


def krippendorffs() -> Answers:
    rows = [
        (f"u{unit}", who, None if said == "." else int(said))
        for who, line in KRIPPENDORFF.items()
        for unit, said in enumerate(line.split())
    ]
    return answers_of(rows, values=[1, 2, 3, 4, 5])


def digits(value: float) -> float:
    return round(value, 3)


# -- published values ------------------------------------------------------------------------------


def test_cohen_1960_and_landis_and_koch_1977():
    assert digits(cohen(of_table(COHEN), "a", "b", resampling=FAST).value) == 0.492
    landis = of_table(LANDIS)
    assert digits(cohen(landis, "a", "b", resampling=FAST).value) == 0.208
    # weighted values of the same table: Agresti (2013), Categorical Data Analysis, and R's vcd
    assert digits(cohen(landis, "a", "b", "linear", FAST).value) == 0.380
    assert digits(cohen(landis, "a", "b", "quadratic", FAST).value) == 0.525
    grants = of_table(((20, 5), (10, 15)))  # https://en.wikipedia.org/wiki/Cohen%27s_kappa
    assert digits(cohen(grants, "a", "b", resampling=FAST).value) == 0.4
    assert percent(grants, FAST).value == pytest.approx(0.7)


def test_cohen_1968_with_weights_of_his_own():
    from metier.scoring.statistics.agreement import kappa_cells, kappa_of
    from metier.scoring.statistics.bootstrap import Sums

    found = of_table(COHEN)
    sides = [found.value[found.person == who].tolist() for who in (0, 1)]
    cost = np.asarray(COHEN_COST, dtype=float)
    sums = Sums.of(found.records, kappa_cells(*sides, cost), 7, kappa_of(cost))
    assert digits(float(sums.at(np.ones((1, 200)))[0])) == 0.348


def test_fleiss_1971():
    table = [[int(one) for one in row] for row in FLEISS.split()]
    found = of_counts(table)
    assert digits(fleiss(found, FAST).value) == 0.430
    each = []
    for column in range(5):
        alone = of_counts([[row[column], 6 - row[column]] for row in table])
        each.append(digits(fleiss(alone, FAST).value))
    assert each == [0.245, 0.245, 0.520, 0.471, 0.566]  # table 3 of the paper


def test_the_table_of_wikipedia():
    found = of_counts(WIKIPEDIA)
    assert digits(fleiss(found, FAST).value) == 0.210
    assert digits(percent(found, FAST).value) == 0.378


def test_krippendorff_2011():
    found = krippendorffs()
    assert digits(krippendorff(found, "nominal", FAST).value) == 0.743
    assert digits(krippendorff(found, "ordinal", FAST).value) == 0.815
    assert digits(krippendorff(found, "interval", FAST).value) == 0.849
    assert krippendorff(found, "nominal", FAST).n == 11  # unit 12 has one answer: nothing pairs
    # section B of the paper: two observers, ten units, nominal data with five values
    pairs = zip("aabbdcccedda", "babbbcccedd" + "d", strict=True)
    assert digits(krippendorff(of_pairs(pairs), "nominal", FAST).value) == 0.692
    # section A: binary data, ten units
    binary = zip("0100000000", "1110010010", strict=True)
    assert digits(krippendorff(of_pairs(binary), "nominal", FAST).value) == 0.095


def test_krippendorffs_values_as_a_distance_are_the_same():
    found = krippendorffs()
    same = krippendorff(found, lambda a, b: float(a != b), FAST)
    assert same.value == pytest.approx(krippendorff(found, "nominal", FAST).value)
    far = krippendorff(found, lambda a, b: float((a - b) ** 2), FAST)
    assert far.value == pytest.approx(krippendorff(found, "interval", FAST).value)
    assert (far.low, far.high) == pytest.approx(
        tuple(vars_of(krippendorff(found, "interval", FAST)))
    )


def vars_of(found):
    return found.low, found.high


def test_pandalm_has_the_published_agreement(shared_data):
    # Wang et al. (2023), PandaLM, section 4: Cohen's kappa of every two annotators is above 0.85
    rows = json.loads(shared_data("pandalm/testset-v1.json").read_text())
    people = ("annotator1", "annotator2", "annotator3")
    found = answers_of((str(row["idx"]), who, row[who]) for row in rows for who in people)
    pairs = per_pair(found, lambda a, x, y: cohen(a, x, y, resampling=FAST))
    assert [digits(one.estimate.value) for one in pairs] == [0.852, 0.879, 0.862]
    assert all(one.estimate.n == 999 and one.estimate.low > 0.82 for one in pairs)
    assert all(0.85 <= round(one.estimate.value, 2) <= 0.88 for one in pairs)


# -- undefined, in words ---------------------------------------------------------------------------


def reason(found) -> str:
    assert found.method == "undefined" and math.isnan(found.value) and math.isnan(found.low)
    return found.warnings[0]


@pytest.mark.parametrize("coefficient", [percent, fleiss, krippendorff])
def test_without_two_people_nothing_can_be_told(coefficient):
    nobody = answers_of([])
    assert reason(coefficient(nobody)) == "nobody has answered yet"
    one = answers_of([("i1", "ana", "x"), ("i2", "ana", "y")])
    assert "only one person has answered" in reason(coefficient(one))
    apart_ = answers_of([("i1", "ana", "x"), ("i2", "ben", "y")])
    assert "no item has the answers of two people" in reason(coefficient(apart_))


def test_one_category_only_is_said_and_percent_still_counts():
    same = answers_of([(f"i{n}", who, "ok") for n in range(30) for who in ("ana", "ben")])
    for found in (fleiss(same), krippendorff(same), cohen(same, "ana", "ben")):
        assert "everybody gave every item the same answer, 'ok'" in reason(found)
        assert "see the percent" in reason(found)
    all_same = percent(same)
    assert all_same.value == 1.0 and 0.8 < all_same.low < 1.0  # 30 items prove no certainty


def test_two_people_without_an_item_in_common():
    rows = [("i1", "ana", 1), ("i1", "ben", 2), ("i2", "ben", 1), ("i2", "eve", 1)]
    assert reason(cohen(answers_of(rows), "ana", "eve")) == "ana and eve have no item in common"


def test_interval_needs_numbers_and_an_item_one_answer_of_each():
    with pytest.raises(InputError, match="numbers, as agreement on an interval scale"):
        krippendorff(answers_of([("i", "a", "x"), ("i", "b", "y")]), "interval")
    with pytest.raises(InputError, match="2 of ana to item i1"):
        answers_of([("i1", "ana", 1), ("i1", "ana", 2)])


# -- labels, pairs, confusion ----------------------------------------------------------------------


def test_labels_and_confusion_by_hand():
    given = [("x", "x"), ("x", "y"), ("y", "y"), ("z", "z"), ("z", "x"), ("x", "x")]
    found = of_pairs(given, values=["x", "y", "z"])
    named = {one.label: one for one in per_label(found, FAST)}
    assert [named[one].given for one in "xyz"] == [6, 3, 3]
    # x: 6 of 12 answers; disagreeing pairs 2 of 6: alpha = 1 - 11 * 4 / (2 * 6 * 6)
    assert named["x"].estimate.value == pytest.approx(1 - 11 * 4 / 72)
    table = confusion(found, "a", "b")
    assert table.counts == ((2, 1, 0), (0, 1, 0), (1, 0, 1)) and table.total == 6
    assert table.most_confused() == [("x", "y", 1), ("x", "z", 1)]
    every = confusion(found)
    assert every.counts == ((4, 1, 1), (1, 2, 0), (1, 0, 2)) and every.total == 12
    assert every.most_confused() == [("x", "y", 1), ("x", "z", 1)]


def test_how_many_items_every_two_share():
    rows = [("i1", "b", 1), ("i1", "a", 2), ("i2", "b", 1), ("i2", "c", 1), ("i3", "b", 1)]
    assert answers_of(rows).shared() == {("a", "b"): 1, ("a", "c"): 0, ("b", "c"): 1}
    assert answers_of([]).shared() == {}


def test_confusion_of_two_without_overlap_is_empty():
    found = answers_of([("i1", "a", "x"), ("i2", "b", "y")])
    assert confusion(found, "a", "b").total == 0


# -- sets, stretches, texts ------------------------------------------------------------------------


def test_masi_of_passonneau_2006():
    a, b, c = frozenset("ab"), frozenset("abcd"), frozenset("bx")
    assert masi(a, a) == 0 and masi(a, frozenset("z")) == 1
    assert masi(a, b) == pytest.approx(1 - 1 / 2 * 2 / 3)
    assert masi(a, c) == pytest.approx(1 - 1 / 3 * 1 / 3)
    assert masi(frozenset(), frozenset()) == 0 and masi(frozenset(), a) == 1
    assert jaccard(a, c) == pytest.approx(2 / 3) and jaccard(frozenset(), frozenset()) == 0


def test_alpha_of_sets_by_hand():
    x, y = frozenset("x"), frozenset("xy")
    rows = [
        ("i1", "a", x),
        ("i1", "b", x),
        ("i2", "a", y),
        ("i2", "b", x),
        ("i3", "a", y),
        ("i3", "b", y),
    ]
    found = answers_of(rows)
    d = masi(x, y)  # 2/3; seen 2d of 6 ordered, expected 2 * 3 * 3 * d of 6 * 5
    assert krippendorff(found, masi, FAST).value == pytest.approx(1 - 5 * 2 * d / (18 * d))
    by_label = {one.label: one for one in per_label(found, FAST)}
    assert by_label["y"].given == 3 and by_label["x"].given == 6
    assert "everybody gave it to every item" in by_label["x"].estimate.warnings[0]


def test_stretches_by_hand():
    ana, ben = frozenset({(0, 4, "name")}), frozenset({(2, 4, "name"), (10, 12, "date")})
    rows = [
        ("i1", "ana", ana),
        ("i1", "ben", ben),
        ("i2", "ana", frozenset()),
        ("i2", "ben", frozenset()),
    ]
    found = answers_of(rows)
    assert pairwise_f1(found, characters, FAST).value == pytest.approx(2 * 2 / (4 + 4))
    assert pairwise_f1(found, stretches, FAST).value == 0
    labels = {one.label: one for one in per_span_label(found, characters, FAST)}
    assert labels["name"].estimate.value == pytest.approx(2 * 2 / (4 + 2))
    assert labels["date"].estimate.value == 0 and labels["date"].given == 1
    assert f1_distance(characters)(ana, ben) == pytest.approx(0.5)
    assert f1_distance(characters)(frozenset(), frozenset()) == 0
    nothing = answers_of([("i1", "a", frozenset()), ("i1", "b", frozenset())])
    assert pairwise_f1(nothing, characters, FAST).method == "undefined"


def test_texts_by_words_and_exactly():
    rows = [
        ("i1", "a", "Send it back"),
        ("i1", "b", "send it on"),
        ("i2", "a", "no"),
        ("i2", "b", "no"),
    ]
    found = answers_of(rows)
    assert pairwise_f1(found, words, FAST).value == pytest.approx(2 * 3 / 8)
    assert pairwise_same(found, FAST).value == pytest.approx(0.5)
    assert apart(["x", "x", "y"], lambda a, b: float(a != b)) == pytest.approx(2 / 3)
    assert apart(["x"], jaccard) == 0


# -- intervals -------------------------------------------------------------------------------------


def simulated(rng, items: int, right: float = 0.85, people: int = 3, labels: int = 3) -> Answers:
    """People who are right with probability ``right`` and guess otherwise: all coefficients have
    the true value right squared, as the labels are equally frequent."""
    truth = rng.integers(0, labels, items)
    sees = rng.random((items, people)) < right
    given = np.where(sees, truth[:, None], rng.integers(0, labels, (items, people)))
    return answers_of(
        (f"i{i}", f"p{p}", int(given[i, p])) for i in range(items) for p in range(people)
    )


def test_many_items_take_the_jackknife_and_it_agrees_with_the_bootstrap():
    found = simulated(np.random.default_rng(1), 6_000)
    many = krippendorff(found, "nominal")
    assert "jackknife" in many.method and many.low < 0.85**2 < many.high
    few = krippendorff(simulated(np.random.default_rng(1), 600), "nominal", Resampling(600))
    assert "bootstrap" in few.method
    assert (few.high - few.low) / (many.high - many.low) == pytest.approx(10**0.5, rel=0.25)


def test_items_of_one_customer_are_drawn_together():
    found = simulated(np.random.default_rng(2), 60)
    rows = [
        (f"{found.items[i]} {copy}", found.people[p], int(v))
        for copy in range(4)
        for i, p, v in zip(found.item, found.person, found.value, strict=True)
    ]
    groups = {item: item.split()[0] for item, _, _ in rows}
    whole = fleiss(answers_of(rows, groups=groups), FAST)
    naive = fleiss(answers_of(rows), FAST)
    assert (whole.clusters, naive.clusters) == (60, 240)
    assert whole.high - whole.low > 1.5 * (naive.high - naive.low)


def coverage(runs: int, items: int) -> dict[str, float]:
    true, hits = 0.85**2, {"alpha": 0, "fleiss": 0, "cohen": 0}
    draws = Resampling(400)
    for run in range(runs):
        found = simulated(np.random.default_rng(run), items)
        estimates = {
            "alpha": krippendorff(found, "nominal", draws),
            "fleiss": fleiss(found, draws),
            "cohen": cohen(found, "p0", "p1", resampling=draws),
        }
        for name, one in estimates.items():
            hits[name] += one.low <= true <= one.high
    return {name: count / runs for name, count in hits.items()}


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    assert min(coverage(60, 120).values()) >= 0.87


@pytest.mark.slow
def test_intervals_hold_the_truth_as_often_as_they_say():
    found = coverage(1_000, 150)
    assert all(0.93 <= share <= 0.97 for share in found.values()), found


# -- time, the same person twice, metrics ----------------------------------------------------------


def test_drift_finds_a_fall_and_says_where_nothing_can_be_told():
    start, rng = datetime(2026, 3, 2, 9, tzinfo=UTC), np.random.default_rng(0)
    rows, when = [], {}
    for number in range(200):
        week, same = number // 100, rng.random() < (0.95 if number < 100 else 0.6)
        first = int(rng.integers(0, 2))
        for who, said in (("a", first), ("b", first if same else 1 - first)):
            rows.append((f"i{number}", who, said))
            when[f"i{number}", who] = start + timedelta(days=7 * week, minutes=number)
    found = drift(answers_of(rows), when, lambda a: krippendorff(a, "nominal", FAST))
    assert [one.estimate.n for one in found.windows] == [100, 100]
    assert found.change.high < 0 and "agreement has fallen" in found.words
    few = drift(answers_of(rows[:8]), when, lambda a: krippendorff(a, "nominal", FAST))
    assert "fewer than 10 show nothing" in few.windows[0].estimate.warnings[0]
    assert few.words == "fewer than two windows can be compared so far"
    assert drift(answers_of([]), {}, percent).windows == ()


def test_an_item_belongs_to_the_window_of_its_last_answer():
    start = datetime(2026, 3, 2, 9, tzinfo=UTC)
    rows = [(f"i{n}", who, n % 2) for n in range(12) for who in "ab"]
    when = {(i, w): start + timedelta(days=9 if w == "b" else 0) for i, w, _ in rows}
    found = drift(answers_of(rows), when, lambda a: percent(a, FAST))
    assert [(one.estimate.n, one.start.day) for one in found.windows] == [(12, 11)]


def test_consistency_of_a_person_by_hand():
    said = [(4, 4), (3, 4), (5, 2), (1, 1), (2, 2), (3, 3)]
    pairs = [Twice("ana", f"i{n}", a, b) for n, (a, b) in enumerate(said)]
    found = consistency([*pairs, Twice("ben", "i1", 3, 3)], (1, 5), FAST)
    ana, ben = found
    assert (ana.person, ana.n, ben.n) == ("ana", 6, 1)
    assert ana.exact.value == pytest.approx(4 / 6) and ana.within_one.value == pytest.approx(5 / 6)
    assert ana.kappa.value == pytest.approx(1 - 10 / expected_cost(said))
    assert "nothing varies" in ben.kappa.warnings[0]
    labels = consistency(
        [Twice("ana", f"i{n}", a, b) for n, (a, b) in enumerate(["xx", "xy", "yy"])]
    )
    assert labels[0].within_one is None and labels[0].exact.value == pytest.approx(2 / 3)


def expected_cost(said) -> float:
    return sum((a - b) ** 2 for a, _ in said for _, b in said) / len(said)


def test_kendall_is_the_librarys_and_few_replies_give_no_number():
    rng = np.random.default_rng(4)
    panel = rng.integers(1, 6, 60).astype(float)
    values = np.round(panel + rng.normal(size=60), 1)
    records = [Score(f"r{n}", None) for n in range(60)]
    found = kendall(values, panel, records, FAST)
    assert found.value == pytest.approx(kendalltau(values, panel).statistic)
    assert found.low < found.value < found.high
    named = {f"r{n}": float(v) for n, v in enumerate(values)}
    rated = {f"r{n}": float(v) for n, v in enumerate(panel)}
    few = {one: rated[one] for one in list(rated)[:5]}
    full = metrics_with_panel({"rougeL": named}, rated, resampling=FAST)[0]
    assert full.metric == "rougeL" and full.spearman.n == full.kendall.n == 60
    none = metrics_with_panel({"rougeL": named}, few, resampling=FAST)[0]
    assert "fewer than 20" in none.kendall.warnings[0]
    sampled = kendall(
        rng.normal(size=1_600),
        rng.normal(size=1_600),
        [Score(str(n), None) for n in range(1_600)],
        Resampling(20),
    )
    assert "1500 of 1600" in sampled.warnings[0]
