"""The data card and the preview: figures without texts, and texts for the screen only."""

import json

import pytest

from data_examples import CLASSIFY, GOOD, MESSY, example, labelled, replied, settings_of, write
from metier.core.progress import Progress
from metier.core.types import FieldsTarget
from metier.data.build import build
from metier.data.card import card_markdown, describe, lengths, table
from metier.data.preview import preview


@pytest.fixture
def result(tmp_path, workspace):
    folder = write(tmp_path / "data", [*GOOD, *MESSY, ("Hi", "money", "s")])
    return build(settings_of(min_chars=5), CLASSIFY, workspace, folder, Progress())


def test_the_card_counts_what_came_went_and_stayed(result):
    card = result.version.card
    assert json.loads(json.dumps(card)) == card
    (source,) = card["sources"]
    assert (source["path"], source["rows"], source["usable"]) == ("rows.csv", 56, 55)
    assert source["unreadable"] == {"no_prompt": 1}
    assert card["rows"] == {"read": 56, "added": 0, "kept": 53, "quarantined": 3}
    assert card["seed"] == 0
    steps = {step["step"]: step for step in card["steps"]}
    assert steps["clean"]["dropped"] == {"too_short": 1}
    assert steps["clean"]["changes"]["mojibake"] == 1
    assert steps["deidentify"]["changes"] == {"email": 1}
    assert steps["exact_duplicates"]["suspected"] == {"contradiction": 2}
    splits = card["splits"]
    assert {name: split["rows"] for name, split in splits.items()} == dict(result.counts)
    assert sum(split["groups"] for split in splits.values()) == 29
    assert set(splits["train"]["labels"]) >= {"delivery", "money"}


def test_the_card_holds_no_text_of_anybody(result):
    said = json.dumps(result.version.card) + card_markdown(result.version)
    assert "customer 0" not in said
    assert "ann.lee" not in said
    assert "parcel" not in said


def test_the_card_reads_as_markdown(result):
    text = card_markdown(result.version)
    assert f"# Data card of {result.version.id}" in text
    assert f"`{result.version.hash}`" in text
    assert "56 rows read: 53 kept, 3 in quarantine." in text
    assert "| clean | 55 | 54 | " in text
    assert "1 (too_short 1)" in text
    assert "| money |" in text


def test_descriptions_of_replies_fields_and_nothing():
    assert describe([], [])["prompt_chars"] == {}
    assert describe([replied(1, "q", "four")], [])["reply_chars"]["max"] == 4
    fields = FieldsTarget({"route": "b", "reply": "abc", "n": 2})
    found = describe([example(1, "q", fields)], ["route"])
    assert found["labels"] == {"route=b": 1}
    assert found["reply_chars"]["max"] == 4
    groups = [labelled(n, "q", group=g) for n, g in enumerate(["a", "a", "b", None])]
    found = describe(groups, [])
    assert (found["groups"], found["largest_group"], found["rows_without_group"]) == (2, 2, 1)


def test_lengths_summarise():
    assert lengths([]) == {}
    assert lengths([7]) == {"mean": 7, "median": 7, "p95": 7, "min": 7, "max": 7, "bins": {"8": 1}}
    found = lengths(list(range(1, 101)))
    assert (found["mean"], found["median"], found["min"], found["max"]) == (50.5, 50.5, 1, 100)
    assert 94 <= found["p95"] <= 97


def test_table_cells_cannot_break_the_table():
    assert table(["a"], [["x|y\nz"]]) == "| a |\n| --- |\n| x\\|y z |"


def test_the_preview_shows_rows_by_reason(result):
    samples = {(s.step, s.what, s.reason): s for s in preview(result, each=1)}
    short = samples["clean", "dropped", "too_short"]
    assert (short.count, short.shown) == (1, ("rows.csv:56 'Hi' (chars 2, min_chars 5)",))
    (edit,) = samples["clean", "changed", "mojibake"].shown
    assert "cafÃ©" in edit.split(" -> ")[0]
    assert "café" in edit.split(" -> ")[1]
    contradiction = samples["exact_duplicates", "suspected", "contradiction"]
    assert (contradiction.count, len(contradiction.shown)) == (2, 1)
    assert preview(result)[0].step == "import"
