"""Make the bundled base ``metier/tiny`` from a folder of text: one flat, resumable script.

    documents -> tokenizer -> shards of token ids -> windows, shuffled -> Muon + AdamW -> fp16

The model is a Llama of 6.5 M parameters (or ``--init``: an existing checkpoint, continued). Text
comes as ``*.jsonl``, ``.jsonl.xz`` or ``.jsonl.gz`` with the fields ``text`` and ``kind`` (book,
docs, textbook, dialogue, instruction), or as ``*.txt``; exercises of our own making are added
(``instructions.py``). One document in 200 is held out, chosen by the hash of its text.

    python runs/pretrain_tiny.py --text corpus/ --out base/ --minutes 120
    python runs/pretrain_tiny.py --text corpus/ --out more/ --init base/base --minutes 60

A killed run goes on where its last checkpoint was when the same command is given again. The loss
goes to ``OUT/log.jsonl``; what was seen and reached to ``OUT/base/training.json``.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import lzma
import math
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from instructions import Chat, conversations
from safetensors.torch import load_file, save_file
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>"]
# Jinja drops a newline that follows a block, so the one after a turn is an expression.
CHAT_TEMPLATE = """{% for m in messages %}<|im_start|>{{m['role']}}
{% if m['role'] == 'assistant' %}{% generation %}{{m['content']}}<|im_end|>{% endgeneration %}\
{% else %}{{m['content']}}<|im_end|>{% endif %}{{'\\n'}}
{%- endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
# The share of a kind's windows that one pass sees: what looks like the work a specialist does
# counts more than prose.
MIX = {"dialogue": 1.0, "textbook": 0.6, "docs": 0.3, "instruction": 1.0, "book": 0.15, "own": 1.0}
READ_ONLY = 1 << 15  # this bit of a token id says: read it, but do not learn to predict it


@dataclass(frozen=True)
class Config:
    """Everything that shapes the weights. Rates are for matrices (Muon) and the rest (AdamW)."""

    vocab_size: int = 8192
    hidden_size: int = 256
    layers: int = 6
    heads: int = 4
    kv_heads: int = 2
    feed_forward: int = 704
    context: int = 1024
    window: int = 256
    batch: int = 16
    muon_lr: float = 0.02
    adam_lr: float = 3e-3
    rate: float = 1.0
    """Factor on both rates; continuing from trained weights wants about a quarter."""
    warmup_steps: int = 60
    own_rows: int = 30_000
    """Exercises of our own making, drawn under ``seed``."""
    mix: dict[str, float] = field(default_factory=lambda: dict(MIX))
    seed: int = 0


# Documents


def read_documents(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield (kind, text) of every document below ``folder``, in a stable order."""
    openers = {".xz": lzma.open, ".gz": gzip.open}
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".txt":
            yield "book", path.read_text("utf-8")
        elif ".jsonl" in path.suffixes:
            with openers.get(path.suffix, open)(path, "rt", encoding="utf-8") as lines:
                for line in lines:
                    row = json.loads(line)
                    yield row.get("kind", "docs"), row["text"]


def as_chats(kind: str, text: str) -> list[Chat]:
    """Read the blocks of a dialogue or instruction document as chats; skip what is neither."""
    chats = []
    for block in text.split("\n\n"):
        if kind == "dialogue":
            lines = [line.split(": ", 1) for line in block.split("\n") if ": " in line]
            roles = {"User": "user", "Assistant": "assistant"}
            chat = [{"role": roles[r], "content": t} for r, t in lines if r in roles]
        else:
            asked, _, answer = block.rpartition("\nAnswer: ")
            asked = asked.removeprefix("Instruction: ")
            chat = [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
        if len(chat) >= 2 and all(turn["content"].strip() for turn in chat):
            chats.append(chat)
    return chats


def is_held_out(text: str) -> bool:
    """Choose one document in 200 by the hash of its text, whatever the order."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest()) % 200 == 0


# Tokenizer


def train_tokenizer(texts: Iterator[str], vocab_size: int) -> Tokenizer:
    """Train a byte-level BPE; every digit is a token of its own, so that numbers keep a shape."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\d"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=SPECIAL,
        initial_alphabet=alphabet,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def wrap_tokenizer(tokenizer: Tokenizer, context: int) -> PreTrainedTokenizerFast:
    """Dress a tokenizer for transformers: special tokens and the chat template."""
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|endoftext|>",
        eos_token="<|im_end|>",
        pad_token="<|pad|>",
        chat_template=CHAT_TEMPLATE,
        model_max_length=context,
        clean_up_tokenization_spaces=False,
    )


def encode_chat(tokenizer: Tokenizer, chat: Chat, answers_only: bool) -> list[int]:
    """Encode a chat as the template writes it; READ_ONLY marks what is not an answer."""
    start, end = tokenizer.token_to_id("<|im_start|>"), tokenizer.token_to_id("<|im_end|>")
    newline = tokenizer.encode("\n").ids
    ids: list[int] = [tokenizer.token_to_id("<|endoftext|>")]
    for turn in chat:
        head = [start, *tokenizer.encode(turn["role"] + "\n").ids]
        body = [*tokenizer.encode(turn["content"]).ids, end]
        read_only = READ_ONLY if answers_only else 0
        ids += [token | read_only for token in head]
        ids += body if turn["role"] == "assistant" else [token | read_only for token in body]
        ids += [token | read_only for token in newline]
    return ids


# Shards


def write_shards(config: Config, text: Path, tokenizer: Tokenizer, out: Path) -> None:
    """Tokenise everything into ``out/KIND.bin`` and ``out/held_out.bin`` (uint16)."""
    marker = out / "done.json"
    if marker.exists():
        return
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    bos = tokenizer.token_to_id("<|endoftext|>")
    counts: Counter[str] = Counter()
    files = {name: (out / f"{name}.bin").open("wb") for name in [*MIX, "held_out"]}
    for kind, document in read_documents(text):
        if kind in ("dialogue", "instruction"):
            chats = as_chats(kind, document)
            ids = [i for c in chats for i in encode_chat(tokenizer, c, kind == "instruction")]
        else:
            ids = [bos, *tokenizer.encode(document).ids]
        name = "held_out" if is_held_out(document) else kind if kind in MIX else "docs"
        np.asarray(ids, dtype=np.uint16).tofile(files[name])
        counts[name] += len(ids)
    for chat in conversations(config.own_rows, config.seed):
        ids = encode_chat(tokenizer, chat, answers_only=True)
        np.asarray(ids, dtype=np.uint16).tofile(files["own"])
        counts["own"] += len(ids)
    for file in files.values():
        file.close()
    marker.write_text(json.dumps(counts))  # written last: its presence means complete


def windows(config: Config, shards: Path, epoch: int) -> list[tuple[str, int]]:
    """Return the (kind, offset) windows of one pass over the mix, in the order of ``epoch``."""
    counts = json.loads((shards / "done.json").read_text())
    rng = np.random.default_rng([config.seed, epoch])
    chosen: list[tuple[str, int]] = []
    for kind, share in config.mix.items():
        # Each pass starts elsewhere, so that documents are not always cut at the same places.
        shift = int(rng.integers(config.window))
        starts = np.arange(shift, counts.get(kind, 0) - config.window - 1, config.window)
        picked = rng.permutation(starts)[: math.ceil(share * len(starts))]
        chosen += [(kind, int(start)) for start in picked]
    return [chosen[i] for i in rng.permutation(len(chosen))]


class Batches:
    """Batches by step number: step n is the same batch however often the run was interrupted."""

    def __init__(self, config: Config, shards: Path) -> None:
        self.config, self.shards = config, shards
        paths = {name: shards / f"{name}.bin" for name in MIX}
        self.tokens = {
            name: np.memmap(path, dtype=np.uint16, mode="r")
            for name, path in paths.items()
            if path.stat().st_size
        }
        self.epoch, self.order = 0, windows(config, shards, 0)
        self.per_epoch = len(self.order) // config.batch
        if not self.per_epoch:
            raise SystemExit(f"expected text for a batch of {config.batch} windows; got too little")

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        """Return input ids and labels (-100: not learned), both [batch, window]."""
        epoch, place = divmod(step, self.per_epoch)
        if epoch != self.epoch:
            self.epoch, self.order = epoch, windows(self.config, self.shards, epoch)
        size = self.config.batch
        picked = self.order[place * size : (place + 1) * size]
        rows = [self.tokens[kind][at : at + self.config.window + 1] for kind, at in picked]
        return inputs_and_labels(np.stack(rows))


def inputs_and_labels(rows: np.ndarray) -> tuple[Tensor, Tensor]:
    """Split rows [batch, window + 1] of marked ids into inputs and next-token labels."""
    ids = torch.from_numpy((rows & (READ_ONLY - 1)).astype(np.int64))
    read_only = torch.from_numpy((rows & READ_ONLY) > 0)
    return ids[:, :-1], ids.masked_fill(read_only, -100)[:, 1:]


# Optimiser


def orthogonalise(matrix: Tensor, steps: int = 5) -> Tensor:
    """Bring a matrix near U Vᵀ of its SVD by Newton-Schulz, in its own precision.

    Coefficients: Muon, https://kellerjordan.github.io/posts/muon/ (bf16 there; on a CPU fp32 is
    the faster one).
    """
    x = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x.T if matrix.shape[0] > matrix.shape[1] else x


class Muon(torch.optim.Optimizer):
    """SGD with Nesterov momentum whose update is orthogonalised; for two-dimensional weights."""

    def __init__(self, parameters: list[nn.Parameter], lr: float, momentum: float = 0.95) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every weight once."""
        for group in self.param_groups:
            for weight in group["params"]:
                buffer = self.state[weight].setdefault("momentum", torch.zeros_like(weight))
                buffer.lerp_(weight.grad, 1 - group["momentum"])
                update = orthogonalise(weight.grad.lerp(buffer, group["momentum"]))
                rows, columns = weight.shape
                weight.add_(update, alpha=-group["lr"] * max(1, rows / columns) ** 0.5)


def make_optimisers(model: nn.Module, config: Config) -> dict[str, torch.optim.Optimizer]:
    """Give the matrices inside the layers to Muon, embeddings and norms to AdamW."""
    named = list(model.named_parameters())
    matrices = [p for name, p in named if p.ndim == 2 and "embed" not in name]
    rest = [p for name, p in named if p.ndim != 2 or "embed" in name]
    adam = torch.optim.AdamW(rest, lr=config.adam_lr, betas=(0.9, 0.95), weight_decay=0.0)
    optimisers = {"muon": Muon(matrices, config.muon_lr), "adam": adam}
    for optimiser in optimisers.values():
        for group in optimiser.param_groups:
            group["peak_lr"] = group["lr"] * config.rate
    return optimisers


def set_rate(
    optimisers: dict[str, torch.optim.Optimizer], step: int, done: float, warm: int
) -> None:
    """Warm up over ``warm`` steps, hold to half of the budget, then fall linearly to 2%."""
    factor = min(1.0, (step + 1) / warm) * min(1.0, 0.02 + 0.98 * 2 * max(0.0, 1 - done))
    for optimiser in optimisers.values():
        for group in optimiser.param_groups:
            group["lr"] = group["peak_lr"] * factor


# Checkpoints: safetensors for tensors, JSON for the rest, and a rename that makes them whole


def save_checkpoint(
    out: Path, model: nn.Module, optimisers: dict[str, torch.optim.Optimizer], state: dict[str, Any]
) -> None:
    """Replace ``out/checkpoint`` by the present state."""
    tensors = {f"model.{name}": p.detach() for name, p in model.named_parameters()}
    for kind, optimiser in optimisers.items():
        for index, values in optimiser.state_dict()["state"].items():
            tensors |= {f"{kind}.{index}.{key}": value for key, value in values.items()}
    fresh, old = out / "checkpoint.new", out / "checkpoint"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    save_file(
        {name: t.contiguous().cpu() for name, t in tensors.items()}, fresh / "state.safetensors"
    )
    (fresh / "state.json").write_text(json.dumps(state))
    shutil.rmtree(old, ignore_errors=True)
    os.replace(fresh, old)


def load_checkpoint(
    out: Path, model: nn.Module, optimisers: dict[str, torch.optim.Optimizer]
) -> dict[str, Any]:
    """Read the last checkpoint into model and optimisers; an empty state where there is none."""
    # A kill between removing the old one and renaming the new one leaves only the new one.
    folder = next((f for f in (out / "checkpoint", out / "checkpoint.new") if _is_whole(f)), None)
    if folder is None:
        return {"step": 0, "tokens": 0, "seconds": 0.0}
    tensors = load_file(folder / "state.safetensors")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(tensors.pop(f"model.{name}"))
    for kind, optimiser in optimisers.items():
        saved = optimiser.state_dict()
        for name, tensor in tensors.items():
            owner, index, key = name.split(".", 2)
            if owner == kind:
                saved["state"].setdefault(int(index), {})[key] = tensor
        optimiser.load_state_dict(saved)
    state: dict[str, Any] = json.loads((folder / "state.json").read_text())
    return state


def _is_whole(folder: Path) -> bool:
    return (folder / "state.json").exists()


# Training


def build(config: Config, init: Path | None, out: Path, text: Path) -> tuple[Any, Tokenizer]:
    """Return the model in fp32 and its tokenizer: from ``init``, or new ones."""
    if init:
        tokenizer = Tokenizer.from_file(str(init / "tokenizer.json"))
        return AutoModelForCausalLM.from_pretrained(init, dtype=torch.float32), tokenizer
    path = out / "tokenizer.json"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        texts = (document[:20_000] for _, document in read_documents(text))
        train_tokenizer(texts, config.vocab_size).save(str(path))
    tokenizer = Tokenizer.from_file(str(path))
    shape = LlamaConfig(
        vocab_size=config.vocab_size,
        hidden_size=config.hidden_size,
        intermediate_size=config.feed_forward,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.kv_heads,
        max_position_embeddings=config.context,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.token_to_id("<|endoftext|>"),
        eos_token_id=tokenizer.token_to_id("<|im_end|>"),
        pad_token_id=tokenizer.token_to_id("<|pad|>"),
    )
    torch.manual_seed(config.seed)
    return LlamaForCausalLM(shape), tokenizer


def loss_of(model: Any, ids: Tensor, labels: Tensor, device: torch.device) -> Tensor:
    """Return the mean loss over the labels to be learned, in nats per token; bf16 on a GPU."""
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        logits = model(ids.to(device), use_cache=False).logits
    flat, wanted = logits.flatten(0, 1).float(), labels.flatten().to(device)
    total = nn.functional.cross_entropy(flat, wanted, reduction="sum")
    return total / (wanted >= 0).sum().clamp(min=1)  # a batch of prompts alone learns nothing


@torch.no_grad()
def held_out_loss(model: Any, shards: Path, device: torch.device, window: int) -> float:
    """Return nats per token over the first 200 held-out windows (fewer where there are fewer)."""
    path = shards / "held_out.bin"
    tokens = np.fromfile(path, dtype=np.uint16) & (READ_ONLY - 1)
    count = min(200, max(0, len(tokens) - 1) // window)
    if not count:
        return math.nan
    # Spread over the shard, so that every kind has its share.
    starts = np.linspace(0, len(tokens) - window - 1, count).astype(int)
    rows = np.stack([tokens[start : start + window + 1] for start in starts])
    losses = [loss_of(model, *inputs_and_labels(row[None]), device).item() for row in rows]
    return float(np.mean(losses))


def train(config: Config, arguments: argparse.Namespace) -> dict[str, Any]:
    """Train until the budget is spent and write the base; return its summary."""
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model, tokenizer = build(config, arguments.init, out, arguments.text)
    shards = out / "shards"
    write_shards(config, arguments.text, tokenizer, shards)
    model.to(device)
    optimisers = make_optimisers(model, config)
    before = held_out_loss(model, shards, device, config.window)
    state = load_checkpoint(out, model, optimisers)
    state.setdefault("held_out_before", before)
    forward = torch.compile(model) if device.type == "cuda" and arguments.compile else model
    batches = Batches(config, shards)
    last_save = last = time.monotonic()
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters on {device}; state {state}")
    while (done := share_done(state, arguments)) < 1:
        set_rate(optimisers, state["step"], done, config.warmup_steps)
        loss = loss_of(forward, *batches.at(state["step"]), device)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimiser in optimisers.values():
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        now = time.monotonic()
        state["seconds"], last = state["seconds"] + now - last, now
        state["step"] += 1
        state["tokens"] += config.batch * config.window
        if state["step"] % arguments.log_every == 0:
            row = {**state, "loss": round(loss.item(), 4), "done": round(done, 4)}
            append(out / "log.jsonl", row)
            print(f"step {state['step']} loss {row['loss']} {done:.1%}", flush=True)
        if now - last_save > arguments.save_every_s:
            save_checkpoint(out, model, optimisers, state)
            last_save = now
    save_checkpoint(out, model, optimisers, state)
    summary = {**state, "held_out_after": held_out_loss(model, shards, device, config.window)}
    summary |= {"config": asdict(config), "init": str(arguments.init or "")}
    export(model, tokenizer, config, out / "base", summary)
    return summary


def append(path: Path, row: dict[str, Any]) -> None:
    """Add one line to the log."""
    with path.open("a") as log:
        log.write(json.dumps(row) + "\n")


def share_done(state: dict[str, Any], arguments: argparse.Namespace) -> float:
    """Return the share of the budget that is spent, by tokens or time, whichever is further."""
    tokens = state["tokens"] / arguments.tokens if arguments.tokens else 0.0
    minutes = state["seconds"] / 60 / arguments.minutes if arguments.minutes else 0.0
    return max(tokens, minutes)


def export(
    model: Any, tokenizer: Tokenizer, config: Config, out: Path, summary: dict[str, Any]
) -> None:
    """Write the base in transformers format, float16, with its tokenizer and summary."""
    model.to("cpu", torch.float16).save_pretrained(out)
    wrap_tokenizer(tokenizer, config.context).save_pretrained(out)
    (out / "training.json").write_text(json.dumps(summary, indent=2))


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Make the bundled base from a folder of text.")
    parser.add_argument("--text", type=Path, required=True, help="folder of text")
    parser.add_argument(
        "--out", type=Path, required=True, help="working folder; base/ is the result"
    )
    parser.add_argument(
        "--init", type=Path, help="checkpoint to continue from (keeps its tokenizer)"
    )
    parser.add_argument("--minutes", type=float, default=120.0, help="time budget (0: none)")
    parser.add_argument("--tokens", type=int, default=0, help="token budget (0: none)")
    parser.add_argument("--config", default="{}", help='JSON over Config, e.g. {"batch": 8}')
    parser.add_argument("--save-every-s", type=float, default=300.0)
    parser.add_argument("--log-every", type=int, default=20)
    parser.add_argument("--compile", action="store_true", help="torch.compile on a GPU")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> dict[str, Any]:
    arguments = parse(argv)
    if not (arguments.minutes or arguments.tokens):
        raise SystemExit("expected a budget: give --minutes or --tokens")
    summary = train(Config(**json.loads(arguments.config)), arguments)
    print(f"{summary['tokens']:,} tokens, held-out loss {summary['held_out_after']:.3f} nats/token")
    return summary


if __name__ == "__main__":
    main()
