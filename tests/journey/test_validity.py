"""Proxies pass no gate before people's ratings say that they may."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from evaluate_fakes import QUICK, bench_of, paired, report, text_row
from metier.config import Project, load_project
from metier.core import ledger
from metier.core.errors import ConfigError, InputError, NotFound
from metier.core.ids import new_id
from metier.core.objective import Objective, Target
from metier.core.records import EvaluationReport, Prediction
from metier.core.types import Completion, Estimate
from metier.core.workspace import Workspace
from metier.journey.session import Session
from metier.journey.trust import trust_of
from metier.journey.validity import validate_metric
from metier.journey.verbs import standing
from metier.release.gate import decide
from metier.scoring.goals.targets import judge

KIND = [
    "Monday.",
    "Thank you. Monday.",
    "I'm sorry to hear that. Thank you. It left on Monday.",
    "I'm sorry to hear that. Thank you, and rest assured: Monday. Please let me know.",
]
OBJECTIVE = Objective(task="answer", target=[Target(metric="empathy", at_least=0.1)])
N = 40


def opened(ws: Workspace, objective: Objective = OBJECTIVE) -> Session:
    project = Project.model_validate(
        {
            "project": {"name": "kind"},
            "objective": objective.model_dump(exclude_unset=True),
            "evaluate": QUICK.model_dump(exclude_unset=True),
        }
    )
    return Session(project, ws.root, ws)


def measured(ws: Workspace, split: str = "test") -> tuple[EvaluationReport, list[Prediction]]:
    """An evaluation whose n-th reply has the n-th of four degrees of kindness."""
    bench = bench_of(
        ws,
        OBJECTIVE,
        train=[text_row(1000 + n, f"Where is it {n}", "Monday.") for n in range(4)],
        test=[text_row(n, f"Where is parcel {n}?", "Monday.") for n in range(N)],
    )
    rows = bench.examples(split)
    predictions = [
        Prediction(new_id("pred"), one.id, Completion(text), text, "Monday.", one.group or "")
        for one, text in zip(rows, KIND * N, strict=False)
    ]
    made = EvaluationReport(
        id=new_id("eval"),
        created_at=bench.version.created_at,
        version_id=bench.version.id,
        split=split,
        rung="tuned",
        completer="fake",
        fingerprint="f",
        run_id=None,
        n=len(rows),
        metrics={
            "token_f1": Estimate(0.5, 0.4, 0.6, N, N),
            "empathy": Estimate(0.4, 0.3, 0.5, N, N),
        },
        per_class={},
        confusion={},
        settings={},
        usd_per_1000=0.0,
        predictions="",
    )
    return ledger.save_evaluation(ws, made, predictions), predictions


def ratings(folder: Path, ids: Sequence[str], values: Sequence[float], head: str = "id") -> Path:
    path = folder / "ratings.csv"
    lines = [f"{one},{value}" for one, value in zip(ids, values, strict=True)]
    path.write_text("\n".join([f"{head},rating", *lines]), encoding="utf-8")
    return path


def liked(n: int = N) -> list[float]:
    """Ratings that follow the kindness of the replies."""
    return [1 + place % 4 for place in range(n)]


def test_a_proxy_gates_nothing_until_people_agree(any_workspace: Workspace, tmp_path: Path) -> None:
    ws, session = any_workspace, opened(any_workspace)
    report, predictions = measured(ws)
    why = trust_of(ws, OBJECTIVE)["empathy"]
    assert why.startswith("proxy not validated: nobody has held it against people's ratings")
    assert "metier metrics validate empathy" in why
    found = judge(OBJECTIVE, report, [report], paired(0, 0, 0), trust_of(ws, OBJECTIVE))
    assert found[0].state == "untrusted" and found[0].words == why
    assert decide(found).state == "failed"

    file = ratings(tmp_path, [one.example_id for one in predictions], liked())
    probe = validate_metric(session, "empathy", file)
    assert probe.metrics["spearman"].value > 0.9
    assert probe.version_id == report.version_id
    assert ledger.latest_probe(ws, "validity", "empathy") == probe
    assert trust_of(ws, OBJECTIVE) == {}
    again = judge(OBJECTIVE, report, [report], paired(0, 0, 0), trust_of(ws, OBJECTIVE))
    assert decide(again).state == "passed"


def test_a_proxy_that_people_do_not_follow_stays_out(workspace: Workspace, tmp_path: Path) -> None:
    _, predictions = measured(workspace)
    rng = random.Random(5)
    noise = [float(rng.randint(1, 5)) for _ in range(N)]
    file = ratings(tmp_path, [one.id for one in predictions], noise, "prediction_id")
    validate_metric(opened(workspace), "empathy", file)
    why = trust_of(workspace, OBJECTIVE)["empathy"]
    assert why.startswith("proxy not validated: correlation ")
    assert "lower bound below 0.3" in why


def test_the_project_sets_the_least_correlation(workspace: Workspace, tmp_path: Path) -> None:
    _, predictions = measured(workspace)
    values = liked()
    values[::5] = [3.0] * len(values[::5])
    file = ratings(tmp_path, [one.id for one in predictions], values)
    validate_metric(opened(workspace), "empathy", file)
    strict = OBJECTIVE.model_copy(update={"proxy_min_correlation": 0.97})
    assert "lower bound below 0.97" in trust_of(workspace, strict)["empathy"]
    assert trust_of(workspace, OBJECTIVE) == {}


def test_a_standing_says_what_may_not_be_judged(workspace: Workspace) -> None:
    measured(workspace)
    verdict = standing(opened(workspace)).verdict
    assert verdict.results[0].state == "untrusted"
    assert verdict.metric != "empathy"
    assert any("1 may not be judged yet" in words for words in verdict.words)


def test_lower_is_better_counts_the_other_way_round(workspace: Workspace, tmp_path: Path) -> None:
    _, predictions = measured(workspace)
    file = ratings(tmp_path, [one.id for one in predictions], liked())
    probe = validate_metric(opened(workspace), "reading_grade", file)
    assert probe.detail["lower_is_better"] is True
    assert probe.metrics["spearman"].value > 0  # easier replies were liked more


def test_checks_and_several_raters(workspace: Workspace, tmp_path: Path) -> None:
    _, predictions = measured(workspace)
    check = {"type": "length", "name": "short", "max_words": 3}
    objective = Objective.model_validate({"task": "answer", "check": [check]})
    path = tmp_path / "ratings.csv"
    lines = [
        f"{one.example_id},{(5 if place % 4 < 2 else 1) + add},{rater}"
        for place, one in enumerate(predictions)
        for rater, add in (("ann", 0), ("ben", place % 3 - 1))
    ]
    path.write_text("\n".join(["example_id,rating,rater", *lines]), encoding="utf-8")
    probe = validate_metric(opened(workspace, objective), "short", path)
    assert probe.detail["raters_per_reply"] == 2
    assert probe.metrics["spearman"].value > 0.5


def test_replies_of_a_file(workspace: Workspace, tmp_path: Path) -> None:
    _, predictions = measured(workspace)
    path = tmp_path / "answers.csv"
    rows = [f'p{place},"{KIND[place % 4]}"' for place in range(N)]
    path.write_text("\n".join(["id,prediction", *rows]), encoding="utf-8")
    names = [f"p{place}" for place in range(N)]
    file = ratings(tmp_path, [*names, "p99"], [*liked(), 3.0])
    probe = validate_metric(opened(workspace), "empathy", file, predictions=path)
    assert probe.metrics["spearman"].n == N
    assert probe.detail["notes"] == [
        "1 of 41 ratings are of replies that answers.csv does not hold"
    ]
    assert probe.detail["replies"] == "answers.csv"
    assert predictions


def test_what_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    session = opened(workspace)
    with pytest.raises(NotFound):
        validate_metric(session, "empathy", ratings(tmp_path, ["a"], [1.0]))
    _, predictions = measured(workspace)
    ids = [one.example_id for one in predictions]
    for rated, words in [
        (["nobody"], "1 ratings of others, e.g. of nobody"),
        (ids[:5], "at least 20 rated replies"),
    ]:
        with pytest.raises(InputError, match=words):
            validate_metric(session, "empathy", ratings(tmp_path, rated, liked(len(rated))))
    with pytest.raises(InputError, match="a value per reply"):
        validate_metric(session, "bleu", ratings(tmp_path, ids, liked()))
    path = tmp_path / "ratings.csv"
    for text, words in [
        ("id,rating\na,good", r"ratings.csv:2: 'good' in 'rating'"),
        ("id,rating\na,1\na,2", r"ratings.csv:3: a second one for a"),
        ("id,stars\na,1", "a column rating or score or overall"),
        ("id,rating\n,1", r"ratings.csv:2: none"),
    ]:
        path.write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=words):
            validate_metric(session, "empathy", path)


def test_replies_to_training_examples_are_refused(workspace: Workspace, tmp_path: Path) -> None:
    report, predictions = measured(workspace, "train")
    file = ratings(tmp_path, [one.id for one in predictions], [1.0] * len(predictions))
    with pytest.raises(InputError, match="a held-out split"):
        validate_metric(opened(workspace), "empathy", file, evaluation=report.id)
    answers = tmp_path / "answers.csv"
    rows = [f"{one.example_id},Monday." for one in predictions]
    answers.write_text("\n".join(["id,prediction", *rows]), encoding="utf-8")
    with pytest.raises(InputError, match="4 of the training split"):
        validate_metric(opened(workspace), "empathy", file, predictions=answers)


def test_other_metrics_need_no_ratings(workspace: Workspace) -> None:
    objective = Objective(
        task="answer",
        target=[
            Target(metric="rougeL", at_least=0.3),
            Target(metric="satisfaction", stage="review", at_least=4),
        ],
    )
    assert trust_of(workspace, objective) == {}
    made = report("tuned", {"rougeL": (0.5, 0.4, 0.6)})
    found = judge(objective, made, [made], paired(0, 0, 0), {"empathy": "not asked for"})
    assert found[0].state == "passed"


def test_wrong_metrics_and_checks_are_named_by_line(tmp_path: Path) -> None:
    path = tmp_path / "metier.toml"
    path.write_text(
        '[project]\nname = "p"\n[objective]\ntask = "answer"\nmetrics = ["empaty"]\n'
        '[[objective.check]]\ntype = "length"\nname = "rouge1"\nmax_words = 3\n',
        encoding="utf-8",
    )
    with pytest.raises(ConfigError) as error:
        load_project(path)
    assert "metier.toml:5: there is no metric 'empaty'; did you mean 'empathy'?" in str(error.value)
    assert "metier.toml:8: 'rouge1' is the name of a metric" in str(error.value)
