"""How large a model is, from its config alone: parameters, bytes, KV cache. Torch-free.

Counts follow the Llama family (Llama, Mistral, Qwen2/3): gated feed-forward, grouped-query
attention, RMS norms. No weights are loaded.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metier.core.errors import ModelUnavailable

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "int8": 1}


@dataclass(frozen=True, slots=True)
class Shape:
    """The numbers of a decoder that sizes follow from; all counts, widths in numbers."""

    layers: int
    width: int
    feed_forward: int
    heads: int
    kv_heads: int
    head_width: int
    vocabulary: int
    tied: bool
    attention_bias: bool = False

    @classmethod
    def of(cls, config: dict[str, Any]) -> Shape:
        """Read a ``config.json``. Raises ModelUnavailable when it is not of this family."""
        try:
            width, heads = int(config["hidden_size"]), int(config["num_attention_heads"])
            return cls(
                layers=int(config["num_hidden_layers"]),
                width=width,
                feed_forward=int(config["intermediate_size"]),
                heads=heads,
                kv_heads=int(config.get("num_key_value_heads") or heads),
                head_width=int(config.get("head_dim") or width // heads),
                vocabulary=int(config["vocab_size"]),
                tied=bool(config.get("tie_word_embeddings", False)),
                attention_bias=config.get("model_type") == "qwen2"
                or bool(config.get("attention_bias", False)),
            )
        except KeyError as missing:
            raise ModelUnavailable(
                "the config.json of a Llama-like decoder",
                got=f"one without {missing}",
                remedy="its size cannot be computed from the config; load it to count",
            ) from missing

    @classmethod
    def read(cls, folder: Path) -> Shape:
        """Read the shape of a model folder."""
        return cls.of(json.loads((folder / "config.json").read_text(encoding="utf-8")))

    @property
    def linear_shapes(self) -> dict[str, tuple[int, int]]:
        """(out, in) of each linear layer of a block, by transformers' name."""
        q, kv = self.heads * self.head_width, self.kv_heads * self.head_width
        return {
            "q_proj": (q, self.width),
            "k_proj": (kv, self.width),
            "v_proj": (kv, self.width),
            "o_proj": (self.width, q),
            "gate_proj": (self.feed_forward, self.width),
            "up_proj": (self.feed_forward, self.width),
            "down_proj": (self.width, self.feed_forward),
        }

    @property
    def parameters(self) -> int:
        """All weights; tied embeddings counted once."""
        matrices = sum(out * into for out, into in self.linear_shapes.values())
        biases = (self.heads + 2 * self.kv_heads) * self.head_width if self.attention_bias else 0
        blocks = self.layers * (matrices + biases + 2 * self.width)
        embeddings = self.vocabulary * self.width * (1 if self.tied else 2)
        return blocks + embeddings + self.width

    def lora_parameters(self, r: int) -> int:
        """Weights of a LoRA of rank ``r`` on every linear layer: r (in + out) each."""
        per_block = sum(r * (out + into) for out, into in self.linear_shapes.values())
        return self.layers * per_block

    def weight_bytes(self, dtype: str = "float32") -> int:
        """Bytes of the weights in a dtype of ``BYTES``."""
        return self.parameters * BYTES[dtype]

    def kv_bytes_per_token(self, dtype: str = "float32") -> int:
        """Bytes of keys and values that one token leaves in the cache."""
        return 2 * self.layers * self.kv_heads * self.head_width * BYTES[dtype]
