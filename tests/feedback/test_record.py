"""What users say of replies: checked, cleared of identifiers, stored."""

from __future__ import annotations

import json
import string
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feedback_replies import ANSWER, CLASSIFY, FIELDS, LABELS, serve, stored_text
from metier.core import ledger
from metier.core.errors import InputError, NotFound
from metier.core.objective import Objective
from metier.core.records import Feedback
from metier.core.types import Json
from metier.core.workspace import Workspace
from metier.feedback import FeedbackConfig
from metier.feedback.record import record_feedback, validate_feedback

CONFIG = FeedbackConfig()


def say(
    ws: Workspace,
    reply: str,
    metric: str,
    value: Json,
    objective: Objective = CLASSIFY,
    **tags: str,
) -> Feedback:
    return record_feedback(ws, CONFIG, objective, LABELS, reply, metric, value, tags, "app")


def test_what_is_said_last_counts(any_workspace: Workspace) -> None:
    [reply] = serve(any_workspace, "top up")
    say(any_workspace, reply, "helpful", True)
    last = say(any_workspace, reply, "helpful", False, channel="mail")
    assert say(any_workspace, reply, "helpful", False, channel="mail") == last
    assert ledger.list_feedback(any_workspace, [reply]) == [last]
    assert (last.seq, last.value, last.tags, last.actor) == (2, False, {"channel": "mail"}, "app")


@pytest.mark.parametrize(
    ("metric", "value", "why"),
    [
        ("helpful", 1, "true or false"),
        ("helpful", "true", "true or false"),
        ("helpful", None, "true or false"),
        ("rating", True, "a finite number"),
        ("rating", "4", "a finite number"),
        ("rating", float("nan"), "a finite number"),
        ("rating", float("inf"), "a finite number"),
        ("rating", 10**400, "a finite number"),
        ("ratings", 4, "did you mean 'rating'"),
        ("comment", "", "a text"),
        ("comment", 3, "a text"),
        ("comment", "a" * 10_001, "at most 10000"),
        ("demonstration", "cash", "one label"),
    ],
)
def test_values_that_do_not_fit(metric: str, value: Json, why: str) -> None:
    with pytest.raises(InputError, match=why):
        validate_feedback(CONFIG, CLASSIFY, LABELS, metric, value)


@pytest.mark.parametrize(
    ("tags", "why"),
    [
        ({str(n): "" for n in range(21)}, "at most 20 tags"),
        ({"a": "b" * 201}, "at most 200"),
        ({"a" * 201: ""}, "at most 200"),
        ({"a": 3}, "text to text"),
    ],
)
def test_tags_that_do_not_fit(tags: Any, why: str) -> None:
    with pytest.raises(InputError, match=why):
        validate_feedback(CONFIG, CLASSIFY, LABELS, "helpful", True, tags)


def test_metrics_are_the_projects() -> None:
    config = FeedbackConfig(metrics={"solved": "boolean"})
    assert validate_feedback(config, CLASSIFY, LABELS, "solved", False) is False
    with pytest.raises(InputError, match="known: comment, demonstration, solved"):
        validate_feedback(config, CLASSIFY, LABELS, "helpful", True)


def test_an_integer_is_a_number() -> None:
    value = validate_feedback(CONFIG, CLASSIFY, LABELS, "rating", 4)
    assert value == 4.0 and isinstance(value, float)


@pytest.mark.parametrize("reply", ["chatcmpl-1", "", "\x00", "\ud800"])
def test_a_reply_that_was_not_served_here(any_workspace: Workspace, reply: str) -> None:
    with pytest.raises(NotFound, match="served here"):
        say(any_workspace, reply, "helpful", True)


def test_a_demonstration_is_stored_in_the_tasks_shape(workspace: Workspace) -> None:
    replies = serve(workspace, "top up", "{}")
    assert say(workspace, replies[0], "demonstration", "card arrival").value == "card_arrival"
    given = json.dumps({"reply": "Write to jo@mail.org", "route": "parcels"})
    said = say(workspace, replies[1], "demonstration", given, FIELDS)
    assert said.value == {"route": "parcels", "reply": "Write to [EMAIL]"}
    assert said.sealed_id is not None
    opened = json.loads(workspace.sealed.open(said.sealed_id, actor="test", purpose="test"))
    assert opened["value"]["reply"] == "Write to jo@mail.org"


def test_what_holds_no_identifier_is_not_sealed(workspace: Workspace) -> None:
    [reply] = serve(workspace, "top up")
    assert say(workspace, reply, "comment", "Too slow.").sealed_id is None
    tagged = say(workspace, reply, "helpful", True, contact="jo@mail.org")
    assert tagged.tags == {"contact": "[EMAIL]"} and tagged.sealed_id is not None


ANY_TEXT = st.text(max_size=40)
EMAILS = st.builds(
    "{}@{}.{}".format,
    st.text(string.ascii_letters + string.digits + "._+-", min_size=1, max_size=20).filter(
        lambda local: local[0] not in "."
    ),
    st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=12),
    st.sampled_from(["org", "com", "de", "co.uk"]),
)


@given(before=ANY_TEXT, email=EMAILS, after=ANY_TEXT)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_address_is_stored_in_clear(
    workspace: Workspace, before: str, email: str, after: str
) -> None:
    [reply] = serve(workspace, "A reply.")
    text = f"{before} {email} {after}"
    said = [
        say(workspace, reply, "comment", text, ANSWER, note=email),
        say(workspace, reply, "demonstration", text, ANSWER),
        say(workspace, reply, "demonstration", {"route": "parcels", "reply": text}, FIELDS),
    ]
    assert email not in repr([(one.value, one.tags) for one in said])
    assert all(one.sealed_id for one in said)


@given(text=st.text(st.sampled_from("a1@.'/:?= +-(_\n\x00\ud800"), max_size=60), email=EMAILS)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_nor_in_a_text_made_to_hide_it(workspace: Workspace, text: str, email: str) -> None:
    [reply] = serve(workspace, "A reply.")
    said = say(workspace, reply, "comment", f"http://u@h'{email} {text} ({email})", ANSWER)
    assert email not in said.value


def test_the_tables_hold_no_address(any_workspace: Workspace) -> None:
    [reply] = serve(any_workspace, "A reply.")
    say(any_workspace, reply, "comment", "I am jo@mail.org\x00", ANSWER)
    assert "jo@mail" not in stored_text(any_workspace, ["feedback", "sealed_rows", "audit"])
