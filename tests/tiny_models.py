"""Random models of a few thousand weights and a small tokenizer, built in the test process."""

from __future__ import annotations

from typing import Any

from metier.models.base import Base, wrap

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
    "{% if m['role'] == 'assistant' %}{% generation %}{{ m['content'] }}<|im_end|>"
    "{% endgeneration %}{% else %}{{ m['content'] }}<|im_end|>{% endif %}{{ '\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
WORDS = """card card payment card arrival top up refund where is my the parcel lost stolen cat
house you review loan applications is this a risk yes no label message please answer question
billing delivery returns other none low high reason because of late"""


def tiny_tokenizer() -> Any:
    """A byte-level BPE of about 400 entries with control tokens and a chat template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>"]
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator([WORDS] * 4, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        bos_token="<|endoftext|>",
        eos_token="<|im_end|>",
        pad_token="<|pad|>",
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def tiny_model(kind: str = "llama", *, vocabulary: int = 400, context: int = 512) -> Any:
    """A random two-layer model of the named architecture, float32, seeded."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(7)
    config = AutoConfig.for_model(
        kind,
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=context,
        initializer_range=0.3,
        bos_token_id=0,
        eos_token_id=2,
        pad_token_id=3,
    )
    return AutoModelForCausalLM.from_config(config).float().eval()


def tiny_base(kind: str = "llama", *, context: int = 512) -> Base:
    """The random model and the small tokenizer as a Base."""
    tokenizer = tiny_tokenizer()
    model = tiny_model(kind, vocabulary=len(tokenizer), context=context)
    return wrap(model, tokenizer, f"random/{kind}")
