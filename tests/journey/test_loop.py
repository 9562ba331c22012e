"""The whole loop, small: a cycle, a release, a served model, its failures, and the next cycle."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from openai import OpenAI

from desk import DATA, HEAD, OBJECTIVE, project, run, write_rows
from metier.core import ledger
from metier.core.workspace import Workspace

SETTINGS = (
    '[[objective.target]]\nmetric = "f1_macro"\nat_least = 0.99\n'
    + DATA
    + '[tune]\nmethod = { type = "lora", r = 4, alpha = 8 }\nlr = 4e-3\nepochs = 1\n'
    "batch_tokens = 512\n[evaluate]\nresamples = 100\nvalidation_sample = 10\n"
    'rungs = ["keyword"]\n[feedback]\nheld_back = 0.5\nlow_confidence = 0.0\naudit_share = 0.0\n'
)
USERS = 12


@dataclass(frozen=True)
class Loop:
    """A project after its second cycle, and what happened on the way."""

    folder: Path
    replies: list[str]
    streamed: str
    refused: str
    waited: list[dict[str, str]]
    second: dict[str, object]


def asked(number: int) -> str:
    """A message of a user; one of them gives an address of theirs."""
    return f"Hello, the washer number {number} of mara.{number}@example.org leaks, who can help?"


def wrong(label: str) -> str:
    return "machines" if label == "parcels" else "parcels"


def say(capsys: pytest.CaptureFixture[str], folder: Path, *words: str) -> tuple[int, str, str]:
    return run(capsys, *words, "--project", str(folder), "--json")


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loop]:
    """Everything happens once, through the command line and over HTTP."""
    folder = tmp_path_factory.mktemp("loop")
    write_rows(folder, 80)
    project(folder, HEAD + OBJECTIVE + SETTINGS)
    metier(folder, "cycle", "run")
    refused = metier(folder, "release", "promote", "v1", expect=2)
    metier(folder, "release", "promote", "v1", "--override", "--reason", "a pilot with few users")
    serve = [*COMMAND, "serve", "--port", "0", "--json", "--project", str(folder)]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = json.loads(server.stdout.readline())["url"]
        replies, streamed, waited = pilot(folder, url)
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0
    second = json.loads(metier(folder, "cycle", "run"))
    yield Loop(folder, replies, streamed, refused, waited, second)


def pilot(folder: Path, url: str) -> tuple[list[str], str, list[dict[str, str]]]:
    """What users and experts do; returns the ids of the replies, a stream, who was waited for."""
    client = OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
    replies = [use(client, url, number) for number in range(USERS)]
    streamed = "".join(
        piece.choices[0].delta.content or ""
        for piece in client.chat.completions.create(
            model="champion", messages=[{"role": "user", "content": asked(1)}], stream=True
        )
        if piece.choices
    )
    metier(folder, "feedback", "collect")
    waited = json.loads(metier(folder, "cycle", "run"))
    correct(url)
    return replies, streamed, waited


COMMAND = [sys.executable, "-m", "metier"]


def metier(folder: Path, *words: str, expect: int = 0) -> str:
    """Run a command in a process of its own, as a user does; return what it printed."""
    command = [*COMMAND, *words, "--project", str(folder), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == expect, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def use(client: OpenAI, url: str, number: int) -> str:
    """Ask, then say that the answer is wrong, twice, as a client that retries does."""
    reply = client.chat.completions.create(
        model="champion",
        messages=[{"role": "user", "content": asked(number)}],
        user=f"user-{number}",
    )
    label = wrong(reply.choices[0].message.content or "")
    said = [
        {"inference_id": reply.id, "metric_name": "helpful", "value": False},
        {"inference_id": reply.id, "metric_name": "demonstration", "value": label},
    ]
    ids = [httpx.post(f"{url}/v1/feedback", json=one).json()["feedback_id"] for one in said * 2]
    assert ids[:2] == ids[2:]
    return reply.id


def correct(url: str) -> None:
    """Confirm what the users said, item by item, until the queue is empty."""
    worker = {"worker": "expert"}
    for _ in range(USERS):
        item = httpx.post(f"{url}/v1/queue/next", json=worker).json()
        body = {**worker, "value": item["suggestion"], "seconds": 2.0}
        answered = httpx.post(f"{url}/v1/queue/{item['item_id']}/answer", json=body)
        assert answered.status_code == 200, answered.text
    assert httpx.post(f"{url}/v1/queue/next", json=worker).status_code == 204


def test_the_gate_refuses_on_the_lower_bound_and_says_so(loop: Loop) -> None:
    assert "f1_macro" in loop.refused
    with Workspace.open(loop.folder) as workspace:
        entries = [one for one in workspace.audit.entries() if one.action == "release.override"]
    assert [one.detail["reason"] for one in entries] == ["a pilot with few users"]


def test_a_stream_gives_what_a_plain_call_gives(loop: Loop) -> None:
    assert loop.streamed in ("parcels", "machines")


def test_the_next_cycle_waits_for_the_experts(loop: Loop) -> None:
    (wait,) = loop.waited
    assert wait["who"] == "a domain expert"
    assert str(USERS) in wait["what"]


def test_corrected_replies_are_in_the_next_version_and_never_in_its_test_set(loop: Loop) -> None:
    with Workspace.open(loop.folder) as workspace:
        first, second = ledger.list_versions(workspace)
        cases = {case.example.id: case for case in ledger.list_cases(workspace)}
        train = {one.id for one in ledger.load_split(workspace, second, "train")}
        regression = ledger.load_split(workspace, second, "regression")
    assert {case.interaction_id for case in cases.values()} == set(loop.replies)
    assert first.splits["test"] == second.splits["test"], "the sealed test set is the same bytes"
    assert {one.provenance.parent for one in regression} == set(cases)
    learned = {id for id, case in cases.items() if not case.held_back}
    assert learned
    assert learned < set(cases), "some are held back"
    assert train & set(cases) == learned


def test_lineage_leads_from_the_data_to_the_reply_and_on_to_the_next_version(loop: Loop) -> None:
    with Workspace.open(loop.folder) as workspace:
        first, second = ledger.list_versions(workspace)
        case = next(one for one in ledger.list_cases(workspace) if not one.held_back)
        runs = ledger.list_runs(workspace)
    found = json.loads(metier(loop.folder, "lineage", case.interaction_id, "--up", "--down"))
    up = [node["ref"]["id"] for node in found["made from"]]
    down = [node["ref"]["id"] for node in found["became"]]
    assert {first.id, runs[0].id} <= set(up)
    assert {case.example.id, second.id, runs[1].id} <= set(down)


def test_no_address_of_a_user_is_stored_in_clear(loop: Loop) -> None:
    with Workspace.open(loop.folder) as workspace:
        replies = ledger.list_interactions(workspace)
        texts = [reply.asked.text for reply in replies]
        opened = workspace.sealed.open(replies[0].sealed_id or "", actor="test", purpose="test")
    assert all("[EMAIL]" in text and "example.org" not in text for text in texts)
    assert b"mara.0@example.org" in opened
    database = (loop.folder / ".metier" / "metier.db").read_bytes()
    assert b"mara.0@example.org" not in database


def test_the_second_cycle_tells_what_moved_and_what_recurs(loop: Loop) -> None:
    assert isinstance(loop.second["cycle"], dict)
    assert loop.second["cycle"]["number"] == 2
    page = (loop.folder / "report.html").read_text()
    assert "From cycle to cycle" in page
    assert "Do old failures recur?" in page
    with Workspace.open(loop.folder) as workspace:
        cycles = ledger.list_cycles(workspace)
        assert [cycle.finished_at is not None for cycle in cycles] == [True, True]
        assert ledger.get_evaluation(workspace, cycles[1].regression_id or "").n == USERS


def test_nothing_new_is_no_reason_for_a_third_cycle(loop: Loop) -> None:
    again = json.loads(metier(loop.folder, "cycle", "run"))
    assert again["cycle"]["id"] == loop.second["cycle"]["id"]  # type: ignore[index]
    assert json.loads(metier(loop.folder, "audit", "verify"))["ok"]


def test_rollback_brings_the_previous_champion_back(loop: Loop) -> None:
    reason = ("--override", "--reason", "to have something to roll back")
    metier(loop.folder, "release", "promote", "v2", *reason)
    metier(loop.folder, "release", "rollback", "--reason", "worse on the telephone")
    with Workspace.open(loop.folder) as workspace:
        from metier.registry.releases import aliases

        assert aliases(workspace)["champion"].name == "v1"
        assert "release.rollback" in {one.action for one in workspace.audit.entries()}
