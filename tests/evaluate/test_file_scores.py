"""Files that say more than predictions: scores per label, times, turns."""

import json
import math

import pytest

from metier.core.errors import InputError
from metier.evaluate.files.score import FileOptions, evaluate_file
from metier.scoring import Resampling

FAST = Resampling(100)


def measured(tmp_path, rows, **options):
    path = tmp_path / "p.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return evaluate_file(path, FileOptions(resampling=FAST, **options))


def rows(scores):
    """Six rows of two labels; ``scores`` gives that of "a" by row."""
    return [
        {"id": i, "reference": "ab"[i % 2], "prediction": "ab"[value < 0.5], "scores": cell}
        for i, value in enumerate(scores)
        for cell in [{"a": value, "b": 1 - value}]
    ]


# a at 0.9, 0.7, 0.2; b at 0.4, 0.3, 0.1: of 9 pairs a wins 3 + 3 + 1
MIXED = (0.9, 0.4, 0.7, 0.3, 0.2, 0.1)


def test_probabilities_are_ranked(tmp_path):
    found = measured(tmp_path, rows(MIXED))
    assert found.columns["scores"] == "scores"
    assert found.systems[0].metrics["auroc"].value == pytest.approx(7 / 9)


def test_logits_are_taken_as_they_are(tmp_path):
    made = rows(MIXED)
    for row in made:
        share = row["scores"]["a"]
        row["scores"] = json.dumps({"a": math.log(share / (1 - share)) + 3, "b": 3.0})
    found = measured(tmp_path, made)
    assert found.systems[0].metrics["auroc"].value == pytest.approx(7 / 9)


def test_rows_without_scores_rank_worst(tmp_path):
    made = rows(MIXED)
    made[0]["scores"] = None
    made[2]["scores"] = {"a": None, "b": 0.1}
    found = measured(tmp_path, made).systems[0].metrics["auroc"]
    # both count for "a" below all "b"; 0.2 wins one pair. For "b" they stand above all: the same
    assert found.value == pytest.approx(1 / 9)
    assert "2 of 6 items have no scores and rank worst" in found.warnings


@pytest.mark.parametrize("bad", ["[0.1, 0.9]", [0.1], {"a": "high"}, {"a": True}, "no json {"])
def test_what_is_no_object_of_numbers_is_refused_with_its_place(tmp_path, bad):
    made = rows(MIXED)
    made[3]["scores"] = bad
    with pytest.raises(InputError, match=r"p\.jsonl:4"):
        measured(tmp_path, made)


def test_times_are_measured_where_given(tmp_path):
    made = [
        {**row, "first_token_s": 0.1 * (i + 1), "handling_s": 10 + i}
        for i, row in enumerate(rows(MIXED))
    ]
    metrics = measured(tmp_path, made).systems[0].metrics
    assert metrics["first_token_p50_s"].value == pytest.approx(0.3)
    assert metrics["handling_time_mean_s"].value == pytest.approx(12.5)
    assert "handling_time_mean_s" not in measured(tmp_path, rows(MIXED)).systems[0].metrics


def test_turns_of_conversations_are_known_by_group_and_number(tmp_path):
    pairs = [("k1", 1, "yes"), ("k1", 2, "no"), ("k2", 1, "yes")]
    made = [
        {"conversation_id": k, "turn": n, "prediction": said, "reference": "yes", "id": f"{k}{n}"}
        for k, n, said in pairs
    ]
    metrics = measured(tmp_path, made, task="answer").systems[0].metrics
    assert metrics["conversation_pass"].value == 0.5 and metrics["conversation_pass"].n == 2


def test_an_optional_metric_is_measured_when_asked_for(tmp_path):
    made = [{"id": i, "prediction": "red car", "reference": "red car"} for i in range(4)]
    plain = measured(tmp_path, made, task="answer")
    assert "semantic_similarity" not in plain.systems[0].metrics
    asked = measured(tmp_path, made, task="answer", metrics=("semantic_similarity",))
    assert asked.systems[0].metrics["semantic_similarity"].value == pytest.approx(1.0, abs=1e-5)
