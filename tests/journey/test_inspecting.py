"""`metier inspect` from the command line: a project's examples, and another trainer's data."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from desk import build, project, run, write_rows

ROWS = [
    {
        "messages": [
            {"role": "user", "content": f"where is <b>{n}</b>"},
            {"role": "assistant", "content": f"on day {n}"},
        ]
    }
    for n in range(3)
]
CONFIG = "base_model: metier/tiny\nsequence_len: 128\ndatasets:\n"
CONFIG += "  - {path: rows.jsonl, type: chat_template}\n"


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    write_rows(project(tmp_path), 20)
    assert build(capsys, tmp_path)[0] == 0
    return tmp_path


@pytest.fixture
def config(tmp_path: Path) -> Callable[[str], str]:
    def write(more: str = "") -> str:
        lines = "\n".join(json.dumps(row) for row in ROWS)
        (tmp_path / "rows.jsonl").write_text(lines)
        (tmp_path / "axolotl.yaml").write_text(CONFIG + more)
        return str(tmp_path / "axolotl.yaml")

    return write


def test_a_projects_examples_are_shown_counted_and_checked(
    desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, "inspect", "--project", str(desk), "-n", "2")
    assert code == 0, err
    assert re.search(r"rows: (\d+) read, \1 trained on, 0 left out", out)
    assert len(re.findall(r"«(?:parcels|machines)<\|im_end\|>»", out)) == 2
    assert "nothing wrong found" in out
    code, out, _ = run(capsys, "inspect", "--project", str(desk), "--json", "--pick", "longest")
    told = json.loads(out)
    assert code == 0
    assert told["trainer"] == "metier" and told["findings"] == []
    longest = [len(one["tokens"]) for one in told["shown"]]
    assert longest == sorted(longest, reverse=True)
    assert longest[0] == told["lengths"]["longest"]
    wanted = told["shown"][1]["example_id"]
    code, out, _ = run(capsys, "inspect", "--project", str(desk), "--json", "--id", wanted)
    assert [one["example_id"] for one in json.loads(out)["shown"]] == [wanted]


def test_another_trainers_data_need_no_project(
    config: Callable[[str], str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, out, err = run(capsys, "inspect", "--from", config())
    assert code == 0, err
    assert "as Axolotl trains metier/tiny on it: 3 of 3" in out
    assert not (tmp_path / ".metier").exists()


def test_a_refusal_ends_with_code_2_and_one_json_document(
    config: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = config("train_on_inputs: true\n")
    code, out, _ = run(capsys, "inspect", "--from", path)
    assert code == 2
    assert "REFUSED: what the system or the user says is in the loss in 3 of 3" in out
    assert "train_on_inputs: false" in out
    code, out, _ = run(capsys, "inspect", "--from", path, "--json")
    assert code == 2
    assert [one["severity"] for one in json.loads(out)["findings"]] == ["refuse"]


def test_the_page_is_self_contained_and_quotes_what_rows_say(
    config: Callable[[str], str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    page = tmp_path / "out" / "page.html"
    path = config("train_on_inputs: true\n")
    assert run(capsys, "inspect", "--from", path, "--html", str(page))[0] == 2
    text = page.read_text()
    assert "<b>0</b>" not in text
    assert not re.search(r"<script|<link|<img|https?://", text)
    assert 'class="wrong"' in text and "refused" in text
    assert re.search(r'class="in" title="token \d+, id \d+: in the loss"', text)
    assert "prefers-color-scheme: dark" in text


def test_model_without_from_is_told_apart(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "inspect", "--project", str(desk), "--model", "metier/tiny")
    assert code == 2
    assert "--from" in err
