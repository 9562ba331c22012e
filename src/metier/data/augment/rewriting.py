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
from metier.core.types import Conversation

Rewrite = Callable[[Sequence[str]], list[str]]
PARAPHRASE = (
    "Say the message below in other words, in the same language. Keep every name, number and code "
    "as it is, and what is asked. Write the new message only."
)
TRANSLATE = "Translate the message below into {language}. Write the translation only."
BATCH = 16
MOST_TOKENS = 256


def by_completer(completer: Completer, instruction: str, seed: int = 0) -> Rewrite:
    """Return a rewriter that asks a Completer; an answer that failed comes back empty."""
    sampling = Sampling(max_tokens=MOST_TOKENS, temperature=0.7, top_p=0.9, seed=seed)

    def rewrite(texts: Sequence[str]) -> list[str]:
        asked = [Conversation.of(("system", instruction), ("user", text)) for text in texts]
        found = completer.complete(asked, sampling)
        return ["" if one.error else one.text.strip().strip('"') for one in found]

    return rewrite


def by_seq2seq(name: str, prefix: str = "") -> Rewrite:
    """Return a rewriter by an encoder-decoder model, decoded greedily.

    Raises ModelUnavailable when it is not on this machine or cannot be read as one.
    """
    model, tokenizer = _load(name)

    def rewrite(texts: Sequence[str]) -> list[str]:
        import torch

        found: list[str] = []
        for start in range(0, len(texts), BATCH):
            batch = [prefix + text for text in texts[start : start + BATCH]]
            given = tokenizer(batch, return_tensors="pt", padding=True, truncation=True)
            with torch.inference_mode():
                made = model.generate(**given, max_new_tokens=MOST_TOKENS, do_sample=False)
            found += tokenizer.batch_decode(made, skip_special_tokens=True)
        return [text.strip() for text in found]

    return rewrite


def chained(first: Rewrite, second: Rewrite) -> Rewrite:
    """Return a rewriter that sends what the first wrote through the second."""

    def rewrite(texts: Sequence[str]) -> list[str]:
        return second(first(texts))

    return rewrite


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
