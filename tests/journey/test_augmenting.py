"""metier data augment and challenge: made, written, checked by people, shown."""

from __future__ import annotations

import csv
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from desk import DATA, HEAD, OBJECTIVE, build, project, run, write_rows
from metier.core import ledger
from metier.core.errors import EgressRefused, ModelUnavailable
from metier.journey.augmenting import Wish, augment
from metier.journey.session import open_session

NOISE = '[[data.augment.ways]]\ntype = "noise"\nshare = 1.0\n'
WRITER = '[[data.augment.ways]]\ntype = "paraphrase"\nshare = 0.3\nwriter = '


@pytest.fixture
def folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A project of sixty rows with a version, and noise to be made."""
    write_rows(tmp_path)
    project(tmp_path, HEAD + OBJECTIVE + DATA + NOISE)
    assert build(capsys, tmp_path)[0] == 0
    return tmp_path


class Server(BaseHTTPRequestHandler):
    """An OpenAI-compatible server that says the message with a polite word before it."""

    seen: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        Server.seen.append(body["messages"][-1]["content"])
        choice = {"message": {"content": "Hello. " + Server.seen[-1]}, "finish_reason": "stop"}
        answer = json.dumps({"choices": [choice], "usage": {}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *given: object) -> None:
        """Keep quiet."""


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    Server.seen = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


def call(capsys: pytest.CaptureFixture[str], folder: Path, verb: str, *words: str) -> Any:
    code, out, err = run(capsys, "data", verb, "--project", str(folder), "--json", *words)
    assert code == 0, err + out
    return json.loads(out)


def configure(folder: Path, more: str) -> None:
    (folder / "metier.toml").write_text(HEAD + OBJECTIVE + DATA + more)


def test_rows_are_made_checked_and_join_the_next_build(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = call(capsys, folder, "augment", "--dry-run")
    assert plan["planned"][0]["type"] == "noise" and plan["planned"][0]["rows"] > 10
    assert not (folder / "augmented").exists()
    made = call(capsys, folder, "augment")
    lines = (folder / made["file"]).read_text().splitlines()
    assert len(lines) == made["rows"] == sum(made["ways"].values()) > 10
    assert not made["joins"]
    code, _, err = run(capsys, "data", "augment", "-p", str(folder))
    assert code != 0 and "--replace" in err
    assert call(capsys, folder, "augment", "--replace")["rows"] == made["rows"]

    sheet = call(capsys, folder, "augment", "--sample", "8", "--sheet", "check.csv")
    assert sheet["rows"] == 8
    with (folder / "check.csv").open(encoding="utf-8-sig", newline="") as source:
        rows = list(csv.reader(source))
    with (folder / "check.csv").open("w", encoding="utf-8", newline="") as sink:
        csv.writer(sink).writerows([rows[0], *([*row[:-1], "yes"] for row in rows[1:])])
    checked = call(capsys, folder, "augment", "--checked", "check.csv")["precision"]
    assert (checked["value"], checked["n"]) == (1.0, 8) and checked["low"] < 0.9

    configure(folder, 'augment.files = ["augmented/*.jsonl"]\n')
    assert build(capsys, folder)[0] == 0
    with open_session(folder / "metier.toml") as session:
        (told,) = ledger.get_version(session.workspace).card["augment"]["files"]
        actions = [entry.action for entry in session.workspace.audit.entries()]
    assert told["precision"]["n"] == 8
    assert {"augment", "augment.sheet", "augment.checked"} <= set(actions)


def test_what_is_said_on_the_terminal(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def said(*words: str) -> str:
        code, out, err = run(capsys, "data", *words, "-p", str(folder))
        assert code == 0, err
        return out

    assert "stays on this machine" in said("augment", "--dry-run")
    out = said("augment", "--limit", "10")
    assert "made rows in augmented/made.jsonl" in out and 'files = ["augmented/made.jsonl"]' in out
    assert "write yes or no" in said("augment", "--sample", "2", "--sheet", "s.csv")
    text = (folder / "s.csv").read_text(encoding="utf-8-sig").replace(",\n", ",no\n")
    (folder / "s.csv").write_text(text)
    assert "of the made rows hold, n = 2" in said("augment", "--checked", "s.csv")
    assert "now:" in said("challenge", "--kind", "injection")
    assert "no training row gives" in said("challenge", "--kind", "unanswerable")


def test_challenges_are_shown_of_training_rows_only(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = call(
        capsys, folder, "challenge", "--kind", "negation", "--kind", "typos", "--show", "4"
    )
    assert [one["kind"] for one in shown] == ["negation"] * 4 + ["typos"] * 4
    with open_session(folder / "metier.toml") as session:
        train = ledger.load_split(session.workspace, ledger.LATEST, "train")
    assert {one["parent"] for one in shown} <= {row.id for row in train}
    code, _, err = run(capsys, "data", "challenge", "-p", str(folder), "--kind", "typo")
    assert code != 0 and "typos" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--sample", "5"], "--sheet"),
        (["--sheet", "x.csv"], "--sample"),
        (["--sample", "5", "--sheet", "x.csv"], "metier data augment"),
        (["--checked", "x.csv"], "made.jsonl"),
    ],
)
def test_what_cannot_be_done_is_said(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    code, _, err = run(capsys, "data", "augment", "-p", str(folder), *words)
    assert code != 0 and said in err


def test_without_ways_or_a_version_the_way_out_is_named(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    configure(folder, "")
    code, _, err = run(capsys, "data", "augment", "-p", str(folder))
    assert code != 0 and "[[data.augment.ways]]" in err
    fresh = project(tmp_path_factory.mktemp("fresh"))
    for verb in ("augment", "challenge"):
        code, _, err = run(capsys, "data", verb, "-p", str(fresh))
        assert code != 0 and "metier data build" in err


def test_an_endpoint_is_asked_only_where_egress_permits_it(folder: Path, url: str) -> None:
    way = f'{WRITER}{{ type = "endpoint", url = "{url}", model = "m" }}\n'
    configure(folder, way)
    with open_session(folder / "metier.toml") as session:
        assert augment(session, Wish(dry_run=True)).planned[0].urls == (url,)
        with pytest.raises(EgressRefused, match="augment"):
            augment(session, Wish())
    assert Server.seen == []
    entry = 'host = "127.0.0.1"\npurpose = "augment"\nagreement = "tests"\n'
    configure(folder, f"{way}[[privacy.egress]]\n{entry}")
    with open_session(folder / "metier.toml") as session:
        found = augment(session, Wish())
    assert found.rows == len(Server.seen) > 5
    lines = [json.loads(x) for x in (folder / found.file).read_text().splitlines()]
    assert all(one["messages"][0]["parts"][0]["text"].startswith("Hello. ") for one in lines)


def test_the_bundled_model_may_write_and_a_missing_one_is_named(folder: Path) -> None:
    configure(folder, WRITER + '{ type = "local", base = "metier/tiny" }\n')
    with open_session(folder / "metier.toml") as session:
        found = augment(session, Wish(limit=2))
    assert (found.rows or 0) + sum(found.left_out.values()) <= 2
    configure(folder, WRITER + '{ type = "seq2seq", model = "./no/such/folder" }\n')
    with open_session(folder / "metier.toml") as session, pytest.raises(ModelUnavailable):
        augment(session, Wish(replace=True))
