"""Replies in pieces: as they are written, stored before the last piece, cancelled on leaving."""

from __future__ import annotations

import asyncio

import pytest

from metier.core.errors import BoundaryError, Draining, NotFound, TimedOut
from metier.core.workspace import Workspace
from metier.serve import Gateway, Piece, ServeConfig
from serve_fakes import FORM, FakeModel, champion, pieces_of, question, run, serving, stored, until

FILLED = '{"route": "billing", "reply": "we look into it"}'


def text_of(pieces: list[Piece], index: int = 0) -> str:
    return "".join(piece.text for piece in pieces if piece.index == index)


async def whole(gateway: Gateway, *given: object, **settings: object) -> list[Piece]:
    stream = await gateway.stream(question(*given, **settings))  # type: ignore[arg-type]
    return await pieces_of(stream)


def test_pieces_come_as_they_are_written(workspace: Workspace) -> None:
    champion(workspace)
    model = FakeModel(hold=True, streams=True)

    async def ask(gateway: Gateway) -> tuple[Piece, list[Piece]]:
        stream = await gateway.stream(question("good morning"))
        first = await anext(stream)
        assert (stream.release, stored(workspace)) == ("v1", []), "nothing is whole yet"
        model.gate.set()
        return first, await pieces_of(stream)

    with serving(workspace, model) as gateway:
        first, rest = run(ask(gateway))
    assert first.text == "ech"
    assert text_of([first, *rest]) == "echo good morning"
    assert rest[-1].finish_reason == "stop" and rest[-1].reply is not None
    (row,) = stored(workspace)
    assert (row.id, row.replies) == (rest[-1].reply.id, ("echo good morning",))
    assert (row.state, row.settings["stream"], row.output_tokens) == ("done", True, 3)
    assert row.first_token_s is not None and row.first_token_s <= row.total_s


def test_it_is_stored_before_the_last_piece(any_workspace: Workspace) -> None:
    champion(any_workspace)

    async def ask(gateway: Gateway) -> None:
        async for piece in await gateway.stream(question("hello")):
            rows = stored(any_workspace)
            assert len(rows) == (1 if piece.finish_reason else 0)

    with serving(any_workspace, FakeModel(streams=True)) as gateway:
        run(ask(gateway))


def test_a_filled_in_form_is_cut_into_pieces(workspace: Workspace) -> None:
    champion(workspace, FORM)
    with serving(workspace, FakeModel(lambda text: FILLED, streams=True)) as gateway:
        pieces = run(whole(gateway, "hello"))
    assert len(pieces) > 4 and text_of(pieces) == FILLED
    assert stored(workspace)[0].replies == (FILLED,)


def test_several_choices_are_told_apart(workspace: Workspace) -> None:
    champion(workspace)
    with serving(workspace, FakeModel(streams=True)) as gateway:
        pieces = run(whole(gateway, "hello", n=2, temperature=1.0, seed=3))
        equal = run(whole(gateway, "hello", n=2))
    assert [text_of(pieces, i) for i in (0, 1)] == ["echo hello (3.0)", "echo hello (3.1)"]
    assert [text_of(equal, i) for i in (0, 1)] == ["echo hello"] * 2
    assert [piece.index for piece in pieces if piece.finish_reason] == [0, 1]
    assert [piece.reply is not None for piece in pieces[-2:]] == [False, True]
    assert [len(row.replies) for row in stored(workspace)] == [2, 2]


def test_a_consumer_that_closes_leaves_what_it_had_been_sent(workspace: Workspace) -> None:
    champion(workspace)
    model = FakeModel(hold=True, streams=True)

    async def leave(gateway: Gateway) -> None:
        stream = await gateway.stream(question("good morning"))
        await anext(stream)
        await stream.aclose()
        await stream.aclose()
        assert gateway._admission.inside == 0

    with serving(workspace, model) as gateway:
        run(leave(gateway))
    (row,) = stored(workspace)
    assert (row.state, row.replies, row.guards) == ("cancelled", ("ech",), ())


