"""Made-up requests of every kind against the API's own description of itself."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis import GenerationMode, checks
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from feedback_replies import serve
from http_desk import IdleGateway, collect_failures, opened
from metier.apps.http.app import api_schema, make_app
from metier.core.errors import NotFound
from metier.core.types import Usage
from metier.serve import ChatReply, ChatRequest, Choice, ModelCard, Piece

CHECKS = [
    checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
    unsupported_method,
]
OPERATIONS = [
    f"{method.upper()} {path}" for path, item in api_schema()["paths"].items() for method in item
]
CASES = [
    (one, mode)
    for one in OPERATIONS
    for mode in GenerationMode
    if mode.is_positive or "/v1/" in one  # without parameters nothing can be wrong
]
HOST = {"Host": "127.0.0.1:8421"}
EXAMPLES = 15
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class QuickGateway(IdleGateway):
    """Answers at once, in this thread."""

    id, created, model, release = "chatcmpl-1", NOW, "champion", "v1"

    def ready(self) -> bool:
        return True

    def models(self) -> list[ModelCard]:
        return [ModelCard("champion", "alias", NOW, "v1"), ModelCard("far", "upstream", None)]

    async def chat(self, request: ChatRequest) -> ChatReply:
        if request.model != "champion":
            raise NotFound("the name of a model", got=request.model)
        choices = (Choice(request.conversation.last_user, "stop"),) * request.n
        return ChatReply(self.id, NOW, "champion", "v1", choices, Usage(1, 1))

    async def stream(self, request: ChatRequest) -> QuickStream:
        return QuickStream(await self.chat(request))


class QuickStream:
    def __init__(self, reply: ChatReply) -> None:
        self.id, self.created, self.model = reply.id, reply.created, reply.model
        self.release = reply.release
        self._pieces = iter([Piece(0, "yes"), Piece(0, "", "stop", reply)])

    def __aiter__(self) -> QuickStream:
        return self

    async def __anext__(self) -> Piece:
        for piece in self._pieces:
            return piece
        raise StopAsyncIteration

    async def aclose(self) -> None:
        pass


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder: Path = tmp_path_factory.mktemp("desk")
    with opened(folder) as session:
        serve(session.workspace, *("No idea.",) * 20)
        collect_failures(session)
        gateway: Any = QuickGateway()
        app = make_app(session, "api", gateway=gateway)
        yield schemathesis.openapi.from_asgi("/openapi.json", app, headers=HOST)


@pytest.mark.parametrize(("operation", "mode"), CASES)
def test_the_api_does_what_its_schema_says(
    schema: Any, operation: str, mode: GenerationMode
) -> None:
    method, path = operation.split()

    @hypothesis.settings(
        max_examples=EXAMPLES, derandomize=True, deadline=None, database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )  # fmt: skip
    @hypothesis.given(case=schema[path][method].as_strategy(generation_mode=mode))
    def answers(case: Any) -> None:
        case.call_and_validate(checks=CHECKS, headers=HOST)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        answers()
