import csv
import json
import math

import pytest

from metier.core.codec import to_json
from metier.core.errors import InputError
from metier.evaluate.files.limits import shortfalls
from metier.evaluate.files.rows import Columns
from metier.evaluate.files.score import FileOptions, evaluate_file
from metier.evaluate.files.task import closed_set, guess_task
from metier.scoring import Resampling, make_metric

FAST = Resampling(200)
LABELS = ["billing", "delivery", "returns"]


def jsonl(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def labelled(n=60, right=48, **extra):
    """``right`` of ``n`` predictions are right; the rest are one label off."""
    return [
        {
            "id": f"q{i}",
            "prediction": LABELS[(i + (i >= right)) % 3],
            "reference": LABELS[i % 3],
            **extra,
        }
        for i in range(n)
    ]


def run(path, **options):
    return evaluate_file(path, FileOptions(**{"resampling": FAST, **options}))


def said(error):
    return str(error.value)


def test_labels_are_scored_with_intervals(tmp_path):
    found = run(jsonl(tmp_path / "predictions.jsonl", labelled()))
    assert found.task == "classify"
    (system,) = found.systems
    assert (system.name, system.n, system.clusters) == ("predictions", 60, 60)
    accuracy = system.metrics["accuracy"]
    assert accuracy.value == pytest.approx(0.8) and accuracy.low < 0.8 < accuracy.high
    assert list(system.metrics)[:2] == ["f1_macro", "accuracy"]
    assert "latency_mean_s" not in system.metrics
    assert system.confusion[""].labels == tuple(LABELS)
    assert system.per_class[""]["billing"]["recall"].n == 20


def test_what_was_guessed_is_told(tmp_path):
    found = run(jsonl(tmp_path / "p.jsonl", labelled()))
    assert found.why[0] == "3 different short references in 60: labels"
    assert "prediction from 'prediction'" in found.why[1]
    assert found.columns == {"prediction": "prediction", "reference": "reference", "id": "id"}
    assert any("every row counts as independent" in why for why in found.why)


def test_no_workspace_is_made_and_none_is_needed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    jsonl(tmp_path / "p.jsonl", labelled())
    assert run(tmp_path / "p.jsonl").systems
    assert [path.name for path in tmp_path.iterdir()] == ["p.jsonl"]


def test_the_result_is_plain_json_even_where_undefined(tmp_path):
    rows = [{"prediction": "a", "reference": "a"} for _ in range(20)]
    found = run(jsonl(tmp_path / "p.jsonl", rows))
    assert math.isnan(found.systems[0].metrics["mcc"].value)
    assert json.loads(json.dumps(to_json(found), allow_nan=False))["task"] == "classify"
    assert any("nothing is told apart" in warning for warning in found.warnings)


@pytest.mark.parametrize(
    ("prediction", "reference"),
    [
        ("pred", "gold"),
        ("Output", "Expected"),
        ("response", "label"),
        ("answer", "target"),
        ("y_pred", "y_true"),
        ("completion", "ground truth"),
        ("prediction", "answer"),
    ],
)
def test_usual_column_names_are_known(tmp_path, prediction, reference):
    rows = [{prediction: row["prediction"], reference: row["reference"]} for row in labelled()]
    found = run(jsonl(tmp_path / "p.jsonl", rows))
    assert (found.columns["prediction"], found.columns["reference"]) == (prediction, reference)
    assert found.systems[0].metrics["accuracy"].value == pytest.approx(0.8)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".json", ".parquet"])
def test_other_formats_give_the_same_numbers(tmp_path, suffix):
    path = tmp_path / f"p{suffix}"
    rows = labelled()
    if suffix in (".csv", ".tsv"):
        with path.open("w", newline="") as stream:
            delimiter = "," if suffix == ".csv" else "\t"
            writer = csv.DictWriter(stream, fieldnames=list(rows[0]), delimiter=delimiter)
            writer.writeheader()
            writer.writerows(rows)
    elif suffix == ".json":
        path.write_text(json.dumps(rows))
    else:
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(rows), path)
    same = run(jsonl(tmp_path / "same.jsonl", rows)).systems[0].metrics
    assert run(path).systems[0].metrics == same


