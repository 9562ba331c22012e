"""A support desk's workspace as it is after some cycles, made by hand, and its pages served.

stages: "nothing", "data", "baselines", "cycle" (one), "cycles" (two, with served replies)
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from fastapi.testclient import TestClient

from evaluate_fakes import FakeCompleter, row
from metier.apps.http.pages import STATIC, make_pages
from metier.apps.http.pages.csrf import MACHINE, make_token
from metier.config import load_project
from metier.core import ledger
from metier.core.records import DataVersion, Interaction, MetricPoint, Release, TuneRun
from metier.core.types import Conversation, Example, FieldsTarget, Usage
from metier.core.workspace import Workspace
from metier.evaluate.bench import Contender
from metier.evaluate.evaluate import evaluate
from metier.journey.session import Session
from metier.journey.verbs import make_bench
from metier.queue import NewItem, add_items
from metier.registry import Manifest, create_release, point_alias
from metier.serve.types import ChatReply, ChatRequest, Choice, ModelCard

ORIGIN = "http://testserver"
STAGES = ("nothing", "data", "baselines", "cycle", "cycles")
ROUTES = ["account", "billing", "damaged", "delivery"]
STRUCTURED = """
[objective]
task = "structured"
[objective.fields]
type = "object"
required = ["route", "reply"]
[objective.fields.properties.route]
type = "string"
enum = ["account", "billing", "damaged", "delivery"]
[objective.fields.properties.reply]
type = "string"
[[objective.target]]
metric = "route.f1_macro"
at_least = 0.8
[[objective.target]]
metric = "reply.rougeL"
at_least = 0.45
[[objective.constraint]]
metric = "schema_valid"
at_least = 0.95
[[objective.target]]
metric = "satisfaction"
at_least = 4.0
stage = "pilot"
"""
CLASSIFY = """
[objective]
task = "classify"
labels = ["account", "billing", "damaged", "delivery"]
[[objective.target]]
metric = "f1_macro"
at_least = 0.8
"""
HEAD = """[project]
name = "Fernhill desk"
system = "Service desk of Fernhill Home: choose the queue, then reply."
[evaluate]
resamples = 100
"""
SAID = {
    "account": ("I cannot log in to my account any more", "We reset your sign-in; try again now."),
    "billing": ("You charged me twice for one order", "We pay back what was charged twice."),
    "damaged": ("The lamp arrived with a broken foot", "A new lamp is on its way to you."),
    "delivery": ("Where is my parcel, it is a week late", "Your parcel comes within two days."),
}


def message(number: int) -> str:
    route = ROUTES[number % 4]
    return f"{SAID[route][0]} (order {1000 + number * 7})"


def rows(start: int, count: int) -> list[Example]:
    return [
        row(
            number,
            message(number),
            FieldsTarget({"route": ROUTES[number % 4], "reply": SAID[ROUTES[number % 4]][1]}),
            group=f"customer {number}",
        )
        for number in range(start, start + count)
    ]


def reply_of(text: str, wrong_every: int) -> str:
    """The right reply to a message, but for one in ``wrong_every``."""
    number = (int(text.rpartition(" ")[2].rstrip(")")) - 1000) // 7 if text.endswith(")") else 1
    route = next((one for one in ROUTES if SAID[one][0].split()[1] in text), ROUTES[0])
    if number % wrong_every == 0:
        route = ROUTES[(number + 1) % 4]
    return json.dumps({"route": route, "reply": SAID[route][1]})


def make_session(folder: Path, stage: str = "cycles", objective: str = STRUCTURED) -> Session:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metier.toml").write_text(HEAD + objective)
    workspace = Workspace.create(folder)
    session = Session(load_project(folder / "metier.toml"), folder, workspace)
    reached = STAGES.index(stage)
    version = None if reached < 1 else make_version(workspace)
    if version is not None and reached >= 2:
        measure(session, version, "keyword", 3)
        measure(session, version, "zero_shot", 5)
    if version is not None and reached >= 3:
        first = make_cycle(session, version, wrong_every=7)
        promote(workspace, first)
    if version is not None and reached >= 4:
        serve_some(workspace, first)
        make_cycle(session, version, wrong_every=40)
    return session


def make_version(ws: Workspace) -> DataVersion:
    source = ledger.record_source(ws, "helpdesk_export.csv", "digest of the export", 100)
    splits = {"train": rows(0, 60), "validation": rows(100, 8), "test": rows(200, 48)}
    return ledger.save_version(ws, splits, labels=[], config={}, card={}, sources=[source])


def measure(
    session: Session, version: DataVersion, rung: str, wrong_every: int, run: str | None = None
) -> str:
    bench = make_bench(session, version.id)
    fake = FakeCompleter(lambda text: reply_of(text, wrong_every), f"{rung} {wrong_every}")
    return evaluate(bench, Contender(rung, fake, run_id=run)).id


FINDING = {
    "name": "overfitting",
    "level": "warning",
    "says": "The validation loss was lowest at step 30 (0.9) and rose to 1.05 by the end.",
    "evidence": {"best_step": 30, "best_validation_loss": 0.9, "n": 8},
    "advice": "Fewer epochs save the time.",
}


def make_run(ws: Workspace, version: DataVersion, steps: int = 40, done: bool = True) -> TuneRun:
    config = {"lr": 2e-3, "epochs": 3, "method": {"type": "lora", "r": 32, "alpha": 64}}
    run = ledger.start_run(ws, version, "metier/tiny", config)
    points = [MetricPoint(s, "train_loss", 0.6 + 2.4 / (1 + s / 6)) for s in range(1, steps + 1)]
    points += [
        MetricPoint(s, "validation_loss", 0.8 + 2.2 / (1 + s / 5)) for s in range(0, steps + 1, 10)
    ]
    points += [
        MetricPoint(s, "learning_rate", 2e-3 * (1 - s / (steps + 1))) for s in range(1, steps + 1)
    ]
    points += [MetricPoint(s, "grad_norm", 1 + 1 / s) for s in range(1, steps + 1)]
    for s in range(0, steps + 1, 10):
        value = 0.9 - 0.6 / (1 + s / 8)
        ends = {"": value, "_low": value - 0.08, "_high": value + 0.06, "_n": 64.0}
        points += [MetricPoint(s, f"validation_route.f1_macro{end}", x) for end, x in ends.items()]
    for s in range(5, steps + 1, 5):
        points += [MetricPoint(s, "tokens_per_s", 8000.0 + 10 * s)]
        points += [MetricPoint(s, "peak_memory_gb", 0.81)]
    ledger.record_metrics(ws, run.id, points)
    if not done:
        return run
    summary = {
        "steps": steps,
        "validation_loss": 1.05,
        "validation_examples": 8,
        "best_step": steps,
        "stopped_early": False,
        "tokens_per_s": 8123.4,
        "truncated": 0,
        "findings": [FINDING],
    }
    adapter = ws.artifacts.put_bytes(f"adapter of {run.id}".encode(), "application/octet-stream")
    return ledger.finish_run(ws, run.id, "done", adapter, summary)


def make_cycle(session: Session, version: DataVersion, wrong_every: int) -> Release:
    ws = session.workspace
    cycle = ledger.start_cycle(ws, f"asked {wrong_every}")
    run = make_run(ws, version)
    evaluation = measure(session, version, "tuned", wrong_every, run.id)
    release = make_release(session, version, run, evaluation, wrong_every)
    ledger.finish_cycle(
        ws,
        replace(
            cycle,
            version_id=version.id,
            run_id=run.id,
            evaluation_id=evaluation,
            release_id=release.id,
        ),
    )
    return release


def make_release(
    session: Session, version: DataVersion, run: TuneRun, evaluation: str, wrong_every: int
) -> Release:
    manifest = Manifest(
        project=session.project.project.name,
        number=0,
        run_id=run.id,
        version_id=version.id,
        version_hash=version.hash,
        evaluation_id=evaluation,
        base="metier/tiny",
        base_fingerprint="print",
        adapter=run.adapter or "",
        files={},
        system="",
        prompt="tuned",
        objective=session.project.objective.model_dump(mode="json"),
        labels=(),
        deidentify="patterns",
        max_new_tokens=48,
        metrics={},
        software={},
    )
    gate = {"state": "passed" if wrong_every > 20 else "not_enough_data", "words": []}
    return create_release(session.workspace, manifest, gate)


def promote(ws: Workspace, release: Release) -> None:
    """Make it the champion; it is the challenger no longer."""
    with ws.db.session() as session:
        point_alias(ws, "champion", release.id, "desk", session)
        point_alias(ws, "challenger", None, "desk", session)


def interaction(number: int, release: Release | None, wrong: bool = False) -> Interaction:
    text = message(number)
    return Interaction(
        id=ledger.new_interaction_id(),
        created_at=datetime.now(UTC),
        model="champion",
        release_id=release.id if release else None,
        state="done",
        asked=Conversation.of(("user", text)),
        replies=(reply_of(text, 1 if wrong else 10**9),),
        settings={"temperature": 0.0, "finish_reasons": ["stop"]},
        input_tokens=24,
        output_tokens=19,
        total_s=0.084,
        first_token_s=0.02,
        confidence=0.31 if wrong else 0.93,
    )


def serve_some(ws: Workspace, release: Release | None, count: int = 14) -> list[Interaction]:
    """Replies of a release; each third is wrong, said to be unhelpful, and waits for a person."""
    served = [interaction(number, release, number % 3 == 0) for number in range(300, 300 + count)]
    ledger.save_interactions(ws, served, {})
    bad = [one for one in served if (one.confidence or 0) < 0.4]
    for one in bad:
        ledger.add_feedback(ws, one.id, "helpful", False, tags={}, actor="customer")
    comment = "I asked about something else entirely."
    ledger.add_feedback(ws, bad[0].id, "comment", comment, tags={}, actor="customer")
    right = {"route": "account", "reply": "You can sign in again now."}
    ledger.add_feedback(ws, bad[0].id, "demonstration", right, tags={}, actor="customer")
    items = [NewItem("interaction", one.id, ("bad_helpful", "low_confidence")) for one in bad]
    items[0] = replace(items[0], priority=5, reasons=(*items[0].reasons, "correction"))
    add_items(ws, "corrections", items)
    return served


class FakeGateway:
    """Answers at once, keeps what it answered, and fails where it is told to."""

    def __init__(self, ws: Workspace) -> None:
        self._ws = ws
        self.asked: list[ChatRequest] = []
        self.fails: dict[str, Exception] = {}

    def models(self) -> list[ModelCard]:
        now = datetime.now(UTC)
        return [
            ModelCard("champion", "alias", now, "v1"),
            ModelCard("challenger", "alias", now, "v2"),
            ModelCard("v2", "release", now, "v2"),
            ModelCard("v1", "release", now, "v1"),
        ]

    async def chat(self, request: ChatRequest) -> ChatReply:
        await asyncio.sleep(0)
        self.asked.append(request)
        if request.model in self.fails:
            raise self.fails[request.model]
        text = reply_of(request.conversation.last_user, 3 if request.model == "champion" else 10**9)
        kept = Interaction(
            id=ledger.new_interaction_id(),
            created_at=datetime.now(UTC),
            model=request.model,
            release_id=None,
            state="done",
            asked=request.conversation,
            replies=(text,),
            settings={},
            input_tokens=24,
            output_tokens=19,
            total_s=0.08,
            confidence=0.87,
        )
        ledger.save_interactions(self._ws, [kept], {})
        return ChatReply(
            id=kept.id,
            created=kept.created_at,
            model=request.model,
            release="v1" if request.model in ("champion", "v1") else "v2",
            choices=(Choice(text, "stop"),),
            usage=Usage(24, 19),
            confidence=0.87,
        )


def make_app(session: Session, gateway: FakeGateway | None) -> FastAPI:
    app = FastAPI()
    app.include_router(make_pages(session, gateway))  # type: ignore[arg-type]
    app.mount("/static", StaticFiles(directory=STATIC))
    return app


def client_of(session: Session, gateway: FakeGateway | None = None) -> TestClient:
    """A client that posts as the pages themselves do."""
    token = make_token(session.workspace, MACHINE)
    headers = {"Origin": ORIGIN, "X-CSRF-Token": token}
    return TestClient(make_app(session, gateway), headers=headers)


@contextmanager
def served(
    session: Session, gateway: FakeGateway | None = None, app: FastAPI | None = None
) -> Iterator[str]:
    """Serve the pages on a free port; gives their address."""
    config = uvicorn.Config(
        app or make_app(session, gateway),
        port=0,
        log_level="warning",
        ws="none",
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)
