"""What reviewers say: checked, cleared, stored with its harms, which stand in a release's way."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from metier.core.errors import Busy, InputError, NotFound
from metier.core.ledger.harms import WITHDRAWN, harms_in_the_way, list_harms, resolve_harm
from metier.core.records import Release
from metier.core.store.tables import AssignmentRow
from metier.core.workspace import Workspace
from metier.people import Person
from metier.queue import change_queue, get_assignment, iter_answers, take_next
from metier.review.answers import Said, give_answer
from metier.review.given import Elsewhere, add_ratings
from metier.review.left import left_for
from metier.review.panel import NewPanel, make_panel, read_subject
from review.conftest import ANNA, BEN, GUEST, cases, dimension, panel, version

RATED: dict[str, Any] = {"ratings": {"accuracy": 4, "tone": 2}}


def held(ws: Workspace, person: Person = ANNA, **more: object) -> str:
    """The assignment a person holds in a new panel "spring"."""
    make_panel(ws, NewPanel("spring", panel(**more)), version(ws), cases(), "mara")
    got = take_next(ws, "spring", person.id)
    assert got is not None
    return got[1].id


def answer_of(ws: Workspace, key: str) -> Any:
    return get_assignment(ws, key, "anna")[1].answer


def test_an_answer_is_kept_in_the_panels_shape(any_workspace: Workspace) -> None:
    ws, key = any_workspace, held(any_workspace)
    said = RATED | {"wrong": [{"start": 0, "end": 4}], "better": "Call 030 1234567 or a@b.org"}
    give_answer(ws, key, ANNA, Said(said, 12.5))
    stored = answer_of(ws, key)
    assert stored["ratings"] == {"accuracy": 4, "tone": 2}
    assert stored["wrong"] == [{"start": 0, "end": 4}]
    assert "a@b.org" not in stored["better"]
    assert get_assignment(ws, key, "anna")[1].seconds == 12.5


def sealed_of(ws: Workspace) -> list[str]:
    """What was sealed beside the answers of the panel."""
    with ws.db.reading() as session:
        ids = [one for one in session.scalars(select(AssignmentRow.sealed_id)) if one is not None]
    opened = ws.sealed.open_many(ids, actor="test", purpose="test") if ids else {}
    return [opened[one].decode() for one in ids]


def test_what_was_typed_is_sealed_where_identifiers_were_taken_out(
    any_workspace: Workspace,
) -> None:
    ws, key = any_workspace, held(any_workspace)
    give_answer(ws, key, ANNA, Said(RATED | {"better": "Call us"}, comment="fine"))
    assert sealed_of(ws) == []
    typed = RATED | {"better": "Mail b@b.org", "harm": "they mail h@b.org"}
    give_answer(ws, key, ANNA, Said(typed, comment="as c@b.org says"))
    (original,) = sealed_of(ws)
    assert all(f"{one}@b.org" in original for one in "bhc")
    stored = get_assignment(ws, key, "anna")[1]
    assert "@b.org" not in f"{stored.answer} {stored.comment} {list_harms(ws)}"


def test_harm_reported_elsewhere_stands_in_the_way_and_its_words_are_sealed(
    any_workspace: Workspace,
) -> None:
    ws = any_workspace
    make_panel(ws, NewPanel("spring", panel()), version(ws), cases(), "mara")
    said = RATED | {"harm": "they mail h@b.org"}
    add_ratings(ws, "spring", [Elsewhere("cy", "ex_0", ("c1",), said)], "mara")
    (harm,) = list_harms(ws, unresolved=True)
    assert (harm.candidate, harm.person) == ("eval_a", "cy") and "@b.org" not in harm.words
    assert ["h@b.org" in one for one in sealed_of(ws)] == [True]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({}, "Accuracy"),
        ({"ratings": {"accuracy": 6, "tone": 1}}, "Accuracy: a whole number from 1 to 5"),
        ({"ratings": {"accuracy": 2.5, "tone": 1}}, "whole number"),
        ({"ratings": {"accuracy": 2}}, "Tone"),
        ({"ratings": "four"}, "ratings by dimension"),
        (RATED | {"not_applicable": ["wit"]}, "a dimension that you rate"),
        (RATED | {"wrong": [{"start": 4, "end": 900}]}, "in the reply"),
        (RATED | {"wrong": [{"start": 4, "end": 4}]}, "in the reply"),
        (RATED | {"wrong": ["all"]}, "in the reply"),
        (RATED | {"better": 7}, "better as a text"),
        (RATED | {"harm": "x" * 20_001}, "harm as a text"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(workspace: Workspace, value: Any, words: str) -> None:
    key = held(workspace)
    with pytest.raises(InputError, match=words):
        give_answer(workspace, key, ANNA, Said(value))
    assert list_harms(workspace) == []


def test_not_applicable_stands_for_a_rating(workspace: Workspace) -> None:
    key = held(workspace)
    give_answer(workspace, key, ANNA,
                Said({"ratings": {"accuracy": 4}, "not_applicable": ["tone"]}))  # fmt: skip
    assert answer_of(workspace, key)["not_applicable"] == ["tone"]


def test_not_my_field_needs_nothing_else(workspace: Workspace) -> None:
    key = held(workspace)
    given = give_answer(workspace, key, ANNA, Said({}, outside=True))
    assert given.answer is None and given.flags == ("not_my_field",)
    assert sealed_of(workspace) == []
    give_answer(workspace, key, ANNA, Said({"harm": "mail h@b.org"}, outside=True))
    assert ["h@b.org" in one for one in sealed_of(workspace)] == [True]


def test_a_pair_needs_a_choice_and_says_where_the_harm_is(workspace: Workspace) -> None:
    key = held(workspace, mode="compare")
    with pytest.raises(InputError, match="which reply is better"):
        give_answer(workspace, key, ANNA, Said({}))
    with pytest.raises(InputError, match="in which reply"):
        give_answer(workspace, key, ANNA, Said({"preferred": "a", "harm": "a wrong dose"}))
    said = {"preferred": "a", "harm": "a wrong dose", "harm_in": "both"}
    give_answer(workspace, key, ANNA, Said(said))
    assert {one.candidate for one in list_harms(workspace)} == {"eval_a", "eval_b"}
    give_answer(workspace, key, ANNA, Said(said | {"harm_in": "a"}))
    item, _ = get_assignment(workspace, key, "anna")
    first = panel().candidate(read_subject(item.subject_id)[0][0]).evaluation
    assert [one.candidate for one in list_harms(workspace, unresolved=True)] == [first]


def test_each_person_rates_their_own_dimensions(workspace: Workspace) -> None:
    two = (dimension("accuracy", "cardiology"), dimension("tone", "guest"))
    key = held(workspace, GUEST, guests=True, dimensions=two)
    stored = give_answer(workspace, key, GUEST, Said({"ratings": {"tone": 5, "accuracy": 1}}))
    assert stored.answer["ratings"] == {"tone": 5}  # type: ignore[index]


def test_guests_of_another_panel_and_strangers_find_nothing(workspace: Workspace) -> None:
    held(workspace)
    got = take_next(workspace, "spring", "guest-2")
    assert got is not None
    other = Person("guest-2", "Guest", "guest", queue="summer")
    with pytest.raises(NotFound, match="a panel that you rate in"):
        give_answer(workspace, got[1].id, other, Said(RATED))
    with pytest.raises(NotFound):
        give_answer(workspace, got[1].id, ANNA, Said(RATED))


def test_a_guest_of_a_panel_that_was_not_made_for_them_finds_nothing(workspace: Workspace) -> None:
    held(workspace)
    got = take_next(workspace, "spring", GUEST.id)
    assert got is not None
    with pytest.raises(NotFound, match="a panel that you rate in"):
        give_answer(workspace, got[1].id, GUEST, Said(RATED))


def test_harm_is_reported_changed_withdrawn_and_resolved(any_workspace: Workspace) -> None:
    ws, key = any_workspace, held(any_workspace)
    give_answer(ws, key, ANNA, Said(RATED | {"harm": "they call a@b.org"}))
    (harm,) = list_harms(ws)
    assert "a@b.org" not in harm.words
    give_answer(ws, key, ANNA, Said(RATED))
    assert list_harms(ws)[0].resolution == WITHDRAWN
    give_answer(ws, key, ANNA, Said(RATED | {"harm": "a delay"}))
    assert [one.words for one in list_harms(ws, unresolved=True)] == ["a delay"]
    with pytest.raises(InputError, match="at least 10 characters"):
        resolve_harm(ws, harm.id, "mara", "fine")
    assert resolve_harm(ws, harm.id, "mara", "checked by the pharmacist").resolved_by == "mara"
    with pytest.raises(NotFound, match="is resolved"):
        resolve_harm(ws, harm.id, "mara", "checked by the pharmacist")
    actions = [one.action for one in ws.audit.entries(harm.id)]
    assert actions == ["harm.report", "harm.withdraw", "harm.report", "harm.resolve"]


def test_open_harms_stand_in_the_way_of_what_the_panel_rates(any_workspace: Workspace) -> None:
    ws, key = any_workspace, held(any_workspace)
    give_answer(ws, key, ANNA, Said(RATED | {"harm": "a wrong dose"}))
    made = list_harms(ws)[0]
    rated, other = (
        Release("rel", 1, made.created_at, "run_x", "ver", evaluation, "b", "p", "a", "m", {})
        for evaluation in ("eval_a", "eval_z")
    )
    assert [one.id for one in harms_in_the_way(ws, rated)] == [made.id]
    assert harms_in_the_way(ws, other) == []
    resolve_harm(ws, made.id, "mara", "checked by the pharmacist")
    assert harms_in_the_way(ws, rated) == []


def test_a_closed_panel_takes_nothing(workspace: Workspace) -> None:
    key = held(workspace)
    change_queue(workspace, "spring", "mara", state="closed")
    with pytest.raises(Busy):
        give_answer(workspace, key, ANNA, Said(RATED | {"harm": "late"}))
    assert list_harms(workspace) == []


def test_ratings_made_elsewhere_count_like_others(any_workspace: Workspace) -> None:
    ws = any_workspace
    made = panel(raters_per_item=1)
    make_panel(ws, NewPanel("spring", made), version(ws), cases(), "mara")
    rows = [
        Elsewhere(who, f"ex_{n}", (name,), RATED, seconds=30.0)
        for who in ("cy", "di") for n in range(6) for name in ("challenger", "c2")
    ]  # fmt: skip
    assert add_ratings(ws, "spring", rows, "mara") == 24
    assert add_ratings(ws, "spring", rows, "mara") == 0
    assert len(list(iter_answers(ws, "spring"))) == 24
    wrong = Elsewhere("cy", "ex_0", ("challenger",), {"ratings": {"accuracy": 9, "tone": 1}})
    with pytest.raises(InputError):
        add_ratings(ws, "spring", [Elsewhere("ed", "ex_0", ("c1",), RATED), wrong], "mara")
    assert {given.person for _, given in iter_answers(ws, "spring")} == {"cy", "di"}
    with pytest.raises(NotFound, match="an item of panel"):
        add_ratings(ws, "spring", [Elsewhere("cy", "ex_99", ("c1",), RATED)], "mara")


def test_a_pair_given_the_other_way_round_is_turned(workspace: Workspace) -> None:
    ws = workspace
    make_panel(ws, NewPanel("pairs", panel(mode="compare")), version(ws), cases(), "mara")
    rows = [
        Elsewhere("cy", f"ex_{n}", ("challenger", "baseline"), {"preferred": "a"}) for n in range(6)
    ]
    add_ratings(ws, "pairs", rows, "mara")
    for item, given in iter_answers(ws, "pairs"):
        keys = read_subject(item.subject_id)[0]
        assert keys["ab".index(given.answer["preferred"])] == "c1"  # type: ignore[index]


def test_time_left_goes_by_the_persons_own_median(any_workspace: Workspace) -> None:
    ws = any_workspace
    make_panel(ws, NewPanel("spring", panel()), version(ws), cases(), "mara")
    from metier.queue import get_queue

    queue = get_queue(ws, "spring")
    assert left_for(ws, queue, "anna").seconds == 12 * 90
    for seconds in (10.0, 20.0, 60.0):
        got = take_next(ws, "spring", "anna")
        assert got is not None
        give_answer(ws, got[1].id, ANNA, Said(RATED, seconds))
    left = left_for(ws, queue, "anna")
    assert (left.done, left.left, left.seconds) == (3, 9, 180.0)
    assert left_for(ws, queue, BEN.id).left == 12
