"""Passages stand before the question, within the room there is; what nothing fits is not asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from evaluate_fakes import FakeCompleter
from metier.core.codec import predictions_from_parquet, predictions_to_parquet
from metier.core.completer import Completer, Sampling
from metier.core.objective import Objective
from metier.core.records import Prediction
from metier.core.types import Completion, Conversation
from metier.models.answer import answer
from metier.models.choosing import FillingCompleter
from metier.models.engines.local import LocalCompleter
from metier.retrieval.config import ABSENT
from metier.retrieval.grounded import Grounding, grounded
from metier.retrieval.index import Index, build_index
from metier.retrieval.types import Document
from metier.similarity.embeddings import HashedEmbedder
from tiny_models import tiny_base

DOCUMENTS = [
    Document("boiler.md", "Hold the reset button for ten seconds [7].", "Resetting the boiler"),
    Document("refunds.md", "Money is returned within five days."),
    Document("parcel.md", "A lost parcel is sent again."),
]
LOST = Conversation.of(("system", "Help."), ("user", "my parcel is lost"))
STRANGE = Conversation.of(("user", "zebra"))


@pytest.fixture(scope="module")
def index() -> Index:
    return build_index(DOCUMENTS, embedder=HashedEmbedder())


def model() -> FakeCompleter:
    return FakeCompleter(lambda text: "It is sent again [1].")


class Roomy(FakeCompleter):
    """Has room for a number of characters."""

    def __init__(self, characters: int) -> None:
        super().__init__(lambda text: "yes")
        self._characters = characters

    def room(self, conversation: Conversation) -> int:
        return self._characters - len(conversation.text)


def test_passages_are_numbered_before_the_question(index: Index) -> None:
    inner = model()
    (reply,) = grounded(inner, index, Grounding(k=2)).complete([LOST], Sampling())
    (asked,) = inner.asked
    assert [m.role for m in asked.messages] == ["system", "user"]
    assert asked.last_user.startswith("Sources:\n[1] A lost parcel is sent again.\n[2] ")
    assert asked.last_user.endswith(f"reply: {ABSENT}\n\nmy parcel is lost")
    assert reply.sources[0] == "parcel.md:0-28"
    assert index.chunk(reply.sources[0]).text == "A lost parcel is sent again."


def test_numbers_in_brackets_of_a_passage_are_no_citations(index: Index) -> None:
    completer = grounded(model(), index, Grounding(k=1))
    (prompt,) = completer.prompts([Conversation.of(("user", "reset the boiler"))])
    assert "[1] Resetting the boiler\nHold the reset button for ten seconds (7)." in prompt.text


def test_what_shares_nothing_gets_the_fixed_reply_and_is_not_asked(index: Index) -> None:
    inner = model()
    completer = grounded(inner, index)
    replies = completer.complete([STRANGE, LOST], Sampling())
    assert [reply.text for reply in replies] == [ABSENT, "It is sent again [1]."]
    assert replies[0].sources == () and len(inner.asked) == 1
    assert replies[0].timing.total_s > 0 and replies[1].timing.total_s > 0.01
    assert grounded(inner, index).complete([], Sampling()) == []


def test_a_threshold_leaves_more_unanswered(index: Index) -> None:
    weak = Conversation.of(("user", "may a zebra be sent through customs again"))
    assert 0 < index.fit(["may a zebra be sent through customs again"])[0] < 0.5
    sure = grounded(model(), index, Grounding(least_fit=0.5))
    assert [r.text == ABSENT for r in sure.complete([weak, LOST], Sampling())] == [True, False]
    assert [r.text == ABSENT for r in sure.fitting(0.0).complete([weak], Sampling())] == [False]


@pytest.mark.parametrize("method", ["bm25", "embeddings", "hybrid"])
def test_fit_is_a_share(index: Index, method: str) -> None:
    exact, none = index.fit(["a lost parcel is sent again", ""], method)  # type: ignore[arg-type]
    assert 0.3 < exact <= 1.0 and none == 0.0


def test_the_frame_around_a_question_is_not_searched_for(index: Index) -> None:
    framed = Conversation.of(("user", "Money refund: my parcel is lost\nAnswer."))
    how = Grounding(k=1, frame=("Money refund: ", "\nAnswer."))
    (reply,) = grounded(model(), index, how).complete([framed], Sampling())
    assert reply.sources == ("parcel.md:0-28",)


def test_passages_that_do_not_fit_are_left_out_worst_first(index: Index) -> None:
    asked = Conversation.of(("user", "is money for a lost parcel returned within days"))
    all_of_it = grounded(model(), index, Grounding(k=2)).prompts([asked])[0]
    tight = grounded(Roomy(len(all_of_it.text) + 40), index, Grounding(k=2))
    (reply,) = tight.complete([asked], Sampling())
    assert len(reply.sources) == 1
    assert tight.room is not None and tight.room(asked) >= 64
    assert grounded(model(), index).room is None


def test_without_absent_everything_is_asked(index: Index) -> None:
    inner = FakeCompleter(lambda text: "x", score=lambda text, label: 0.0)
    completer = grounded(inner, index, Grounding(absent=None, instruction="Use these."))
    (reply,) = completer.complete([STRANGE], Sampling())
    assert reply.text == "x" and inner.asked == [STRANGE]
    assert completer.score([LOST], ["a"]) == [[0.0]]
    assert "Use these." in inner.asked[-1].last_user


def test_it_is_a_completer_of_its_own(index: Index) -> None:
    completer = grounded(model(), index)
    assert isinstance(completer, Completer) and not isinstance(completer, FillingCompleter)
    assert completer.name == "grounded(3, bm25)"
    others = [Grounding(k=2), Grounding(least_fit=0.1), Grounding(method="hybrid")]
    prints = {grounded(model(), index, how).fingerprint for how in [Grounding(), *others]}
    prints.add(grounded(FakeCompleter(str, "other"), index).fingerprint)
    prints.add(grounded(model(), build_index(DOCUMENTS[:2])).fingerprint)
    assert len(prints) == 6
    assert completer.over(model()).fingerprint == completer.fingerprint


def test_around_a_language_model_it_chooses_and_fills(index: Index) -> None:
    completer = grounded(LocalCompleter(tiny_base()), index, Grounding(k=1, absent=None))
    assert isinstance(completer, FillingCompleter)
    labels = ["card_arrival", "no"]
    task = Objective(task="classify", labels=labels)
    (reply,) = answer(completer, [LOST], task, labels, Sampling())
    assert reply.text in labels and reply.sources == ("parcel.md:0-28",)
    fields = {"type": "object", "properties": {"a": {"type": "string"}}}
    form = Objective(task="structured", fields=fields)
    (reply,) = answer(completer, [LOST], form, [], Sampling(max_tokens=4))
    assert reply.text.startswith('{"a": "') and reply.sources == ("parcel.md:0-28",)


def test_sources_are_stored_with_predictions() -> None:
    made = Prediction("p", "ex", Completion("x", sources=("a:0-1", "b:2-3")), "x", "x", "", {})
    data = predictions_to_parquet([made])
    assert predictions_from_parquet(data) == [made]


def test_predictions_from_before_there_were_sources_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = Prediction("p", "ex", Completion("x"), "x", "x", "", {})
    old = to_old_parquet([made], monkeypatch)
    assert predictions_from_parquet(old) == [replace(made, completion=Completion("x"))]


def to_old_parquet(made: Sequence[Prediction], monkeypatch: pytest.MonkeyPatch) -> bytes:
    from metier.core import codec

    names = codec._field_names

    def without(kind: type) -> tuple[str, ...]:
        return tuple(name for name in names(kind) if name != "sources")

    with monkeypatch.context() as patched:
        patched.setattr(codec, "_field_names", without)
        data = predictions_to_parquet(made)
    assert b"sources" not in data
    return data
