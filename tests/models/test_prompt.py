"""Prompts are written as configured, and replies read back as they were written."""

from __future__ import annotations

import json

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from metier.core.errors import InputError
from metier.core.objective import Objective
from metier.core.types import (
    CompletionTarget,
    Conversation,
    Example,
    FieldsTarget,
    LabelsTarget,
    LabelTarget,
    PreferenceTarget,
    Provenance,
    Span,
    SpansTarget,
)
from metier.models.prompt import (
    TUNED,
    PromptVariant,
    expected,
    parse_reply,
    readings,
    render_example,
    render_prompt,
    render_target,
    spoken,
    untuned_variants,
)

CLASSIFY = Objective(task="classify", labels=["card_arrival", "top_up"])
MULTI = Objective(task="multilabel")
SCHEMA = {
    "type": "object",
    "properties": {
        "route": {"enum": ["billing", "card_arrival"]},
        "reply": {"type": "string", "description": "one sentence"},
        "urgent": {"type": ["boolean", "null"]},
    },
}
FORM = Objective(task="structured", fields=SCHEMA)
TASKS = ["classify", "multilabel", "extract", "answer", "summarize", "compose", "chat"]

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
awkward = st.one_of(
    text,
    st.sampled_from(
        ['"', "a_b", "x; y", "none", "None", "[x]", "a\nb", " a", "ü,é", "}", "\\", "_"]
    ),
)
label_sets = st.lists(awkward.filter(str.strip), min_size=1, max_size=6, unique_by=spoken)
json_values = st.one_of(text, st.integers(), st.booleans(), st.none(), st.lists(text, max_size=3))


@given(labels=label_sets, data=st.data())
def test_a_label_reads_back(labels: list[str], data: st.DataObject) -> None:
    target = LabelTarget(data.draw(st.sampled_from(labels)))
    assert parse_reply(render_target(target, CLASSIFY), CLASSIFY, labels) == expected(target)


@given(labels=label_sets, data=st.data())
def test_label_lists_read_back(labels: list[str], data: st.DataObject) -> None:
    target = LabelsTarget(tuple(data.draw(st.lists(st.sampled_from(labels)))))
    reply = render_target(target, MULTI)
    assert parse_reply(reply, MULTI, labels) == expected(target), reply


@given(reply=text)
@pytest.mark.parametrize("task", ["answer", "summarize", "compose", "chat"])
def test_text_reads_back(task: str, reply: str) -> None:
    assume(reply.strip())
    objective = Objective(task=task)
    for target in (CompletionTarget(reply), PreferenceTarget(reply, "no")):
        assert parse_reply(render_target(target, objective), objective, []) == expected(target)


@given(reply=text, urgent=json_values, extra=st.dictionaries(text, json_values, max_size=2))
@settings(max_examples=60)
def test_fields_read_back(reply: str, urgent: object, extra: dict[str, object]) -> None:
    target = FieldsTarget({"reply": reply, "urgent": urgent, **extra, "route": "billing"})
    written = render_target(target, FORM)
    assert parse_reply(written, FORM, []) == expected(target)
    assert next(iter(json.loads(written))) == "route", "keys come in schema order"


@given(before=text, words=text, label=text)
def test_spans_read_back(before: str, words: str, label: str) -> None:
    conversation = Conversation.of(("user", before + words))
    target = SpansTarget((Span(len(before), len(before + words), label),))
    objective = Objective(task="extract")
    written = render_target(target, objective, conversation)
    assert parse_reply(written, objective, []) == expected(target, conversation)
    assert json.loads(written)[0]["text"] == words


def test_spans_without_their_text_are_refused() -> None:
    with pytest.raises(ValueError, match="use render_example"):
        render_target(SpansTarget(()), Objective(task="extract"))


def test_an_example_without_target_is_named() -> None:
    example = Example("ex_1", Conversation.of(("user", "x")), None, Provenance("a", "b", "1"))
    with pytest.raises(InputError, match="ex_1"):
        render_example(example, CLASSIFY)


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("card_arrival", "card arrival"),
        ("Refund_not_showing_up?", "Refund not showing up?"),
        ("_private", "_private"),
        ("a__b", "a__b"),
        ("two words_here", "two words_here"),
        ("E11.9", "E11.9"),
        ("_", "_"),
    ],
)
def test_labels_are_spoken_as_words(label: str, words: str) -> None:
    assert spoken(label) == words


def test_two_labels_that_read_the_same_are_refused_by_name() -> None:
    with pytest.raises(InputError, match="'a_b' and 'a b'"):
        readings(["a_b", "a b"])