def test_systems_of_one_column_are_compared_pairwise(tmp_path):
    rows = labelled(right=40, system="rules") + labelled(right=56, system="tuned")
    found = run(jsonl(tmp_path / "p.jsonl", rows), metrics=("accuracy",))
    assert [system.name for system in found.systems] == ["rules", "tuned"]
    (difference,) = found.differences
    assert (difference.a, difference.b) == ("rules", "tuned")
    assert difference.estimate.value == pytest.approx(40 / 60 - 56 / 60)
    assert difference.estimate.high < 0 and difference.p_value < 0.05


def test_another_file_is_another_system(tmp_path):
    new = jsonl(tmp_path / "new.jsonl", labelled(right=57))
    old = jsonl(tmp_path / "old.jsonl", labelled(right=45)[::-1])  # matched by id, not by order
    found = run(new, against=(old,), metrics=("accuracy",))
    assert [system.name for system in found.systems] == ["new", "old"]
    assert found.differences[0].estimate.value == pytest.approx(0.2)


def test_systems_are_compared_on_what_both_answered_and_it_is_said(tmp_path):
    new = jsonl(tmp_path / "new.jsonl", labelled())
    old = jsonl(tmp_path / "old.jsonl", labelled()[:50])
    found = run(new, against=(old,), metrics=("accuracy",))
    assert found.differences[0].estimate.n == 50
    assert any("the 50 items both answered (10 only in 'new'" in w for w in found.warnings)


def test_many_systems_are_compared_with_the_first(tmp_path):
    rows = [row for k in range(8) for row in labelled(12, 9, system=f"s{k}")]
    found = run(jsonl(tmp_path / "p.jsonl", rows), metrics=("accuracy",))
    assert [(d.a, d.b) for d in found.differences] == [("s0", f"s{k}") for k in range(1, 8)]
    assert any("compared with 's0' only" in warning for warning in found.warnings)


def test_references_come_from_their_own_file(tmp_path):
    rows = labelled()
    keep = [{"id": row["id"], "answer": row["prediction"]} for row in rows]
    path = jsonl(tmp_path / "answers.jsonl", keep)
    gold = [{"id": r["id"], "answer": r["reference"], "patient": "p1"} for r in rows[::-1]]
    references = jsonl(tmp_path / "gold.jsonl", gold)
    found = run(path, references=references)
    assert found.systems[0].metrics["accuracy"].value == pytest.approx(0.8)
    assert found.systems[0].clusters == 1  # the group came along


def test_groups_widen_the_interval(tmp_path):
    rows = [{**row, "patient_id": f"p{i // 12}"} for i, row in enumerate(labelled(120, 96))]
    grouped = run(jsonl(tmp_path / "p.jsonl", rows)).systems[0]
    alone = run(jsonl(tmp_path / "q.jsonl", labelled(120, 96))).systems[0]
    assert grouped.clusters == 10
    wide, narrow = grouped.metrics["accuracy"], alone.metrics["accuracy"]
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)
    assert any("10 independent groups" in warning for warning in wide.warnings)


def test_texts_are_scored_as_texts(tmp_path):
    rows = [
        {"response": f"Take {i} drops daily", "reference": f"Take {i} drops every day."}
        for i in range(30)
    ]
    found = run(jsonl(tmp_path / "p.jsonl", rows))
    assert found.task == "answer" and "short texts" in found.why[0]
    assert found.systems[0].metrics["token_f1"].value == pytest.approx(2 * 3 / (4 + 5))
    assert {"rouge1", "rougeL", "bleu", "chrf"} <= set(found.systems[0].metrics)
    assert found.systems[0].per_class == {}


