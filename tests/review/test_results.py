"""Results from answers given by hand and by simulated raters."""

from __future__ import annotations

import math
import random

import pytest

from metier.core.errors import InputError
from metier.core.workspace import Workspace
from metier.queue import take_next
from metier.review.answers import Said, give_answer
from metier.review.panel import NewPanel, make_panel, read_subject
from metier.review.results import handling, panel_metrics, panel_results
from metier.scoring.types import Resampling
from review.conftest import ANNA, BEN, cases, panel, version

QUICK = Resampling(resamples=100)


def rate_all(ws: Workspace, severity: dict[str, float], spread: float = 0.5) -> None:
    rng = random.Random(5)
    for person in (ANNA, BEN):
        while (got := take_next(ws, "spring", person.id)) is not None:
            good = {"c1": 4.2, "c2": 2.8}[read_subject(got[0].subject_id)[0][0]]
            ratings = {
                name: min(5, max(1, round(good - severity[person.id] + rng.gauss(0, spread))))
                for name in ("accuracy", "tone")
            }
            give_answer(ws, got[1].id, person, Said({"ratings": ratings}, rng.uniform(10, 20)))


def test_a_whole_panel(any_workspace: Workspace) -> None:
    ws = any_workspace
    made = panel(repeats=0.5)
    make_panel(ws, NewPanel("spring", made), version(ws, count=20), cases(20), "mara")
    rate_all(ws, {"anna": 0.8, "ben": 0.0})
    found = panel_results(ws, "spring", QUICK)
    assert found.raters == 2
    accuracy = found.of("accuracy")
    assert accuracy is not None
    (gap,) = accuracy.differences
    assert (gap.first, gap.second) == ("challenger", "baseline")
    assert gap.estimate.low > 0.5 and gap.estimate.n == 20
    strict = {one.rater: one.severity.value for one in accuracy.report.raters}
    assert strict["anna"] > strict["ben"]
    win = next(one for one in found.wins if one.first == "challenger")
    assert win.rate.low > 0.5 and win.rate.n == 40
    assert win.win.value + win.tie.value + win.loss.value == pytest.approx(1.0)
    assert {one.person for one in found.consistency} == {"anna", "ben"}
    assert all(0 < one.exact.value <= 1 for one in found.consistency)
    metrics = panel_metrics(found, "c1")
    assert set(metrics) == {"panel.accuracy", "panel.tone", "panel.win_rate"}
    assert "panel.win_rate" not in panel_metrics(found, "c2")


def test_duplicates_are_no_ratings(workspace: Workspace) -> None:
    ws = workspace
    made = panel(repeats=0.5)
    make_panel(ws, NewPanel("spring", made), version(ws, count=20), cases(20), "mara")
    rate_all(ws, {"anna": 0, "ben": 0})
    found = panel_results(ws, "spring", QUICK)
    accuracy = found.of("accuracy")
    assert accuracy is not None
    assert found.counts.answers > 80
    assert accuracy.report.ratings == 80


def test_a_panel_without_answers_has_no_numbers(workspace: Workspace) -> None:
    make_panel(workspace, NewPanel("spring", panel()), version(workspace), cases(), "mara")
    found = panel_results(workspace, "spring", QUICK)
    assert found.dimensions == () and found.wins == () and found.median_s is None


def test_a_queue_that_is_no_panel(workspace: Workspace) -> None:
    from metier.queue import NewQueue, make_queue

    make_queue(workspace, NewQueue("labels", "label"), [], "mara")
    with pytest.raises(InputError, match="a review panel"):
        panel_results(workspace, "labels")


def test_choices_side_by_side(workspace: Workspace) -> None:
    ws = workspace
    made = panel(mode="compare", raters_per_item=1)
    make_panel(ws, NewPanel("spring", made), version(ws), cases(), "mara")
    wanted = ["c1", "c1", "c1", "c1", "tie", "c2"]
    while (got := take_next(ws, "spring", "anna")) is not None:
        keys, example = read_subject(got[0].subject_id)
        choice = wanted[int(example.removeprefix("ex_"))]
        said = "tie" if choice == "tie" else "ab"[keys.index(choice)]
        give_answer(ws, got[1].id, ANNA, Said({"preferred": said}))
    ours, theirs = panel_results(ws, "spring", QUICK).wins
    assert (ours.first, ours.second) == ("challenger", "baseline")
    assert ours.win.value == pytest.approx(4 / 6)
    assert ours.rate.value == pytest.approx(4.5 / 6)
    assert theirs.rate.value == pytest.approx(1.5 / 6)


def test_handling_time_is_paired_by_person() -> None:
    # Each person takes half as long with the draft; their own speeds differ tenfold.
    times = [(who, helped, base * (0.5 if helped else 1.0) * more)
             for who, base in (("a", 10.0), ("b", 100.0), ("c", 40.0))
             for helped in (False, True) for more in (1.0, 2.0, 0.5)]  # fmt: skip
    found = handling(times)
    assert found is not None
    assert found.ratio.value == pytest.approx(0.5)
    assert (found.ratio.low, found.ratio.high) == (pytest.approx(0.5), pytest.approx(0.5))
    assert found.ratio.n == 3 and found.people[1].plain_s == pytest.approx(100.0)


def test_handling_interval_by_hand() -> None:
    # ratios 0.5 and 0.8: log mean -0.4581, sd 0.3323, t(1) = 12.706 -> arm 2.9859
    found = handling([("a", False, 10), ("a", True, 5), ("b", False, 10), ("b", True, 8)])
    assert found is not None
    assert found.ratio.value == pytest.approx(math.sqrt(0.4), rel=1e-6)
    assert math.log(found.ratio.high / found.ratio.value) == pytest.approx(2.9859, rel=1e-3)


def test_one_person_gives_no_interval() -> None:
    found = handling([("a", False, 10), ("a", True, 5)])
    assert found is not None and math.isnan(found.ratio.low)
    assert "one person only" in found.ratio.warnings[0]
    assert handling([("a", False, 10)]) is None