@pytest.mark.parametrize(
    ("reply", "label"),
    [
        ("Card arrival.", "card_arrival"),
        ("The label is: TOP-UP", "top_up"),
        ("card_arrival", "card_arrival"),
        ("card arrival or top up", None),
        ("cards arrival", None),
        ("", None),
        ("no idea", None),
    ],
)
def test_labels_in_sentences(reply: str, label: str | None) -> None:
    assert parse_reply(reply, CLASSIFY, ["card_arrival", "top_up"]) == label


def test_a_longer_label_hides_the_shorter_one_inside_it() -> None:
    assert parse_reply("It is card arrival!", CLASSIFY, ["card", "card_arrival"]) == "card_arrival"


@pytest.mark.parametrize(
    ("reply", "labels"),
    [
        ("none", []),
        ("None.", []),
        ("a, b", ["a", "b"]),
        ("a; z", ["a"]),
        ("z", None),
        ('["b", "a"]', ["a", "b"]),
        ("", None),
    ],
)
def test_label_lists_from_models(reply: str, labels: list[str] | None) -> None:
    assert parse_reply(reply, MULTI, ["a", "b"]) == labels


def test_fields_are_found_in_chatter_and_enums_matched_loosely() -> None:
    reply = 'Sure: {"route": "Card arrival", "reply": "two\nlines"} ok?'
    assert parse_reply(reply, FORM, []) == {"route": "card_arrival", "reply": "two\nlines"}
    for broken in ("no object", "{broken", "[1]"):
        assert parse_reply(broken, FORM, []) is None


def test_spans_with_an_unknown_label_are_left_out() -> None:
    objective = Objective(task="extract")
    reply = '[{"label": "drug", "text": "aspirin"}, {"label": "x", "text": "y"}, 3]'
    assert parse_reply(reply, objective, ["drug"]) == [{"label": "drug", "text": "aspirin"}]
    assert parse_reply("aspirin", objective, ["drug"]) is None
    assert parse_reply("[]", objective, ["drug"]) == []


def test_tuned_prompts_hold_the_projects_words_only() -> None:
    asked = Conversation.of(("user", "where is it {labels}?"))
    shown = render_prompt(asked, CLASSIFY, ["a"], TUNED, "You help.")
    assert shown == Conversation.of(("system", "You help."), ("user", "where is it {labels}?"))
    assert render_prompt(asked, CLASSIFY, ["a"], TUNED, "") == asked
    told = CLASSIFY.model_copy(update={"instruction": "Be brief."})
    assert render_prompt(asked, told, [], TUNED, "You help.").messages[0].text == (
        "You help.\nBe brief."
    )


def test_the_conversations_own_system_turn_is_kept() -> None:
    asked = Conversation.of(("system", "Own."), ("user", "u"), ("assistant", "a"), ("user", "v"))
    shown = render_prompt(asked, CLASSIFY, [], TUNED, "Project.")
    assert shown.messages[0].text == "Project.\nOwn."
    assert shown.messages[1:] == asked.messages[1:]


def test_only_the_last_user_turn_is_framed() -> None:
    asked = Conversation.of(("user", "one"), ("assistant", "two"), ("user", "three"))
    variant = PromptVariant("v", "", "Q: {input}\n{system}")
    shown = render_prompt(asked, CLASSIFY, [], variant)
    assert [m.text for m in shown.messages] == ["one", "two", "Q: three"]


@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_named_variants_that_carry_the_input(task: str) -> None:
    variants = untuned_variants(task)
    assert variants
    assert len({variant.name for variant in variants}) == len(variants)
    objective = Objective(task=task)
    for variant in variants:
        shown = render_prompt(Conversation.of(("user", "HERE")), objective, ["a_b"], variant, "SYS")
        assert "HERE" in shown.last_user
        assert shown.messages[0].text.startswith("SYS")


def test_labels_are_listed_as_words_unless_the_list_is_endless() -> None:
    variant = untuned_variants("classify")[0]
    asked = Conversation.of(("user", "x"))
    assert "Labels: card arrival, b" in (
        render_prompt(asked, CLASSIFY, ["card_arrival", "b"], variant).messages[0].text
    )
    many = [f"label {number}" for number in range(1000)]
    assert "Labels" not in render_prompt(asked, CLASSIFY, many, variant).messages[0].text


def test_fields_are_described() -> None:
    shown = render_prompt(
        Conversation.of(("user", "x")), FORM, [], untuned_variants("structured")[0]
    )
    assert 'route: one of "billing", "card_arrival"' in shown.messages[0].text
    assert "reply: string (one sentence)" in shown.messages[0].text
    assert "urgent: boolean or null" in shown.messages[0].text
