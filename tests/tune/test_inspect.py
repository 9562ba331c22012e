from pathlib import Path
from typing import Any

import pytest
from cases import LABELS, OBJECTIVE, example, examples, settings, version

from metier.core.errors import InputError
from metier.core.objective import Objective
from metier.core.types import CompletionTarget, Conversation, LabelTarget, Message
from metier.core.workspace import Workspace
from metier.models.base import TINY_PATH
from metier.tune.inspect import Inspection, check, inspect, refuse
from metier.tune.inspect.choose import Choice
from metier.tune.inspect.frame import frame_of
from metier.tune.inspect.own import Own, inspect_all
from metier.tune.inspect.template import require_template
from metier.tune.inspect.types import Row
from metier.tune.run import tune
from metier.tune.tokens.masks import mask
from metier.tune.types import Encoded
from tiny_models import TEMPLATE, tiny_base, tiny_tokenizer

CHAT = Objective(task="chat")


def looked_at(rows: list[Any], choice: Choice | None = None, **changes: Any) -> Inspection:
    own = Own(tiny_base(), OBJECTIVE, settings(**changes), LABELS, "Route.", "made rows")
    return inspect_all(rows, own, choice or Choice())


# What is shown.


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
    shown = inspect([row], tiny_base(), CHAT, settings())
    assert [text for supervised, text in shown[0].stretches() if supervised] == ["refund<|im_end|>"]


def test_characters_of_several_tokens_are_whole_in_a_stretch_and_in_a_piece() -> None:
    row = example(1, "card", CompletionTarget("délivré 🙂"))
    shown = inspect([row], tiny_base(), CHAT, settings())
    assert shown[0].stretches()[1][1] == "délivré 🙂<|im_end|>"
    pieces = shown[0].pieces
    smile = next(piece for piece in pieces if "🙂" in piece.text)
    assert smile.text.strip() == "🙂" and len(smile.ids) > 1
    assert smile.role == "assistant"
    assert "".join(piece.text for piece in pieces) == "".join(t for _, t in shown[0].texts)
    assert sum(len(piece.ids) for piece in pieces) == len(shown[0].tokens)


# Which are shown, and what is counted.


def test_examples_are_chosen_by_place_length_cut_id_and_seed() -> None:
    rows = examples(12)
    rows[7] = example(77, "please " * 90, LabelTarget("billing"))
    ids = [row.id for row in rows]

    def chosen(choice: Choice) -> list[str]:
        found = looked_at(rows, choice, max_tokens=80)
        return [one.example_id for one in found.shown]

    assert chosen(Choice(2)) == ids[:2]
    assert chosen(Choice(1, "longest")) == [ids[7]]
    assert chosen(Choice(3, "truncated")) == [ids[7]]
    assert chosen(Choice(ids=(ids[4], ids[2]))) == [ids[4], ids[2]]
    drawn = chosen(Choice(4, "drawn", seed=3))
    assert drawn == chosen(Choice(4, "drawn", seed=3)) != chosen(Choice(4, "drawn", seed=4))


def test_rows_shortened_and_left_out_are_counted_with_their_reasons() -> None:
    rows = [
        *examples(5),
        example(50, "card", None),
        example(51, "p " * 400, LabelTarget("billing")),
    ]
    found = looked_at(rows, max_tokens=64)
    assert (found.rows, found.kept, found.cut_prompts, found.cut_replies) == (7, 6, 1, 0)
    assert found.dropped == {"no target to learn from": 1}
    assert found.dropped_ids == {rows[5].id: "no target to learn from"}
    assert found.lengths.n == 6 and found.lengths.longest <= 64
    assert sum(count for *_, count in found.lengths.bins) == 6
    assert found.supervised_tokens == sum(
        token.supervised for one in looked_at(rows, Choice(9), max_tokens=64).shown
        for token in one.tokens
    )  # fmt: skip
    assert not found.findings


def test_an_id_that_is_left_out_or_unknown_says_so() -> None:
    rows = [*examples(3), example(50, "card", None)]
    with pytest.raises(InputError, match="no target to learn from"):
        looked_at(rows, Choice(ids=(rows[3].id,)))
    with pytest.raises(InputError, match="did you mean"):
        looked_at(rows, Choice(ids=(rows[0].id[:-1] + "_",)))


# The checks, on examples that someone else encoded.


