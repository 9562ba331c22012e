"""A small made desk: its messages, its project file, and a way to run commands on it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from metier.apps.cli import main

HEAD = '[project]\nname = "desk"\nbase = "metier/tiny"\n'
OBJECTIVE = '[objective]\ntask = "classify"\n'
DATA = '[data]\nsources = [{ path = "rows.jsonl", prompt = "message", target = "queue" }]\n'
NOUNS = [
    "parcel",
    "invoice",
    "refund",
    "login",
    "password",
    "account",
    "printer",
    "cable",
    "battery",
    "screen",
]
VERBS = ["lost", "broken", "missing", "late", "wrong", "stuck", "blocked", "slow", "noisy", "empty"]


def message(number: int) -> str:
    """A distinct short message; its queue follows from the noun."""
    noun, verb = NOUNS[number % 10], VERBS[number // 10 % 10]
    return f"My {noun} number {number} is {verb} since day {number * 7}, what now?"


def rows(count: int) -> list[dict[str, str]]:
    return [
        {"message": message(i), "queue": "parcels" if i % 10 < 5 else "machines"}
        for i in range(count)
    ]


def write_rows(folder: Path, count: int = 60) -> None:
    lines = [json.dumps(row) for row in rows(count)]
    (folder / "rows.jsonl").write_text("\n".join(lines) + "\n")


def project(folder: Path, text: str = HEAD + OBJECTIVE + DATA) -> Path:
    (folder / "metier.toml").write_text(text)
    return folder


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Run a command; return exit code, standard output, standard error."""
    try:
        main(list(words))
        code = 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    out = capsys.readouterr()
    assert "Traceback" not in out.err
    return code, out.out, out.err


def build(capsys: pytest.CaptureFixture[str], folder: Path) -> tuple[int, str, str]:
    return run(capsys, "data", "build", "--project", str(folder))