def test_label_sets_are_recognised_also_in_csv(tmp_path):
    path = tmp_path / "codes.csv"
    path.write_text('prediction,reference\n"[""A1"", ""B2""]","[""A1""]"\n[],"[""B2""]"\n')
    found = run(path)
    assert found.task == "multilabel"
    assert found.systems[0].metrics["f1_micro"].value == pytest.approx(2 * 1 / (2 + 2))


def test_objects_are_scored_by_field(tmp_path):
    rows = [
        {
            "prediction": {"route": LABELS[i % 2], "reply": f"Case {i} is closed"},
            "expected": {"route": LABELS[i % 3], "reply": f"Case {i} is now closed"},
        }
        for i in range(24)
    ]
    found = run(jsonl(tmp_path / "p.jsonl", rows))
    metrics = found.systems[0].metrics
    assert found.task == "structured"
    assert metrics["route.accuracy"].value == pytest.approx(1 / 3)
    assert metrics["reply.token_f1"].value == pytest.approx(8 / 9)
    assert set(found.systems[0].per_class) == {"route"}


def test_latency_is_measured_where_given(tmp_path):
    rows = [{**row, "latency_s": 0.1 + 0.001 * i} for i, row in enumerate(labelled())]
    metrics = run(jsonl(tmp_path / "p.jsonl", rows)).systems[0].metrics
    assert metrics["latency_p50_s"].value == pytest.approx(0.129)


def test_numbers_without_predictions_are_averaged(tmp_path):
    rows = [{"id": i, "score": 3 + i % 3, "model": m} for i in range(40) for m in ("a", "b")]
    found = run(jsonl(tmp_path / "ratings.jsonl", rows))
    assert found.task == "scores"
    assert found.systems[0].metrics["mean"].value == pytest.approx(3.975)
    assert found.differences[0].estimate.value == 0


def test_case_is_not_mended_but_told(tmp_path):
    rows = labelled()
    rows[0]["prediction"] = "Billing"
    rows[1]["prediction"] = ""
    rows[2]["prediction"] = "sales"
    found = run(jsonl(tmp_path / "p.jsonl", rows))
    assert found.systems[0].metrics["accuracy"].value == pytest.approx(45 / 60)
    text = "\n".join(found.warnings)
    assert (
        "1 predictions differ from a label only in case and count as wrong, e.g. 'Billing'" in text
    )
    assert "1 of 60 predictions are empty" in text
    assert "1 predictions are no label of the references" in text


def test_rare_classes_are_set_apart(tmp_path):
    rows = [*labelled(), {"id": "x", "prediction": "fraud", "reference": "fraud"}]
    found = run(jsonl(tmp_path / "p.jsonl", rows))
    assert found.systems[0].rare == {"": {"fraud": 1}}
    classes = next(table for table in found.tables() if "classes" in table.title)
    assert classes.notes == ("1 classes with under 5 items, too few to judge: fraud (1)",)


def test_tables_hold_text_only(tmp_path):
    rows = labelled(right=40, system="rules") + labelled(right=56, system="tuned")
    tables = run(jsonl(tmp_path / "p.jsonl", rows)).tables()
    assert [table.title.split(":")[0].split(",")[0] for table in tables] == [
        "classify",
        "Paired differences",
        "rules",
        "tuned",
    ]
    for table in tables:
        assert all(len(row) == len(table.headers) for row in table.rows)
        assert all(isinstance(cell, str) for row in table.rows for cell in row)
    accuracy = next(row for row in tables[0].rows if row[0] == "accuracy")
    assert accuracy[1].startswith("0.667 [0.")
    assert tables[0].rows[-1] == ("items (groups)", "60 (60)", "60 (60)")


def test_shortfalls_look_at_the_worse_end(tmp_path):
    found = run(jsonl(tmp_path / "p.jsonl", labelled()))
    measured = {system.name: system.metrics for system in found.systems}
    assert shortfalls(measured, {"accuracy": 0.6}) == []
    (missed,) = shortfalls(measured, {"accuracy": 0.8})  # observed 0.8, but its lower end is less
    assert missed.end < 0.8 and "the lower end is not at least 0.8" in missed.words
    (upper,) = shortfalls(measured, {"error_rate": 0.2})
    assert upper.end > 0.2 and "the upper end is not at most 0.2" in upper.words
    with pytest.raises(InputError, match="did you mean 'accuracy'"):
        shortfalls(measured, {"acuracy": 0.5})


