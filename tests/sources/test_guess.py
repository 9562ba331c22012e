"""guess: the right columns for the usual shapes, with reasons."""

import csv
import json
from pathlib import Path

import pytest

from metier.core.errors import InputError
from metier.sources import Guess, guess

Rows = list[dict[str, object]]
LONG = "The customer wrote at length about a parcel that did not arrive and asked what to do now. "


def of(folder: Path, rows: Rows, name: str = "in.jsonl") -> Guess:
    (folder / name).write_text("\n".join(json.dumps(row) for row in rows))
    return guess(folder / name)


def test_a_table_of_messages_and_labels(tmp_path: Path) -> None:
    rows: Rows = [
        {"id": n, "customer": n % 40, "text": f"{LONG}{n}", "category": "ab"[n % 2]}
        for n in range(100)
    ]
    found = of(tmp_path, rows)
    assert (found.task, found.config.prompt, found.config.target) == (
        "classify",
        "text",
        "category",
    )
    assert found.config.group == "customer"
    assert found.config.path == "in.jsonl"
    assert any("2 different values" in sentence for sentence in found.why)
    assert found.preview_rows[0]["category"] == "a"
    assert len(found.preview_rows) == 3


def test_questions_with_context_and_answers(tmp_path: Path) -> None:
    rows: Rows = [
        {"question": f"What about case {n}?", "context": LONG * 3, "answer": f"It was {n} days."}
        for n in range(30)
    ]
    found = of(tmp_path, rows)
    assert found.config.prompt == "{context}\n\n{question}"
    assert (found.task, found.config.target) == ("answer", "answer")


def test_short_prompts_with_text_are_answered(tmp_path: Path) -> None:
    rows: Rows = [{"question": f"What is the thing {n}?", "answer": f"{LONG}{n}"} for n in range(9)]
    assert of(tmp_path, rows).task == "answer"


def test_long_documents_with_short_notes_are_summarised(tmp_path: Path) -> None:
    rows: Rows = [{"dialogue": f"{LONG * 6}{n}", "note": f"{LONG}{n}"} for n in range(9)]
    found = of(tmp_path, rows)
    assert (found.task, found.config.prompt, found.config.target) == (
        "summarize",
        "dialogue",
        "note",
    )


def test_lists_of_codes_are_several_labels(tmp_path: Path) -> None:
    rows: Rows = [{"text": f"{LONG}{n}", "codes": ["a", f"b{n % 3}"]} for n in range(20)]
    found = of(tmp_path, rows)
    assert (found.task, found.config.target) == ("multilabel", "codes")
    assert "4 different items" in found.why[1]


def test_lists_with_positions_are_spans(tmp_path: Path) -> None:
    rows: Rows = [
        {"text": f"{LONG}{n}", "spans": [{"start": 0, "end": 3 + n % 5, "label": "x"}]}
        for n in range(9)
    ]
    assert of(tmp_path, rows).task == "extract"


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [{"role": "user", "content": "x"}]},
        {"conversations": [{"from": "human", "value": "x"}]},
        {"instruction": "x", "input": "", "output": "y"},
    ],
)
def test_chat_formats_need_no_columns(tmp_path: Path, row: dict[str, object]) -> None:
    found = of(tmp_path, [row])
    assert (found.task, found.config.prompt, found.config.target) == ("chat", None, None)


def test_a_table_without_text_is_written_out(tmp_path: Path) -> None:
    with (tmp_path / "in.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["", "Age", "Job", "Risk"])
        writer.writerows([n, 20 + n % 30, n % 3, "good" if n % 3 else "bad"] for n in range(90))
    found = guess(tmp_path / "in.csv")
    assert found.config.prompt == "Age: {Age}\nJob: {Job}"
    assert (found.task, found.config.target) == ("classify", "Risk")


def test_a_wide_table_is_turned(tmp_path: Path) -> None:
    names = [f"Clause {n}" for n in range(9)]
    row: dict[str, object] = {"File": "x.pdf"}
    for name in names:
        row |= {name: f"['text of {name}']", f"{name}-Answer": "Yes"}
    found = of(tmp_path, [row, {**row, "File": "y.pdf"}])
    assert found.config.unpivot is not None
    assert found.config.unpivot.skip == ["File", "*Answer"]
    assert (found.config.prompt, found.config.target) == ("{value}", "{name}")
    assert found.config.group == "File"


def test_rows_without_an_answer_are_to_be_labelled(tmp_path: Path) -> None:
    found = of(tmp_path, [{"text": f"{LONG}{n}"} for n in range(9)])
    assert found.config.target is None
    assert "to be labelled" in found.why[1]


def test_the_path_is_relative_to_the_project(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "in.csv").write_text(f"text,label\n{LONG},a\n")
    assert guess(tmp_path / "raw" / "in.csv", tmp_path).config.path == "raw/in.csv"


def test_nothing_to_guess_from(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text("broken\n")
    with pytest.raises(InputError, match="rows that can be read"):
        guess(tmp_path / "in.jsonl")
    (tmp_path / "in.csv").write_text("id\n1\n2\n")
    with pytest.raises(InputError, match="a column that can be asked"):
        guess(tmp_path / "in.csv")
