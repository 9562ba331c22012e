"""Bases are found by name, loaded in full precision, and known by a fingerprint."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from metier.core.errors import ModelUnavailable
from metier.core.types import Conversation
from metier.models import base as base_module
from metier.models.base import (
    TINY,
    TINY_PATH,
    Base,
    find_base,
    fingerprint_folder,
    load_base,
    wrap,
)
from metier.models.chat import PLAIN_TEMPLATE
from tiny_models import TEMPLATE, tiny_model, tiny_tokenizer

PLAIN_CHATML = (
    "{% for m in messages %}<|im_start|>{{m['role']}}\n{{m['content']}}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
DIALOGUE = [
    {"role": "system", "content": "Be kind.\n"},
    {"role": "user", "content": " hi\n\nthere "},
    {"role": "assistant", "content": "yo "},
    {"role": "user", "content": ""},
    {"role": "assistant", "content": ""},
]


def test_the_bundled_base_loads_in_float32(bundled: Base) -> None:
    assert {p.dtype for p in bundled.model.parameters()} <= {torch.float32, torch.bfloat16}
    assert bundled.path == TINY_PATH
    assert bundled.max_tokens > 0
    assert not bundled.model.training


def test_the_bundled_base_stays_under_twenty_megabytes() -> None:
    assert sum(f.stat().st_size for f in TINY_PATH.iterdir()) < 20_000_000


def test_the_card_names_every_kind_of_source() -> None:
    card = (TINY_PATH / "README.md").read_text(encoding="utf-8")
    for word in ("Attributions", "OpenStax", "standardebooks", "CC BY-SA 4.0", "nats per token"):
        assert word in card


@pytest.mark.parametrize("turns", range(1, 6))
@pytest.mark.parametrize("cue", [False, True])
def test_generation_markers_do_not_change_the_text(bundled: Base, turns: int, cue: bool) -> None:
    plain, marked = (
        bundled.tokenizer.apply_chat_template(
            DIALOGUE[:turns], chat_template=template, tokenize=False, add_generation_prompt=cue
        )
        for template in (PLAIN_CHATML, None)
    )
    assert marked == plain


def test_generation_markers_cover_the_reply_and_its_end(bundled: Base) -> None:
    shown = bundled.tokenizer.apply_chat_template(
        DIALOGUE, return_dict=True, return_assistant_tokens_mask=True
    )
    marked = [i for i, m in zip(shown["input_ids"], shown["assistant_masks"], strict=True) if m]
    assert bundled.tokenizer.decode(marked) == "yo <|im_end|><|im_end|>"


def test_a_local_folder_is_a_base(tmp_path: Path) -> None:
    tiny_model(vocabulary=300).save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    base = load_base(str(tmp_path))
    assert base.max_tokens == 512
    assert base.name == str(tmp_path)
    assert base.tokenizer.chat_template == TEMPLATE


def test_the_fingerprint_follows_weights_tokenizer_and_template(tmp_path: Path) -> None:
    shutil.copytree(TINY_PATH, tmp_path / "copy")
    copy = tmp_path / "copy"
    before = fingerprint_folder(copy)
    assert before == fingerprint_folder(TINY_PATH)
    (copy / "README.md").write_text("another card", encoding="utf-8")
    assert fingerprint_folder(copy) == before, "the card shapes no answer"
    for name in ("chat_template.jinja", "model.safetensors", "tokenizer.json"):
        file = copy / name
        file.write_bytes(file.read_bytes() + b" ")
        assert fingerprint_folder(copy) != before, name
        before = fingerprint_folder(copy)


def test_models_in_memory_have_fingerprints_too(llama: Base) -> None:
    tokenizer = tiny_tokenizer()
    same = wrap(tiny_model(vocabulary=len(tokenizer)), tokenizer, "again")
    assert same.fingerprint == llama.fingerprint
    assert wrap(tiny_model("mistral", vocabulary=len(tokenizer)), tokenizer, "m").fingerprint != (
        llama.fingerprint
    )


def test_a_model_without_template_gets_a_plain_one() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = None
    base = wrap(tiny_model(vocabulary=len(tokenizer)), tokenizer, "plain")
    assert base.tokenizer.chat_template == PLAIN_TEMPLATE
    shown = base.tokenizer.decode(base.encode(Conversation.of(("user", "hi"))))
    assert shown == "<|endoftext|>User: hi\nAssistant: "


@pytest.mark.parametrize("name", ["./no/such", "/no/such/folder", "~/no-such-model", "a/b/c", " "])
def test_a_missing_folder_is_named(name: str) -> None:
    with pytest.raises(ModelUnavailable, match="no such folder") as caught:
        find_base(name)
    assert TINY in caught.value.remedy


def test_a_hub_name_offline_says_so_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelUnavailable, match="HF_HUB_OFFLINE") as caught:
        find_base("someone/no-such-model")
    assert "local cache" in caught.value.got


def test_an_unreachable_hub_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRANSFORMERS_OFFLINE", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(ModelUnavailable, match=r"127\.0\.0\.1:9 cannot be reached"):
        find_base("someone/no-such-model")


def test_a_name_no_hub_would_take() -> None:
    with pytest.raises(ModelUnavailable, match="Repo id"):
        find_base("bad name!")


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(ModelUnavailable, match=r"safetensors.*\n.*pytorch_model\.bin"):
        load_base(str(tmp_path))


def test_a_broken_folder_says_what_transformers_said(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"x")
    (tmp_path / "config.json").write_text('{"model_type": "nothing-known"}', encoding="utf-8")
    with pytest.raises(ModelUnavailable, match="causal language model"):
        load_base(str(tmp_path))


def test_absurd_context_lengths_count_as_unknown() -> None:
    class Config:
        max_position_embeddings = None

    class Tokenizer:
        model_max_length = 10**30

    assert base_module._context(Config(), Tokenizer()) == 4096
