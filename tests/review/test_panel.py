"""Panels: what is shown, in which order, and what nobody can see."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import pytest
from sqlalchemy import select

from metier.core.errors import InputError
from metier.core.store.tables import EdgeRow
from metier.core.workspace import Workspace
from metier.queue import get_queue, iter_answers, take_next
from metier.review.answers import Said, give_answer
from metier.review.config import ReviewConfig, RubricDimension
from metier.review.order import is_assisted, turned
from metier.review.panel import (
    NewPanel,
    make_panel,
    panel_items,
    panel_of,
    preview_panel,
    read_subject,
    subject_of,
)
from review.conftest import ANNA, BEN, cases, dimension, panel, version


def test_usual_rubric_has_words_for_every_point(rubric: tuple[RubricDimension, ...]) -> None:
    names = [one.name for one in rubric]
    assert names == ["accuracy", "relevance", "utility", "empathy", "personalisation", "tone",
                     "brand_voice"]  # fmt: skip
    assert all(len(one.anchors) == 5 and all(one.anchors) for one in rubric)


def test_a_dimension_is_rated_by_those_it_names() -> None:
    heart = dimension("accuracy", "Cardiology")
    assert heart.rated_by_person("reviewer", ["cardiology"])
    assert not heart.rated_by_person("reviewer", ["law"])
    assert dimension("x", "guest").rated_by_person("guest", [])
    assert not dimension("x", "expert").rated_by_person("guest", [])
    assert dimension("x", "expert").rated_by_person("reviewer", [])


def test_config_refuses_missing_anchors_and_taken_names() -> None:
    with pytest.raises(ValueError, match="needs 5 anchors"):
        RubricDimension(name="tone", about="?", anchors=("a", "b"))
    with pytest.raises(ValueError, match="taken by the results"):
        RubricDimension(name="win_rate", about="?", anchors=("a",) * 5)
    with pytest.raises(InputError, match="tone"):
        ReviewConfig().named(["tome"])


def test_subjects_read_back() -> None:
    assert read_subject(subject_of(("c2", "c1"), "ex_1#2") + "~again") == (("c2", "c1"), "ex_1#2")


def test_every_reply_once_and_the_same_order_for_the_same_seed() -> None:
    items = panel_items(panel(), cases())
    assert len(items) == 12 == len({one.subject_id for one in items})
    assert items == panel_items(panel(), cases())
    other = panel_items(panel(seed=1), cases())
    assert [one.subject_id for one in items] != [one.subject_id for one in other]


def test_hidden_duplicates_name_their_twin_and_look_the_same() -> None:
    items = panel_items(panel(repeats=0.5), cases())
    again = [one for one in items if one.role == "duplicate"]
    by_subject = {one.subject_id: one for one in items}
    assert len(again) == 6
    for one in again:
        assert one.twin_of is not None
        assert one.shown == by_subject[one.twin_of].shown


def test_nothing_shown_names_a_candidate() -> None:
    shown = json.dumps([one.shown for one in panel_items(panel(), cases())])
    for word in ("challenger", "baseline", "eval_", "run_", "c1", "c2", "keyword"):
        assert word not in shown


def test_sides_are_balanced_and_drawn_per_person() -> None:
    items = panel_items(panel(mode="compare"), cases(200))
    first = Counter(read_subject(one.subject_id)[0][0] for one in items)
    assert 70 <= first["c1"] <= 130
    here = [turned(0, f"item_{n}", "anna") for n in range(200)]
    there = [turned(0, f"item_{n}", "ben") for n in range(200)]
    assert 70 <= sum(here) <= 130
    assert here != there


def test_arms_cross_within_items_and_within_people() -> None:
    first = [is_assisted(0, f"item_{n}", 0) for n in range(200)]
    second = [is_assisted(0, f"item_{n}", 1) for n in range(200)]
    assert all(a != b for a, b in zip(first, second, strict=True))
    assert 70 <= sum(first) <= 130


def test_guests_see_de_identified_items_only(any_workspace: Workspace) -> None:
    ws, guests = any_workspace, panel(guests=True)
    plain = version(ws, "patterns")
    with pytest.raises(InputError, match="de-identified by safe-harbor"):
        make_panel(ws, NewPanel("spring", guests), plain, cases(), "mara")
    safe = version(ws, "safe-harbor", count=5)
    told = [replace(cases(1)[0], replies={"c1": "call 030 1234567", "c2": "x@y.org"})]
    make_panel(ws, NewPanel("spring", guests), safe, told, "mara")
    got = take_next(ws, "spring", "guest-1")
    assert got is not None and got[0].shown is not None
    assert "1234567" not in json.dumps(got[0].shown) and "x@y.org" not in json.dumps(got[0].shown)


def test_replies_and_records_name_nobody_to_guests(workspace: Workspace) -> None:
    turn = {"role": "user", "text": "I am Marta Lindqvist, born 1961; what about [PERSON]?"}
    replies = {
        "c1": "Dear Marta Lindqvist, Dr. Peter Oakhurst looks at MRN 4481023 today.",
        "c2": "[PERSON] was born 1961.",
    }
    source = ({"title": "Document", "text": "Ask Ingrid Vandermolen at 14 Willow Lane."},)
    told = [replace(cases(1)[0], turns=(turn,), replies=replies, source=source)]
    items = {one.subject_id[:2]: one.shown for one in panel_items(panel(guests=True), told)}
    first, second = (items[key]["replies"][0]["text"] for key in ("c1", "c2"))  # type: ignore[index]
    # What the turns say went through the version's profile: there it may be a surrogate.
    assert first == "Dear Marta Lindqvist, [TITLE] [PERSON] looks at MRN [RECORD_NUMBER] today."
    assert second == "[PERSON] was born 1961."
    shown = json.dumps(items)
    assert "Vandermolen" not in shown and "Willow" not in shown
    plain = panel_items(panel(), told)[0].shown
    assert plain["source"] == list(source)  # type: ignore[index]


def test_guests_see_no_images(workspace: Workspace) -> None:
    turn = {"role": "user", "text": "Is it broken?", "images": ["a" * 64]}
    told = [replace(cases(1)[0], turns=(turn,)), *cases(2)[1:]]
    with pytest.raises(InputError, match="1 of 2 with images"):
        new = NewPanel("spring", panel(guests=True))
        make_panel(workspace, new, version(workspace), told, "mara")


def test_guests_need_a_dimension_of_theirs(any_workspace: Workspace) -> None:
    only = panel(guests=True, dimensions=(dimension("accuracy", "expert"),))
    with pytest.raises(InputError, match="a dimension that guests rate"):
        made = version(any_workspace)
        make_panel(any_workspace, NewPanel("spring", only), made, cases(), "mara")


def test_a_panel_reads_back_and_has_its_lineage(any_workspace: Workspace) -> None:
    ws = any_workspace
    data = version(ws)
    made = make_panel(ws, NewPanel("spring", panel()), data, cases(), "mara")
    assert panel_of(get_queue(ws, "spring")) == panel()
    assert made.version_id == data.id
    with ws.db.reading() as session:
        edges = {
            (row.relation, row.parent_id)
            for row in session.scalars(select(EdgeRow).where(EdgeRow.child_id == "spring"))
        }
    assert edges == {("shows", data.id), ("rates", "eval_a"), ("rates", "eval_b")}


def test_people_go_through_the_panel_in_orders_of_their_own(any_workspace: Workspace) -> None:
    ws = any_workspace
    made = panel(raters_per_item=2)
    make_panel(ws, NewPanel("spring", made), version(ws), cases(), "mara")
    orders = {}
    for person in (ANNA, BEN):
        seen = []
        while (got := take_next(ws, "spring", person.id)) is not None:
            seen.append(got[0].subject_id)
            give_answer(ws, got[1].id, person, Said({"ratings": {"accuracy": 3, "tone": 3}}))
        orders[person.id] = seen
    assert sorted(orders["anna"]) == sorted(orders["ben"])
    assert orders["anna"] != orders["ben"]
    assert sum(1 for _ in iter_answers(ws, "spring")) == 24


def test_preview_counts_and_warns() -> None:
    found = preview_panel(panel(repeats=0.25, raters_per_item=1), cases())
    assert (found.items, found.duplicates, found.answers) == (12, 3, 15)
    assert any("one rater" in words for words in found.warnings)
