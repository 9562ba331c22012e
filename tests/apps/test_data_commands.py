"""Data commands at the terminal: each once as it should be, once wrong, in words and in JSON."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from desk import HEAD, OBJECTIVE, build, run, write_rows
from metier.core import ledger
from metier.core.workspace import Workspace

GROUPED = '[data]\nsources = [{ path = "rows.jsonl", prompt = "message", target = "queue" }]\n'


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return a function that runs a command and returns exit code, output and errors."""

    def call(folder: Path, *words: str) -> tuple[int, str, str]:
        line = [*words, "--project", str(folder)]
        monkeypatch.setattr(sys, "argv", ["metier", *line])
        return run(capsys, *line)

    return call


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A project with one version, whose first message has mark-up in it."""
    return built(tmp_path, capsys, GROUPED)


def built(folder: Path, capsys: pytest.CaptureFixture[str], data: str) -> Path:
    write_rows(folder)
    path = folder / "rows.jsonl"
    path.write_text(path.read_text().replace("what now?", "<b>what</b> now?", 1))
    (folder / "metier.toml").write_text(HEAD + OBJECTIVE + data)
    code, _, err = build(capsys, folder)
    assert code in (0, 2), err
    return folder


def a_row(folder: Path) -> str:
    with Workspace.open(folder) as ws:
        version = ledger.get_version(ws, "latest")
        return ledger.load_split(ws, version, "train")[0].id


def refused(found: tuple[int, str, str]) -> dict[str, str]:
    """Return the error of a command that ran with ``--json``: nothing else is on its output."""
    code, out, _ = found
    assert code == 2
    error: dict[str, str] = json.loads(out)["error"]
    return error


def test_changes_and_undo(desk: Path, ask: Any) -> None:
    code, out, _ = ask(desk, "data", "changes", "--rule", "html", "--json")
    assert code == 0
    assert json.loads(out)["total"] == 1
    code, out, _ = ask(desk, "data", "undo", "--rule", "html", "--json")
    assert (code, json.loads(out)["stored"]) == (0, True)
    assert "html" in ask(desk, "data", "undo")[1]
    assert ask(desk, "data", "undo", "--rule", "html", "--redo")[0] == 0
    assert "every rule" in ask(desk, "data", "undo")[1]


def test_changes_and_undo_refuse(desk: Path, ask: Any) -> None:
    assert "'html'" in refused(ask(desk, "data", "changes", "--rule", "htlm", "--json"))["remedy"]
    assert "'html'" in refused(ask(desk, "data", "undo", "--rule", "htlm", "--json"))["remedy"]
    for lone in (["--redo"], ["--row", "ex_1"]):
        error = refused(ask(desk, "data", "undo", *lone, "--json"))
        assert error["expected"] == "the rule to take back"


def test_card_as_a_page(desk: Path, ask: Any) -> None:
    page = desk / "card.html"
    code, out, _ = ask(desk, "data", "card", "--html", str(page), "--json")
    assert (code, json.loads(out)) == (0, {"file": str(page)})
    assert page.read_text().startswith("<!")
    assert "names of people are not looked for" in page.read_text()
    error = refused(ask(desk, "data", "card", "--html", str(desk / "no" / "c.html"), "--json"))
    assert error["got"] == f"no folder {desk / 'no'}"
    assert ask(desk, "data", "card", "--html", str(desk))[0] == 2


def test_card_says_what_was_looked_for(desk: Path, ask: Any) -> None:
    _, out, _ = ask(desk, "data", "card")
    assert "De-identified under the profile `patterns`" in out
    assert "Names of people are not looked for" in out


def test_diff(desk: Path, ask: Any) -> None:
    code, out, _ = ask(desk, "data", "diff", "latest", "--json")
    assert (code, json.loads(out)["same_test"]) == (0, True)
    error = refused(ask(desk, "data", "diff", "ver_none", "--json"))
    assert error["expected"] == "a data version"


def test_publish(desk: Path, ask: Any) -> None:
    code, out, _ = ask(desk, "data", "publish", str(desk / "out"), "--json")
    assert code == 0
    assert "test" not in json.loads(out)["rows"]
    error = refused(ask(desk, "data", "publish", str(desk / "out"), "--json"))
    assert error["expected"] == "a new or empty folder"
    assert ask(desk, "data", "publish", str(desk / "o2"), "--format", "csv")[0] == 2
    assert not (desk / "o2").exists()


def test_a_hub_folder_without_a_licence_says_unknown(desk: Path, ask: Any) -> None:
    assert ask(desk, "data", "publish", str(desk / "hub"), "--format", "hub")[0] == 0
    assert 'license: "unknown"' in (desk / "hub" / "README.md").read_text()


def test_quarantine_of_an_unknown_reason(desk: Path, ask: Any) -> None:
    path = desk / "rows.jsonl"
    new = '{"message": "My oven is cold, what now?", "queue": "machines"}\n'
    path.write_text(path.read_text() + new + '{"message": "cut off\n')
    assert ask(desk, "data", "build")[0] == 0
    _, out, _ = ask(desk, "data", "quarantine", "--json")
    (row,) = json.loads(out)
    code, text, _ = ask(desk, "data", "quarantine", "--show", row["id"])
    assert code == 0
    assert "cut off" in text
    assert "QuarantineContent" not in text
    error = refused(ask(desk, "data", "quarantine", "--reason", "nope", "--json"))
    assert row["reason"] in error["remedy"]


def test_incidents(desk: Path, ask: Any) -> None:
    row = a_row(desk)
    code, out, _ = ask(desk, "data", "report-identifier", row, "--what", "a name", "--json")
    assert code == 0
    key = json.loads(out)["id"]
    assert "a name" not in ask(desk, "data", "incidents")[1]
    code, out, _ = ask(desk, "data", "incidents", "show", key, "--json")
    assert (code, json.loads(out)["said"]) == (0, "a name")
    assert ask(desk, "data", "incidents", "close", key, "--as", "fixed")[0] == 0
    unknown = ask(desk, "data", "report-identifier", "ex_none", "--what", "x", "--json")
    assert "ex_none" in refused(unknown)["got"]
    assert refused(ask(desk, "data", "incidents", "colse", "--json"))["remedy"].startswith("did")


def test_of_an_erased_version_the_successor_is_named(desk: Path, ask: Any) -> None:
    old = json.loads(ask(desk, "data", "versions", "--json")[1])[0]["id"]
    assert ask(desk, "data", "publish", str(desk / "sent"))[0] == 0
    code, out, _ = ask(
        desk, "data", "erase", "--group", a_row(desk), "--yes", "--reason", "a request", "--json"
    )
    exports = json.loads(out)["exports"]
    assert (code, exports[0]["folder"], exports[0]["version"]) == (0, "sent", old)
    new = json.loads(ask(desk, "data", "versions", "--json")[1])[-1]["id"]
    for words in (
        ["diff", old],
        ["publish", str(desk / "o"), "--version", old],
        ["export", "train", str(desk / "o.jsonl"), "--version", old],
        ["quality", "--version", old],
    ):
        assert new in refused(ask(desk, "data", *words, "--json"))["remedy"], words
    assert "holds no rows any more" in ask(desk, "data", "versions")[1]


def test_erase(desk: Path, ask: Any) -> None:
    row = a_row(desk)
    code, out, _ = ask(desk, "data", "erase", "--group", row, "--json")
    assert (code, json.loads(out)["rows"]) == (0, 1)
    assert (
        "reason"
        in refused(ask(desk, "data", "erase", "--group", row, "--yes", "--json"))["expected"]
    )
    words = ["--group", row, "--yes", "--reason", "a request", "--json"]
    code, out, _ = ask(desk, "data", "erase", *words)
    assert (code, json.loads(out)["rows"]) == (0, 1)
    assert len(json.loads(ask(desk, "data", "erasures", "--json")[1])) == 1
    assert "nothing of this group" in ask(desk, "data", "erase", "--group", row)[1]
    assert refused(ask(desk, "data", "erase", *words))["expected"].startswith("a group")


SIGNED = '[data]\ndeidentify = { profile = "safe-harbor", operators = { person = "surrogate" } }\n'


def test_sign_off_and_vault(tmp_path: Path, ask: Any, capsys: pytest.CaptureFixture[str]) -> None:
    desk = built(tmp_path, capsys, SIGNED + GROUPED.removeprefix("[data]\n"))
    error = refused(ask(desk, "data", "build", "--json"))
    assert "sign-off draw" in error["remedy"]
    sheet = desk / "sheet.csv"
    code, out, _ = ask(desk, "data", "sign-off", "draw", str(sheet), "--n", "4", "--json")
    assert (code, json.loads(out)["rows"]) == (0, 4)
    again = refused(ask(desk, "data", "sign-off", "draw", str(sheet), "--json"))
    assert again["expected"] == "the name of a new file"
    other = refused(ask(desk, "data", "sign-off", "draw", str(desk / "a.xlsx"), "--json"))
    assert other["expected"] == "a sheet called .csv or .jsonl"
    mark(sheet)
    assert "readings missing" in refused(sign(desk, ask))["got"]
    for name in ("mara", "tom"):
        assert ask(desk, "data", "sign-off", "read", str(sheet), "--by", name)[0] == 0
    code, out, _ = ask(desk, "data", "sign-off", "show")
    assert (code, "nan" in out) == (0, False)
    code, out, _ = sign(desk, ask)
    assert (code, json.loads(out)["result"]["read"]) == (0, 4)
    assert ask(desk, "data", "build")[0] == 0
    assert "mara" in ask(desk, "data", "card")[1].casefold()
    assert ask(desk, "vault", "count", "--json")[0] == 0
    assert refused(ask(desk, "vault", "show", "ex_none", "--json"))["got"] == "'ex_none'"


def sign(desk: Path, ask: Any) -> Any:
    return ask(desk, "data", "sign-off", "sign", "--by", "Mara", "--role", "officer", "--json")


def mark(sheet: Path) -> None:
    """Mark every row as read, with nothing missed."""
    with sheet.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    with sheet.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(row | {"missed": "none"} for row in rows)
