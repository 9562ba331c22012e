"""Identifiers go neither to the model nor into the store in clear, and come back in the reply."""

from __future__ import annotations

import json
import logging
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metier.core.types import Conversation
from metier.core.workspace import Workspace
from metier.serve import Gateway
from metier.serve.roundtrip import Restorer, clean, restore
from serve_fakes import FORM, FakeModel, champion, pieces_of, question, run, serving, stored

MAIL = "mia.berg@example.org"
ASKED = f"Please write to {MAIL} about order 4711-2222"
ORIGINALS = {"[EMAIL]": MAIL, "[ORDER_NUMBER]": '4711"'}


def everything(ws: Workspace) -> bytes:
    """All that the database file holds, sealed rows as they are stored."""
    with sqlite3.connect(ws.folder / "metier.db") as connection:
        return "\n".join(connection.iterdump()).encode()


@pytest.mark.parametrize("streamed", [False, True])
def test_an_address_is_sealed_and_comes_back(
    workspace: Workspace, caplog: pytest.LogCaptureFixture, streamed: bool
) -> None:
    caplog.set_level(logging.DEBUG)
    champion(workspace)
    model = FakeModel(lambda text: "Sent to [EMAIL]. Bye", streams=streamed)

    async def ask(gateway: Gateway) -> str:
        asked = question(ASKED, user="mia", stop=(MAIL,))
        if not streamed:
            return (await gateway.chat(asked)).choices[0].text
        return "".join(piece.text for piece in await pieces_of(await gateway.stream(asked)))

    with serving(workspace, model) as gateway:
        assert run(ask(gateway)) == f"Sent to {MAIL}. Bye"
    assert model.seen[0].last_user == "Please write to [EMAIL] about order [ORDER_NUMBER]"
    (row,) = stored(workspace)
    assert row.asked.last_user == model.seen[0].last_user
    assert row.replies == ("Sent to [EMAIL]. Bye",)
    assert MAIL.encode() not in everything(workspace) and b"4711-2222" not in everything(workspace)
    assert MAIL not in caplog.text and "Sent to" not in caplog.text

    assert row.sealed_id is not None
    sealed = json.loads(workspace.sealed.open(row.sealed_id, actor=None, purpose="test"))
    assert [one["text"] for one in sealed["asked"]] == [MAIL, "4711-2222"]
    assert workspace.sealed.erase_group("mia") == 1, "it is sealed under who asked"


def test_what_the_model_says_is_kept_without_identifiers_too(workspace: Workspace) -> None:
    champion(workspace)
    model = FakeModel(lambda text: "Ask leo@example.org")
    with serving(workspace, model) as gateway:
        reply = run(gateway.chat(question("who?")))
    (row,) = stored(workspace)
    assert reply.choices[0].text == "Ask leo@example.org"
    assert row.replies == ("Ask [EMAIL]",) and row.sealed_id is not None
    assert b"leo@" not in everything(workspace)


def test_of_two_different_values_nobody_can_tell_which_is_meant(workspace: Workspace) -> None:
    champion(workspace)
    with serving(workspace, FakeModel(lambda text: "Sent to [EMAIL]")) as gateway:
        for text, expected in (
            (f"{MAIL} or {MAIL}", f"Sent to {MAIL}"),
            (f"{MAIL} or leo@example.org", "Sent to [EMAIL]"),
            ("no address", "Sent to [EMAIL]"),
            (f"why [EMAIL] for {MAIL}?", "Sent to [EMAIL]"),
        ):
            assert run(gateway.chat(question(text))).choices[0].text == expected


def test_in_json_what_comes_back_is_escaped(workspace: Workspace) -> None:
    champion(workspace, FORM)
    filled = '{"route": "billing", "reply": "see [URL]"}'
    address = r"https://example.org/?user=a\b"
    with serving(workspace, FakeModel(lambda text: filled)) as gateway:
        reply = run(gateway.chat(question(f"see {address}")))
    assert json.loads(reply.choices[0].text)["reply"] == f"see {address}"


def test_a_release_made_without_deidentification_gets_text_as_it_is(workspace: Workspace) -> None:
    champion(workspace, deidentify="none")
    model = FakeModel()
    with serving(workspace, model) as gateway:
        run(gateway.chat(question(ASKED)))
    assert model.seen[0].last_user == stored(workspace)[0].asked.last_user == ASKED


def test_every_turn_is_cleaned() -> None:
    cleaned = clean(
        Conversation.of(("system", MAIL), ("user", "I"), ("assistant", f"to {MAIL}")), True
    )
    assert cleaned.conversation.text == "[EMAIL]\nI\nto [EMAIL]"
    assert [(one.place, one.start) for one in cleaned.removed] == [(0, 0), (2, 3)]
    assert cleaned.originals == {"[EMAIL]": MAIL}


def test_what_came_back_is_not_looked_through_again() -> None:
    originals = {"[ORDER_NUMBER]": "[EMAIL]", "[EMAIL]": MAIL}
    assert restore("[ORDER_NUMBER] [EMAIL]", originals, in_json=False) == f"[EMAIL] {MAIL}"


@given(
    st.lists(st.sampled_from(["[", "]", "EMAIL", "[EMAIL]", "[ORDER_", "NUMBER]", "x", " "])),
    st.lists(st.integers(1, 9)),
    st.booleans(),
)
def test_in_pieces_and_at_once_the_same_comes_back(
    parts: list[str], sizes: list[int], in_json: bool
) -> None:
    text = "".join(parts)
    restorer = Restorer(ORIGINALS, in_json=in_json)
    found, at = "", 0
    for size in [*sizes, len(text)]:
        found += restorer.feed(text[at : at + size])
        at = min(len(text), at + size)
    assert found + restorer.rest() == restore(text, ORIGINALS, in_json=in_json)
    assert "[EMAIL]" not in found
