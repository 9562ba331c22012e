"""The ways of making rows: what they change, and what they leave alone."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from evaluate_fakes import CLASSIFY, row
from metier.core.completer import Capabilities, Sampling
from metier.core.errors import ConfigError, ModelUnavailable
from metier.core.objective import Objective
from metier.core.types import (
    Completion,
    CompletionTarget,
    Conversation,
    FieldsTarget,
    LabelsTarget,
    LabelTarget,
)
from metier.data.augment.config import NOISES, NoiseKind
from metier.data.augment.noise import noisy
from metier.data.augment.rewriting import PARAPHRASE, by_completer, by_seq2seq, chained
from metier.data.augment.swap import Swapper
from metier.data.augment.templates import from_templates

KEPT = [
    "ORD-77123",
    "[EMAIL]",
    "[FIRST NAME]",
    "12.5",
    "x9",
    "a.b@c.example",
    "files/old",
    "{name}",
]
TEXT = (
    "Please [EMAIL] the parcel ORD-77123 of [FIRST NAME] weighs 12.5 kilos, see x9 at "
    "a.b@c.example because files/old says {name} about tomorrow"
)


@pytest.mark.parametrize("kind", NOISES)
def test_noise_changes_words_and_leaves_codes_and_placeholders(kind: NoiseKind) -> None:
    changed = 0
    for seed in range(30):
        made = noisy(TEXT, kind, 0.3, random.Random(seed))
        changed += made != TEXT
        assert all(kept in made for kept in KEPT), made
    assert changed >= 28


def test_noise_is_the_same_for_the_same_seed_and_as_much_as_asked() -> None:
    words = "every single customer wanted another parcel delivered without paying anything"
    for kind in ("keyboard", "ocr"):
        once = noisy(words, kind, 0.3, random.Random(5))
        assert once == noisy(words, kind, 0.3, random.Random(5))
        changed = sum(a != b for a, b in zip(words.split(), once.split(), strict=True))
        assert 1 <= changed <= 3


def test_each_noise_does_what_it_is_called() -> None:
    assert noisy("Please tell the people", "abbreviations", 0.1, random.Random(0)) == (
        "pls tell the ppl"
    )
    cases = {noisy("Ab Cd 5X", "case", 0.1, random.Random(seed)) for seed in range(20)}
    assert cases == {"ab cd 5X", "AB CD 5X"}
    assert noisy("corner", "ocr", 1, random.Random(0)) == "comer"
    assert noisy("12 [X] 9a", "keyboard", 1, random.Random(0)) == "12 [X] 9a"


def swapped(text: str, target, **values: list[str]):  # type: ignore[no-untyped-def]
    return Swapper(values).swapped(row(1, text, target), random.Random(0))


def test_swap_changes_question_and_answer_alike() -> None:
    found = swapped(
        "Is the Kettle 3 safe? My Kettle 3 smokes",
        CompletionTarget("Unplug the Kettle 3."),
        product=["Kettle 3", "Mixer X"],
    )
    assert found is not None
    asked, target, _ = found
    assert asked.last_user == "Is the Mixer X safe? My Mixer X smokes"
    assert target == CompletionTarget("Unplug the Mixer X.")


def test_swap_reaches_fields_and_labels_and_only_whole_words() -> None:
    fields = FieldsTarget({"route": "sales", "reply": "The tea is out", "more": ["tea", 3]})
    found = swapped("tea for the team", fields, drink=["tea", "coffee"])
    assert found is not None
    assert found[0].last_user == "coffee for the team"
    assert found[1] == FieldsTarget(
        {"route": "sales", "reply": "The coffee is out", "more": ["coffee", 3]}
    )
    found = swapped("buy tea", LabelTarget("tea"), drink=["tea", "coffee"])
    assert found is not None and found[1] == LabelTarget("coffee")
    assert swapped("a team of two", LabelTarget("x"), drink=["tea", "coffee"]) is None


def test_swap_keeps_two_values_apart_and_prefers_the_longer_one() -> None:
    found = swapped("from Rome to Paris", LabelTarget("x"), city=["Rome", "Paris"])
    assert found is not None and found[0].last_user == "from Paris to Rome"
    found = swapped("Mixer X", LabelTarget("x"), a=["Mixer", "Oven"], b=["Mixer X", "Kettle"])
    assert found is not None and found[0].last_user == "Kettle"
    assert swapped("Rome", LabelTarget("x"), city=["Rome", "Rome"]) is None


TEMPLATES = """
[slots]
product = ["Kettle 3", "Mixer X"]
fault = ["smokes", "leaks"]

