r"""A byte-level BPE tokenizer as GGUF keeps it: tokens, types, merges, the cut before merging.

llama.cpp knows the cuts by name. Which one a tokenizer has is read off its own rules (it is not
guessed from the model's name); an unknown one is refused, because a wrong cut gives other tokens
and a worse model without a word of warning.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jinja2.exceptions import TemplateError

from metier.core.errors import InputError
from metier.core.types import Json
from metier.models import chat
from metier.models.base import Base

NORMAL, CONTROL, USER_DEFINED, UNUSED = 1, 3, 4, 5
"""Token types of llama.cpp (gguf.TokenType)."""
_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_LEAD = r"[^\r\n\p{L}\p{N}]?"
CUTS = {
    _WORDS + r"\p{N}{1,3}" + _REST: "llama-bpe",
    _WORDS + r"\p{N}" + _REST: "qwen2",
    f"{_LEAD}{_UPPER}*{_LOWER}+|{_LEAD}{_UPPER}+{_LOWER}*"
    + r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+": "tekken",
}
"""The pattern a tokenizer splits by -> llama.cpp's name (llama-vocab.cpp)."""
_MARKS = re.compile(r"\{%-?\s*(?:end)?generation\s*-?%\}")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What goes into the file. ``types`` are llama.cpp's; ``begins_with_bos``: the chat template
    starts with the BOS token, which llama.cpp then adds itself."""

    tokens: list[str]
    types: list[int]
    merges: list[str]
    pre: str
    bos: int | None
    pad: int | None
    end_of_turn: int
    begins_with_bos: bool
    template: str


def read_vocabulary(base: Base) -> Vocabulary:
    """Read a base's tokenizer. Raises InputError for one that is not byte-level BPE, or whose cut
    llama.cpp has no name for."""
    tokenizer = base.tokenizer
    rules = json.loads(tokenizer.backend_tokenizer.to_str())
    pre = cut_name(rules)
    size = int(base.model.get_input_embeddings().weight.shape[0])
    tokens, types = _tokens(rules, size)
    merges = [one if isinstance(one, str) else " ".join(one) for one in rules["model"]["merges"]]
    begins = bool(tokenizer.bos_token) and chat.render(tokenizer, _probe()).startswith(
        tokenizer.bos_token
    )
    return Vocabulary(
        tokens,
        types,
        merges,
        pre,
        tokenizer.bos_token_id,
        tokenizer.pad_token_id,
        chat.end_of_turn(tokenizer)[1],
        begins,
        plain_template(tokenizer),
    )


def cut_name(rules: Mapping[str, Json]) -> str:
    """Return llama.cpp's name for how a tokenizer cuts text before it merges."""
    model = rules["model"]
    if model["type"] != "BPE" or model.get("byte_fallback"):
        kind = "BPE with byte fallback (SentencePiece)" if model["type"] == "BPE" else model["type"]
        raise _refused(f"a tokenizer of the kind {kind}")
    normal = (rules.get("normalizer") or {}).get("type")
    if normal not in (None, "NFC"):
        raise _refused(f"a tokenizer that rewrites text first ({normal})")
    first = rules.get("pre_tokenizer") or {}
    steps = first["pretokenizers"] if first.get("type") == "Sequence" else [first]
    kinds = [step.get("type") for step in steps]
    if kinds == ["ByteLevel"] and steps[0].get("use_regex", True):
        return "gpt-2"
    if kinds == ["Digits", "ByteLevel"] and steps[0].get("individual_digits"):
        return "smollm"
    if kinds == ["Split", "ByteLevel"] and not steps[1].get("use_regex", True):
        pattern = steps[0]["pattern"].get("Regex", "")
        if pattern in CUTS:
            return CUTS[pattern]
    raise _refused(
        f"a tokenizer that cuts by {', '.join(map(str, kinds))}, which has no name there"
    )


def plain_template(tokenizer: Any) -> str:
    """Return the chat template without its generation marks, which only transformers knows.

    Raises InputError where the template says something else without them.
    """
    own = str(tokenizer.chat_template)
    plain = _MARKS.sub("", own)
    turns = [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "two"},
        {"role": "user", "content": "three"},
    ]
    try:
        said = [
            tokenizer.apply_chat_template(
                turns, tokenize=False, chat_template=form, add_generation_prompt=True
            )
            for form in (own, plain)
        ]
    except TemplateError as error:
        raise _refused(f"a chat template that fails: {error}") from error
    if said[0] != said[1]:
        raise _refused("a chat template whose generation marks change what it writes")
    return plain


def _tokens(rules: Mapping[str, Json], size: int) -> tuple[list[str], list[int]]:
    """Tokens by id; places of the embedding that no token has are filled with unused ones."""
    tokens = [f"[PAD{index}]" for index in range(size)]
    types = [UNUSED] * size
    for text, index in rules["model"]["vocab"].items():
        tokens[index], types[index] = text, NORMAL
    for one in rules.get("added_tokens", []):
        tokens[one["id"]] = one["content"]
        types[one["id"]] = CONTROL if one["special"] else USER_DEFINED
    return tokens, types


def _probe() -> Any:
    from metier.core.types import Conversation

    return Conversation.of(("user", "one"))


def _refused(what: str) -> InputError:
    return InputError(
        "a byte-level BPE tokenizer that llama.cpp knows",
        got=what,
        remedy="export it merged, and convert it with llama.cpp's own script",
    )
