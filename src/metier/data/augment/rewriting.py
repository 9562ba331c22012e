"""Models that say a text in other words: any Completer, or an encoder-decoder model.

rewrite = by_completer(completer, "Say this in other words...")
rewrite(["Where is my parcel?"])        # ["My parcel has not come, where is it?"]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from metier.core.completer import Completer, Sampling
from metier.core.errors import ModelUnavailable
from metier.core.types import Completion, Conversation

Rewrite = Callable[[Sequence[str]], list[str]]
PARAPHRASE = (
    "Say the message below in other words, in the same language. Keep every name, number and code "
    "as it is, and what is asked. Write the new message only."
)
TRANSLATE = "Translate the message below into {language}. Write the translation only."
BATCH, ROOM = 16, 32
MOST_TOKENS = 512
"""Tokens of a rewriting, at most; one that is cut there is thrown away."""


def by_completer(completer: Completer, instruction: str, seed: int = 0) -> Rewrite:
    """Return a rewriter that asks a Completer; what failed or was cut comes back empty."""

    def rewrite(texts: Sequence[str]) -> list[str]:
        # No tokenizer makes many more tokens than there are characters.
        most = min(MOST_TOKENS, ROOM + max(map(len, texts), default=0))
        sampling = Sampling(max_tokens=most, temperature=0.7, top_p=0.9, seed=seed)
        asked = [Conversation.of(("system", instruction), ("user", text)) for text in texts]
        found = completer.complete(asked, sampling)
        return [_unquoted(one.text) if _whole(one) else "" for one in found]

    return rewrite


def by_seq2seq(name: str, prefix: str = "") -> Rewrite:
    """Return a rewriter by an encoder-decoder model, decoded greedily; what was cut comes back
    empty.

    Raises ModelUnavailable when it is not on this machine or cannot be read as one.
    """
    model, tokenizer = _load(name)

    def rewrite(texts: Sequence[str]) -> list[str]:
        import torch

        found: list[str] = []
        for start in range(0, len(texts), BATCH):
            batch = [prefix + text for text in texts[start : start + BATCH]]
            given = tokenizer(batch, return_tensors="pt", padding=True)
            most = min(MOST_TOKENS, 2 * given["input_ids"].shape[1] + ROOM)
            with torch.inference_mode():
                made = model.generate(**given, max_new_tokens=most, do_sample=False)
            said = tokenizer.batch_decode(made, skip_special_tokens=True)
            ended = (made[:, 1:] == tokenizer.eos_token_id).any(dim=1).tolist()
            found += [text.strip() if end else "" for text, end in zip(said, ended, strict=True)]
        return found

    return rewrite


def chained(first: Rewrite, second: Rewrite) -> Rewrite:
    """Return a rewriter that sends what the first wrote through the second.

    What the first could not write stays empty: a model makes something up of an empty message.
    """

    def rewrite(texts: Sequence[str]) -> list[str]:
        between = first(texts)
        rest = iter(second([text for text in between if text]))
        return [next(rest) if text else "" for text in between]

    return rewrite


def _whole(one: Completion) -> bool:
    return one.error is None and one.finish_reason == "stop"


def _unquoted(text: str) -> str:
    text = text.strip()
    quoted = len(text) > 2 and text[0] == text[-1] == '"' and '"' not in text[1:-1]
    return text[1:-1].strip() if quoted else text


def _load(name: str) -> tuple[Any, Any]:
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    try:
        model = AutoModelForSeq2SeqLM.from_pretrained(
            name, trust_remote_code=False, use_safetensors=True
        )
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    except (OSError, ValueError) as error:
        here = "a folder that is there" if Path(name).is_dir() else "no folder of that name"
        raise ModelUnavailable(
            "an encoder-decoder model in safetensors format",
            got=f"{name} ({here}): {str(error).splitlines()[0]}",
            remedy="download it first and name its folder",
        ) from error
    return model.eval(), tokenizer