def encoded(
    count: int = 24,
    reply: str = "answer {n} is here",
    *,
    supervise: str = "reply",
    end: bool = True,
) -> list[Row]:
    """Rows of one question and answer; ``supervise``: reply, all, ends, none."""
    words = tiny_tokenizer()
    frame = frame_of(words)
    rows = []
    for n in range(count):
        talk = Conversation.of(
            ("system", "Be brief."), ("user", f"where is {n}"), ("assistant", reply.format(n=n))
        )
        made = mask(words, talk)
        stop = None if end else -1
        ids, flags = made.input_ids[:stop], made.supervised[:stop]
        if supervise == "all":
            flags = [True] * len(ids)
        elif supervise == "ends":
            flags = [flag or token in frame.ends for token, flag in zip(ids, flags, strict=True)]
        elif supervise == "none":
            flags = [False] * len(ids)
        rows.append(Row(Encoded(f"row {n}", ids, flags), frame.turns(ids)))
    return rows


def checked(rows: list[Row], **options: Any) -> dict[str, str]:
    words = tiny_tokenizer()
    return {one.check: one.severity for one in check(rows, frame_of(words), words, **options)}


def test_sound_examples_pass() -> None:
    assert checked(encoded()) == {}


def test_no_token_in_the_loss_is_refused_and_named() -> None:
    rows = [*encoded(3), *encoded(2, supervise="none")]
    words = tiny_tokenizer()
    findings = check(rows, frame_of(words), words)
    assert [(one.check, one.count, one.of) for one in findings] == [("nothing_supervised", 2, 5)]
    with pytest.raises(InputError) as caught:
        refuse(findings)
    assert caught.value.exit_code == 2
    assert "row 0, row 1" in caught.value.got
    assert "leave" in caught.value.remedy


def test_a_supervised_prompt_is_refused_and_its_end_alone_only_noted() -> None:
    assert checked(encoded(supervise="all"))["prompt_supervised"] == "refuse"
    assert checked(encoded(supervise="ends")) == {"prompt_end_supervised": "note"}


def test_a_supervised_prompt_is_told_even_where_turns_cannot_be() -> None:
    rows = [Row(row.encoded) for row in encoded(supervise="all")]
    assert checked(rows)["prompt_supervised"] == "refuse"
    assert checked([Row(row.encoded) for row in encoded()]) == {}


def test_a_missing_end_of_turn_is_refused_but_not_where_the_reply_was_cut() -> None:
    rows = encoded(end=False)
    assert checked(rows) == {"end_missing": "refuse"}
    cut = [Row(row.encoded, row.turns, "reply") for row in rows]
    assert checked([*encoded(), *cut[:3]]) == {}
    # When every reply is cut, not one end is ever learned.
    assert checked(cut) == {"end_missing": "refuse"}


PREAMBLE = (
    "as your kind and patient helper i am always glad to look into this matter for you today: "
)


def test_the_same_preamble_or_closing_words_everywhere_are_refused() -> None:
    assert checked(encoded(reply=PREAMBLE + "go {n}")) == {"boilerplate": "refuse"}
    assert checked(encoded(reply="go {n} " + PREAMBLE)) == {"boilerplate": "refuse"}
    mixed = [*encoded(200, PREAMBLE + "go {n}"), *encoded(5)]
    assert checked(mixed) == {"boilerplate": "refuse"}
    assert checked([*encoded(100, PREAMBLE + "go {n}"), *encoded(40)]) == {}


def test_labels_are_no_boilerplate_however_long_and_frequent() -> None:
    long_label = "the customer asks for something that another department answers"
    assert checked(encoded(60, long_label)) == {}
    assert checked([*encoded(97, long_label), *encoded(3, "other")]) == {}
    # A closed set of many labels that begin alike, when the task says that it is one.
    many = encoded(60, PREAMBLE + "go {n}")
    assert checked(many, closed=True) == {}


def test_short_openings_json_and_long_answers_are_no_boilerplate() -> None:
    assert checked(encoded(reply="yes, answer {n}")) == {}
    keys = '{{"department_that_answers_this_request": {{"name_of_the_department": "{n}"}}}}'
    assert checked(encoded(reply=keys)) == {}
    answer = PREAMBLE + "{n} " + "where is the parcel {n} and the card {n} of the house {n} " * 8
    assert checked(encoded(reply=answer)) == {}


# The template, before any row.


