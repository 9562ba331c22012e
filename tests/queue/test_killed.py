"""``kill -9`` while answers come in: what was acknowledged is there, and there once.

A process answers a queue with four people at once and says on a pipe what it is about to hand in,
and what was acknowledged. It is killed at any moment; the next one hands in again whatever was not
acknowledged, as a browser does.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from metier.core.workspace import Workspace
from metier.queue import (
    Given,
    NewItem,
    NewQueue,
    iter_answers,
    make_queue,
    queue_counts,
    submit,
    take_next,
)

PEOPLE = ("ann", "ben", "cy", "di")
WANTED = 3
PROGRAM = """
import json, sys, threading
from metier.core.workspace import Workspace
from metier.queue import Given, submit, take_next

root, url, open_ones = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
ws, saying = Workspace.open(root, store_url=url), threading.Lock()

def say(*what):
    with saying:
        print(json.dumps(what), flush=True)

def hand_in(person, assignment, value):
    say("tries", person, assignment, value)
    submit(ws, assignment, person, Given(value))
    say("has", person, assignment, value)

def work(person):
    for assignment, value in open_ones.get(person, []):
        hand_in(person, assignment, value)
    while (taken := take_next(ws, "claims", person)) is not None:
        hand_in(person, taken[1].id, f"{person} on {taken[0].subject_id}")
    say("ends", person, "", "")

for person in ("ann", "ben", "cy", "di"):
    threading.Thread(target=work, args=(person,)).start()
"""


class Line:
    """What the killed processes said: values that were tried, and those acknowledged."""

    def __init__(self) -> None:
        self.tried: dict[str, tuple[str, str]] = {}
        self.acknowledged: dict[str, str] = {}

    def read(self, said: str) -> None:
        what, person, assignment, value = json.loads(said)
        if what == "tries":
            self.tried[assignment] = (person, value)
        elif what == "has":
            self.acknowledged[assignment] = value

    def open_ones(self) -> dict[str, list[tuple[str, str]]]:
        left: dict[str, list[tuple[str, str]]] = {}
        for assignment, (person, value) in self.tried.items():
            if assignment not in self.acknowledged:
                left.setdefault(person, []).append((assignment, value))
        return left


def run_and_kill(root: Path, url: str, line: Line, after: int) -> None:
    """Let a process work until it has said ``after`` lines, then kill it; read what it said."""
    program = [sys.executable, "-c", PROGRAM, str(root), url, json.dumps(line.open_ones())]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for number, said in enumerate(process.stdout):
            if said.endswith("\n"):  # the last line may have been cut off
                line.read(said)
            if number == after:
                os.kill(process.pid, signal.SIGKILL)


def check_kills(ws: Workspace, url: str, kills: int, seed: int) -> None:
    rng = random.Random(seed)
    items = 20 + kills * 10
    new = NewQueue("claims", "label", wanted=WANTED)
    make_queue(ws, new, (NewItem("example", f"ex-{n}") for n in range(items)), "mo")
    line = Line()
    for _ in range(kills):
        run_and_kill(ws.root, url, line, rng.randint(1, 40))
    assert len(line.acknowledged) >= kills
    for person, left in line.open_ones().items():
        for assignment, value in left:
            submit(ws, assignment, person, Given(value))
    for person in PEOPLE:
        while (taken := take_next(ws, "claims", person)) is not None:
            submit(ws, taken[1].id, person, Given("later"))
    stored = {mine.id: mine for _, mine in iter_answers(ws, "claims")}
    lost = [one for one, value in line.acknowledged.items() if stored[one].answer != value]
    assert lost == []
    assert len({(mine.item_id, mine.person) for mine in stored.values()}) == len(stored)
    counts = queue_counts(ws, "claims")
    assert (counts.answers, counts.complete, counts.leased) == (items * WANTED, items, 0)
    assert ws.audit.verify().ok
    answers = [entry for entry in ws.audit.entries() if entry.action == "queue.answer"]
    assert len(answers) == len({entry.subject for entry in answers}) == items * WANTED


def store_url(ws: Workspace) -> str:
    return ws.db.url.render_as_string(hide_password=False)


def test_no_acknowledged_answer_is_lost(any_workspace: Workspace) -> None:
    check_kills(any_workspace, store_url(any_workspace), kills=2, seed=7)


@pytest.mark.slow
def test_no_acknowledged_answer_is_lost_in_fifty_kills(any_workspace: Workspace) -> None:
    check_kills(any_workspace, store_url(any_workspace), kills=50, seed=11)
