"""Dawid and Skene's EM on their own data, and where it beats the majority."""

from __future__ import annotations

import math

import numpy as np
import pytest

from metier.core.errors import InputError
from metier.scoring.statistics.dawid_skene import SMOOTHING, dawid_skene, majority

# Dawid and Skene (1979), Applied Statistics 28(1), table 1: 45 patients, five anaesthetists (the
# first of them three times), fitness for anaesthesia from 1 to 4. The same 45 rows stand in
# https://github.com/dallascard/dawid_skene (dawid_skene.py at 7cfb2b3, generate_sample_data).
ANAESTHETISTS = """
111.1.1.1.1 333.4.3.3.4 112.2.1.2.2 222.3.1.2.1 222.3.2.2.2 222.3.3.2.2 122.2.1.1.1 333.3.4.3.3
222.2.2.2.3 232.2.2.2.3 444.4.4.4.4 222.3.3.4.3 111.1.1.1.1 222.3.2.1.2 121.1.1.1.1 111.2.1.1.1
111.1.1.1.1 111.1.1.1.1 222.2.2.2.1 222.1.3.2.2 222.2.2.2.2 222.2.2.2.1 222.3.2.2.2 221.2.2.2.2
111.1.1.1.1 111.1.1.1.1 232.2.2.2.2 111.1.1.1.1 111.1.1.1.1 112.1.1.2.1 111.1.1.1.1 333.3.2.3.3
111.1.1.1.1 222.2.2.2.2 222.3.2.3.2 433.4.3.4.3 221.2.2.3.2 232.3.2.3.3 333.3.4.3.2 111.1.1.1.1
111.1.1.1.1 121.2.1.1.1 232.2.2.2.2 121.1.1.1.1 222.2.2.2.2
"""
ROWS = [
    (f"patient {patient}", f"observer {observer}", int(said))
    for patient, line in enumerate(ANAESTHETISTS.split(), start=1)
    for observer, all_said in enumerate(line.split("."), start=1)
    for said in all_said
]
GRADES = (1, 2, 3, 4)


def test_another_implementation_gives_the_same_on_the_anaesthetists():
    """The steps of that dawid_skene.py, repeated 300 times, give these estimates; all of them are
    within 5e-8 of ours. The paper's own tables of estimates were not at hand to compare with."""
    found = dawid_skene(ROWS, GRADES, smoothing=0)
    assert len(ROWS) == 315 and len(found.items) == 45
    assert [round(p, 2) for p in found.prior] == [0.40, 0.42, 0.11, 0.07]
    first = found.errors[found.people.index("observer 1")]
    assert np.round(first, 2).tolist() == [
        [0.89, 0.11, 0.00, 0.00],
        [0.07, 0.88, 0.05, 0.00],
        [0.00, 0.34, 0.66, 0.00],
        [0.00, 0.00, 0.56, 0.44],
    ]
    assert found.best("patient 3") == (2, pytest.approx(1.0, abs=1e-3))
    likeliest, share = found.best("patient 38")
    assert likeliest == 3 and 0.95 < share < 1.0  # the one patient that stays open


def test_it_is_the_papers_em_written_out():
    prior, errors, likelihood = plain_em(ROWS, GRADES, rounds=60)
    found = dawid_skene(ROWS, GRADES, smoothing=0)
    assert found.prior == pytest.approx(prior, abs=5e-4)
    assert found.errors.ravel() == pytest.approx(np.asarray(errors).ravel(), abs=5e-4)
    assert found.log_likelihood == pytest.approx(likelihood, abs=1e-3)


