"""to_example: rows to Examples, and what stands in the way."""

import pytest

from metier.core.errors import InputError
from metier.core.objective import Objective
from metier.core.types import (
    CompletionTarget,
    Conversation,
    Example,
    LabelTarget,
    Message,
    Provenance,
)
from metier.sources import BadRow, Row, SourceConfig, to_example

CLASSIFY = Objective(task="classify")
ANSWER = Objective(task="answer")
CHAT = Objective(task="chat")


def source(**keys: object) -> SourceConfig:
    return SourceConfig.model_validate({"path": "in.csv", **keys})


def example(values: dict[str, object], objective: Objective = ANSWER, **keys: object) -> Example:
    made = to_example(Row(values, "7", "in.csv:8"), source(**keys), objective, "d1")
    assert isinstance(made, Example), made
    return made


def refused(values: dict[str, object], objective: Objective = ANSWER, **keys: object) -> BadRow:
    made = to_example(Row(values, "7", "in.csv:8"), source(**keys), objective, "d1")
    assert isinstance(made, BadRow), made
    assert (made.locator, made.place) == ("7", "in.csv:8")
    return made


def test_a_whole_example() -> None:
    values = {"message": "Where is it?", "queue": " parcels ", "customer": 17, "country": "FR"}
    keys = {"prompt": "message", "target": "queue", "group": "customer", "slices": ["country"]}
    assert example(values, CLASSIFY, **keys, split="test") == Example(
        id=Example.make_id("d1", "7"),
        conversation=Conversation.of(("user", "Where is it?")),
        target=LabelTarget("parcels"),
        provenance=Provenance("in.csv", "d1", "7"),
        group="17",
        split="test",
        slices={"country": "FR"},
    )


def test_templates_fill_columns_and_keep_doubled_braces() -> None:
    made = example({"a b": "one", "c": ["x", "y"]}, prompt="{a b}:\n{c} {{literal}}")
    assert made.conversation.text == "one:\nx\ny {literal}"


def test_a_template_with_empty_cells_loses_the_blank_ends_only() -> None:
    made = example({"instruction": "Sum up.", "input": ""}, prompt="{instruction}\n\n{input}")
    assert made.conversation.text == "Sum up."
    assert refused({"instruction": "", "input": None}, prompt="Do: {instruction}").kind == (
        "no_prompt"
    )


def test_a_column_whose_name_has_braces_is_a_column() -> None:
    assert example({"{odd}": "text"}, prompt="{odd}").conversation.text == "text"


def test_dotted_paths_reach_into_objects() -> None:
    made = example({"post": {"body": "hello"}, "a.b": "flat"}, prompt="{post.body} {a.b}")
    assert made.conversation.text == "hello flat"


@pytest.mark.parametrize(
    ("cell", "text"),
    [(3, "3"), (2.5, "2.5"), (True, "true"), (["a", "b"], "a\nb"), ({"k": "é"}, '{"k": "é"}')],
)
def test_cells_as_text(cell: object, text: str) -> None:
    assert example({"a": cell}, prompt="a").conversation.text == text


def test_without_target_the_example_is_to_be_labelled() -> None:
    assert example({"a": "text"}, CLASSIFY, prompt="a").target is None


def test_empty_prompt_and_target_are_bad_rows() -> None:
    bad = refused({"a": "  ", "b": "x"}, CLASSIFY, prompt="a", target="b")
    assert (bad.kind, bad.reason) == ("no_prompt", "the prompt is empty")
    assert "'b': 'x'" in bad.raw
    bad = refused({"a": "x", "b": None}, CLASSIFY, prompt="a", target="b")
    assert (bad.kind, bad.reason) == ("no_target", "the label is empty")


def test_group_and_slices_leave_out_what_is_empty() -> None:
    values = {"a": "x", "who": " ", "country": "", "n": 0}
    made = example(values, prompt="a", group="who", slices=["country", "n", "absent"])
    assert made.group is None
    assert made.slices == {"n": "0"}


