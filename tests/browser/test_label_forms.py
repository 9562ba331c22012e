"""Forms derived from the objective, and labelling without JavaScript."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from starlette.datastructures import FormData

from browser.desk_site import (
    client_of,
)
from metier.apps.http.pages.forms import form_fields, read_form
from metier.apps.http.pages.frame import Site
from metier.apps.http.pages.work.desk import desk_view
from metier.core import ledger
from metier.core.errors import InputError, NotFound
from metier.core.objective import Objective
from metier.journey.desk import put_aside
from metier.journey.session import Session
from metier.queue import get_item, list_items

Make = Callable[..., Session]

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
    moved = client.get("/label", follow_redirects=False)
    assert moved.headers["location"] == "/annotate/corrections"
    page = client.get("/annotate/corrections").text
    assert "a user wrote what would have been right" in page
    item = list_items(ws, "corrections")[0]
    path = f"/annotate/corrections/{item.id}"
    given = {"v:route": "account", "v:reply": "Done."}
    sent = client.post(path, data=given, follow_redirects=False)
    assert (sent.status_code, sent.headers["location"]) == (303, "/annotate/corrections")
    done = get_item(ws, item.id)
    assert (done.answer, done.seconds) == ({"route": "account", "reply": "Done."}, None)
    assert [one.item_id for one in ledger.list_cases(ws)] == [item.id]
    again = client.get(f"/annotate/corrections?item={item.id}").text
    assert "you change an answer" in again and ">Done.</textarea>" in again


def test_an_answer_that_does_not_fit_is_refused_in_words(make: Make) -> None:
    session = make("cycles")
    client = client_of(session)
    client.get("/annotate/corrections")
    item = list_items(session.workspace, "corrections")[0]
    path = f"/annotate/corrections/{item.id}"
    answer = client.post(path, data={"v:route": "nowhere", "v:reply": "x"})
    assert answer.status_code == 422 and "account" in answer.text
    assert client.post(path, data={"seconds": "long"}).status_code == 422
    none = "/annotate/corrections/item_none"
    assert client.post(none, data={"v:route": "account"}).status_code == 404


def test_two_people_get_different_items_and_undo_their_own(make: Make) -> None:
    session = make("cycles")
    site, name = Site(session), "corrections"
    first, second = desk_view(site, "anna", name), desk_view(site, "ben", name)
    mine, other = first["work"]["key"], second["work"]["key"]
    assert mine != other and desk_view(site, "anna", name)["work"]["key"] == mine
    with pytest.raises(NotFound):
        put_aside(session, name, other, "anna", "other")
    put_aside(session, name, mine, "anna", "other")
    view = desk_view(site, "anna", name)
    assert view["undo"] == mine and desk_view(site, "ben", name)["undo"] is None
    assert [row["words"] for row in view["recent"]] == ["passed on: other"]


def test_an_empty_queue_says_how_it_fills(make: Make) -> None:
    page = client_of(make("data")).get("/annotate/corrections").text
    assert "metier feedback collect" in page
