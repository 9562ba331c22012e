"""Agreement of judges with people: the statistics, the files, and what it takes to gate."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import cohen_kappa_score

from metier.core.errors import InputError
from metier.core.types import Estimate, Score
from metier.evaluate.judge.agreement import (
    Human,
    doubt,
    pair_agreement,
    rating_agreement,
    read_human,
)
from metier.evaluate.judge.types import Choice, Item, Pair, Panel, Rating
from metier.scoring.statistics.agreement import kappa, pairwise_kappa, quadratic_kappa, spearman
from metier.scoring.types import Resampling

QUICK = Resampling(resamples=200)


def records(n: int) -> list[Score]:
    return [Score(f"i{k:04}", None) for k in range(n)]


def made(n: int = 120, noise: float = 1.0) -> tuple[list[float], list[float]]:
    rng = np.random.default_rng(3)
    truth = rng.integers(1, 6, n)
    seen = np.clip(np.round(truth + rng.normal(0, noise, n)), 1, 5)
    return truth.astype(float).tolist(), seen.tolist()


def test_statistics_equal_the_libraries() -> None:
    ours, theirs = made()
    ids = records(len(ours))
    expected = cohen_kappa_score(ours, theirs, weights="quadratic", labels=[1, 2, 3, 4, 5])
    assert quadratic_kappa(ids, ours, theirs, (1, 5), QUICK).value == pytest.approx(expected)
    assert spearman(ids, ours, theirs, QUICK).value == pytest.approx(spearmanr(ours, theirs)[0])
    words = [["bad", "good"][int(value > 3)] for value in ours]
    others = [["bad", "good"][int(value > 3)] for value in theirs]
    assert kappa(ids, words, others, QUICK).value == pytest.approx(cohen_kappa_score(words, others))
    rows = [list(pair) for pair in zip(ours, theirs, strict=True)]
    assert pairwise_kappa(ids, rows, (1, 5), QUICK).value == pytest.approx(expected)


def test_intervals_hold_the_value_and_narrow_with_items() -> None:
    few, many = (quadratic_kappa(records(n), *made(n), (1, 5), QUICK) for n in (60, 600))
    for found in (few, many):
        assert found.low < found.value < found.high
    assert many.high - many.low < few.high - few.low


def test_a_judge_that_always_says_the_same_agrees_with_nobody() -> None:
    ours, _ = made(50)
    constant = [5.0] * 50
    assert quadratic_kappa(records(50), constant, ours, (1, 5), QUICK).value == pytest.approx(0)
    assert spearman(records(50), constant, ours, QUICK).method == "undefined"


def test_a_generous_judge_ranks_well_and_agrees_badly() -> None:
    ours, _ = made(100)
    generous = [4.0 if value < 3 else 5.0 for value in ours]
    assert spearman(records(100), generous, ours, QUICK).value > 0.8
    assert quadratic_kappa(records(100), generous, ours, (1, 5), QUICK).value < 0.4


def panel(values: list[float], name: str = "helpful") -> Panel:
    return Panel({}, tuple(Rating(f"i{k:04}", "j", name, v) for k, v in enumerate(values)))


def human(values: list[float]) -> Human:
    items = tuple(Item(f"i{k:04}", "q", "r") for k in range(len(values)))
    return Human(items, {(f"i{k:04}", "helpful"): v for k, v in enumerate(values)})


def test_agreement_decides_whether_a_judge_may_gate() -> None:
    ours, theirs = made(120)
    found = rating_agreement(panel(theirs), human(ours), QUICK)
    assert set(found) == {"judge.helpful.agreement", "judge.helpful.spearman"}
    assert doubt(found, "judge.helpful", 0.4) == ""
    assert "lower bound below 0.99" in doubt(found, "judge.helpful", 0.99)
    assert "nobody" in doubt(found, "judge.correct", 0.4)
    nothing = {"m.agreement": Estimate(0.9, float("nan"), float("nan"), 1, 1)}
    assert "no interval" in doubt(nothing, "m", 0.4)


def test_ratings_the_judge_owes_are_the_worst() -> None:
    ours, _ = made(60)
    full = rating_agreement(panel(ours), human(ours), QUICK)["judge.helpful.agreement"]
    half = rating_agreement(panel(ours[:30]), human(ours), QUICK)["judge.helpful.agreement"]
    assert full.value == pytest.approx(1)
    assert (half.n, half.value < 0.7) == (60, True)


def test_choices() -> None:
    pairs = tuple(Pair(f"p{k}", "q", "a", "b") for k in range(40))
    winners = {pair.id: ("a", "b", "tie")[k % 3] for k, pair in enumerate(pairs)}
    said = [Choice(name, "j", winner, (), False, 0) for name, winner in winners.items()]  # type: ignore[arg-type]
    people = Human(pairs=pairs, winners=winners)  # type: ignore[arg-type]
    found = pair_agreement(Panel({}, choices=tuple(said)), people, QUICK)
    assert found["judge.win_rate.agreement"].value == pytest.approx(1)
    assert found["judge.win_rate.accuracy"].value == 1
    lost = pair_agreement(Panel({}, choices=tuple(said[:20])), people, QUICK)
    assert lost["judge.win_rate.accuracy"].n == 40
    assert lost["judge.win_rate.accuracy"].value < 0.9


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_ratings_of_stored_replies(tmp_path: Path) -> None:
    file = write(tmp_path / "r.csv", "id,rating,rater\ni1,4,ann\ni1,5,ben\ni2,1,ann\n")
    known = {name: Item(name, "q", "r", cluster="c") for name in ("i1", "i2")}
    found = read_human(file, known, ["helpful"])
    assert found.ratings == {("i1", "helpful"): 4.5, ("i2", "helpful"): 1.0}
    assert [item.cluster for item in found.items] == ["c", "c"]


def test_ratings_that_bring_their_replies(tmp_path: Path) -> None:
    text = "question,reply,dimension,rating\nHow?,So.,helpful,4\nHow?,So.,correct,2\n"
    found = read_human(write(tmp_path / "r.csv", text), {}, ["helpful", "correct"])
    assert len(found.items) == 1
    assert sorted((found.ratings or {}).values()) == [2.0, 4.0]


def test_choices_of_several_people_are_counted(tmp_path: Path) -> None:
    lines = [("p", "a"), ("p", "A"), ("p", "tie"), ("r", "1"), ("r", "2")]
    rows = "".join(f"{name},q,x,y,{said}\n" for name, said in lines)
    text = "id,question,reply_a,reply_b,preferred\n" + rows
    found = read_human(write(tmp_path / "r.csv", text), {}, [])
    assert found.winners == {"p": "a", "r": "tie"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("id,stars\ni1,4\n", "rating or preferred"),
        ("id,rating\ni1,6\n", "a rating from 1 to 5"),
        ("id,rating\ni1,good\n", "a rating from 1 to 5"),
        ("id,rating\ni9,4\n", "did you mean 'i1'"),
        ("id,rating,dimension\ni1,4,style\n", "the judge rates: helpful"),
        ("reply_a,preferred\nx,a\n", "reply_b"),
        ("question,reply_a,reply_b,preferred\nq,x,y,left\n", "a, b or tie"),
    ],
)
def test_files_that_cannot_be_meant(tmp_path: Path, text: str, words: str) -> None:
    file = write(tmp_path / "r.csv", text)
    with pytest.raises(InputError, match="expected") as caught:
        read_human(file, {"i1": Item("i1", "q", "r")}, ["helpful"])
    assert words in str(caught.value)


def test_three_annotators_of_real_pairs(shared_data: Callable[[str], Path]) -> None:
    """PandaLM's human test set: each annotator as the judge, held against the other two."""
    rows = json.loads((shared_data("pandalm") / "testset-v1.json").read_text())
    names = {0: "tie", 1: "a", 2: "b"}
    pairs = tuple(
        Pair(str(row["idx"]), row["instruction"], row["response1"], row["response2"],
             cluster=row["instruction"])
        for row in rows
    )  # fmt: skip
    for judge, other in ((1, 2), (1, 3), (2, 3)):
        said = [names[row[f"annotator{judge}"]] for row in rows]
        winners = {pair.id: names[row[f"annotator{other}"]]
                   for pair, row in zip(pairs, rows, strict=True)}  # fmt: skip
        choices = tuple(
            Choice(pair.id, "human", winner, (), False, 0)  # type: ignore[arg-type]
            for pair, winner in zip(pairs, said, strict=True)
        )
        people = Human(pairs=pairs, winners=winners)  # type: ignore[arg-type]
        found = pair_agreement(Panel({}, choices=choices), people, QUICK)
        agreement = found["judge.win_rate.agreement"]
        assert agreement.value == pytest.approx(cohen_kappa_score(said, list(winners.values())))
        assert agreement.n == len(rows) > agreement.clusters
        assert doubt(found, "judge.win_rate", 0.4) == ""