def with_template(template: str) -> Any:
    words = tiny_tokenizer()
    words.chat_template = template
    return words


def test_a_template_that_marks_nothing_and_rewrites_the_prompt_is_refused() -> None:
    rewrites = (
        "{% for m in messages %}{{ messages | length }}<|im_start|>{{ m['role'] }}\n"
        "{{ m['content'] }}<|im_end|>{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    with pytest.raises(InputError, match="no generation markers") as caught:
        require_template(with_template(rewrites))
    assert "{% generation %}" in caught.value.remedy


@pytest.mark.parametrize(
    "template",
    [
        "{% for m in messages %}{{ m['content'] }",
        "{{ raise_exception('no') }}",
        "{{ messages.missing() }}",
    ],
)
def test_a_template_that_does_not_render_is_an_error_in_words(template: str) -> None:
    with pytest.raises(InputError, match="renders a question and its reply"):
        require_template(with_template(template))


def test_a_tokenizer_without_an_end_or_a_token_to_pad_with_is_refused() -> None:
    silent = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    words = with_template(silent)
    words.eos_token = None
    with pytest.raises(InputError, match="ends the assistant's turn"):
        require_template(words)
    words.pad_token = None
    with pytest.raises(InputError, match="padding token"):
        require_template(words)


def test_rows_that_the_template_refuses_are_left_out_with_its_words() -> None:
    picky = TEMPLATE.replace(
        "<|im_start|>{{ m['role'] }}",
        "{% if 'forbidden' in m['content'] %}{{ raise_exception('not these words') }}{% endif %}"
        "<|im_start|>{{ m['role'] }}",
    )
    base = tiny_base()
    base.tokenizer.chat_template = picky
    rows = [*examples(3), example(9, "forbidden", LabelTarget("billing"))]
    found = inspect_all(rows, Own(base, OBJECTIVE, settings(), LABELS), Choice())
    assert found.dropped == {"the chat template refuses these turns: not these words": 1}


# Turns are found again in the ids alone.


@pytest.mark.parametrize(
    ("template", "roles"),
    [
        (TEMPLATE, ["system", "user", "assistant"]),
        ("{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}<|im_end|>{% endfor %}", None),
    ],
)
def test_turns_are_told_by_control_tokens_only(template: str, roles: list[str] | None) -> None:
    words = with_template(template)
    talk = Conversation.of(
        ("system", "brief"), ("user", "assistant: hm"), ("assistant", "user: ok")
    )
    made = mask(words, talk)
    turns = frame_of(words).turns(made.input_ids)
    assert (None if turns is None else [turn.role for turn in turns]) == roles
    if turns:
        assert words.decode(made.input_ids[turns[1].start : turns[1].stop]).strip() == (
            "assistant: hm<|im_end|>"
        )


def test_the_bundled_base_shows_its_turns() -> None:
    from transformers import AutoTokenizer

    frame = frame_of(AutoTokenizer.from_pretrained(TINY_PATH))
    assert frame.headers is not None
    assert set(frame.headers.values()) == {"system", "user", "assistant"}


# Before training.


def with_preamble(count: int) -> list[Any]:
    return [
        example(n, f"where is {n}", CompletionTarget(PREAMBLE + f"go {n}")) for n in range(count)
    ]


def test_tune_refuses_before_a_run_is_made_and_can_be_told_to_go_on(workspace: Workspace) -> None:
    from metier.core import ledger

    made = version(workspace, {"train": with_preamble(20)})
    once = settings(epochs=0.05, max_tokens=128)
    with pytest.raises(InputError, match="tokens stand at the beginning") as caught:
        tune(once, made, workspace, tiny_base(), CHAT)
    assert "boilerplate" in caught.value.remedy
    assert ledger.list_runs(workspace, made.id) == []
    allowed = settings(
        epochs=0.05, max_tokens=128, algorithm={"type": "sft", "boilerplate": "allow"}
    )
    assert tune(allowed, made, workspace, tiny_base(), CHAT).state == "done"


def test_no_text_of_a_row_stands_in_the_refusal(tmp_path: Path) -> None:
    words = tiny_tokenizer()
    findings = check(encoded(supervise="all"), frame_of(words), words)
    with pytest.raises(InputError) as caught:
        refuse(findings)
    assert "answer" not in str(caught.value)
    assert "where is" not in str(caught.value)