# -- what a user can get wrong --


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError) as error:
        run(tmp_path / "nothing.jsonl")
    assert "nothing.jsonl" in said(error)


def test_an_empty_file_is_refused(tmp_path):
    path = tmp_path / "empty.jsonl"
    path.write_text("")
    with pytest.raises(InputError) as error:
        run(path)
    assert "empty" in said(error) and "empty.jsonl" in said(error)


def test_a_header_without_rows_is_refused(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("prediction,reference\n")
    with pytest.raises(InputError, match="rows"):
        run(path)


def test_a_broken_line_is_refused_with_its_place(tmp_path):
    path = jsonl(tmp_path / "p.jsonl", labelled())
    lines = path.read_text().splitlines()
    lines[2] = '{"id": "q2", "prediction": '
    path.write_text("\n".join(lines))
    with pytest.raises(InputError) as error:
        run(path)
    assert "p.jsonl:3" in said(error) and "1 of 60 rows" in said(error)


@pytest.mark.parametrize("hole", [None, "", "  "])
def test_a_missing_reference_is_refused_with_its_place(tmp_path, hole):
    rows = labelled()
    rows[4]["reference"] = hole
    with pytest.raises(InputError) as error:
        run(jsonl(tmp_path / "p.jsonl", rows))
    assert "1 of 60 rows without one" in said(error) and "p.jsonl:5" in said(error)


def test_an_id_twice_is_refused_with_both_places(tmp_path):
    rows = [*labelled(), labelled()[7]]
    with pytest.raises(InputError) as error:
        run(jsonl(tmp_path / "p.jsonl", rows))
    assert "'q7'" in said(error)
    assert "p.jsonl:8" in said(error) and "p.jsonl:61" in said(error)


def test_an_empty_id_is_refused(tmp_path):
    rows = labelled()
    rows[1]["id"] = None
    with pytest.raises(InputError) as error:
        run(jsonl(tmp_path / "p.jsonl", rows))
    assert "column 'id'" in said(error) and "p.jsonl:2" in said(error)


@pytest.mark.parametrize("bad", ["NaN", "n/a", None, "inf"])
def test_a_score_that_is_no_number_is_refused_with_its_place(tmp_path, bad):
    rows = [{"id": i, "score": 0.5} for i in range(5)]
    rows[3]["score"] = bad
    with pytest.raises(InputError) as error:
        run(jsonl(tmp_path / "p.jsonl", rows))
    assert "finite number in column 'score'" in said(error) and "p.jsonl:4" in said(error)


def test_a_bare_nan_is_refused_too(tmp_path):
    path = tmp_path / "p.jsonl"
    path.write_text('{"id": 1, "score": 0.5}\n{"id": 2, "score": NaN}\n')
    with pytest.raises(InputError, match="NaN") as error:
        run(path)
    assert "p.jsonl:2" in said(error)


def test_unknown_columns_are_refused_with_the_known_ones(tmp_path):
    path = jsonl(tmp_path / "p.jsonl", [{"foo": "a", "bar": "b"}])
    with pytest.raises(InputError) as error:
        run(path)
    assert "foo, bar" in said(error) and "--prediction COLUMN" in said(error)
    with pytest.raises(InputError, match="file of references"):
        run(path, columns=Columns(prediction="foo"))
    named = run(path, columns=Columns(prediction="foo", reference="bar"))
    assert named.systems[0].metrics["accuracy"].value == 0
    with pytest.raises(InputError, match="did you mean 'foo'"):
        run(path, columns=Columns(prediction="fooo"))


def test_two_references_for_one_id_are_refused(tmp_path):
    rows = labelled(system="a") + labelled(system="b")
    rows[60]["reference"] = "returns"
    with pytest.raises(InputError) as error:
        run(jsonl(tmp_path / "p.jsonl", rows))
    assert "id 'q0'" in said(error) and "p.jsonl:61" in said(error)


def test_references_must_match_the_predictions(tmp_path):
    rows = labelled(10, 8)
    path = jsonl(tmp_path / "p.jsonl", rows)
    few = jsonl(tmp_path / "few.jsonl", [{k: r[k] for k in ("id", "reference")} for r in rows[:9]])
    with pytest.raises(InputError) as error:
        run(path, references=few)
    assert "none for 1 of 10, first id 'q9'" in said(error) and "p.jsonl:10" in said(error)
    short = jsonl(tmp_path / "short.jsonl", rows[:9])
    gold = jsonl(tmp_path / "gold.jsonl", [{k: r[k] for k in ("id", "reference")} for r in rows])
    with pytest.raises(InputError) as error:
        run(short, references=gold)
    assert "an answer of 'short' to every reference" in said(error) and "'q9'" in said(error)


def test_a_metric_that_does_not_fit_is_refused(tmp_path):
    path = jsonl(tmp_path / "p.jsonl", labelled())
    with pytest.raises(InputError, match="computed for 'classify' from this file"):
        run(path, metrics=("rougeL",))
    with pytest.raises(InputError, match="latency_mean_s"):
        run(path, metrics=("latency_mean_s",))


# -- the task --


def test_the_task_can_be_settled(tmp_path):
    found = run(jsonl(tmp_path / "p.jsonl", labelled()), task="answer")
    assert found.task == "answer" and "as asked for" in found.why[0]
    assert found.systems[0].metrics["exact_match"].value == pytest.approx(0.8)


def test_what_looks_like_labels():
    assert closed_set(["yes", "no", "yes", "no", "no", "yes"])
    assert not closed_set([f"answer {i}" for i in range(20)])
    assert not closed_set(["a\nb"] * 20)
    assert not closed_set(["x" * 61] * 20)
    assert closed_set(["yes", "no"])  # too few to tell by repetition


def test_long_references_are_texts():
    objective, why = guess_task([f"{i} " + "word " * 30 for i in range(10)])
    assert objective.task == "summarize" and "31 words" in why


def test_a_schema_is_read_off_the_objects():
    references = [
        {"flag": i % 2 == 0, "n": i * 1.5, "tags": ["a"], "note": f"n{i}"} for i in range(12)
    ]
    objective, _ = guess_task(references)
    properties = objective.fields["properties"]
    assert properties["flag"]["enum"] == ["False", "True"]
    assert properties["n"] == {"type": "number"} and properties["tags"] == {"type": "array"}
    assert properties["note"] == {"type": "string"}
    with pytest.raises(InputError, match="JSON object as every reference"):
        guess_task([{"a": 1}, "text"], "structured")


def test_numbers_equal_those_of_scoring(tmp_path):
    from metier.core.types import Score

    rows = labelled()
    found = run(jsonl(tmp_path / "p.jsonl", rows)).systems[0].metrics["f1_macro"]
    records = [Score(r["id"], None, r["reference"], r["prediction"]) for r in rows]
    assert found == make_metric("f1_macro")(records, FAST)


def test_p_values_of_several_systems_hold_for_all_of_them(tmp_path):
    rows = [row for k in (40, 48, 56) for row in labelled(right=k, system=f"right {k}")]
    found = run(jsonl(tmp_path / "p.jsonl", rows))
    family = [one for one in found.differences if one.metric == "accuracy"]
    assert len(family) == 3
    assert all(one.p_adjusted >= one.p_value for one in family)
    table = next(one for one in found.tables() if one.title.startswith("Paired"))
    assert table.headers == ("metric", "difference", "paired", "p", "p, all together", "items")
    two = run(jsonl(tmp_path / "q.jsonl", rows[: 2 * len(rows) // 3]))
    assert {one.p_adjusted for one in two.differences} == {None}
