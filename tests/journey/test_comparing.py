"""Any evaluations side by side: what flipped, on a page, in Markdown and as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from desk import DATA, HEAD, OBJECTIVE, build, project, run, write_rows
from metier.journey.comparing import PairedItem, flips

EVALUATE = '[evaluate]\nrungs = ["keyword", "tfidf"]\nresamples = 200\n'


@pytest.fixture
def measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A project whose classical baselines were measured."""
    write_rows(tmp_path, 200)
    project(tmp_path, HEAD + OBJECTIVE + DATA + EVALUATE)
    build(capsys, tmp_path)
    assert run(capsys, "baseline", "--project", str(tmp_path))[0] == 0
    return tmp_path


def say(capsys: pytest.CaptureFixture[str], folder: Path, *words: str) -> Any:
    code, out, err = run(capsys, *words, "--project", str(folder), "--json")
    assert code == 0, err
    return json.loads(out)


def item(number: int, a: float, b: float) -> PairedItem:
    return PairedItem(f"ex_{number}", "t", "x", "x", "y", a, b, "pred_a", "pred_b")


def test_an_item_flips_when_exactly_one_system_is_right() -> None:
    items = [item(1, 1, 0), item(2, 1, 0.9), item(3, 0, 1), item(4, 1, 1), item(5, 0.2, 0.6)]
    found = flips(items)
    assert (found.only_a, found.only_b, found.both, found.neither) == (2, 1, 1, 1)
    assert [one.example_id for one in found.items] == ["ex_1", "ex_2", "ex_3"]


def test_pages_markdown_and_json_tell_the_same(
    measured: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, text = measured / "c.html", measured / "c.md"
    found = say(
        capsys,
        measured,
        "compare",
        "tfidf",
        "keyword",
        "--html",
        str(page),
        "--markdown",
        str(text),
    )
    (other,) = found["flips"].values()
    counts = [other[key] for key in ("only_a", "only_b", "both", "neither")]
    assert sum(counts) == 40 and len(other["items"]) == counts[0] + counts[1]
    f1 = next(one for one in found["differences"] if one["metric"] == "f1_macro")
    shown = f"{f1['estimate']['value']:+.3f}".replace("-", "−")
    html, markdown = page.read_text(), text.read_text()
    assert shown in html and shown in markdown
    assert f"Only TF-IDF classifier right: {counts[0]}" in markdown
    assert html.count("<h2") >= 4 and "src=" not in html and "https://" not in html
    ids = [part.split('"')[0] for part in html.split('id="')[1:]]
    assert len(ids) == len(set(ids))
    (first, _) = found["reports"]
    bins = found["reliability"][first["id"]]
    assert sum(one["right"]["n"] for one in bins) == 40, "TF-IDF states its confidence"


def test_one_evaluation_has_nothing_to_be_compared_with(
    measured: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for keys in (["tfidf"], ["tfidf", "tfidf"]):
        code, _, err = run(capsys, "compare", *keys, "--project", str(measured))
        assert code == 2 and "two different evaluations" in err
    code, _, err = run(capsys, "compare", "tfidf", "keywords", "--project", str(measured))
    assert code == 2 and "keyword" in err


def test_predictions_made_elsewhere_stand_beside_the_others(
    measured: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    test, given = measured / "test.jsonl", measured / "vendor.jsonl"
    code, _, err = run(capsys, "data", "export", "test", str(test), "--project", str(measured))
    assert code == 0, err
    rows = [json.loads(line) for line in test.read_text().splitlines()]
    assert len(rows) == 40 and all(set(row) == {"id", "messages"} for row in rows)
    machines = ("account", "printer", "cable", "battery", "screen")

    def answer(row: dict[str, Any]) -> dict[str, Any]:
        said = row["messages"][-1]["content"]
        label = "machines" if any(word in said for word in machines) else "parcels"
        return {"id": row["id"], "prediction": label, "latency_s": 0.5}

    given.write_text("\n".join(json.dumps(answer(row)) for row in rows[1:]))
    found = say(capsys, measured, "evaluate", str(given), "--as", "vendor")
    assert found["rung"] == "vendor" and found["n"] == 40
    assert found["metrics"]["accuracy"]["value"] == pytest.approx(39 / 40), "one is missing"
    assert any("1 of 40 items failed" in words for words in found["warnings"])
    both = say(capsys, measured, "compare", "vendor", "tfidf")
    assert {one["rung"] for one in both["reports"]} == {"vendor", "tfidf"}


@pytest.mark.parametrize(
    ("line", "name", "problem"),
    [
        ({"id": "ex_none", "prediction": "parcels"}, "vendor", "metier data export"),
        ({"prediction": "parcels"}, "vendor", "id"),
        ({"id": "ex_none", "prediction": "parcels"}, "tuned", "a name that no rung"),
    ],
)
def test_predictions_that_belong_to_nothing_are_refused(
    measured: Path, capsys: pytest.CaptureFixture[str], line: Any, name: str, problem: str
) -> None:
    given = measured / "vendor.jsonl"
    given.write_text(json.dumps(line))
    code, _, err = run(capsys, "evaluate", str(given), "--as", name, "--project", str(measured))
    assert code == 2 and problem in err