def plain_em(rows, values, rounds):
    """Equations (2.3) to (2.5) as loops over dictionaries."""
    items = list(dict.fromkeys(item for item, _, _ in rows))
    people = list(dict.fromkeys(person for _, person, _ in rows))
    truth = {}
    for item in items:
        said = [v for i, _, v in rows if i == item]
        truth[item] = {v: said.count(v) / len(said) for v in values}
    for _ in range(rounds):
        prior = {k: sum(truth[i][k] for i in items) / len(items) for k in values}
        count = {(p, k, v): 0.0 for p in people for k in values for v in values}
        for item, person, said in rows:
            for k in values:
                count[person, k, said] += truth[item][k]
        rate = {
            key: count[key] / (sum(count[key[0], key[1], v] for v in values) or 1.0)
            for key in count
        }
        likelihood = 0.0
        for item in items:
            odds = dict(prior)
            for i, person, said in rows:
                if i == item:
                    odds = {k: odds[k] * rate[person, k, said] for k in values}
            total = sum(odds.values())
            likelihood += math.log(total)
            truth[item] = {k: odds[k] / total for k in values}
    tables = [[[rate[p, k, v] for v in values] for k in values] for p in people]
    return [prior[k] for k in values], tables, likelihood


def made(seed=0, items=300):
    """Three careful people, and four who say x whenever it is y."""
    rng = np.random.default_rng(seed)
    truth = {f"i{n}": "x" if rng.random() < 0.5 else "y" for n in range(items)}
    rows = []
    for item, right in truth.items():
        wrong = "y" if right == "x" else "x"
        rows += [(item, f"careful {n}", right if rng.random() < 0.95 else wrong) for n in range(3)]
        rows += [(item, f"hasty {n}", "x" if rng.random() < 0.85 else "y") for n in range(4)]
    return truth, rows


def share_right(truth, decided):
    return sum(decided.get(item, ("", 0))[0] == right for item, right in truth.items()) / len(truth)


def test_it_finds_who_is_careful_where_the_majority_is_not():
    truth, rows = made()
    found = dawid_skene(rows)
    assert share_right(truth, found.decided()) > 0.97
    assert share_right(truth, majority(rows)) < 0.8
    reliable = found.reliability()
    assert min(reliable[f"careful {n}"] for n in range(3)) > 0.9
    assert max(reliable[f"hasty {n}"] for n in range(4)) < 0.7
    assert found.posterior.sum(axis=1) == pytest.approx(np.ones(300))


def sureness(smoothing: float, people: int = 3) -> tuple[float, float]:
    """Return how sure the posterior is of its likeliest values, and how often they are right."""
    sure, right = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        truth = rng.integers(0, 2, 200)
        said = np.where(rng.random((200, people)) < 0.75, truth[:, None], 1 - truth[:, None])
        rows = [(f"i{n}", f"p{p}", int(said[n, p])) for n in range(200) for p in range(people)]
        for item, (value, share) in dawid_skene(rows, smoothing=smoothing).decided().items():
            sure.append(share)
            right.append(value == truth[int(item[1:])])
    return float(np.mean(sure)), float(np.mean(right))


def test_with_three_people_the_posterior_is_too_sure_and_with_five_hardly():
    exact, smooth, five = sureness(0), sureness(SMOOTHING), sureness(SMOOTHING, people=5)
    assert exact[0] - exact[1] > smooth[0] - smooth[1]
    assert 0.03 < smooth[0] - smooth[1] < 0.07 and smooth[1] > exact[1]
    assert five[0] - five[1] < 0.03


def test_smoothing_keeps_a_newcomer_from_being_infallible():
    rows = [(f"i{n}", f"p{p}", n % 2) for n in range(20) for p in range(2)] + [("i0", "new", 0)]
    rows += [(f"i{n}", "odd", 1 - n % 2 if n < 6 else n % 2) for n in range(20)]
    exact, smooth = dawid_skene(rows, smoothing=0), dawid_skene(rows)
    new = exact.people.index("new")
    assert exact.errors[new, 0, 0] == 1.0 and 0.9 < smooth.errors[new, 0, 0] < 1.0
    # of a truth that they never met they are taken to be like the others
    assert smooth.errors[new, 1].tolist() == pytest.approx([0.1, 0.9], abs=0.03)


def test_ties_have_no_majority_and_two_people_are_too_few():
    rows = [("i1", "a", "x"), ("i1", "b", "y"), ("i2", "a", "x"), ("i2", "b", "x")]
    assert majority(rows) == {"i2": ("x", 1.0)}
    assert "cannot tell who is right" in dawid_skene(rows).warnings[0]
    with pytest.raises(InputError, match="answers of people"):
        dawid_skene([])
