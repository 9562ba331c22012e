"""Other trainers' masks, from small configs: what each setting does, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metier.core.errors import ConfigError, InputError, ModelUnavailable
from metier.tune.inspect.choose import Choice
from metier.tune.inspect.others import inspect_config
from metier.tune.inspect.types import Inspected, Inspection

Look = Callable[..., Inspection]
ASKED = "<|im_start|>user\nwhere is it<|im_end|>\n<|im_start|>assistant\n"
ALPACA = [
    {"instruction": "where is", "input": "my card", "output": "it is late"},
    {"instruction": "hello", "input": "", "output": "good day"},
]
TALKS = [
    {
        "conversations": [
            {"from": "system", "value": "be brief"},
            {"from": "human", "value": "where is it"},
            {"from": "gpt", "value": "on its way"},
            {"from": "human", "value": "sure"},
            {"from": "gpt", "value": "yes"},
        ]
    }
]
MESSAGES = [
    {
        "messages": [
            {"role": "user", "content": "where is it"},
            {"role": "assistant", "content": f"on day {n}"},
        ]
    }
    for n in range(3)
]
INFO = {
    "asked": {"file_name": "alpaca.json"},
    "talks": {"file_name": "talks.jsonl", "formatting": "sharegpt"},
    "chats": {
        "file_name": "messages.jsonl",
        "formatting": "sharegpt",
        "columns": {"messages": "messages"},
        "tags": {
            "role_tag": "role",
            "content_tag": "content",
            "user_tag": "user",
            "assistant_tag": "assistant",
        },
    },
    "texts": {"file_name": "texts.jsonl", "columns": {"prompt": "text"}},
    "elsewhere": {"hf_hub_url": "someone/something"},
    "gone": {"file_name": "nowhere.json"},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Data files of each kind, and LLaMA-Factory's description of them."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "alpaca.json").write_text(json.dumps(ALPACA))
    lines = {"talks": TALKS, "messages": MESSAGES, "texts": [{"text": "a long day " * 9}]}
    for name, rows in lines.items():
        (data / f"{name}.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    (data / "dataset_info.json").write_text(json.dumps(INFO))
    return tmp_path


@pytest.fixture
def look(folder: Path) -> Look:
    """Write a config of these keys and inspect it."""

    def looked_at(
        choice: Choice | None = None, model: str | None = None, **keys: Any
    ) -> Inspection:
        path = folder / "train.yaml"
        path.write_text(json.dumps(keys))  # JSON is YAML
        return inspect_config(path, choice or Choice(9), model=model)

    return looked_at


def factory(dataset: str, **keys: Any) -> dict[str, Any]:
    given = {"model_name_or_path": "metier/tiny", "stage": "sft", "dataset": dataset}
    return {**given, "template": "chatml", **keys}


def axolotl(*datasets: dict[str, Any], **keys: Any) -> dict[str, Any]:
    return {"base_model": "metier/tiny", "datasets": list(datasets), "sequence_len": 256, **keys}


def chat(**keys: Any) -> dict[str, Any]:
    return {"path": "data/messages.jsonl", "type": "chat_template", **keys}


def talks(**keys: Any) -> dict[str, Any]:
    mapped = {"role": "from", "content": "value"}
    given = {"field_messages": "conversations", "message_property_mappings": mapped}
    return {"path": "data/talks.jsonl", "type": "chat_template", **given, **keys}


def trained(one: Inspected) -> list[str]:
    return [text for supervised, text in one.texts if supervised]


def refusals(found: Inspection) -> list[str]:
    return [finding.check for finding in found.findings if finding.severity == "refuse"]


# LLaMA-Factory.


def test_alpaca_rows_are_a_question_and_a_trained_answer(look: Look) -> None:
    found = look(**factory("asked"))
    assert found.trainer == "LLaMA-Factory" and found.kept == 2
    assert found.shown[0].example_id == "alpaca.json[1]"
    (_, prompt), (_, reply) = found.shown[0].texts
    assert prompt == "<|im_start|>user\nwhere is\nmy card<|im_end|>\n<|im_start|>assistant\n"
    assert reply == "it is late<|im_end|>\n"
    assert found.findings == ()


def test_sharegpt_rows_train_every_answer_or_the_last(look: Look) -> None:
    every = look(**factory("talks"))
    assert every.shown[0].texts[0][1].startswith("<|im_start|>system\nbe brief<|im_end|>\n")
    assert trained(every.shown[0]) == ["on its way<|im_end|>\n", "yes<|im_end|>\n"]
    last = look(**factory("talks", mask_history=True))
    assert trained(last.shown[0]) == ["yes<|im_end|>\n"]


def test_named_columns_and_tags_are_read(look: Look) -> None:
    found = look(**factory("chats", max_samples=2))
    assert [trained(one) for one in found.shown] == [
        ["on day 0<|im_end|>\n"],
        ["on day 1<|im_end|>\n"],
    ]


def test_train_on_prompt_is_refused(look: Look) -> None:
    found = look(**factory("asked", train_on_prompt=True))
    assert refusals(found) == ["prompt_supervised"]
    assert found.refused


def test_a_template_without_an_end_is_refused(look: Look) -> None:
    assert refusals(look(**factory("asked", template="empty"))) == ["end_missing"]


def test_the_template_is_read_off_the_tokenizer_where_none_is_named(look: Look) -> None:
    config = factory("asked")
    config.pop("template")
    found = look(**config)
    named = look(**factory("asked"))
    assert [one.texts for one in found.shown] == [one.texts for one in named.shown]
    assert found.settings[0].value == "the tokenizer's own"


def test_a_template_of_another_model_adds_tokens_and_is_told(look: Look) -> None:
    found = look(**factory("asked", template="llama3"))
    assert trained(found.shown[1]) == ["good day<|eot_id|>"]
    assert any("resize_vocab" in note for note in found.notes)


def test_a_reasoning_template_trains_an_empty_thought(look: Look) -> None:
    found = look(**factory("asked", template="qwen3"))
    assert trained(found.shown[1]) == ["<think>\n\n</think>\n\ngood day<|im_end|>\n"]
    off = look(**factory("asked", template="qwen3", enable_thinking=False))
    assert trained(off.shown[1]) == ["good day<|im_end|>\n"]


def test_long_rows_are_cut_in_proportion_and_counted(look: Look, folder: Path) -> None:
    rows = [{"instruction": "where " * 30, "input": "", "output": "late " * 30}, *ALPACA]
    (folder / "data" / "alpaca.json").write_text(json.dumps(rows))
    found = look(**factory("asked", cutoff_len=40))
    assert (found.cut_replies, found.cut_prompts) == (1, 0)
    assert found.lengths.longest == 40
    assert refusals(found) == []
    assert look(Choice(1, "truncated"), **factory("asked", cutoff_len=40)).shown[0].cut == "reply"


def test_turns_out_of_order_are_left_out_with_the_reason(look: Look, folder: Path) -> None:
    odd = {"conversations": [{"from": "gpt", "value": "hi"}, {"from": "human", "value": "you"}]}
    rows = "\n".join(json.dumps(row) for row in [*TALKS, odd])
    (folder / "data" / "talks.jsonl").write_text(rows)
    found = look(**factory("talks"))
    assert found.rows == 2 and found.dropped == {"turn 1 is not a question (dropped)": 1}


def test_raw_text_is_all_in_the_loss_and_that_is_right(look: Look) -> None:
    found = look(**factory("texts", stage="pt"))
    assert found.supervised_tokens == found.tokens - 1
    assert refusals(found) == []


@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        ("elsewhere", "only local files"),
        ("gone", "nowhere.json"),
        ("askd", "did you mean 'asked'"),
    ],
)
def test_data_that_is_not_here_is_an_error_in_words(look: Look, dataset: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        look(**factory(dataset))


def test_a_wrong_column_names_the_row_and_the_key(look: Look, folder: Path) -> None:
    (folder / "data" / "alpaca.json").write_text(json.dumps([{"question": "a", "answer": "b"}]))
    with pytest.raises(InputError, match=r"alpaca.json\[1\] with question, answer"):
        look(**factory("asked"))
    info = {**INFO, "chats": {**INFO["chats"], "tags": {"role_tag": "role"}}}
    (folder / "data" / "dataset_info.json").write_text(json.dumps(info))
    with pytest.raises(InputError, match="replace all defaults"):
        look(**factory("chats"))


def test_what_cannot_be_shown_is_refused_in_words(look: Look) -> None:
    with pytest.raises(InputError, match="stage: dpo"):
        look(**factory("asked", stage="dpo"))
    with pytest.raises(ConfigError, match="mask_history or train_on_prompt"):
        look(**factory("asked", train_on_prompt=True, mask_history=True))
    with pytest.raises(InputError, match="did you mean 'chatml'"):
        look(**factory("asked", template="chatmll"))
    with pytest.raises(ConfigError, match="cutoff_len"):
        look(**factory("asked", cutoff_len="many"))


# Axolotl.


def test_a_chat_template_trains_the_assistant_and_its_end(look: Look) -> None:
    found = look(**axolotl(chat()))
    assert found.trainer == "Axolotl" and found.kept == 3
    (_, prompt), (_, reply), _ = found.shown[0].texts
    assert (prompt, reply) == (ASKED, "on day 0<|im_end|>")
    assert found.findings == ()


def test_train_on_inputs_is_refused(look: Look) -> None:
    found = look(**axolotl(chat(), train_on_inputs=True))
    assert trained(found.shown[0]) == ["where is it<|im_end|>", "on day 0<|im_end|>"]
    assert refusals(found) == ["prompt_supervised"]


@pytest.mark.parametrize(
    ("when", "texts", "checks"),
    [
        ("turn", ["on its way<|im_end|>", "yes<|im_end|>"], []),
        ("last", ["on its way", "yes<|im_end|>"], ["earlier_end_missing"]),
        ("none", ["on its way", "yes"], ["end_missing"]),
        (
            "all",
            ["<|im_end|>", "<|im_end|>", "on its way<|im_end|>", "<|im_end|>", "yes<|im_end|>"],
            ["prompt_end_supervised"],
        ),
    ],
)
def test_train_on_eos(look: Look, when: str, texts: list[str], checks: list[str]) -> None:
    found = look(**axolotl(talks(train_on_eos=when)))
    assert trained(found.shown[0]) == texts
    assert [finding.check for finding in found.findings] == checks


def test_an_end_that_is_not_the_tokenizers_wants_eot_tokens(look: Look) -> None:
    other = {"eos_token": "<|endoftext|>"}
    assert refusals(look(**axolotl(chat(), special_tokens=other))) == ["end_missing"]
    named = look(**axolotl(chat(), special_tokens=other, eot_tokens=["<|im_end|>"]))
    assert trained(named.shown[0]) == ["on day 0<|im_end|>"]
    assert refusals(named) == []


def test_roles_to_train_and_flags_of_messages_decide(look: Look, folder: Path) -> None:
    found = look(**axolotl(talks(roles_to_train=["human"])))
    assert trained(found.shown[0]) == ["where is it<|im_end|>", "sure<|im_end|>"]
    assert refusals(found) == ["prompt_supervised"]
    row = json.loads(json.dumps(TALKS[0]))
    row["conversations"][2]["train"] = False
    (folder / "data" / "talks.jsonl").write_text(json.dumps(row))
    flagged = look(**axolotl(talks(message_field_training="train")))
    assert trained(flagged.shown[0]) == ["yes<|im_end|>"]


def test_without_roles_and_ends_only_the_last_answer_is_trained(look: Look) -> None:
    found = look(**axolotl(talks(roles_to_train=None, train_on_eos=None)))
    assert trained(found.shown[0]) == ["yes<|im_end|>\n"]


def test_alpaca_is_a_prompt_of_words_and_an_answer(look: Look) -> None:
    found = look(**axolotl({"path": "data/alpaca.json", "type": "alpaca"}))
    (_, prompt), (_, reply) = found.shown[0].texts
    assert prompt.endswith("### Instruction:\nwhere is\n\n### Input:\nmy card\n\n### Response:\n")
    assert reply == "it is late<|im_end|>"
    plain = {"path": "data/alpaca.json", "type": "alpaca:chat"}
    assert look(**axolotl(plain)).shown[1].texts[0][1].endswith("USER: hello\nASSISTANT:")
    form = {"format": "Q: {instruction} {input} A:", "no_input_format": "Q: {instruction} A:"}
    own = look(**axolotl({"path": "data/alpaca.json", "type": form}))
    assert own.shown[0].texts[0][1] == "Q: where is my card A:"


def test_raw_text_is_cut_into_pieces(look: Look) -> None:
    found = look(**axolotl({"path": "data/texts.jsonl", "type": "completion"}, sequence_len=16))
    assert found.kept > 1 and found.lengths.longest <= 16
    assert refusals(found) == []


def test_segments_are_trained_on_as_they_say(look: Look, folder: Path) -> None:
    segments = [{"label": False, "text": "a card "}, {"label": True, "text": "is late"}]
    (folder / "data" / "pairs.jsonl").write_text(json.dumps({"segments": segments}))
    found = look(**axolotl({"path": "data/pairs.jsonl", "type": "input_output"}))
    assert trained(found.shown[0]) == ["is late"]
    assert refusals(found) == ["end_missing"]  # that type adds no end of its own


@pytest.mark.parametrize(
    ("how", "kept", "cut"), [(None, 2, 0), ("truncate", 3, 1)]
)  # fmt: skip
def test_long_rows_are_dropped_or_cut(
    look: Look, folder: Path, how: str | None, kept: int, cut: int
) -> None:
    rows = json.loads(json.dumps(MESSAGES))
    rows[1]["messages"][1]["content"] = "on its way " * 30
    (folder / "data" / "messages.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    keys = {} if how is None else {"excess_length_strategy": how}
    found = look(**axolotl(chat(), sequence_len=40, **keys))
    assert (found.kept, found.cut_replies) == (kept, cut)
    assert sum(found.dropped.values()) == 3 - kept


def test_templates_are_named_or_written_out(look: Look, folder: Path) -> None:
    named = look(**axolotl(chat(chat_template="alpaca")))
    assert named.shown[0].texts[0][1].endswith("### Instruction:\nwhere is it\n\n### Response:\n")
    template = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{{ eos_token }}{% endfor %}"
    (folder / "mine.jinja").write_text(template)
    for given in (template, "mine.jinja"):
        found = look(**axolotl(chat(), chat_template_jinja=given))
        assert found.shown[0].texts[0][1] == "[user]where is it<|im_end|>[assistant]"
    with pytest.raises(InputError, match="chat_template_jinja"):
        look(**axolotl(chat(chat_template="no_such")))


def test_a_split_takes_part_of_the_rows(look: Look) -> None:
    found = look(**axolotl(chat(split="train[1:]")))
    assert [one.example_id for one in found.shown] == ["messages.jsonl:2", "messages.jsonl:3"]
    with pytest.raises(InputError, match="split"):
        look(**axolotl(chat(split="train[:10%]")))


def test_axolotl_errors_name_the_row_and_the_key(look: Look) -> None:
    with pytest.raises(InputError, match="field_messages"):
        look(**axolotl(chat(field_messages="turns")))
    with pytest.raises(InputError, match="message_property_mappings"):
        look(**axolotl(chat(message_property_mappings={"role": "from"})))
    with pytest.raises(InputError, match="only local files"):
        look(**axolotl(chat(path="someone/something")))
    with pytest.raises(InputError, match="type: sharegpt"):
        look(**axolotl(chat(type="sharegpt")))
    with pytest.raises(InputError, match="rl: dpo"):
        look(**axolotl(chat(), rl="dpo"))


# Either.


def test_a_model_that_is_not_here_names_the_way_out(look: Look) -> None:
    keys = axolotl(chat()) | {"base_model": "someone/some-model-8b"}
    with pytest.raises(ModelUnavailable, match="--model"):
        look(**keys)
    assert look(model="metier/tiny", **keys).model == "metier/tiny"
    keys.pop("base_model")
    with pytest.raises(ConfigError, match="base_model"):
        look(**keys)


def test_a_config_of_neither_trainer_is_refused(folder: Path) -> None:
    for text, words in (
        ("a: 1\nb: 2\n", "with the keys a, b"),
        ("- 1\n", "holds list"),
        ("a: [1\n", "train.yaml:2"),
        ("!!python/object/apply:os.getcwd []\n", "train.yaml:1"),
    ):
        path = folder / "train.yaml"
        path.write_text(text)
        with pytest.raises(InputError, match=words):
            inspect_config(path, Choice())
    with pytest.raises(InputError, match="which is none"):
        inspect_config(folder / "no.yaml", Choice())
