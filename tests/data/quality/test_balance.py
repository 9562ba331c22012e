from dataclasses import replace

import pytest

from data_examples import labelled
from metier.core.objective import Objective
from metier.core.progress import Progress
from metier.core.types import Estimate
from metier.data.quality.balance import measure_balance, newcombe
from metier.data.quality.config import QualityConfig
from metier.data.quality.labels import ask_labels
from quality_examples import rows


def share(value, n):
    return Estimate(value, value, value, n, n)


def test_newcombe_as_in_the_paper():
    # Newcombe (1998), table II, method 10: 56/70 - 48/80 is 0.2 [0.0524, 0.3339].
    found, p = newcombe(share(56 / 70, 70), share(48 / 80, 80), (70, 80))
    assert found.value == pytest.approx(0.2)
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert 0.005 < p < 0.02


def test_p_value_and_interval_agree():
    for hits in range(0, 41, 4):
        found, p = newcombe(share(hits / 40, 40), share(0.5, 60), (40, 60))
        assert (p < 0.05) == (not found.low <= 0 <= found.high)
    assert newcombe(share(0.5, 10), share(0.5, 10), (10, 10))[1] == 1.0


def test_who_is_in_the_data():
    examples = [
        replace(
            labelled(n, f"text {n}", "rare" if n < 10 else "common", group=f"g{n // 4}"),
            slices={"site": "north" if n < 30 else "south", "mark": f"{n}"},
        )
        for n in range(100)
    ]
    found = measure_balance(examples, (), (), 20)
    shares = {(part.kind, part.name): part.share.value for part in found.parts}
    assert shares["label", "rare"] == 0.1
    assert shares["slice", "site=north"] == 0.3
    assert (found.rows, found.groups, found.largest_group, found.left_out) == (100, 25, 4, 100)
    assert all(part.share.low < part.share.value < part.share.high for part in found.parts)


def test_a_slice_that_gets_a_label_more_often():
    examples = [
        replace(
            labelled(n, f"text {n}", "no" if n % 2 and n < 100 else "yes"),
            slices={"site": "north" if n < 100 else "south"},
        )
        for n in range(200)
    ]
    found = measure_balance(examples, (), (), 20)
    gap = next(g for g in found.label_rates if (g.part, g.label) == ("site=north", "no"))
    assert gap.difference.value == pytest.approx(0.5)
    assert gap.significant
    assert gap.p_adjusted >= gap.p_value


def test_errors_by_slice():
    examples, _ = rows(240, 4)
    noisy = [
        replace(one, target=examples[(at * 7) % 240].target)
        if one.slices["channel"] == "chat"
        else one
        for at, one in enumerate(examples)
    ]
    objective = Objective(task="classify")
    questions = ask_labels(noisy, objective, QualityConfig(), Progress())
    found = {gap.part: gap for gap in measure_balance(noisy, (), questions, 20).error_rates}
    assert found["channel=chat"].significant
    assert found["channel=chat"].difference.value > 0.2
    assert found["channel=mail"].difference.value < -0.2
    # Nothing was planted in a large group: there is none.
    assert not any(part.startswith("group") for part in found)