def test_a_cancelled_task_leaves_a_cancelled_row(workspace: Workspace) -> None:
    champion(workspace)
    model = FakeModel(hold=True, streams=True)

    async def leave(gateway: Gateway) -> None:
        stream = await gateway.stream(question("good morning"))
        task = asyncio.create_task(pieces_of(stream))
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert gateway._admission.inside == 0

    with serving(workspace, model) as gateway:
        run(leave(gateway))
    (row,) = stored(workspace)
    assert (row.state, row.replies) == ("cancelled", ("ech",))


def test_leaving_before_a_filled_in_form_is_through_is_cancelled_too(workspace: Workspace) -> None:
    champion(workspace, FORM)

    async def leave(gateway: Gateway) -> None:
        stream = await gateway.stream(question("hello"))
        await anext(stream)
        await stream.aclose()

    with serving(workspace, FakeModel(lambda text: FILLED)) as gateway:
        run(leave(gateway))
    (row,) = stored(workspace)
    assert row.state == "cancelled" and FILLED.startswith(row.replies[0])
    assert row.replies[0] != FILLED


def test_streams_and_batches_take_turns(workspace: Workspace) -> None:
    champion(workspace)
    model = FakeModel(streams=True)

    async def ask(gateway: Gateway) -> None:
        texts = [f"{n} " + "long " * 50 for n in range(3)]
        streams = [asyncio.create_task(whole(gateway, text)) for text in texts]
        chats = [asyncio.create_task(gateway.chat(question(f"q{n}"))) for n in range(5)]
        for text, pieces in zip(texts, await asyncio.gather(*streams), strict=True):
            assert text_of(pieces) == f"echo {text}"
        await asyncio.gather(*chats)

    with serving(workspace, model, ServeConfig(batch_wait_ms=0, max_batch=2)) as gateway:
        run(ask(gateway))
    assert [row.state for row in stored(workspace)] == ["done"] * 8


def test_what_can_be_refused_is_refused_before_the_first_piece(workspace: Workspace) -> None:
    champion(workspace)

    def broken(text: str) -> str:
        raise ValueError("secret")

    with serving(workspace, FakeModel(broken, streams=True)) as gateway:
        with pytest.raises(NotFound):
            run(gateway.stream(question("?", "gpt")))
        with pytest.raises(BoundaryError) as caught:
            run(gateway.stream(question("?")))
        assert "secret" not in str(caught.value)
        assert gateway._admission.inside == 0
    assert [row.state for row in stored(workspace)] == ["failed"]


def test_a_stream_that_does_not_begin_in_time_is_cancelled(workspace: Workspace) -> None:
    champion(workspace)
    model = FakeModel(hold=True)
    with serving(workspace, model, ServeConfig(batch_wait_ms=0, timeout_s=0.05)) as gateway:
        with pytest.raises(TimedOut):
            run(gateway.stream(question("slow")))
        assert gateway._admission.inside == 0
    assert [row.state for row in stored(workspace)] == ["cancelled"]


def test_draining_ends_streams_that_take_too_long(workspace: Workspace) -> None:
    champion(workspace)
    model = FakeModel(hold=True, streams=True)

    async def drain(gateway: Gateway) -> None:
        stream = await gateway.stream(question("good morning"))
        await anext(stream)
        await gateway.drain(0)
        with pytest.raises(Draining):
            await anext(stream)
        await until(lambda: gateway._admission.inside == 0)

    with serving(workspace, model) as gateway:
        run(drain(gateway))
    (row,) = stored(workspace)
    assert (row.state, row.replies) == ("cancelled", ("ech",))


def test_a_stream_that_is_dropped_is_cancelled(workspace: Workspace) -> None:
    champion(workspace)

    async def drop(gateway: Gateway) -> None:
        stream = await gateway.stream(question("good morning"))
        await anext(stream)
        del stream
        await until(lambda: gateway._admission.inside == 0)

    with serving(workspace, FakeModel(hold=True, streams=True)) as gateway:
        run(drop(gateway))
    (row,) = stored(workspace)
    assert (row.state, row.replies) == ("cancelled", ("ech",))


def test_a_stream_that_nobody_reads_is_cancelled_when_the_gateway_closes(
    workspace: Workspace,
) -> None:
    champion(workspace)
    with serving(workspace, FakeModel(hold=True, streams=True)) as gateway:
        kept = run(gateway.stream(question("good morning")))
    (row,) = stored(workspace)
    assert (row.id, row.state, row.replies) == (kept.id, "cancelled", ())
