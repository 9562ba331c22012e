"""The unmodified OpenAI client against a real server on a port."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI

from http_desk import desk_app, listening, opened
from metier.core import ledger
from metier.journey.session import Session
from serve_fakes import FakeModel, champion

ASKED: Any = [{"role": "user", "content": "where is it?"}]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Session, str]]:
    folder: Path = tmp_path_factory.mktemp("desk")
    with opened(folder) as session:
        champion(session.workspace)
        with listening(desk_app(session, FakeModel(streams=True))) as url:
            yield session, url


@pytest.fixture(scope="module")
def client(desk: tuple[Session, str]) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{desk[1]}/v1", api_key="unused", max_retries=0) as made:
        yield made


def test_a_reply(client: OpenAI, desk: tuple[Session, str]) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model="champion",
        messages=[{"role": "developer", "content": "Be brief."}, *ASKED],
        user="mia",
        max_completion_tokens=5,
        seed=3,
        stop=["\n"],
        logprobs=True,
        metadata={"a": "b"},
    )
    reply = raw.parse()
    assert raw.headers["x-metier-release"] == "v1"
    assert raw.headers["x-request-id"].startswith("req_")
    (choice,) = reply.choices
    assert (choice.message.role, choice.message.content) == ("assistant", "echo where is it?")
    assert (choice.index, choice.finish_reason, choice.logprobs) == (0, "stop", None)
    assert (reply.object, reply.model, reply.system_fingerprint) == (
        "chat.completion",
        "champion",
        "v1",
    )
    assert reply.usage is not None
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (7, 3)
    assert reply.usage.total_tokens == 10
    kept = ledger.get_interaction(desk[0].workspace, reply.id)
    assert kept.replies == ("echo where is it?",) and kept.settings["stop"] == ["\n"]


def test_text_parts_are_one_text(client: OpenAI) -> None:
    parts: Any = [{"type": "text", "text": "where"}, {"type": "text", "text": "is it?"}]
    reply = client.chat.completions.create(
        model="v1", messages=[{"role": "user", "content": parts}]
    )
    assert reply.choices[0].message.content == "echo where\nis it?"


def test_a_stream(client: OpenAI, desk: tuple[Session, str]) -> None:
    events = list(client.chat.completions.create(model="champion", messages=ASKED, stream=True))
    first, last = events[0], events[-1]
    assert first.choices[0].delta.role == "assistant" and first.choices[0].finish_reason is None
    assert "".join(e.choices[0].delta.content or "" for e in events) == "echo where is it?"
    assert len(events) > 4, "it comes in pieces"
    assert last.choices[0].finish_reason == "stop" and not last.choices[0].delta.content
    assert {(e.id, e.object, e.model, e.system_fingerprint, e.usage) for e in events} == {
        (first.id, "chat.completion.chunk", "champion", "v1", None)
    }
    assert ledger.get_interaction(desk[0].workspace, first.id).state == "done"


def test_a_stream_ends_with_its_usage_where_that_is_asked_for(client: OpenAI) -> None:
    events = list(
        client.chat.completions.create(
            model="champion", messages=ASKED, stream=True, stream_options={"include_usage": True}
        )
    )
    assert events[-2].choices[0].finish_reason == "stop" and events[-2].usage is None
    assert events[-1].choices == [] and events[-1].usage is not None
    assert events[-1].usage.total_tokens == 10


def test_the_wire_format_of_a_stream(desk: tuple[Session, str]) -> None:
    body = {"model": "champion", "messages": ASKED, "stream": True}
    got = httpx.post(f"{desk[1]}/v1/chat/completions", json=body)
    assert got.headers["content-type"].startswith("text/event-stream")
    assert got.headers["x-metier-release"] == "v1"
    events = got.text.split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    assert all(event.startswith('data: {"id": "chatcmpl-') for event in events[:-2])


def test_choices(client: OpenAI) -> None:
    reply = client.chat.completions.create(
        model="champion", messages=ASKED, n=2, temperature=1, seed=4
    )
    assert [choice.index for choice in reply.choices] == [0, 1]
    assert len({choice.message.content for choice in reply.choices}) == 2
    events = list(
        client.chat.completions.create(model="champion", messages=ASKED, n=2, stream=True)
    )
    for index in (0, 1):
        of_one = [e.choices[0] for e in events if e.choices[0].index == index]
        assert of_one[0].delta.role == "assistant" and of_one[-1].finish_reason == "stop"
        assert "".join(one.delta.content or "" for one in of_one) == "echo where is it?"


def test_models(client: OpenAI) -> None:
    cards = {card.id: card for card in client.models.list()}
    assert list(cards) == ["champion", "v1"]
    assert client.models.retrieve("champion") == cards["champion"]
    assert cards["v1"].owned_by == "metier" and cards["v1"].created > 0
    with pytest.raises(openai.NotFoundError, match="champion, v1") as caught:
        client.models.retrieve("v2")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


@pytest.mark.parametrize(
    ("changes", "kind", "param", "said"),
    [
        ({"model": "gpt-4o"}, openai.NotFoundError, "model", "known: champion, v1"),
        ({"temperature": 3}, openai.UnprocessableEntityError, "temperature", "less than or equal"),
        ({"n": 5}, openai.UnprocessableEntityError, None, "n from 1 to 4"),
        ({"stop": list("abcde")}, openai.UnprocessableEntityError, "stop", "at most 4"),
        ({"messages": []}, openai.UnprocessableEntityError, "messages", "at least 1"),
        ({"tools": [{}]}, openai.UnprocessableEntityError, "body", "tools: calling tools"),
        ({"functions": [{}]}, openai.UnprocessableEntityError, "body", "functions: calling"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
            openai.UnprocessableEntityError,
            "messages.0.content",
            "got image_url: only text can be read",
        ),
        (
            {"messages": [{"role": "queen", "content": "x"}]},
            openai.UnprocessableEntityError,
            "messages.0.role",
            "'system', 'developer'",
        ),
        (
            {"messages": [{"role": "user", "content": None}]},
            openai.UnprocessableEntityError,
            "messages.0.content",
            "text or a list of text parts",
        ),
        (
            {"messages": [{"role": "user", "content": "nul \0"}]},
            openai.UnprocessableEntityError,
            "body",
            "NUL",
        ),
    ],
)
def test_what_is_wrong_is_told(
    client: OpenAI, changes: Any, kind: type[openai.APIStatusError], param: str, said: str
) -> None:
    asked: Any = {"model": "champion", "messages": ASKED} | changes
    with pytest.raises(kind, match=said) as caught:
        client.chat.completions.create(**asked)
    assert caught.value.param == param
    assert caught.value.type == "invalid_request_error"


def test_an_unknown_model_is_refused_before_a_stream_begins(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="v9", messages=ASKED, stream=True)


def test_an_assistants_silent_turn_is_read(client: OpenAI) -> None:
    turns: Any = [{"role": "assistant", "content": None}, *ASKED]
    assert client.chat.completions.create(model="champion", messages=turns).choices


def test_the_reference_is_served_without_pages_of_others(desk: tuple[Session, str]) -> None:
    assert "/v1/feedback" in httpx.get(f"{desk[1]}/openapi.json").json()["paths"]
    for path in ("/docs", "/redoc", "/v1/nothing"):
        got = httpx.get(desk[1] + path)
        assert got.status_code == 404 and got.json()["error"]["code"] == "not_found"