def test_neither_prompt_nor_chat_format() -> None:
    with pytest.raises(InputError, match="the columns text, label") as caught:
        example({"text": "x", "label": "y"})
    assert 'prompt = "question"' in caught.value.remedy


def test_openai_messages_with_weights() -> None:
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello!", "weight": 0},
        {"role": "user", "content": [{"type": "text", "text": "Bye"}]},
        {"role": "assistant", "content": "See you."},
        {"role": "user", "content": "Thanks"},
    ]
    made = example({"messages": turns}, CHAT)
    assert made.target == CompletionTarget("See you.")
    assert made.conversation.messages == (
        Message.of("system", "Be brief."),
        Message.of("user", "Hi"),
        Message.of("assistant", "Hello!", weight=0),
        Message.of("user", "Bye"),
    )


def test_the_last_turn_that_is_supervised_is_the_target() -> None:
    turns = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b", "weight": 1},
        {"role": "user", "content": "c"},
        {"role": "assistant", "content": "d", "weight": 0},
    ]
    made = example({"messages": turns}, CHAT)
    assert made.target == CompletionTarget("b")
    assert made.conversation.text == "a"


def test_a_chat_can_carry_labels_for_another_task() -> None:
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "parcels"}]
    assert example({"messages": turns}, CLASSIFY).target == LabelTarget("parcels")


def test_sharegpt() -> None:
    turns = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello!"}]
    made = example({"conversations": turns, "system": "Be brief."}, CHAT)
    assert [m.role for m in made.conversation.messages] == ["system", "user"]
    assert made.target == CompletionTarget("Hello!")


def test_alpaca_with_history() -> None:
    values = {
        "instruction": "Translate.",
        "input": "Haus",
        "output": "house",
        "history": [["Hi", "Hello!"]],
    }
    made = example(values, CHAT)
    assert made.conversation == Conversation.of(
        ("user", "Hi"), ("assistant", "Hello!"), ("user", "Translate.\n\nHaus")
    )
    assert made.target == CompletionTarget("house")


def test_prompt_in_the_config_wins_over_the_shape() -> None:
    values = {"instruction": "Translate.", "input": "Haus", "output": "house", "label": "de"}
    made = example(values, CLASSIFY, prompt="input", target="label")
    assert made.conversation.text == "Haus"
    assert made.target == LabelTarget("de")


@pytest.mark.parametrize(
    ("turns", "reason"),
    [
        ([], "'messages' is not a list of turns"),
        (["hi"], "a turn is 'hi'"),
        ([{"role": "robot", "content": "x"}], "unknown role 'robot'"),
        ([{"role": "assistant", "content": "x"}], "no user turn"),
        ([{"role": "user", "content": 7}], "content 7"),
        ([{"role": "user", "content": [{"type": "image_url"}]}], "parts that are not text"),
        ([{"role": "user", "content": "x", "weight": 3}], "weight 3"),
        (
            [
                {"role": "user", "content": "x"},
                {"role": "assistant", "content": "y", "weight": 0},
            ],
            "every assistant turn has weight 0",
        ),
        (
            [
                {"role": "assistant", "content": "x"},
                {"role": "user", "content": "y"},
            ],
            "no user turn before the last assistant turn",
        ),
        (
            [{"role": "user", "content": "x"}, {"role": "assistant", "tool_calls": [{}]}],
            "tool calls are not supported",
        ),
    ],
)
def test_conversations_that_cannot_be_used(turns: list[object], reason: str) -> None:
    bad = refused({"messages": turns}, CHAT, format="openai")
    assert bad.kind == "bad_conversation"
    assert reason in bad.reason


def test_a_conversation_without_an_answer_is_to_be_labelled() -> None:
    made = example({"messages": [{"role": "user", "content": "x"}]}, CHAT)
    assert made.target is None


def test_an_empty_last_answer_is_no_target() -> None:
    turns = [{"role": "user", "content": "x"}, {"role": "assistant", "content": None}]
    assert refused({"messages": turns}, CHAT).kind == "no_target"
