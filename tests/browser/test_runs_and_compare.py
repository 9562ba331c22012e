"""Runs with their streams and jobs; two evaluations side by side."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from browser.desk_site import (
    make_run,
)
from metier.apps.http.pages.compare import compare_view
from metier.apps.http.pages.frame import Site
from metier.apps.http.pages.runs import follow, job_rows, progress_rows, run_rows, run_view
from metier.core import ledger
from metier.core.errors import NotFound
from metier.core.records import MetricPoint
from metier.journey.session import Session

Make = Callable[..., Session]

# -- runs ----------------------------------------------------------------------------------------


def test_runs_show_their_newest_test_result(desk: Session) -> None:
    ws = desk.workspace
    rows = run_rows(ledger.list_runs(ws), ledger.list_evaluations(ws), "route.f1_macro")
    assert len(rows) == 2 and rows[0]["run"].started_at > rows[1]["run"].started_at
    assert rows[0]["n"] == 48 and rows[0]["loss"] == "1.050"
    view = run_view(ws, "latest")
    assert ("lr", "0.002") in view["settings"] and ("method.r", "32") in view["settings"]
    assert ("best step", "40") in view["findings"]
    assert "findings" not in dict(view["findings"])
    (verdict,) = view["diagnosis"]
    assert verdict["title"] == "overfitting" and ("n", "8") in verdict["evidence"]
    metric = next(row for row in view["table"] if "f1" in row["name"])
    assert metric["last"] == "0.800 [0.720, 0.860], n 64" and metric["highest_at"] == 40
    assert {row["name"] for row in view["table"]} >= {"train loss", "validation loss"}


def test_a_stream_sends_all_points_then_new_ones_then_the_end(make: Make) -> None:
    session = make("data")
    ws = session.workspace
    run = make_run(ws, ledger.get_version(ws), steps=3, done=False)

    async def listen() -> list[tuple[str, Any]]:
        events: list[tuple[str, Any]] = []
        async for text in follow(ws, run.id, poll_s=0):
            found = re.fullmatch(r"event: (\w+)\ndata: (.*)\n\n", text)
            if not found:
                continue
            events.append((found[1], json.loads(found[2])))
            if events[-1][0] == "state" and len(events) == 2:
                points = [MetricPoint(4, "train_loss", float("nan"))]
                ledger.record_metrics(ws, run.id, points)
            if events[-1][0] == "points" and len(events) > 2:
                ledger.finish_run(ws, run.id, "failed")
        return events

    events = asyncio.run(asyncio.wait_for(listen(), 10))
    points = [data for name, data in events if name == "points"]
    assert len(points[0]) == 3 * 3 + 1 + 4 and points[1] == [["train_loss", 4, None]]
    assert events[-1] == ("end", {"state": "failed"})


def test_a_stream_ends_in_time_so_that_the_browser_asks_again(make: Make) -> None:
    session = make("data")
    ws = session.workspace
    run = make_run(ws, ledger.get_version(ws), steps=2, done=False)

    async def listen() -> list[str]:
        return [text async for text in follow(ws, run.id, stream_s=0)]

    texts = asyncio.run(asyncio.wait_for(listen(), 10))
    assert len(texts) == 2 and texts[1].startswith("event: points")


def test_events_of_an_ended_run_end_at_once(client: TestClient) -> None:
    answer = client.get("/runs/latest/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.rstrip().endswith('event: end\ndata: {"state": "done"}')
    assert client.get("/runs/run_none/events").status_code == 404


def test_jobs_at_work_with_their_progress(make: Make, tmp_path: Path) -> None:
    session = make("nothing")
    ws = session.workspace
    queued = ws.jobs.enqueue("tune", {})
    log = ws.logs_dir / "progress.jsonl"
    rows: list[Any] = []

    def work(_: object) -> None:
        at = time.time()
        lines = [
            {"kind": "start", "task": "tune", "done": 0, "total": 9, "unit": "step", "at": at},
            {"kind": "advance", "task": "tune", "done": 3, "total": 9, "unit": "step", "at": at},
            {"kind": "start", "task": "clean", "done": 0, "total": 9, "unit": "row", "at": at},
            {"kind": "end", "task": "clean", "done": 9, "total": 9, "unit": "row", "at": at},
        ]
        log.write_text('cut off"}\n' + "\n".join(json.dumps(line) for line in lines) + "\n")
        rows.extend(job_rows(ws))

    ws.jobs.run_inline("cycle", {}, work)
    running, waiting = rows[0], rows[1]
    assert [(one["task"], one["done"]) for one in running["tasks"]] == [("tune", 3)]
    assert waiting["job"].id == queued.id and "metier worker" in waiting["waits"]
    assert progress_rows(tmp_path / "none.jsonl") == []


# -- compare -------------------------------------------------------------------------------------


def test_the_tuned_model_is_compared_with_the_best_other_rung(desk: Session) -> None:
    view = compare_view(Site(desk), "", "", "differ", "")
    assert (view["a"].rung, view["b"].rung) == ("tuned", "zero_shot")
    asked = [row for row in view["differences"] if row["asked"]]
    assert [row["metric"] for row in asked] == ["route.f1_macro", "reply.rougeL", "schema_valid"]
    assert asked[0]["words"] == "A is better" and asked[0]["n"] == 48
    gaps = [abs(row["grade_a"] - row["grade_b"]) for row in view["examples"]]
    assert gaps == sorted(gaps, reverse=True) and gaps[0] > 0


def test_examples_pass_filters_and_words(desk: Session) -> None:
    site = Site(desk)
    better = compare_view(site, "", "", "a", "")
    assert all(row["grade_a"] > row["grade_b"] for row in better["examples"])
    found = compare_view(site, "", "", "differ", "LAMP")
    assert found["examples"] and all("lamp" in row["search"] for row in found["examples"])
    assert compare_view(site, "", "", "differ", "no such words")["examples"] == []


def test_comparing_what_is_not_there(make: Make, desk: Session) -> None:
    assert compare_view(Site(make("data")), "", "", "differ", "")["differences"] is None
    with pytest.raises(NotFound):
        compare_view(Site(desk), "eval_none", "", "differ", "")
