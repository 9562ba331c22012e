"""From a file of preferences to a tuned model, through the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from desk import HEAD, message, project, run

OBJECTIVE = '[objective]\ntask = "chat"\n'
DATA = '[data]\nsources = [{ path = "rows.jsonl" }]\n'
TUNE = '[tune]\nalgorithm = {{ type = "{kind}" }}\nlr = 1e-3\nepochs = 1\nbatch_tokens = 1024\n'


def turn(role: str, text: str) -> dict[str, str]:
    return {"role": role, "content": text}


def write(folder: Path, pairs: int, singles: int = 0) -> None:
    rows: list[object] = [
        {
            "input": {"messages": [turn("user", message(number))]},
            "preferred_output": [turn("assistant", f"Thank you, we look at {number}.")],
            "non_preferred_output": [turn("assistant", f"Number {number} is yours.")],
        }
        for number in range(pairs)
    ]
    rows += [
        {"messages": [turn("user", message(number)), turn("assistant", f"We look at {number}.")]}
        for number in range(pairs, pairs + singles)
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def built(
    capsys: pytest.CaptureFixture[str], folder: Path, kind: str, pairs: int, singles: int = 0
) -> None:
    project(folder, HEAD + OBJECTIVE + DATA + TUNE.format(kind=kind))
    write(folder, pairs, singles)
    code, _, err = run(capsys, "data", "build", "--project", str(folder))
    assert code == 0, err


def test_a_file_of_pairs_becomes_a_tuned_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    built(capsys, tmp_path, "dpo", 40, 4)
    code, out, err = run(capsys, "tune", "--project", str(tmp_path), "--json")
    assert code == 0, err
    made = json.loads(out)
    assert made["state"] == "done"
    summary = made["summary"]
    assert summary["validation_loss"] < summary["validation_loss_before"] < 0.694
    assert summary["shared_prompts"] is True
    assert 1 <= summary["excluded"] <= 4, "some of the single replies are in other splits"
    assert summary["pairs"] == summary["examples"] > 20


def test_rows_without_pairs_are_refused_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    built(capsys, tmp_path, "kto", 0, 40)
    code, _, err = run(capsys, "tune", "--project", str(tmp_path))
    assert code == 2
    assert "training rows with a chosen and a rejected reply, as kto learns from" in err
    assert "no preference: one reply only" in err
