from cases import LABELS, OBJECTIVE, example, settings

from metier.core.objective import Objective
from metier.core.types import CompletionTarget, Conversation, LabelTarget, Message
from metier.tune.inspect import inspect
from tiny_models import tiny_base


def test_the_label_and_the_end_of_turn_are_shown_as_supervised() -> None:
    rows = [example(1, "where is my parcel", LabelTarget("delivery"))]
    shown = inspect(rows, tiny_base(), OBJECTIVE, settings(), labels=LABELS, system="Route.")
    assert [one.example_id for one in shown] == [rows[0].id]
    (before, prompt), (after, reply) = shown[0].stretches()
    assert (before, after) == (False, True)
    assert prompt.startswith("<|im_start|>system\nRoute.")
    assert prompt.endswith("<|im_start|>assistant\n")
    assert reply == "delivery<|im_end|>"
    assert "".join(token.text for token in shown[0].tokens) == prompt + reply


def test_turns_of_weight_zero_are_shown_as_not_supervised() -> None:
    turns = Conversation(
        (
            Message.of("user", "card"),
            Message.of("assistant", "late", weight=0),
            Message.of("user", "and now"),
        )
    )
    row = example(1, "", CompletionTarget("refund"))
    row = row.changed("test", conversation=turns)
    shown = inspect([row], tiny_base(), Objective(task="chat"), settings())
    assert [text for supervised, text in shown[0].stretches() if supervised] == ["refund<|im_end|>"]


def test_characters_of_several_tokens_are_whole_in_a_stretch() -> None:
    row = example(1, "card", CompletionTarget("délivré 🙂"))
    shown = inspect([row], tiny_base(), Objective(task="chat"), settings())
    assert shown[0].stretches()[1][1] == "délivré 🙂<|im_end|>"
