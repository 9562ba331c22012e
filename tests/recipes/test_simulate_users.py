"""The simulated customers and experts, against a small server that answers as it is told."""

import json
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

RECIPE = Path(__file__).parents[2] / "recipes" / "product_support"
sys.path.insert(0, str(RECIPE))

import simulate_users  # noqa: E402

Row = dict[str, Any]
MESSAGES = [
    {
        "user": f"C{number % 40}",
        "message_id": f"L{number:04}",
        "text": f"message {number} {'good' if number % 2 else 'bad'}",
        "queue": "billing",
        "reply": "We check the payment today. Order FH-1.",
    }
    for number in range(300)
]


class Desk(ThreadingHTTPServer):
    """Answers "good" messages with the right queue and others with a wrong one."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.lock = threading.Lock()
        self.chats: list[Row] = []
        self.feedback: list[Row] = []
        self.items: list[Row] = []
        self.dealt: dict[str, Row] = {}
        self.busy: list[int] = []  # statuses to give before anything else
        self.fails_after: int | None = None

    def chat(self, body: Row) -> tuple[int, Row | None]:
        if self.fails_after is not None and len(self.chats) >= self.fails_after:
            return 500, {"error": "out of order"}
        self.chats.append(body)
        text = body["messages"][0]["content"]
        content = json.dumps({"route": "billing", "reply": "Hm."}) if "good" in text else "Sorry?"
        return 200, {"id": f"reply to {text}", "choices": [{"message": {"content": content}}]}

    def answer(self, path: str, body: Row) -> tuple[int, Row | None]:
        if self.busy:
            return self.busy.pop(), None
        if path == "/v1/chat/completions":
            return self.chat(body)
        if path == "/v1/feedback":
            self.feedback.append(body)
            return 200, {"feedback_id": str(len(self.feedback))}
        if path == "/v1/queue/next":
            assert body == {"worker": "expert-1", "queue": "corrections"}
            return (200, self.items.pop()) if self.items else (204, None)
        item, action = path.removeprefix("/v1/queue/").split("/")
        self.dealt[item] = {"action": action, **body}
        return 200, {}


class Handler(BaseHTTPRequestHandler):
    server: Desk

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            status, answer = self.server.answer(self.path, body)
        content = b"" if answer is None else json.dumps(answer).encode()
        self.send_response(status)
        if status in (429, 503):
            self.send_header("Retry-After", "0.01")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def desk() -> Iterator[Desk]:
    server = Desk()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    lines = [json.dumps(message) + "\n" for message in MESSAGES]
    (tmp_path / "live.jsonl").write_text("".join(lines))
    return tmp_path


def play(desk: Desk, truth: Path, *words: str) -> int:
    return simulate_users.main([*words, "--url", desk.url, "--truth", str(truth)])


def said(feedback: list[Row]) -> Counter[str]:
    return Counter(json.dumps(row, sort_keys=True) for row in feedback)


def test_feedback_follows_the_truth(
    desk: Desk, truth: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert play(desk, truth, "users") == 0
    summary = json.loads(capsys.readouterr().out)
    assert Counter(chat["user"] for chat in desk.chats) == Counter(m["user"] for m in MESSAGES)
    assert {chat["model"] for chat in desk.chats} == {"champion"}
    thumbs = [row for row in desk.feedback if row["metric_name"] == "helpful"]
    good = [row["value"] for row in thumbs if "good" in row["inference_id"]]
    bad = [row["value"] for row in thumbs if "bad" in row["inference_id"]]
    assert sum(good) / len(good) > 0.9 > 0.1 > sum(bad) / len(bad)
    rest = [row for row in desk.feedback if row["metric_name"] != "helpful"]
    assert all("bad" in row["inference_id"] for row in rest)
    shown = [json.loads(row["value"]) for row in rest if row["metric_name"] == "demonstration"]
    assert all(row == {"route": "billing", "reply": MESSAGES[0]["reply"]} for row in shown)
    assert summary == {
        "users": 40,
        "messages": 300,
        "answered_right": 150,
        "answered_wrong": 150,
        "thumbs_up": sum(good) + sum(bad),
        "thumbs_down": len(thumbs) - sum(good) - sum(bad),
        "comments": len(rest) - len(shown),
        "demonstrations": len(shown),
    }
    assert min(summary.values()) > 20


@pytest.mark.parametrize(("right", "pressing"), [(True, 0.60), (False, 0.75)])
def test_customers_act_as_often_as_the_readme_states(right: bool, pressing: float) -> None:
    people = [{**MESSAGES[0], "message_id": str(number)} for number in range(20_000)]
    said = [dict(simulate_users.opinion(one, right, 0, ["a"])) for one in people]
    pressed = [one for one in said if one]
    assert len(pressed) / len(said) == pytest.approx(pressing, abs=0.015)
    slips = sum(one["helpful"] != right for one in pressed) / len(pressed)
    assert slips == pytest.approx(0.02, abs=0.005)
    for metric, share in {"comment": 0.25, "demonstration": 0.30}.items():
        given = sum(metric in one for one in pressed) / len(pressed)
        assert given == pytest.approx(0 if right else share, abs=0.015)


def test_what_customers_do_depends_on_the_seed_and_not_on_the_order(
    desk: Desk, truth: Path, tmp_path: Path
) -> None:
    runs = []
    for words in (["--parallel", "16"], ["--parallel", "1"], ["--seed", "1"]):
        assert play(desk, truth, "users", *words) == 0
        runs.append(said(desk.feedback))
        desk.feedback.clear()
        for name in ("sent.jsonl", "given.jsonl"):
            (truth / name).unlink()
    assert runs[0] == runs[1] != runs[2]


def test_an_interrupted_run_goes_on_and_sends_nothing_twice(
    desk: Desk, truth: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.fails_after = 150
    assert play(desk, truth, "users") == 2
    assert "500: " in capsys.readouterr().err
    assert len((truth / "sent.jsonl").read_text().splitlines()) == 150
    desk.fails_after = None
    assert play(desk, truth, "users") == 0
    first = capsys.readouterr().out
    assert play(desk, truth, "users") == 0
    assert capsys.readouterr().out == first
    assert max(Counter(chat["messages"][0]["content"] for chat in desk.chats).values()) == 1
    assert len(desk.chats) == 300
    assert max(said(desk.feedback).values()) == 1


def test_feedback_that_was_not_noted_is_given_again(desk: Desk, truth: Path) -> None:
    assert play(desk, truth, "users") == 0
    given = desk.feedback.copy()
    (truth / "given.jsonl").unlink()
    assert play(desk, truth, "users") == 0
    assert len(desk.chats) == 300
    assert said(desk.feedback[len(given) :]) == said(given)


def test_experts_answer_what_was_sent_and_skip_the_rest(
    desk: Desk, truth: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert play(desk, truth, "users") == 0
    capsys.readouterr()
    known = [
        {"item_id": f"Q{n}", "interaction_id": f"reply to {MESSAGES[n]['text']}"} for n in (2, 4)
    ]
    desk.items = [*known, {"item_id": "Q9", "interaction_id": "of someone else"}]
    assert play(desk, truth, "experts") == 0
    assert json.loads(capsys.readouterr().out) == {"answered": 2, "skipped": 1}
    value = {"route": "billing", "reply": MESSAGES[2]["reply"]}
    assert desk.dealt["Q2"] == {"action": "answer", "worker": "expert-1", "value": value}
    assert desk.dealt["Q9"]["action"] == "skip"
    assert desk.dealt["Q9"]["reason"]


def test_a_queue_that_repeats_itself_is_not_worked_for_ever(
    desk: Desk, truth: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.items = [{"item_id": "Q1", "interaction_id": "unknown"}] * 2
    assert play(desk, truth, "experts") == 2
    assert "Q1 again" in capsys.readouterr().err


def test_a_busy_server_is_asked_again(desk: Desk, truth: Path) -> None:
    desk.busy = [429, 503, 429]
    assert play(desk, truth, "users") == 0
    assert len(desk.chats) == 300


def test_without_server_or_messages_it_says_so(
    desk: Desk, truth: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulate_users, "OFFLINE_S", 0.1)
    url = ["--url", "http://127.0.0.1:9"]
    assert simulate_users.main(["users", *url, "--truth", str(truth)]) == 2
    assert "cannot be reached" in capsys.readouterr().err
    assert play(desk, truth / "nowhere", "experts") == 2
    assert "run make_data.py first" in capsys.readouterr().err
