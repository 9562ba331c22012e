"""A plan's numbers: worked by hand, and by drawing panels from the model."""

from __future__ import annotations

import numpy as np
import pytest

from metier.core.errors import InputError
from metier.review.plan import Ask, Variances, difference_sd, plan_panel


def test_items_by_hand() -> None:
    # variances 0.2 (item by candidate), 0.01 (rater by candidate), 0.34 (rest) of a rating:
    # (0.3 / (1.95996 + 0.84162))^2 = 0.011467; less 2 * 0.01 / 5 = 0.007467;
    # 2 * (0.2 + 0.34 / 2) / 0.007467 = 99.1
    chosen = plan_panel(Ask(detect=0.3)).chosen
    assert (chosen.items, chosen.raters, chosen.per_item) == (100, 5, 2)
    # 100 items x 2 candidates x 1.1, rounded up, x 2 raters; 90 s each
    assert chosen.answers == 440 or chosen.answers == 442
    assert chosen.hours == pytest.approx(chosen.answers * 90 / 3600)
    assert chosen.usd == pytest.approx(chosen.hours * 40)
    assert chosen.shared_items == 10  # 100 x (2 x 1) / (5 x 4)


def test_planned_power_is_had() -> None:
    """Panels drawn from the model find the difference about as often as was asked."""
    ask = Ask(detect=0.4, per_item=2, pool=4, variances=Variances(0.3, 0.2, 0.15, 0.005, 0.4, "x"))
    items = plan_panel(ask).chosen.items
    assert items is not None
    rng = np.random.default_rng(3)
    runs, found = 1500, 0
    parts = ask.parts
    for _ in range(runs):
        leaning = rng.normal(0, parts.rater_candidate**0.5, (ask.pool, 2))
        who = np.array([rng.permutation(ask.pool)[: ask.per_item] for _ in range(items)])
        specific = rng.normal(0, parts.item_candidate**0.5, (items, 1, 2))
        rest = rng.normal(0, parts.rest**0.5, (items, ask.per_item, 2))
        rated = specific + rest + leaning[who]
        rated[..., 0] += ask.detect
        gap = (rated[..., 0] - rated[..., 1]).mean()
        found += gap - 1.96 * difference_sd(ask, items) > 0
    assert 0.76 <= found / runs <= 0.84


def test_more_people_where_items_do_not_help() -> None:
    plan = plan_panel(Ask(detect=0.1, pool=2))
    assert plan.chosen.items is None
    assert "2 raters cannot show 0.1" in plan.warnings[0]
    assert all(one.raters > 2 for one in plan.alternatives)


def test_items_of_one_customer_are_worth_less() -> None:
    alone, many = plan_panel(Ask()).chosen, plan_panel(Ask(cluster_size=4, icc=0.5)).chosen
    assert alone.items and many.items and many.items > alone.items
    assert "design effect 2.50" in " ".join(plan_panel(Ask(cluster_size=4, icc=0.5)).assumptions)


def test_several_comparisons_ask_for_more() -> None:
    one, five = plan_panel(Ask()).chosen, plan_panel(Ask(comparisons=5)).chosen
    assert one.items and five.items and five.items > one.items


def test_what_the_items_there_are_would_show() -> None:
    plan = plan_panel(Ask(detect=0.3, available=40))
    assert plan.detectable is not None and plan.detectable > 0.3
    assert "there are 40 items, 100 are needed" in plan.warnings[0]


def test_side_by_side_counts_preferences() -> None:
    few, many = (plan_panel(Ask(detect=d, mode="compare")).chosen.items for d in (0.2, 0.1))
    assert few and many and 3 < many / few < 5


@pytest.mark.parametrize("ask", [Ask(detect=0), Ask(detect=5), Ask(per_item=3, pool=2),
                                 Ask(detect=0.6, mode="compare"), Ask(candidates=1)])  # fmt: skip
def test_what_cannot_be_meant_is_refused(ask: Ask) -> None:
    with pytest.raises(InputError):
        plan_panel(ask)


def test_measured_noise_is_shared_out() -> None:
    parts = Variances.measured(0.3, 0.2, 0.55, "panel")
    assert parts.item_candidate + parts.rater_candidate + parts.rest == pytest.approx(0.55)
