"""The same question to the same model is asked once; what is kept is safe to keep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from evaluate_fakes import FakeCompleter
from metier.core.completer import Completer, Sampling
from metier.core.types import Completion, Conversation, Timing
from metier.models.base import Base
from metier.models.caching import Answer, CachedFillingCompleter, CompletionStore, cached
from metier.models.choosing import FillingCompleter
from metier.models.engines.local import LocalCompleter
from metier.models.filling import UpTo, closing_quote
from metier.models.schema import Text
from metier.models.schema_text import Grammar

ASKED = [Conversation.of(("user", text)) for text in ("one", "two", "three")]
GREEDY = Sampling(max_tokens=6)
SECRET = "Jane Roe, born 1950-01-01"


def store_in(folder: Path, most_bytes: int = 1 << 30) -> CompletionStore:
    return CompletionStore(folder / "completions.sqlite", b"secret", most_bytes)


def echo(name: str = "echo") -> FakeCompleter:
    return FakeCompleter(lambda text: text.upper(), name, score=lambda text, choice: -len(choice))


class Counting(LocalCompleter):
    """Notes how many conversations it was asked."""

    def __init__(self, base: Base) -> None:
        super().__init__(base)
        self.asked: list[int] = []

    def choose(self, conversations, choices, closing):  # type: ignore[no-untyped-def]
        self.asked.append(len(conversations))
        return super().choose(conversations, choices, closing)

    def fill(self, conversations, *given):  # type: ignore[no-untyped-def]
        self.asked.append(len(conversations))
        return super().fill(conversations, *given)


def test_only_what_is_not_known_is_asked(tmp_path: Path) -> None:
    inner = echo()
    completer = cached(inner, store_in(tmp_path))
    assert isinstance(completer, Completer)
    first = completer.complete(ASKED[:2], GREEDY)
    again = completer.complete([*ASKED, ASKED[0], ASKED[2]], GREEDY)
    assert [c.text for c in again] == ["ONE", "TWO", "THREE", "ONE", "THREE"]
    assert inner.asked == ASKED
    assert again[:2] == first, "usage and times are those of the answer that was made"


def test_answers_outlive_the_process_and_are_shared(tmp_path: Path) -> None:
    cached(echo(), store_in(tmp_path)).complete(ASKED, GREEDY)
    other = echo()
    cached(other, store_in(tmp_path)).complete(ASKED, GREEDY)
    assert other.asked == []


@pytest.mark.parametrize(
    "ask",
    [
        lambda c: c.complete(ASKED[:1], replace(GREEDY, max_tokens=7)),
        lambda c: c.complete(ASKED[:1], replace(GREEDY, stop=("x",))),
        lambda c: c.complete([ASKED[0].with_system("be kind")], GREEDY),
    ],
)
def test_another_question_is_another_question(
    tmp_path: Path, ask: Callable[[Completer], object]
) -> None:
    inner = echo()
    completer = cached(inner, store_in(tmp_path))
    completer.complete(ASKED, GREEDY)
    ask(completer)
    assert inner.calls == 2


def test_another_model_is_asked_itself(tmp_path: Path) -> None:
    cached(echo(), store_in(tmp_path)).complete(ASKED, GREEDY)
    other = echo("another")
    cached(other, store_in(tmp_path)).complete(ASKED, GREEDY)
    assert other.calls == 1


def test_scores_are_kept_by_their_choices(tmp_path: Path, llama: Base) -> None:
    inner = Counting(llama)
    completer = cached(inner, store_in(tmp_path))
    first = completer.score(ASKED, ["a", "bb"])
    assert completer.score(ASKED, ["a", "bb"]) == first
    assert inner.asked == [3]
    assert completer.score(ASKED[:1], ["bb", "a"])[0] == pytest.approx(first[0][::-1])
    assert inner.asked == [3, 1]


def test_scores_without_a_time_are_made_anew(tmp_path: Path) -> None:
    inner = echo()
    completer = cached(inner, store_in(tmp_path))
    assert completer.score(ASKED, ["a"]) == completer.score(ASKED, ["a"])
    assert inner.calls == 2


def test_a_reply_without_a_time_gets_one(tmp_path: Path) -> None:
    class Timeless(FakeCompleter):
        def complete(self, conversations, sampling):  # type: ignore[no-untyped-def]
            made = super().complete(conversations, sampling)
            return [replace(one, timing=Timing()) for one in made]

    completer = cached(Timeless(str.upper), store_in(tmp_path))
    first = completer.complete(ASKED, GREEDY)
    assert first[0].timing.total_s > 0 and first[0].timing.batch_size == 3
    assert completer.complete(ASKED, GREEDY) == first


def test_the_seed_of_a_greedy_reply_does_not_matter(tmp_path: Path) -> None:
    inner = echo()
    completer = cached(inner, store_in(tmp_path))
    completer.complete(ASKED, GREEDY)
    completer.complete(ASKED, replace(GREEDY, seed=5, top_p=0.5))
    assert inner.calls == 1


def test_errors_are_never_kept(tmp_path: Path) -> None:
    class Failing(FakeCompleter):
        def complete(
            self, conversations: Sequence[Conversation], sampling: Sampling
        ) -> list[Completion]:
            made = super().complete(conversations, sampling)
            return [replace(one, error="no route") if one.text == "TWO" else one for one in made]

    inner = Failing(lambda text: text.upper())
    completer = cached(inner, store_in(tmp_path))
    completer.complete(ASKED, GREEDY)
    found = completer.complete(ASKED, GREEDY)
    assert [c.error for c in found] == [None, "no route", None]
    assert inner.asked == [*ASKED, ASKED[1]]


def test_what_is_drawn_without_a_seed_is_drawn_again(tmp_path: Path) -> None:
    inner = echo()
    completer = cached(inner, store_in(tmp_path))
    for _ in range(2):
        completer.complete(ASKED, replace(GREEDY, temperature=1.0))
    assert inner.calls == 2 and len(store_in(tmp_path)) == 0


def test_what_is_drawn_with_a_seed_hangs_on_its_place(tmp_path: Path, llama: Base) -> None:
    how = replace(GREEDY, temperature=1.0, seed=4)
    inner = Counting(llama)
    completer = cached(inner, store_in(tmp_path))
    plain = [c.text for c in LocalCompleter(llama).complete([ASKED[0]] * 4, how)]
    assert [c.text for c in completer.complete([ASKED[0]] * 2, how)] == plain[:2]
    assert [c.text for c in completer.complete([ASKED[0]] * 4, how)] == plain
    assert [c.text for c in completer.complete([ASKED[0]] * 4, how)] == plain
    assert inner.asked == [2, 4]


def test_choosing_and_filling_are_kept_with_their_rules(tmp_path: Path, llama: Base) -> None:
    inner = Counting(llama)
    completer = cached(inner, store_in(tmp_path))
    assert isinstance(completer, CachedFillingCompleter)
    assert isinstance(completer, FillingCompleter)
    plain = LocalCompleter(llama)
    for _ in range(2):
        chosen = completer.choose(ASKED, ["card", "no"], [None, '"'])
        fresh = plain.choose(ASKED, ["card", "no"], [None, '"'])
        assert [row for row, _ in chosen] == [row for row, _ in fresh]
        for rule in (closing_quote, UpTo(2), UpTo(3)):
            replies = completer.fill(ASKED, GREEDY, rule, None)
            assert [c.text for c in replies] == [
                c.text for c in plain.fill(ASKED, GREEDY, rule, None)
            ]
        grammar = Grammar(Text(0, 4))
        assert len(completer.fill(ASKED, GREEDY, grammar.end, None, grammar)) == 3
    assert inner.asked == [3] * 5
    for _ in range(2):
        completer.fill(ASKED, GREEDY, lambda text: None, None)
    assert inner.asked == [3] * 7, "nothing stands for a function made on the spot"


def test_the_file_holds_no_prompt(tmp_path: Path) -> None:
    inner = FakeCompleter(lambda text: "a reply")
    cached(inner, store_in(tmp_path)).complete([Conversation.of(("user", SECRET))], GREEDY)
    held = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"a reply" in held
    assert b"Jane" not in held and b"1950" not in held


def test_keys_need_the_secret() -> None:
    one, other = (CompletionStore(Path("x"), secret) for secret in (b"a", b"b"))
    assert one.key(["q"]) == one.key(["q"]) != other.key(["q"])


def test_the_least_used_goes_when_the_file_is_full(tmp_path: Path) -> None:
    inner = FakeCompleter(lambda text: text * 900)
    completer = cached(inner, store_in(tmp_path, most_bytes=80_000))
    questions = [Conversation.of(("user", f"{n:03d}")) for n in range(50)]
    for question in questions:
        completer.complete([question, questions[0]], GREEDY)
    kept = len(store_in(tmp_path))
    assert 5 < kept < 40
    inner.asked.clear()
    completer.complete([questions[0], questions[-1]], GREEDY)
    assert inner.asked == [], "the newest, and what was asked again and again"


def test_a_torn_file_is_begun_anew(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    store.path.write_bytes(b"not a database at all" * 300)
    inner = echo()
    for _ in range(2):
        cached(inner, store).complete(ASKED, GREEDY)
    assert inner.calls == 1


def test_odd_text_and_numbers_come_back(tmp_path: Path) -> None:
    odd = "\ud800 \x00 ünïcode \U0001f600"
    inner = FakeCompleter(lambda text: odd)
    store = store_in(tmp_path)
    for _ in range(2):
        assert cached(inner, store).complete(ASKED[:1], GREEDY)[0].text == odd
    assert inner.calls == 1
    scores = Answer(None, (float("-inf"), float("nan"), 1e-300))
    store.put({b"key": scores})
    found = store.get([b"key", b"none"])
    assert list(found) == [b"key"] and repr(found[b"key"]) == repr(scores)
