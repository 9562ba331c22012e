"""Play the customers and the experts of the sample project against a running server.

    python simulate_users.py users --url http://127.0.0.1:8421 [--seed 0] [--parallel 16]
    python simulate_users.py experts --url http://127.0.0.1:8421

The 200 customers of ``truth/live.jsonl`` write their messages and say what they think of the
answers; the experts then work through the queue of corrections. Both know the right answers, the
server does not. What has been sent is noted in ``truth/sent.jsonl`` and what has been said of it
in ``truth/given.jsonl``, so that a run that was interrupted goes on where it stopped.

The parameters of the simulation stand below. What one customer does follows from the seed and the
message alone, whatever the order in which the server answers. One JSON summary goes to standard
output, progress to standard error; the exit code is 2 if the server cannot be worked with.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import threading
import time
import tomllib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

HERE = Path(__file__).parent
Row = dict[str, Any]

# Parameters of the simulation: how likely a customer is to do what.
THUMB_IF_WRONG = 0.75  # presses thumbs down when the queue is wrong
THUMB_IF_RIGHT = 0.60  # presses thumbs up when the queue is right
SLIP = 0.02  # of those who press either: presses the other one by mistake
COMMENT = 0.25  # of those who found it wrong and pressed: writes a sentence about it
DEMONSTRATION = 0.30  # of those who found it wrong and pressed: gives the right answer

BUSY = (429, 503)  # the server asks to come back later
BUSY_S, OFFLINE_S = 300.0, 10.0  # how long a busy or silent server is tried again
TIMEOUT_S = 120.0  # for one answer
MODEL, WORKER, QUEUE = "champion", "expert-1", "corrections"


class Trouble(Exception):
    """The simulation cannot go on; the message says why."""


class Server:
    """The server under test. Threads may share it."""

    def __init__(self, url: str) -> None:
        self.client = httpx.Client(base_url=url, timeout=TIMEOUT_S)

    def post(self, path: str, body: Row) -> httpx.Response:
        """Return the answer to a request, trying again while the server is busy or silent."""
        started = time.monotonic()
        while True:
            try:
                response = self.client.post(path, json=body)
            except httpx.TransportError as error:
                pause, limit, why = 0.5, OFFLINE_S, f"cannot be reached: {error or repr(error)}"
            else:
                if response.is_success:
                    return response
                why = f"answered {path} with {response.status_code}: {response.text[:300]}"
                if response.status_code not in BUSY:
                    raise Trouble(f"{self.client.base_url} {why}")
                pause, limit = retry_after_s(response), BUSY_S
            if time.monotonic() - started + pause > limit:
                raise Trouble(f"{self.client.base_url} {why}")
            time.sleep(pause)


def retry_after_s(response: httpx.Response) -> float:
    """Return how long to wait, in seconds; 1 where the server does not say or gives a date."""
    try:
        return max(0.0, float(response.headers["Retry-After"]))
    except (KeyError, ValueError):
        return 1.0


class Notes:
    """Rows that are appended to a file at once, so that an interrupted run loses none."""

    def __init__(self, path: Path) -> None:
        self.path, self.lock = path, threading.Lock()
        self.rows = read_rows(path) if path.exists() else []

    def add(self, row: Row) -> None:
        """Append a row to the file and to ``rows``."""
        with self.lock, self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            self.rows.append(row)


def read_rows(path: Path) -> list[Row]:
    if not path.exists():
        raise Trouble(f"{path} does not exist: run make_data.py first")
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


# Customers


class Customers:
    """The customers of ``truth/live.jsonl``, and what they have sent and said so far."""

    def __init__(self, server: Server, truth: Path, seed: int) -> None:
        self.server, self.seed = server, seed
        self.messages = read_rows(truth / "live.jsonl")
        self.sent, self.given = Notes(truth / "sent.jsonl"), Notes(truth / "given.jsonl")
        self.replies = {row["message_id"]: row for row in self.sent.rows}
        self.known = {(row["message_id"], row["metric_name"]) for row in self.given.rows}
        words = tomllib.loads((HERE / "language.toml").read_text("utf-8"))
        self.comments: list[str] = words["comments"]["sentences"]

    def play(self, message: Row) -> None:
        """Send a message and say what its writer thinks of the answer; leave out what was done."""
        name = message["message_id"]
        reply = self.replies.get(name) or self.send(message)
        right = reply["route"] == message["queue"]
        for metric, value in opinion(message, right, self.seed, self.comments):
            if (name, metric) not in self.known:
                body = {"metric_name": metric, "value": value}
                self.server.post("/v1/feedback", {**body, "inference_id": reply["reply_id"]})
                self.given.add({"message_id": name, **body})

    def send(self, message: Row) -> Row:
        """Ask the specialist and note under which id it answered, and with which queue."""
        asked = [{"role": "user", "content": message["text"]}]
        body = {"model": MODEL, "messages": asked, "user": message["user"]}
        answer = self.server.post("/v1/chat/completions", body).json()
        route = route_of(answer["choices"][0]["message"]["content"])
        row = {"message_id": message["message_id"], "reply_id": answer["id"], "route": route}
        self.sent.add(row)
        return row

    def summary(self) -> Row:
        """Count what has been sent and said, earlier runs included."""
        truth = {row["message_id"]: row for row in self.messages}
        right = sum(row["route"] == truth[row["message_id"]]["queue"] for row in self.sent.rows)
        said = Counter(row["metric_name"] for row in self.given.rows)
        up = sum(row["value"] is True for row in self.given.rows)
        return {
            "users": len({truth[row["message_id"]]["user"] for row in self.sent.rows}),
            "messages": len(self.sent.rows),
            "answered_right": right,
            "answered_wrong": len(self.sent.rows) - right,
            "thumbs_up": up,
            "thumbs_down": said["helpful"] - up,
            "comments": said["comment"],
            "demonstrations": said["demonstration"],
        }


def route_of(content: str | None) -> str | None:
    """Return the queue that an answer names; None where it is not the JSON that was agreed on."""
    try:
        return json.loads(content or "")["route"]
    except (ValueError, KeyError, TypeError):
        return None


def opinion(
    message: Row, right: bool, seed: int, comments: list[str]
) -> list[tuple[str, bool | str]]:
    """Return what a customer says of an answer, as (metric, value).

    Everything is drawn whether it is used or not, so that no draw moves another.
    """
    rng = random.Random(f"{seed} {message['message_id']}")
    presses, slips, writes, shows = (rng.random() for _ in range(4))
    comment = rng.choice(comments).format(email=f"{message['user'].lower()}@example.com")
    if presses >= (THUMB_IF_RIGHT if right else THUMB_IF_WRONG):
        return []
    said: list[tuple[str, bool | str]] = [("helpful", right != (slips < SLIP))]
    if not right and writes < COMMENT:
        said.append(("comment", comment))
    if not right and shows < DEMONSTRATION:
        said.append(("demonstration", json.dumps(right_answer(message), ensure_ascii=False)))
    return said


def right_answer(message: Row) -> Row:
    return {"route": message["queue"], "reply": message["reply"]}


def play_users(server: Server, truth: Path, seed: int, parallel: int) -> Row:
    """Send every message that was not sent yet and return the summary."""
    customers = Customers(server, truth, seed)
    total = len(customers.messages)
    with ThreadPoolExecutor(parallel) as pool:
        for count, _ in enumerate(pool.map(customers.play, customers.messages), 1):
            if count % 100 == 0 or count == total:
                print(f"{count} of {total} messages", file=sys.stderr)
    return customers.summary()


# Experts


def play_experts(server: Server, truth: Path) -> Row:
    """Answer the queue until it is empty; skip what no simulated customer wrote."""
    messages = {row["message_id"]: row for row in read_rows(truth / "live.jsonl")}
    sent = {
        row["reply_id"]: messages[row["message_id"]] for row in Notes(truth / "sent.jsonl").rows
    }
    counts, seen = {"answered": 0, "skipped": 0}, set()
    while item := next_item(server):
        if item["item_id"] in seen:
            raise Trouble(f"the queue gave out {item['item_id']} again after it was dealt with")
        seen.add(item["item_id"])
        message = sent.get(item["interaction_id"])
        counts["answered" if message else "skipped"] += 1
        deal_with(server, item["item_id"], message)
        if len(seen) % 100 == 0:
            print(f"{len(seen)} items", file=sys.stderr)
    return counts


def next_item(server: Server) -> Row | None:
    """Take the next item of the queue; None when nothing is left."""
    response = server.post("/v1/queue/next", {"worker": WORKER, "queue": QUEUE})
    return None if response.status_code == 204 else response.json()


def deal_with(server: Server, item_id: str, message: Row | None) -> None:
    """Answer an item with the truth about its message, or skip it where nothing is known."""
    if message:
        body = {"worker": WORKER, "value": right_answer(message)}
        server.post(f"/v1/queue/{item_id}/answer", body)
    else:
        body = {"worker": WORKER, "reason": "Not a message of the simulation."}
        server.post(f"/v1/queue/{item_id}/skip", body)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(description="Play the sample project's customers and experts.")
    commands = top.add_subparsers(dest="who", required=True)
    users = commands.add_parser(
        "users", help="write the messages and say what the answers are like"
    )
    experts = commands.add_parser("experts", help="answer the queue of corrections")
    for command in (users, experts):
        command.add_argument("--url", default="http://127.0.0.1:8421", help="the server")
        command.add_argument("--truth", type=Path, default=HERE / "truth", help="with live.jsonl")
    users.add_argument("--seed", type=int, default=0, help="of what the customers do")
    users.add_argument("--parallel", type=int, default=16, help="messages on their way at once")
    return top


def main(words: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = parser().parse_args(words)
    server = Server(options.url)
    try:
        if options.who == "users":
            summary = play_users(server, options.truth, options.seed, options.parallel)
        else:
            summary = play_experts(server, options.truth)
    except Trouble as trouble:
        print(f"simulate_users: {trouble}", file=sys.stderr)
        return 2
    finally:
        server.client.close()
    print(json.dumps(summary))
    return 0


if __name__ == "__main__":
    sys.exit(main())
