from dataclasses import replace

import pytest
from cases import example

from metier.core.errors import InputError
from metier.core.records import LOSS_WEIGHT
from metier.core.types import CompletionTarget, Conversation, Example
from metier.tune.tokens.encode import encode
from tiny_models import tiny_tokenizer

WORDS = tiny_tokenizer()


def speak(one: Example) -> Conversation | None:
    if not isinstance(one.target, CompletionTarget):
        return None
    return one.conversation.then("assistant", one.target.text)


def case(number: int, text: str, reply: str | None) -> Example:
    return example(number, text, None if reply is None else CompletionTarget(reply))


def test_what_cannot_be_learned_from_is_left_out_with_its_reason() -> None:
    rows = [case(1, "card", "late"), case(2, "card", None), case(3, "card", "")]
    made = encode(rows, speak, WORDS, 64)
    assert [one.example_id for one in made.examples] == [rows[0].id]
    assert made.excluded == {
        rows[1].id: "no target to learn from",
        rows[2].id: "the reply is empty",
    }


def test_counts_of_tokens_are_of_what_is_read_and_what_is_predicted() -> None:
    one = encode([case(1, "card", "late")], speak, WORDS, 64).examples[0]
    reply = len(WORDS("late", add_special_tokens=False)["input_ids"]) + 1
    assert one.supervised_tokens == reply
    assert one.tokens == len(one.input_ids) - 1


def test_a_long_prompt_loses_its_middle_and_keeps_the_reply() -> None:
    text = "first " + "card payment " * 60 + "last"
    made = encode([case(1, text, "late")], speak, WORDS, 48)
    shown = WORDS.decode(made.examples[0].input_ids)
    assert (made.truncated, made.cut_replies) == (1, 0)
    assert len(made.examples[0].input_ids) <= 48
    assert shown.startswith("<|im_start|>user\nfirst")
    assert "last<|im_end|>" in shown
    assert shown.endswith("late<|im_end|>")


def test_a_long_reply_is_cut_after_a_quarter_is_kept_for_the_prompt() -> None:
    made = encode([case(1, "card " * 80, "late " * 80)], speak, WORDS, 64)
    one = made.examples[0]
    assert (made.truncated, made.cut_replies) == (1, 1)
    assert len(one.input_ids) == 64
    assert 64 // 2 <= one.supervised_tokens <= 64 * 3 // 4 + 1


def test_no_room_for_a_single_supervised_token_is_refused() -> None:
    rows = [case(1, "card", "late")]
    with pytest.raises(InputError, match=r"no supervised token fits in 8 tokens"):
        encode(rows, speak, WORDS, 8)


def test_an_empty_split_is_refused() -> None:
    with pytest.raises(InputError, match="an empty split"):
        encode([], speak, WORDS, 64)


def test_the_weight_that_rebalancing_gave_a_row_multiplies_its_tokens() -> None:
    plain = case(1, "card", "late")
    heavy = replace(plain, id="heavy", slices={LOSS_WEIGHT: "2.5"})
    made = encode([plain, heavy], speak, WORDS, 64).examples
    assert made[0].weights is None
    assert made[1].weights == [2.5] * len(made[1].input_ids)
    halves = encode(
        [heavy], speak, WORDS, 64, weigh=lambda masked, _: [0.5] * len(masked.input_ids)
    )
    assert halves.examples[0].weights == [1.25] * len(made[1].input_ids)
