"""Learning curves: nested shares, the power law, and what more rows would bring."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from evaluate_fakes import bench_of, row
from metier.core import ledger
from metier.core.errors import InputError
from metier.core.types import Estimate, LabelTarget
from metier.core.workspace import Workspace
from metier.evaluate.bench import Contender
from metier.evaluate.curve import CurvePoint, _gains, fit_power_law, learning_curve, nested_share

ROWS = [
    replace(row(n, f"row {n}", LabelTarget("a" if n % 2 else "b")), group=f"g{n % 40}")
    for n in range(200)
]


def test_shares_are_nested_and_keep_groups_together() -> None:
    tenth, quarter, half = (nested_share(ROWS, share, 3) for share in (0.1, 0.25, 0.5))
    assert [len(part) for part in (tenth, quarter, half)] == [20, 50, 100]
    assert {r.id for r in tenth} < {r.id for r in quarter} < {r.id for r in half}
    for part in (tenth, quarter, half):
        inside = {row.group for row in part}
        assert inside.isdisjoint({row.group for row in ROWS if row not in part})
    assert nested_share(ROWS, 1.0) == ROWS
    assert nested_share(ROWS, 0.5, 4) != half
    assert len(nested_share(ROWS, 0.001)) == 5, "one group at least"


def test_a_power_law_is_found_again() -> None:
    sizes, at = np.asarray([50.0, 125, 250, 500]), np.asarray([500.0, 1000, 2000])
    for a, b, c in ((0.9, 2.0, 0.5), (0.7, 1.0, 0.25), (0.95, 20.0, 1.0)):
        found = fit_power_law(sizes, (a - b * sizes**-c)[None, :], at)[0]
        assert found == pytest.approx(a - b * at**-c, abs=1e-6)


def test_values_that_fall_are_a_flat_line() -> None:
    sizes, at = np.asarray([50.0, 100, 200]), np.asarray([200.0, 400])
    assert fit_power_law(sizes, np.asarray([[0.7, 0.6, 0.5]]), at)[0] == pytest.approx([0.6, 0.6])


def points(values: list[float], sizes: list[int]) -> list[CurvePoint]:
    return [
        CurvePoint(n / sizes[-1], n, Estimate(v, v - 0.05, v + 0.05, 400, 400), ("e",))
        for v, n in zip(values, sizes, strict=True)
    ]


def test_the_interval_covers_what_more_rows_really_bring() -> None:
    """500 made curves with noise as a validation sample of 400 has it: the truth lies inside."""
    rng, sizes = np.random.default_rng(1), [100, 250, 500, 1000]
    a, b, c = 0.9, 3.0, 0.5
    truth = a - b * np.asarray(sizes, dtype=float) ** -c
    wanted = b * (1000**-c - 1500**-c)
    inside = 0
    for _ in range(500):
        # One sample of items for all points: their errors go together.
        shared, own = rng.normal(0, 0.015), rng.normal(0, 0.01, 4)
        seen = truth + shared + own
        table = np.vstack(
            [seen, seen + rng.normal(0, 0.015, (400, 1)) + rng.normal(0, 0.01, (400, 4))]
        )
        (gain,) = _gains(table, points(list(seen), sizes), "f1_macro", [500])
        inside += gain.estimate.low <= wanted <= gain.estimate.high
    assert inside >= 450


def test_nothing_is_foretold_beyond_twice_the_rows() -> None:
    table = np.tile([0.5, 0.6, 0.7], (5, 1))
    found = _gains(table, points([0.5, 0.6, 0.7], [20, 50, 100]), "f1_macro", [50, 100, 1000])
    assert [gain.more for gain in found] == [50, 100]
    assert found[0].projected.value == pytest.approx(0.7 + found[0].estimate.value)
    assert [
        g.more for g in _gains(table, points([0.5, 0.6, 0.7], [2, 5, 9]), "f1_macro", [50])
    ] == [9]


def test_where_lower_is_better_a_fall_is_the_gain() -> None:
    table = np.tile([0.5, 0.35, 0.25], (5, 1))
    (gain,) = _gains(table, points([0.5, 0.35, 0.25], [100, 200, 400]), "error_rate", [400])
    assert gain.estimate.value < 0
    assert 0 <= gain.projected.value < 0.25


def test_too_few_shares_are_refused() -> None:
    class Nothing:
        def examples(self, split: str) -> list[object]:
            return []

    with pytest.raises(InputError, match="at least 3 shares"):
        learning_curve(Nothing(), lambda rows: None, shares=(0.5, 1.0))  # type: ignore[arg-type, return-value]


def test_a_curve_is_measured_on_validation_rows_and_spends_no_look(workspace: Workspace) -> None:
    from metier.models.classical import tfidf

    bench = bench_of(workspace)
    curve = learning_curve(
        bench,
        lambda rows: Contender("tfidf", tfidf(rows, bench.objective)),
        shares=(0.25, 0.5, 1.0),
        more=(8,),
        draws_per_share=2,
    )
    assert [point.rows for point in curve.points] == [4, 8, 16]
    assert [len(point.evaluations) for point in curve.points] == [2, 2, 1]
    assert curve.rung == "tfidf" and curve.metric == "f1_macro"
    stored = ledger.list_evaluations(workspace)
    assert {one.split for one in stored} == {"validation"}
    assert {one.rung for one in stored} == {
        "tfidf@25%", "tfidf@25%#1", "tfidf@50%", "tfidf@50%#1", "tfidf",
    }  # fmt: skip
    assert ledger.get_version(workspace).looks_used == 0
    assert "8 more rows: about" in " ".join(curve.words)
