"""What training.py trains on: the base, and made rows as text and as tokens."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KINDS, WORDS = 10, 1500


@dataclass(frozen=True)
class Size:
    """One base and how much of it is trained: rows make rows / 4 steps."""

    base: str
    rows: int
    held_out: int
    lr: float
    seeds: int = 3


def write_base(size: Size, folder: Path) -> None:
    """Write the base into ``folder``: the bundled one, or random weights of the shape."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

    from metier.models.base import TINY_PATH

    if size.base == "tiny":
        AutoModelForCausalLM.from_pretrained(TINY_PATH).float().save_pretrained(folder)
        AutoTokenizer.from_pretrained(TINY_PATH).save_pretrained(folder)
        return
    small = size.base == "small"
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=49_152 if not small else 2048,
        hidden_size=576 if not small else 36,
        intermediate_size=1536 if not small else 96,
        num_hidden_layers=30 if not small else 2,
        num_attention_heads=9,
        num_key_value_heads=3,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=2,
        pad_token_id=3,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    _word_tokenizer(config.vocab_size).save_pretrained(folder)


def _word_tokenizer(words: int) -> Any:
    """A tokenizer whose words are w4, w5, …: one token each."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>"]
    names = special + [f"w{number}" for number in range(4, words)]
    raw = Tokenizer(models.WordLevel({name: at for at, name in enumerate(names)}, unk_token="w4"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        bos_token=special[0],
        eos_token=special[2],
        pad_token=special[3],
    )
    tokenizer.chat_template = (
        "{% for m in messages %}{% if m['role'] == 'assistant' %}{% generation %}"
        "{{ m['content'] }} <|im_end|>{% endgeneration %}{% else %}"
        "<|im_start|> {{ m['content'] }} <|im_end|> "
        "<|im_start|> {% endif %}{% endfor %}"
    )
    return tokenizer


def make_rows(tokenizer: Any, count: int, seed: int) -> list[tuple[str, str]]:
    """Make prompts and replies; a reply follows from a marker word in its prompt, with noise."""
    import numpy as np

    words = _words(tokenizer)
    draw = np.random.default_rng([20_261, seed])
    order = np.random.default_rng(7).permutation(len(words))
    chance = 1 / (np.arange(len(words)) + 3.0)
    chance /= chance.sum()
    # Half of each reply is this, word by word; the other half is drawn.
    themes = np.random.default_rng(11).integers(0, len(words), (KINDS, 200))
    rows = []
    for _ in range(count):
        kind = int(draw.integers(KINDS))
        asked, told = (_length(draw, *shape) for shape in ((82, 0.4, 16, 320), (24, 0.4, 4, 90)))
        prompt = order[draw.choice(len(words), asked, p=chance)]
        prompt[draw.integers(asked, size=3)] = kind
        noise = order[draw.choice(len(words), told, p=chance)]
        reply = np.where(draw.random(told) < 0.5, themes[kind, :told], noise)
        rows.append((" ".join(words[i] for i in prompt), " ".join(words[i] for i in reply)))
    return rows


def _length(draw: Any, median: float, sigma: float, least: int, most: int) -> int:
    return int(min(max(draw.lognormal(0, sigma) * median, least), most))


def _words(tokenizer: Any) -> list[str]:
    """Words of the vocabulary that are one token each behind a blank."""
    names = tokenizer.get_vocab()
    made = sorted((name for name in names if re.fullmatch(r"w\d+", name)), key=names.get)
    found = made or [name[1:] for name in sorted(names) if re.fullmatch("Ġ[a-z]{3,}", name)]
    return found[:WORDS]


def write_tokens(folder: Path, size: Size) -> None:
    """Encode the rows as metier does, for everyone: tokens.json and the rows themselves."""
    from metier.core.objective import Objective
    from metier.models.base import load_base
    from metier.tune.tokens.encode import encode
    from metier.tune.tokens.spoken import spoken

    tokenizer = load_base(str(folder / "base")).tokenizer
    speak = spoken(Objective(task="chat"), (), "")
    parts: dict[str, Any] = {}
    for seed in range(size.seeds):
        parts[f"train-{seed}"] = make_rows(tokenizer, size.rows, seed)
    parts["held out"] = make_rows(tokenizer, size.held_out, 999)
    tokens = {}
    for name, rows in parts.items():
        made = encode(examples(rows), speak, tokenizer, 1024).examples
        tokens[name] = [{"ids": list(e.input_ids), "in": list(e.supervised)} for e in made]
    (folder / "rows.json").write_text(json.dumps(parts), encoding="utf-8")
    (folder / "tokens.json").write_text(json.dumps(tokens), encoding="utf-8")


def examples(rows: Sequence[Sequence[str]]) -> list[Any]:
    """The rows as metier's examples."""
    from metier.core.types import CompletionTarget, Conversation, Example, Provenance

    return [
        Example(
            Example.make_id("training", str(number)),
            Conversation.of(("user", prompt)),
            CompletionTarget(reply),
            Provenance("training", "training", str(number)),
        )
        for number, (prompt, reply) in enumerate(rows)
    ]
