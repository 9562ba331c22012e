"""Questions become stored replies: in batches, within limits, as evaluation asks them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import pytest

from metier.core import ledger
from metier.core.completer import Sampling
from metier.core.errors import (
    BoundaryError,
    Draining,
    InputError,
    ModelUnavailable,
    NotFound,
    OutOfSpace,
    Overloaded,
    TimedOut,
)
from metier.core.objective import Objective
from metier.core.types import Completion, Conversation
from metier.core.workspace import Workspace
from metier.models.prompt import TUNED, render_prompt
from metier.privacy import Egress, PrivacyConfig
from metier.release.promote import promote, rollback
from metier.serve import ChatReply, Gateway, ServeConfig
from serve_fakes import CHAT, FORM, FakeModel, champion, question, run, serving, stored, until
from tiny_releases import make

PAIR = Objective(task="classify")


async def wait_for_inside(gateway: Gateway, count: int) -> None:
    await until(lambda: gateway._admission.inside == count)


def test_a_reply_is_stored_as_it_is_handed_out(any_workspace: Workspace) -> None:
    release = champion(any_workspace)
    with serving(any_workspace, FakeModel()) as gateway:
        reply = run(gateway.chat(question("where is it?", user="mia", stop=("\n",))))
        (row,) = stored(any_workspace)
    assert reply.id == row.id and reply.id.startswith("chatcmpl-")
    assert [one.text for one in reply.choices] == list(row.replies) == ["echo where is it?"]
    assert (reply.model, reply.release) == (row.model, "v1") == ("champion", "v1")
    assert (row.release_id, row.state) == (release.id, "done")
    assert row.asked == Conversation.of(("user", "where is it?"))
    assert (row.input_tokens, row.output_tokens) == (7, 3)
    assert row.user == any_workspace.sealed.group_hash("mia")
    assert row.settings["finish_reasons"] == ["stop"] and row.settings["stop"] == ["\n"]
    assert row.sealed_id is None and row.total_s > 0


def test_the_model_is_asked_as_evaluation_asks_it(workspace: Workspace) -> None:
    champion(workspace, system="You sort mail.", max_new_tokens=16)
    model = FakeModel()
    with serving(workspace, model) as gateway:
        run(gateway.chat(question("hello")))
        run(gateway.chat(question("hello", max_tokens=5)))
        run(gateway.chat(question("hello", max_tokens=99)))
    asked = render_prompt(Conversation.of(("user", "hello")), CHAT, (), TUNED, "You sort mail.")
    assert model.seen[0] == asked
    assert model.samplings[0] == Sampling(max_tokens=16)
    assert [one.max_tokens for one in model.samplings] == [16, 5, 16], "a release has its limit"


def test_a_promotion_and_a_rollback_act_on_the_next_request(workspace: Workspace) -> None:
    champion(workspace)
    later = make(workspace, objective=CHAT.model_dump(mode="json"), labels=())
    with serving(workspace, FakeModel()) as gateway:
        names = [run(gateway.chat(question("?"))).release]
        assert run(gateway.chat(question("?", "challenger"))).release == "v2"
        promote(workspace, later.id)
        names.append(run(gateway.chat(question("?"))).release)
        rollback(workspace)
        names.append(run(gateway.chat(question("?"))).release)
        assert run(gateway.chat(question("?", "v2"))).release == "v2"
        cards = [(card.id, card.kind, card.release) for card in gateway.models()]
    assert names == ["v1", "v2", "v1"]
    assert cards[0] == ("champion", "alias", "v1")
    assert cards[-2:] == [("v2", "release", "v2"), ("v1", "release", "v1")]


@pytest.mark.parametrize("name", ["gpt-4o", "champ", "latest", "rel", "v9", ""])
def test_an_unknown_model_is_refused_and_the_known_are_named(
    workspace: Workspace, name: str
) -> None:
    champion(workspace)
    with (
        serving(workspace, FakeModel()) as gateway,
        pytest.raises(NotFound, match="champion, v1"),
    ):
        run(gateway.chat(question("?", name)))
    assert stored(workspace) == []


def test_what_waits_is_answered_in_one_batch(workspace: Workspace) -> None:
    champion(workspace)
    model = FakeModel(hold=True)

    async def ask(gateway: Gateway) -> list[ChatReply]:
        first = asyncio.create_task(gateway.chat(question("first")))
        await until(model.running.is_set)
        others = [asyncio.create_task(gateway.chat(question(f"q{n}"))) for n in range(5)]
        warm = asyncio.create_task(gateway.chat(question("warm", temperature=0.7)))
        await until(lambda: len(gateway._worker._waiting) == 6)
        model.gate.set()
        return await asyncio.gather(first, *others, warm)

    with serving(workspace, model, ServeConfig(batch_wait_ms=0, max_batch=4)) as gateway:
        replies = run(ask(gateway))
    assert [reply.choices[0].text for reply in replies] == [
        "echo first", *(f"echo q{n}" for n in range(5)), "echo warm"
    ]  # fmt: skip
    sizes = sorted(len(batch) for batch in model.batches)
    assert sizes == [1, 1, 1, 4], "at most four; another temperature is another batch"
    assert len(stored(workspace)) == 7


def test_a_batch_is_stored_in_one_transaction(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    champion(workspace)
    model, saved = FakeModel(hold=True), []
    real = ledger.save_interactions

    def counted(ws: Workspace, rows: Sequence[object], originals: object) -> None:
        saved.append(len(rows))
        real(ws, rows, originals)  # type: ignore[arg-type]

    monkeypatch.setattr(ledger, "save_interactions", counted)

    async def ask(gateway: Gateway) -> None:
        first = asyncio.create_task(gateway.chat(question("first")))
        await until(model.running.is_set)
        others = [asyncio.create_task(gateway.chat(question(f"q{n}"))) for n in range(5)]
        await until(lambda: len(gateway._worker._waiting) == 5)
        model.gate.set()
        await asyncio.gather(first, *others)

    with serving(workspace, model) as gateway:
        run(ask(gateway))
    assert saved == [1, 5]


def test_choices_are_equal_without_chance_and_differ_with_it(workspace: Workspace) -> None:
    champion(workspace)
    model = FakeModel()
    with serving(workspace, model) as gateway:
        greedy = run(gateway.chat(question("?", n=3)))
        sampled = run(gateway.chat(question("?", n=3, temperature=0.8, seed=5)))
    assert [one.text for one in greedy.choices] == ["echo ?"] * 3
    assert len(model.batches[0]) == 1, "computed once"
    assert len({one.text for one in sampled.choices}) == 3
    assert sampled.usage.output_tokens == 9
    assert [len(row.replies) for row in stored(workspace)] == [3, 3]


def test_a_seeded_reply_is_the_same_alone_and_among_others(workspace: Workspace) -> None:
    champion(workspace)
    model = FakeModel(hold=True)
    seeded = question("?", temperature=0.8, seed=5)

    async def among_others(gateway: Gateway) -> str:
        first = asyncio.create_task(gateway.chat(question("first")))
        await until(model.running.is_set)
        same = question("other", temperature=0.8, seed=5)
        others = [asyncio.create_task(gateway.chat(same)) for _ in range(3)]
        mine = asyncio.create_task(gateway.chat(seeded))
        await wait_for_inside(gateway, 5)
        model.gate.set()
        await asyncio.gather(first, *others)
        return (await mine).choices[0].text

    with serving(workspace, model) as gateway:
        crowded = run(among_others(gateway))
        assert run(gateway.chat(seeded)).choices[0].text == crowded


def test_limits_of_the_request_apply_to_the_final_text_of_a_form(workspace: Workspace) -> None:
    champion(workspace, FORM)
    model = FakeModel(lambda text: '{"route": "billing", "reply": "one two"}')
    with serving(workspace, model) as gateway:
        reply = run(gateway.chat(question("?", stop=(" two",), max_tokens=4)))
    assert reply.choices[0].text == '{"route": "billing", "reply": "one'
    assert model.samplings == [Sampling(max_tokens=16)], "the model fills the form as always"


def test_guards_say_what_was_noticed(workspace: Workspace) -> None:
    champion(workspace, FORM)
    good = '{"route": "billing", "reply": "yes"}'
    model = FakeModel(lambda text: good if text == "good" else "no form at all")
    with serving(workspace, model) as gateway:
        assert run(gateway.chat(question("good"))).guards == ()
        assert run(gateway.chat(question("bad"))).guards == ("unreadable_reply",)
        model.cut = 3
        assert run(gateway.chat(question("good"))).guards == ("prompt_cut",)
    assert [row.guards for row in stored(workspace)] == [
        (), ("unreadable_reply",), ("prompt_cut",)
    ]  # fmt: skip


def test_one_more_than_may_wait_is_told_when_to_come_back(workspace: Workspace) -> None:
    champion(workspace)
    model = FakeModel(hold=True)

    async def ask(gateway: Gateway) -> Overloaded:
        running = [asyncio.create_task(gateway.chat(question(f"{n}"))) for n in range(2)]
        await wait_for_inside(gateway, 2)
        with pytest.raises(Overloaded) as caught:
            await gateway.chat(question("one more"))
        model.gate.set()
        await asyncio.gather(*running)
        await gateway.chat(question("now there is room"))
        return caught.value

    with serving(workspace, model, ServeConfig(batch_wait_ms=0, max_waiting=2)) as gateway:
        refused = run(ask(gateway))
    assert refused.http_status == 429 and 1 <= refused.retry_after_s <= 60
    assert len(stored(workspace)) == 3


def test_a_reply_that_comes_too_late_is_stored_as_cancelled(workspace: Workspace) -> None:
    champion(workspace)
    model = FakeModel(hold=True)
    with serving(workspace, model, ServeConfig(batch_wait_ms=0, timeout_s=0.05)) as gateway:
        with pytest.raises(TimedOut) as caught:
            run(gateway.chat(question("slow")))
        model.gate.set()
    assert caught.value.http_status == 504
    (row,) = stored(workspace)
    assert (row.state, row.replies) == ("cancelled", ())


def test_a_client_that_goes_away_leaves_a_cancelled_row(workspace: Workspace) -> None:
    champion(workspace)
    model = FakeModel(hold=True)

    async def leave(gateway: Gateway) -> None:
        task = asyncio.create_task(gateway.chat(question("bye")))
        await until(model.running.is_set)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert gateway._admission.inside == 0

    with serving(workspace, model) as gateway:
        run(leave(gateway))
    assert [row.state for row in stored(workspace)] == ["cancelled"]


def test_draining_takes_nothing_new_and_lets_running_requests_end(workspace: Workspace) -> None:
    champion(workspace)
    model = FakeModel(hold=True)

    async def drain(gateway: Gateway) -> ChatReply:
        running = asyncio.create_task(gateway.chat(question("running")))
        await until(model.running.is_set)
        draining = asyncio.create_task(gateway.drain(10))
        await until(lambda: not gateway.ready())
        with pytest.raises(Draining):
            await gateway.chat(question("too late"))
        model.gate.set()
        await draining
        return await running

    with serving(workspace, model) as gateway:
        reply = run(drain(gateway))
    assert reply.choices[0].text == "echo running"
    assert [row.state for row in stored(workspace)] == ["done"]


def test_what_has_not_ended_when_the_time_to_drain_is_over_fails(workspace: Workspace) -> None:
    champion(workspace)
    model = FakeModel(hold=True)

    async def drain(gateway: Gateway) -> None:
        running = asyncio.create_task(gateway.chat(question("running")))
        await until(model.running.is_set)
        waiting = asyncio.create_task(gateway.chat(question("waiting", temperature=1.0)))
        await wait_for_inside(gateway, 2)
        await until(lambda: len(gateway._worker._waiting) == 1)
        await gateway.drain(0)
        for task in (running, waiting):
            with pytest.raises(Draining):
                await task

    with serving(workspace, model) as gateway:
        run(drain(gateway))
    assert [row.state for row in stored(workspace)] == ["cancelled"] * 2


def test_one_bad_row_costs_one_row(workspace: Workspace, caplog: pytest.LogCaptureFixture) -> None:
    champion(workspace)

    def reply(text: str) -> str:
        if text == "bad":
            raise ValueError("cannot answer the secret bad")
        return text

    model = FakeModel(reply, hold=True)

    async def ask(gateway: Gateway) -> list[ChatReply | BaseException]:
        first = asyncio.create_task(gateway.chat(question("first")))
        await until(model.running.is_set)
        others = [asyncio.create_task(gateway.chat(question(t))) for t in ("a", "bad", "b")]
        await until(lambda: len(gateway._worker._waiting) == 3)
        model.gate.set()
        await first
        return await asyncio.gather(*others, return_exceptions=True)

    with serving(workspace, model) as gateway:
        a, bad, b = run(ask(gateway))
    assert isinstance(a, ChatReply) and isinstance(b, ChatReply)
    assert isinstance(bad, BoundaryError) and "secret" not in str(bad)
    states = {row.asked.last_user: row.state for row in stored(workspace)}
    assert states == {"first": "done", "a": "done", "bad": "failed", "b": "done"}
    assert "ValueError" in caplog.text and "secret" not in caplog.text


@pytest.mark.parametrize("raised", [RuntimeError("row of mia"), OutOfSpace("room")])
def test_a_reply_that_cannot_be_stored_is_never_handed_out(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, raised: Exception
) -> None:
    champion(workspace)

    def fails(*given: object) -> None:
        raise raised

    with serving(workspace, FakeModel()) as gateway:
        with monkeypatch.context() as patched:
            patched.setattr(ledger, "save_interactions", fails)
            expected = OutOfSpace if isinstance(raised, OutOfSpace) else BoundaryError
            with pytest.raises(expected) as caught:
                run(gateway.chat(question("?")))
            assert "mia" not in str(caught.value)
        assert run(gateway.chat(question("and on it goes"))).choices


def test_wrong_requests_are_refused(workspace: Workspace) -> None:
    champion(workspace)
    with serving(workspace, FakeModel(), ServeConfig(max_choices=2)) as gateway:
        for wrong in (
            question("?", n=3),
            question("?", n=0),
            question("?", temperature=-1.0),
            question("?", max_tokens=-1),
        ):
            with pytest.raises(InputError):
                run(gateway.chat(wrong))
    assert stored(workspace) == []


def test_it_is_ready_once_the_champion_is_loaded(workspace: Workspace) -> None:
    with serving(workspace, FakeModel()) as gateway:
        run(until(gateway.ready))  # no champion: nothing to load
        champion(workspace)
        assert run(gateway.chat(question("?"))).release == "v1"
    assert not gateway.ready()

    def broken(*given: object) -> FakeModel:
        raise ModelUnavailable("a model", got="none")

    egress = Egress(PrivacyConfig(), workspace.audit)
    other = Gateway(workspace, ServeConfig(), egress, open_release=broken)
    other.start()
    with pytest.raises(ModelUnavailable) as caught:
        run(other.chat(question("?")))
    assert caught.value.http_status == 503 and not other.ready()
    other.close()
    assert [row.state for row in stored(workspace)] == ["done", "failed"]


def test_what_a_model_does_not_survive_does_not_end_the_worker(workspace: Workspace) -> None:
    champion(workspace)

    class Short(FakeModel):
        def complete(self, *given: object) -> list[Completion]:
            return []

    model = Short()
    with serving(workspace, model) as gateway:
        for _ in range(2):
            with pytest.raises(BoundaryError):
                run(gateway.chat(question("?")))
    assert [row.state for row in stored(workspace)] == ["failed"] * 2


def test_the_log_holds_no_text(workspace: Workspace, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    champion(workspace)
    with serving(workspace, FakeModel()) as gateway:
        run(gateway.chat(question("the secret sentence")))
    assert "secret" not in caplog.text
