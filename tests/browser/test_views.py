"""What the pages show and store, without a browser; forms work without JavaScript."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from starlette.datastructures import FormData

from browser.desk_site import CLASSIFY, FakeGateway, interaction, make_app, make_run
from metier.apps.http.pages import STATIC
from metier.apps.http.pages.compare import compare_view
from metier.apps.http.pages.forms import form_fields, read_form
from metier.apps.http.pages.frame import HEADERS, Site, brief, link_of, span
from metier.apps.http.pages.interactions import list_view, reply_view
from metier.apps.http.pages.label import desk_view, recent_rows, undo_id
from metier.apps.http.pages.line import stand_line
from metier.apps.http.pages.overview import current_standing, newest_version, overview
from metier.apps.http.pages.runs import follow, job_rows, progress_rows, run_rows, run_view
from metier.apps.http.pages.talk import Turn, choose, read_turns
from metier.core import ledger
from metier.core.errors import InputError, NotFound, Overloaded
from metier.core.objective import Objective
from metier.core.records import MetricPoint
from metier.journey.session import Session
from metier.queue import get_item, list_items
from metier.serve.types import ModelCard

Make = Callable[..., Session]
ORIGIN = "http://testserver"
PAGES = ("/", "/runs", "/compare", "/try", "/label", "/interactions")


def client_of(session: Session, gateway: FakeGateway | None = None) -> TestClient:
    return TestClient(make_app(session, gateway), headers={"Origin": ORIGIN})


@pytest.fixture
def client(desk: Session) -> Iterator[TestClient]:
    with client_of(desk, FakeGateway(desk.workspace)) as made:
        yield made


# -- the overview in every state -----------------------------------------------------------------


def test_nothing_yet_says_what_to_run(make: Make) -> None:
    session = make("nothing")
    view = overview(Site(session))
    assert (view["version"], view["verdict"], view["cycles"], view["plots"]) == (None, None, [], [])
    assert {row["state"] for row in view["targets"]} == {"open"}
    assert view["targets"][0]["asked"] == "route.f1_macro at least 0.8"
    assert view["next_step"].detail == "metier data build"
    assert stand_line(session) == "nothing released yet"
    page = client_of(session).get("/").text
    assert "Nothing has been built yet" in page and "metier data build" in page


def test_data_only(make: Make) -> None:
    session = make("data")
    view = overview(Site(session))
    assert view["version"] is not None and view["ladder"] == []
    assert view["verdict"]["decision"] == "Nothing measured"
    assert view["next_step"].name == "baselines"


def test_baselines_only(make: Make) -> None:
    view = overview(Site(make("baselines")))
    assert [row["rung"] for row in view["ladder"]] == ["Keyword rules", "Base model, zero-shot"]
    assert view["judged"] == view["ladder"][1]["evaluation"]
    assert view["cycles"] == [] and view["next_step"].name == "tune"


def test_one_cycle_has_a_champion_and_one_point_per_plot(make: Make) -> None:
    session = make("cycle")
    view = overview(Site(session))
    names = [row["release"] and row["release"].name for row in view["releases"]]
    assert names == ["v1", None, None]
    assert [len(plot["data"]["points"]) for plot in view["plots"]] == [1, 1, 1]
    assert stand_line(session) == "cycle 1 done · champion v1"


def test_several_cycles_have_changes_goals_and_people_to_wait_for(desk: Session) -> None:
    view = overview(Site(desk))
    assert [row["cycle"].number for row in view["cycles"]] == [2, 1]
    newest, first = (row["values"][0] for row in view["cycles"])
    assert re.fullmatch(r"\+0\.\d+ \[.+, .+\]", newest["change"]) and first["change"] == ""
    assert newest["n"] == 48
    plot = view["plots"][0]
    assert plot["title"] == "route.f1_macro" and plot["data"]["goal"] == 0.8
    assert [point[0] for point in plot["data"]["points"]] == [1, 2]
    assert "cycle 1: 0." in plot["words"]
    assert [wait.who for wait in view["waits"]] == ["a domain expert", "the owner"]
    assert (
        stand_line(desk) == "cycle 2 done · champion v1 · challenger v2 · 5 replies wait for people"
    )


def test_the_standing_is_judged_once_until_something_is_measured(desk: Session) -> None:
    site = Site(desk)
    version = newest_version(desk)
    assert version is not None
    assert current_standing(site, version) is current_standing(site, version)


def test_what_is_kept_is_bounded(desk: Session) -> None:
    site = Site(desk)
    for number in range(100):
        assert site.keep(number, lambda: object()) is site.keep(number, lambda: object())
    assert len(site._kept) <= 32


# -- safety --------------------------------------------------------------------------------------


def test_every_page_carries_the_policy_and_nothing_inline(client: TestClient) -> None:
    for path in (*PAGES, "/runs/latest", "/lineage/nothing"):
        answer = client.get(path)
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS, path
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert not re.search(
            r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=|https?://", answer.text
        )


def test_a_post_from_elsewhere_is_refused(desk: Session) -> None:
    item = list_items(desk.workspace, "corrections")[0]
    client = TestClient(make_app(desk, None))
    path = f"/label/{item.id}/skip"
    for headers in (
        {},
        {"Origin": "http://evil.example"},
        {"Sec-Fetch-Site": "cross-site", "Origin": ORIGIN},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "null"},
    ):
        answer = client.post(path, headers=headers)
        assert answer.status_code == 403, headers
        assert "another site" in answer.text or "open the page here" in answer.text
    assert get_item(desk.workspace, item.id).state in ("open", "leased")


def test_what_is_quoted_is_escaped(make: Make) -> None:
    session = make("nothing")
    bad = "<script>alert(1)</script>'\"><img src=x>"
    ask = interaction(1, None)
    reply = ask.__class__(**{
        **{name: getattr(ask, name) for name in ask.__dataclass_fields__},
        "asked": ask.asked.then("assistant", bad).then("user", bad), "replies": (bad,),
    })  # fmt: skip
    ledger.save_interactions(session.workspace, [reply], {})
    client = client_of(session, FakeGateway(session.workspace))
    for path in ("/interactions", f"/interactions/{reply.id}", f"/interactions?q={bad}"):
        page = client.get(path).text
        assert "<script>alert" not in page and "<img" not in page
    sent = client.post("/try", data={"message": bad, "a": bad})
    assert sent.status_code == 200 and "<script>alert" not in sent.text and "<img" not in sent.text


def test_errors_are_pages_in_words_and_notices_for_htmx(client: TestClient) -> None:
    page = client.get("/runs/run_nothing")
    assert page.status_code == 404 and "<h1>That did not work</h1>" in page.text
    part = client.get("/runs/run_nothing", headers={"HX-Request": "true"})
    assert part.status_code == 404 and part.text.startswith('<div class="notice">')
    wrong = client.get("/interactions?page=0")
    assert wrong.status_code == 422 and "page: Input should be greater" in wrong.text


def test_vendored_libraries_keep_their_licence_and_source() -> None:
    vendor = STATIC / "vendor"
    told = (vendor / "README.md").read_text()
    for name, version in (("htmx", "2.0.11"), ("uplot", "1.6.32")):
        assert (vendor / name / "LICENSE").is_file()
        assert version in told
        script = next((vendor / name).glob("*.js")).read_text()
        assert version in script


# -- runs ----------------------------------------------------------------------------------------


def test_runs_show_their_newest_test_result(desk: Session) -> None:
    ws = desk.workspace
    rows = run_rows(ledger.list_runs(ws), ledger.list_evaluations(ws), "route.f1_macro")
    assert len(rows) == 2 and rows[0]["run"].started_at > rows[1]["run"].started_at
    assert rows[0]["n"] == 48 and rows[0]["loss"] == "1.050"
    view = run_view(ws, "latest")
    assert ("lr", "0.002") in view["settings"] and ("method.r", "32") in view["settings"]
    assert ("best step", "40") in view["findings"]
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
    assert len(points[0]) == 3 * 3 + 1 and points[1] == [["train_loss", 4, None]]
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


# -- forms ---------------------------------------------------------------------------------------

EVERY_KIND = Objective.model_validate(
    {
        "task": "structured",
        "fields": {
            "type": "object",
            "required": ["route", "urgent"],
            "properties": {
                "route": {"type": "string", "enum": ["a", "b"]},
                "many": {"type": "string", "enum": [f"label_{n}" for n in range(20)]},
                "urgent": {"type": "boolean"},
                "days": {"type": ["integer", "null"]},
                "share": {"type": "number"},
                "reply": {"type": "string"},
                "tags": {"type": "array"},
            },
        },
    }
)


def test_each_kind_of_field_has_its_control() -> None:
    fields = {one["name"]: one for one in form_fields(EVERY_KIND, (), None, '{"reply": "Hm."}')}
    kinds = {name: one["kind"] for name, one in fields.items()}
    assert kinds == {
        "route": "choice", "many": "select", "urgent": "choice", "days": "number",
        "share": "number", "reply": "text", "tags": "text",
    }  # fmt: skip
    assert [one["key"] for one in fields["route"]["options"]] == ["1", "2"]
    assert not any(one["chosen"] for one in fields["route"]["options"])
    assert fields["many"]["options"][1]["text"] == "label 1"
    assert fields["reply"]["text"] == "Hm." and not fields["reply"]["required"]
    assert fields["urgent"]["required"]


def test_what_is_filled_in_has_the_shape_of_the_task() -> None:
    form = FormData(
        [("route", "a"), ("urgent", "false"), ("days", "3"), ("share", "0.5"), ("reply", ""),
         ("tags", '["x"]'), ("many", "")]
    )  # fmt: skip
    assert read_form(EVERY_KIND, form) == {
        "route": "a", "urgent": False, "days": 3, "share": 0.5, "reply": "", "tags": ["x"],
    }  # fmt: skip
    with pytest.raises(InputError, match="days as integer"):
        read_form(EVERY_KIND, FormData([("days", "many")]))
    labels = Objective(task="multilabel")
    assert read_form(labels, FormData([("answer", "a"), ("answer", "b")])) == ["a", "b"]
    assert read_form(labels, FormData([])) == []
    assert read_form(Objective(task="classify"), FormData([("answer", "a_b")])) == "a_b"


def test_values_known_to_be_right_are_filled_in() -> None:
    known = form_fields(EVERY_KIND, (), {"route": "b", "urgent": True, "days": 2}, "{}")
    by_name = {one["name"]: one for one in known}
    assert [one["chosen"] for one in by_name["route"]["options"]] == [False, True]
    assert [one["chosen"] for one in by_name["urgent"]["options"]] == [True, False]
    assert by_name["days"]["text"] == "2" and by_name["reply"]["text"] == ""
    classify = form_fields(Objective(task="classify"), ["x", "y"], "y")
    assert [one["chosen"] for one in classify[0]["options"]] == [False, True]
    assert form_fields(Objective(task="compose"), (), None, "Dear all")[0]["text"] == "Dear all"


# -- labelling without JavaScript ----------------------------------------------------------------


def test_a_form_without_javascript_makes_a_case(make: Make) -> None:
    session = make("cycles")
    ws, client = session.workspace, client_of(session)
    client.post("/label/worker", data={"name": "Änne"})
    page = client.get("/label").text
    assert 'value="Änne"' in page and "a user wrote what would have been right" in page
    item = list_items(ws, "corrections")[0]
    sent = client.post(
        f"/label/{item.id}", data={"route": "account", "reply": "Done."}, follow_redirects=False
    )
    assert (sent.status_code, sent.headers["location"]) == (303, "/label")
    done = get_item(ws, item.id)
    assert (done.answered_by, done.seconds) == ("Änne", None)
    assert [one.item_id for one in ledger.list_cases(ws)] == [item.id]
    again = client.get(f"/label?item={item.id}").text
    assert "you change an answer" in again and ">Done.</textarea>" in again


def test_an_answer_that_does_not_fit_is_refused_in_words(make: Make) -> None:
    session = make("cycles")
    item = list_items(session.workspace, "corrections")[0]
    client = client_of(session)
    answer = client.post(f"/label/{item.id}", data={"route": "nowhere", "reply": "x"})
    assert answer.status_code == 422 and "account" in answer.text
    assert client.post(f"/label/{item.id}", data={"seconds": "long"}).status_code == 422
    assert client.post("/label/item_none", data={"route": "account"}).status_code == 404


def test_two_people_get_different_items_and_undo_their_own(make: Make) -> None:
    session = make("cycles")
    site, ws = Site(session), session.workspace
    first, second = desk_view(site, "anna"), desk_view(site, "ben")
    assert first["desk"]["item"].id != second["desk"]["item"].id
    assert desk_view(site, "anna")["desk"]["item"].id == first["desk"]["item"].id
    client = client_of(session)
    client.post("/label/worker", data={"name": "anna"})
    busy = client.post(f"/label/{second['desk']['item'].id}/skip", data={"reason": "other"})
    assert busy.status_code == 409 and "ben" in busy.text
    client.post(f"/label/{first['desk']['item'].id}/skip", data={"reason": "other"})
    items = list_items(ws, "corrections")
    assert undo_id(items, "anna", None) == first["desk"]["item"].id
    assert undo_id(items, "ben", None) is None
    assert [row["words"] for row in recent_rows(items, "anna", None)] == ["skipped: other"]


def test_an_empty_queue_says_how_it_fills(make: Make) -> None:
    assert "metier feedback collect" in client_of(make("data")).get("/label").text


# -- trying --------------------------------------------------------------------------------------


def test_trying_without_javascript_keeps_the_talk(make: Make) -> None:
    session = make("nothing")
    gateway = FakeGateway(session.workspace)
    client = client_of(session, gateway)
    page = client.post("/try", data={"message": "You charged me twice", "b": "v2"}).text
    assert page.count("We pay back what was charged twice.") >= 2
    kept = dict(re.findall(r'name="(turns_[ab])" value="([^"]*)"', page))
    turns = {name: text.replace("&#34;", '"').replace("&amp;", "&") for name, text in kept.items()}
    client.post("/try", data={"message": "And now?", "b": "v2", **turns})
    assert [one.model for one in gateway.asked] == ["champion", "v2", "champion", "v2"]
    roles = [turn.role for turn in gateway.asked[3].conversation.messages]
    assert roles == ["user", "assistant", "user"]


def test_a_side_that_fails_leaves_the_other(make: Make) -> None:
    session = make("nothing")
    gateway = FakeGateway(session.workspace)
    gateway.fails["challenger"] = Overloaded("room", got="none", retry_after_s=1)
    page = client_of(session, gateway).post("/try", data={"message": "You charged me"})
    assert page.status_code == 200 and "challenger did not answer" in page.text
    assert "We pay back" in page.text


def test_nothing_to_try_says_so(make: Make) -> None:
    session = make("nothing")
    assert "metier serve" in client_of(session).get("/try").text
    assert client_of(session).post("/try", data={"message": "hello"}).status_code == 503
    empty = client_of(session, FakeGateway(session.workspace)).post("/try", data={"message": " "})
    assert empty.status_code == 422


def test_sides_are_two_different_models_where_there_are_two() -> None:
    cards = [ModelCard(name, "release", None) for name in ("v2", "v1")]
    assert choose(cards, {}) == {"a": "v2", "b": "v1"}
    assert choose(cards, {"a": "v1", "b": "v1"}) == {"a": "v1", "b": "v1"}
    assert choose(cards[:1], {"a": "gone"}) == {"a": "v2", "b": "v2"}
    assert choose([], {}) == {"a": "", "b": ""}


def test_a_history_that_is_none_is_refused() -> None:
    assert read_turns('[{"role": "user", "text": "a"}]') == (Turn("user", "a"),)
    for text in ("{", "[1]", '[{"role": "system", "text": "a"}]', '[{"role": "user", "text": 1}]',
                 json.dumps([{"role": "user", "text": "a"}] * 41)):  # fmt: skip
        with pytest.raises(InputError):
            read_turns(text)


# -- replies -------------------------------------------------------------------------------------


def test_replies_are_filtered_and_counted(desk: Session) -> None:
    site = Site(desk)
    view = list_view(site, "bad", "", 1)
    assert {one["name"]: one["count"] for one in view["filters"]} == {
        "all": 14, "bad": 5, "unsure": 5, "said": 5,
    }  # fmt: skip
    assert len(view["rows"]) == 5 and view["rows"][0]["by"] == "v1"
    assert view["rows"][0]["answered"].startswith("billing · ")
    found = list_view(site, "all", "order 3107", 1)
    assert [row["asked"] for row in found["rows"]] == [
        "You charged me twice for one order (order 3107)"
    ]


def test_a_reply_shows_feedback_queue_and_lineage(desk: Session, client: TestClient) -> None:
    item = list_items(desk.workspace, "corrections")[0]
    view = reply_view(Site(desk), item.subject_id)
    assert view["by"] == "v1" and view["item"].id == item.id
    assert {row["words"] for row in view["said"]} == {
        "helpful: no", "comment", "better answer given",
    }  # fmt: skip
    page = client.get(f"/interactions/{item.subject_id}").text
    assert "I asked about something else entirely." in page
    assert client.get("/interactions/chatcmpl-none").status_code == 404


def test_feedback_takes_the_types_of_its_metrics(make: Make) -> None:
    session = make("nothing")
    ws = session.workspace
    reply = interaction(1, None)
    ledger.save_interactions(ws, [reply], {})
    client, path = client_of(session), f"/interactions/{reply.id}/feedback"
    for data in (
        {"metric": "helpful", "value": "true"},
        {"metric": "rating", "value": "4"},
        {"metric": "comment", "value": "Write to me at anna@example.com"},
        {"metric": "demonstration", "route": "account", "reply": "Hello."},
    ):
        assert client.post(path, data=data).status_code == 200, data
    said = {one.metric: one.value for one in ledger.list_feedback(ws)}
    assert said["helpful"] is True and said["rating"] == 4.0
    assert "anna@example.com" not in said["comment"]
    assert said["demonstration"] == {"route": "account", "reply": "Hello."}
    for wrong in ({"metric": "helpful", "value": "maybe"}, {"metric": "rating", "value": "x"},
                  {"metric": "speed", "value": "1"}, {}):  # fmt: skip
        assert client.post(path, data=wrong).status_code == 422, wrong
    part = client.post(path, data={"metric": "helpful", "value": "false"},
                       headers={"HX-Request": "true"})  # fmt: skip
    assert 'value="false" aria-pressed="true"' in part.text


def test_lineage_leads_on(desk: Session, client: TestClient) -> None:
    ws = desk.workspace
    run = ledger.get_run(ws)
    page = client.get(f"/lineage/{run.id}").text
    assert f'href="/lineage/{run.version_id}"' in page
    report = client.get(f"/lineage/{ledger.get_evaluation(ws).id}").text
    assert "route.f1_macro" in report and "Tuned model on 48 test items" in report
    assert client.get("/lineage/ver_none").status_code == 404


def test_small_words() -> None:
    assert [span(s) for s in (None, 0.084, 12.34, 200, 7500)] == [
        "–", "84 ms", "12.3 s", "3 min 20 s", "2 h 5 min",
    ]  # fmt: skip
    assert brief("run_0123456789abcdef") == "run…abcdef" and brief("v3") == "v3"
    assert link_of("run_1") == "/runs/run_1"
    assert link_of("chatcmpl-1") == "/interactions/chatcmpl-1"
    assert link_of("ver_1") == "/lineage/ver_1"


def test_classify_without_a_version_uses_the_projects_labels(make: Make) -> None:
    session = make("nothing", objective=CLASSIFY)
    assert "metier feedback collect" in client_of(session).get("/label").text
