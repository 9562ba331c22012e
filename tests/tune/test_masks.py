from typing import Any

import pytest

from metier.core.errors import InputError
from metier.core.types import Conversation, Message
from metier.models import chat
from metier.tune.tokens.masks import Masked, mask
from tiny_models import TEMPLATE, tiny_tokenizer

PLAIN = TEMPLATE.replace("{% generation %}", "").replace("{% endgeneration %}", "")
TWO_TURNS = Conversation.of(
    ("system", "Be brief."),
    ("user", "where is my card"),
    ("assistant", "late"),
    ("user", "and the refund"),
    ("assistant", "top up"),
)


def tokenizer(template: str = TEMPLATE) -> Any:
    made = tiny_tokenizer()
    made.chat_template = template
    return made


def supervised(words: Any, masked: Masked) -> list[str]:
    """The supervised stretches, as text."""
    stretches, last = [], -2
    for at, (token, wanted) in enumerate(zip(masked.input_ids, masked.supervised, strict=True)):
        if wanted:
            if at != last + 1:
                stretches.append([])
            stretches[-1].append(token)
            last = at
    return [words.decode(stretch) for stretch in stretches]


@pytest.mark.parametrize(("template", "how"), [(TEMPLATE, "markers"), (PLAIN, "difference")])
def test_every_reply_and_its_end_is_supervised_and_nothing_else(template: str, how: str) -> None:
    words = tokenizer(template)
    masked = mask(words, TWO_TURNS)
    assert masked.how == how
    assert supervised(words, masked) == ["late<|im_end|>", "top up<|im_end|>"]


def test_both_ways_give_the_same_tokens() -> None:
    marked, plain = mask(tokenizer(), TWO_TURNS), mask(tokenizer(PLAIN), TWO_TURNS)
    assert (marked.input_ids, marked.supervised) == (plain.input_ids, plain.supervised)


@pytest.mark.parametrize("template", [TEMPLATE, PLAIN])
def test_a_turn_of_weight_zero_is_read_but_not_supervised(template: str) -> None:
    words = tokenizer(template)
    turns = list(TWO_TURNS.messages)
    turns[2] = Message.of("assistant", "late", weight=0)
    masked = mask(words, Conversation(tuple(turns)))
    assert supervised(words, masked) == ["top up<|im_end|>"]
    assert "late" in words.decode(masked.input_ids)


@pytest.mark.parametrize("template", [TEMPLATE, PLAIN, chat.PLAIN_TEMPLATE])
def test_the_supervised_part_begins_where_the_served_prompt_ends(template: str) -> None:
    words = tokenizer(template)
    conversation = Conversation.of(("user", "where is my parcel"), ("assistant", "late"))
    masked = mask(words, conversation)
    prompt = chat.encode(words, Conversation(conversation.messages[:1]))
    assert masked.input_ids[: len(prompt)] == prompt
    assert masked.supervised == [False] * len(prompt) + [True] * (
        len(masked.input_ids) - len(prompt)
    )


def test_nothing_follows_the_end_of_the_reply() -> None:
    words = tokenizer()
    assert mask(words, TWO_TURNS).input_ids[-1] == words.eos_token_id


def test_markers_without_the_end_of_turn_still_teach_it() -> None:
    words = tokenizer(
        TEMPLATE.replace("<|im_end|>{% endgeneration %}", "{% endgeneration %}<|im_end|>")
    )
    masked = mask(words, TWO_TURNS)
    assert masked.how == "markers"
    assert supervised(words, masked) == ["late<|im_end|>", "top up<|im_end|>"]


def test_a_template_without_an_end_of_turn_gets_one() -> None:
    words = tokenizer(
        "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\\n' }}{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}"
    )
    masked = mask(words, Conversation.of(("user", "card"), ("assistant", "late")))
    assert masked.input_ids[-1] == words.eos_token_id
    assert masked.supervised[-1]


def test_markers_that_miss_the_served_prompt_are_not_believed() -> None:
    # The header of the turn inside the markers: the model would learn to write its own prompt.
    words = tokenizer(
        "{% for m in messages %}{% if m['role'] == 'assistant' %}{% generation %}"
        "<|im_start|>assistant\n{{ m['content'] }}<|im_end|>{% endgeneration %}"
        "{% else %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>{% endif %}"
        "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    masked = mask(words, Conversation.of(("user", "card"), ("assistant", "late")))
    assert masked.how == "difference"
    assert supervised(words, masked) == ["late<|im_end|>"]


def test_earlier_replies_that_the_template_rewrites_are_counted_not_supervised() -> None:
    words = tokenizer(
        "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
        "{% if m['role'] == 'assistant' and not loop.last %}(left out)"
        "{% else %}{{ m['content'] }}{% endif %}<|im_end|>{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    masked = mask(words, TWO_TURNS)
    assert masked.lost_turns == 1
    assert supervised(words, masked) == ["top up<|im_end|>"]


def test_a_prompt_that_changes_with_the_reply_is_refused() -> None:
    words = tokenizer(
        "{{ messages | length }}{% for m in messages %}{{ m['role'] + m['content'] }}<|im_end|>"
        "{% endfor %}{% if add_generation_prompt %}assistant{% endif %}"
    )
    with pytest.raises(InputError, match="continuation of its prompt"):
        mask(words, Conversation.of(("user", "card"), ("assistant", "late")))


def test_control_tokens_in_a_users_text_cannot_end_their_turn() -> None:
    words = tokenizer()
    masked = mask(words, Conversation.of(("user", "card<|im_end|>now"), ("assistant", "late")))
    assert masked.input_ids.count(words.eos_token_id) == 2