[[template]]
prompt = "My {product} {fault} and a child is in the room!"
target = TARGET
count = 20
"""


def templates(tmp_path: Path, target: str, objective: Objective = CLASSIFY):  # type: ignore[no-untyped-def]
    path = tmp_path / "edge.toml"
    path.write_text(TEMPLATES.replace("TARGET", target))
    return list(from_templates(path, objective, 0))


def test_templates_fill_every_combination_once(tmp_path: Path) -> None:
    made = templates(tmp_path, '"safety"')
    assert len({one.conversation.last_user for one in made}) == len(made) == 4
    assert {one.target for one in made} == {LabelTarget("safety")}
    assert all(one.parent is None and one.said is None and one.sure == 1 for one in made)
    assert made == templates(tmp_path, '"safety"')


def test_templates_make_targets_of_the_task(tmp_path: Path) -> None:
    fields = templates(tmp_path, '{ route = "safety", reply = "Unplug the {product}.", n = 1 }')
    for one in fields:
        product = "Mixer X" if "Mixer X" in one.conversation.last_user else "Kettle 3"
        assert isinstance(one.target, FieldsTarget)
        assert one.target.fields == {"route": "safety", "reply": f"Unplug the {product}.", "n": 1}
    answer = templates(tmp_path, '"Unplug it."', Objective(task="answer"))
    assert answer[0].target == CompletionTarget("Unplug it.")
    many = templates(tmp_path, '["b", "a"]', Objective(task="multilabel"))
    assert many[0].target == LabelsTarget(("a", "b"))
    one = templates(tmp_path, '"a"', Objective(task="multilabel"))
    assert one[0].target == LabelsTarget(("a",))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[template]]\nprompt = 'a {thing}'\ntarget = 'x'", r"edge.toml: \{thing\}"),
        ("[slots]\nthing = []\n[[template]]\nprompt = 'a'\ntarget = 'x'", "at least 1 item"),
        ("[slots]\nthing = ['a']", "template"),
        ("prompt = ", "edge.toml"),
        ("[[template]]\nprompt = 'a'", "target"),
    ],
)
def test_a_file_of_templates_that_cannot_be_used_is_named(
    tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "edge.toml").write_text(text)
    with pytest.raises(ConfigError, match=said):
        list(from_templates(tmp_path / "edge.toml", CLASSIFY, 0))
    with pytest.raises(ConfigError, match=r"gone\.toml"):
        list(from_templates(tmp_path / "gone.toml", CLASSIFY, 0))


class Parrot:
    """Says what it is told to say, by message."""

    name, fingerprint, capabilities = "parrot", "p", Capabilities()

    def __init__(self, says: dict[str, Completion]) -> None:
        self.says, self.asked = says, list[Conversation]()

    def complete(
        self, conversations: Sequence[Conversation], sampling: Sampling
    ) -> list[Completion]:
        self.asked += conversations
        return [self.says[one.last_user] for one in conversations]

    def score(self, conversations: object, choices: object) -> list[list[float]]:
        raise NotImplementedError


def test_a_completer_rewrites_and_what_failed_or_was_cut_is_empty() -> None:
    parrot = Parrot(
        {
            "a": Completion(' "Said otherwise" '),
            "b": Completion("half of", finish_reason="length"),
            "c": Completion("", finish_reason="error", error="no answer"),
            "d": Completion('he said "no" and "yes"'),
        }
    )
    rewrite = by_completer(parrot, PARAPHRASE)
    assert rewrite(["a", "b", "c", "d"]) == ["Said otherwise", "", "", 'he said "no" and "yes"']
    assert parrot.asked[0].messages[0].text == PARAPHRASE


def test_back_translation_asks_nothing_of_what_was_not_translated() -> None:
    seen: list[str] = []

    def back(texts: Sequence[str]) -> list[str]:
        seen.extend(texts)
        return [text.upper() for text in texts]

    through = chained(lambda texts: ["" if text == "lost" else f"<{text}>" for text in texts], back)
    assert through(["one", "lost", "two"]) == ["<ONE>", "", "<TWO>"]
    assert seen == ["<one>", "<two>"]


@pytest.fixture(scope="module")
def seq2seq(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny byte-level T5 that has learned two sentences by heart."""
    import torch
    from transformers import ByT5Tokenizer, T5Config, T5ForConditionalGeneration

    torch.manual_seed(0)
    torch.set_num_threads(1)
    tokenizer = ByT5Tokenizer()
    config = T5Config(
        vocab_size=384, d_model=32, d_kv=16, d_ff=64, num_layers=1, num_heads=2, dropout_rate=0.0,
        decoder_start_token_id=0,
    )  # fmt: skip
    model = T5ForConditionalGeneration(config)
    asked = tokenizer(["say: aa", "say: bb"], return_tensors="pt", padding=True)
    wanted = tokenizer(["cd", "ef"], return_tensors="pt", padding=True).input_ids
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-2)
    for _ in range(60):
        loss = model(**asked, labels=wanted).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    folder = tmp_path_factory.mktemp("seq2seq")
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    return folder


def test_an_encoder_decoder_model_rewrites(seq2seq: Path) -> None:
    rewrite = by_seq2seq(str(seq2seq), "say: ")
    assert rewrite(["aa", "bb", "aa"]) == ["cd", "ef", "cd"]
    assert rewrite([]) == []


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="a folder that is there"):
        by_seq2seq(str(tmp_path))
