"""A process that is killed has stored every reply it had handed out, exactly once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from metier.core.workspace import Workspace
from serve_fakes import champion, stored

TESTS = Path(__file__).resolve().parents[1]
SERVER = """
import asyncio, json, os, sys

from metier.core.workspace import Workspace
from serve_fakes import FakeModel, pieces_of, question, serving

async def client(gateway, number):
    for count in range(10_000):
        asked = question(f"{number}.{count} of mia{number}@example.org", user=str(number))
        if number % 2:
            reply = await gateway.chat(asked)
        else:
            reply = (await pieces_of(await gateway.stream(asked)))[-1].reply
        line = json.dumps([reply.id, reply.choices[0].text]) + "\\n"
        os.write(1, line.encode())

async def main(gateway):
    await asyncio.gather(*(client(gateway, number) for number in range(6)))

with Workspace.open(sys.argv[1], store_url=sys.argv[2]) as ws:
    with serving(ws, FakeModel(streams=True)) as gateway:
        asyncio.run(main(gateway))
"""


@pytest.mark.parametrize("kept", [5, 23])
def test_every_reply_that_was_received_is_there_once(
    any_workspace: Workspace, database_url: str, kept: int
) -> None:
    champion(any_workspace)
    received: list[tuple[str, str]] = []
    for _ in range(2):
        received += killed_after(kept, any_workspace.root, database_url)
    rows = stored(any_workspace)
    counts = Counter(row.id for row in rows)
    texts = {row.id: row.replies[0] for row in rows if row.state == "done"}
    assert len(received) >= 2 * kept
    for reply_id, text in received:
        assert counts[reply_id] == 1
        assert "@example.org" in text and texts[reply_id] == _without_address(text)
    sealed = [row.sealed_id for row in rows]
    assert None not in sealed and len(set(sealed)) == len(rows)


def killed_after(count: int, root: Path, url: str) -> list[tuple[str, str]]:
    """Let a server answer ``count`` times, kill it, and return all that had been received."""
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    command = [sys.executable, "-c", SERVER, str(root), url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(count)]
        process.kill()
        lines += process.stdout.readlines()
    return [tuple(json.loads(line)) for line in lines if line.endswith(b"\n")]


def _without_address(text: str) -> str:
    words = ["[EMAIL]" if "@" in word else word for word in text.split(" ")]
    return " ".join(words)
