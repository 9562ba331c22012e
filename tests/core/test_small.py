"""Ids, progress and costs."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from metier.core.costs import Prices, usd_for_tokens, usd_per_1000
from metier.core.ids import new_id
from metier.core.progress import Event, Progress, json_lines


def test_ids_sort_by_the_time_they_were_made_and_never_repeat() -> None:
    ids = [new_id("run") for _ in range(20_000)]
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)
    made: list[str] = []
    threads = [
        threading.Thread(target=lambda: made.extend(new_id("x") for _ in range(2000)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 8000


def test_an_id_is_a_uuid_of_version_7() -> None:
    prefix, _, digits = new_id("run").partition("_")
    assert (prefix, len(digits), digits[12]) == ("run", 32, "7")
    assert digits[16] in "89ab"


def test_a_task_tells_its_story_in_order() -> None:
    events: list[Event] = []
    with Progress(events.append).task("tune", total=2, unit="step") as task:
        task.advance()
        task.metric(1, loss=0.5)
        task.note("half way")
        task.advance()
    told = [(one.kind, one.done, one.step, dict(one.values), one.text) for one in events]
    assert told == [
        ("start", 0, None, {}, ""),
        ("advance", 1, None, {}, ""),
        ("metric", 1, 1, {"loss": 0.5}, ""),
        ("note", 1, None, {}, "half way"),
        ("advance", 2, None, {}, ""),
        ("end", 2, None, {}, "done"),
    ]
    assert {(one.task, one.total, one.unit) for one in events} == {("tune", 2, "step")}
    assert all(one.at > 1.7e9 for one in events)


def test_a_task_that_fails_says_so_and_lets_it_pass() -> None:
    events: list[Event] = []
    with pytest.raises(KeyError), Progress(events.append).task("build"):
        raise KeyError("x")
    assert (events[-1].kind, events[-1].text) == ("end", "KeyError")


def test_no_sinks_is_silent_and_several_hear_the_same() -> None:
    with Progress().task("quiet") as task:
        task.advance()
    one: list[Event] = []
    two: list[Event] = []
    Progress(one.append, two.append).note("hello")
    assert one == two
    assert one[0].text == "hello"


def test_counting_from_many_threads_loses_nothing() -> None:
    events: list[Event] = []
    with Progress(events.append).task("count") as task:
        threads = [
            threading.Thread(target=lambda: [task.advance() for _ in range(500)]) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert events[-1].done == 2000


def test_json_lines_hold_every_event(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "job.jsonl"
    with Progress(json_lines(path)).task("tune", total=1) as task:
        task.metric(1, loss=2.0)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["start", "metric", "end"]
    assert lines[1]["values"] == {"loss": 2.0}


def test_costs_follow_the_prices() -> None:
    prices = Prices(usd_per_cpu_hour=0.36, usd_per_gpu_hour=3.6)
    assert usd_per_1000(2.0, prices) == pytest.approx(0.2)
    assert usd_per_1000(2.0, prices, "cuda:0") == pytest.approx(2.0)
    tokens = Prices(usd_per_million_input_tokens=1, usd_per_million_output_tokens=2)
    assert usd_for_tokens(500_000, 250_000, tokens) == pytest.approx(1.0)


def test_a_negative_price_is_refused() -> None:
    with pytest.raises(ValueError, match="greater than or equal to 0"):
        Prices(usd_per_gpu_hour=-1)
