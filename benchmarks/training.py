"""Training speed and memory beside TRL's SFTTrainer (and LLaMA-Factory): one run, interleaved.

    python benchmarks/training.py                    both bases, 3 seeds, appended to RESULTS.md
    python benchmarks/training.py --print            printed only
    python benchmarks/training.py --base tiny        one base only
    python benchmarks/training.py --small            seconds, printed only: does it run at all?

The 135M base is the Llama shape of SmolLM-135M (30 layers, 576 wide, 9 heads, 3 key heads, 1,536
between, 49,152 words, tied) with random weights; the tiny one is bundled with metier. Rows are made
up: prompts of some 90 tokens, replies of some 25, log-normal, ten kinds of reply that a marker in
the prompt tells. Everyone gets the same tokens and mask, LoRA r 8 on all linear layers, AdamW, one
epoch, float32, batches of 4 (metier: packed batches of as many tokens, so that an epoch has as
many steps). Every training is a process of its own; the order of the contenders turns with the
seed. Real tokens per second leave out the first two steps. Memory is the peak of the whole
process (VmHWM); "above load" leaves out what it held when the model was loaded. The validation loss
is measured by the same few lines for all, after one epoch.

LLaMA-Factory runs where METIER_LLAMAFACTORY names a Python of an environment that has it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "RESULTS.md"
FACTORY = "METIER_LLAMAFACTORY"
BATCH, WARM, RANK = 4, 2, 8
KINDS, WORDS = 10, 1500
PEERS = {"trl": "TRL, its defaults", "grouped": "TRL, by length, no checkpointing"}
OWN = "metier"
LABELS = {OWN: "metier", **PEERS, "factory": "LLaMA-Factory, its defaults"}


@dataclass(frozen=True)
class Size:
    """One base and how much of it is trained: rows make rows / 4 steps."""

    base: str
    rows: int
    held_out: int
    lr: float
    seeds: int = 3


SIZES = {
    "135m": Size("135m", 48, 24, 1e-3),
    "tiny": Size("tiny", 480, 60, 2e-3),
    "small": Size("small", 16, 4, 1e-2, 1),
}


@dataclass(frozen=True)
class Measured:
    """One training: real tokens/s, peak MB, peak MB above the loaded model, validation loss in
    nats per supervised token, and the steps made."""

    tokens_per_s: float
    peak_mb: float
    above_mb: float
    loss: float
    steps: int


# --- what is trained on -----------------------------------------------------------------------


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
        "{% for m in messages %}{% if m['role'] == 'assistant' %}{% generation %}{{ m['content'] }} "
        "<|im_end|>{% endgeneration %}{% else %}<|im_start|> {{ m['content'] }} <|im_end|> "
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
        asked, told = (_length(draw, *shape) for shape in ((80, 0.5, 16, 320), (24, 0.5, 4, 90)))
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


# --- the contenders, each in a process of its own ---------------------------------------------


@dataclass(frozen=True)
class Order:
    """What a child process is told."""

    contender: str
    size: Size
    seed: int
    folder: str

    def tokens(self) -> list[dict[str, Any]]:
        """The training rows as tokens."""
        text = (Path(self.folder) / "tokens.json").read_text(encoding="utf-8")
        rows: list[dict[str, Any]] = json.loads(text)[f"train-{self.seed}"]
        return rows


@dataclass
class Clock:
    """When each step ended, how many real tokens it read, and memory: of the loaded model,
    and the highest up to the end of training."""

    ended: list[float]
    tokens: list[int]
    start_mb: float = 0.0
    peak_mb: float = 0.0

    def rate(self) -> float:
        """Real tokens per second, the first steps left out."""
        warm = min(WARM, len(self.ended) - 1)
        return sum(self.tokens[warm:]) / (self.ended[-1] - self.ended[warm - 1])


def memory_mb(name: str) -> float:
    """VmHWM (peak so far) or VmRSS (now) of this process, in MB (Linux)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split(f"{name}:")[1].split()[0]) / 1024


def with_trl(order: Order, clock: Clock, grouped: bool) -> Any:
    """Train by TRL's SFTTrainer; returns the model."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    class Steps(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *_: Any, **__: Any) -> None:
            clock.ended.append(time.perf_counter())

    base = Path(order.folder) / "base"
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    clock.start_mb = memory_mb("VmRSS")
    rows = [
        {"input_ids": row["ids"], "labels": _labels(row), "length": len(row["ids"])}
        for row in order.tokens()
    ]
    torch.manual_seed(order.seed)
    changed = {"train_sampling_strategy": "group_by_length", "gradient_checkpointing": None}
    args = SFTConfig(
        output_dir=str(Path(order.folder) / "out"),
        per_device_train_batch_size=BATCH,
        num_train_epochs=1,
        learning_rate=order.size.lr,
        seed=order.seed,
        bf16=False,
        use_cpu=True,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
        **(changed if grouped else {}),
    )
    SFTTrainer._send_telemetry = lambda self: None
    trainer = SFTTrainer(
        model,
        args,
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(base),
        peft_config=LoraConfig(
            r=RANK, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM"
        ),
        callbacks=[Steps()],
    )
    assert bool(args.activation_checkpointing) is not grouped
    inner = trainer.training_step

    def counted(model: Any, inputs: dict[str, Any], *rest: Any, **named: Any) -> Any:
        clock.tokens.append(int(inputs["attention_mask"].sum()) - len(inputs["input_ids"]))
        return inner(model, inputs, *rest, **named)

    trainer.training_step = counted
    trainer.train()
    clock.peak_mb = memory_mb("VmHWM")
    return trainer.model


def _labels(row: dict[str, Any]) -> list[int]:
    return [i if learn else -100 for i, learn in zip(row["ids"], row["in"], strict=True)]


def with_metier(order: Order, clock: Clock) -> Any:
    """Train by ``tune()``; returns the base with the adapter it left."""
    from peft import PeftModel

    from metier.core import ledger
    from metier.core.objective import Objective
    from metier.core.progress import Progress
    from metier.core.workspace import Workspace
    from metier.models.base import load_base
    from metier.tune.config import TuneConfig
    from metier.tune.packing import plan as packing
    from metier.tune.run import tune

    base = load_base(str(Path(order.folder) / "base"))
    clock.start_mb = memory_mb("VmRSS")
    lengths = [len(row["ids"]) - 1 for row in order.tokens()]
    text = (Path(order.folder) / "rows.json").read_text(encoding="utf-8")
    rows = examples(json.loads(text)[f"train-{order.seed}"])
    config = TuneConfig.model_validate(
        {
            "method": {"type": "lora", "r": RANK, "alpha": 16},
            "lr": order.size.lr,
            "epochs": 1,
            "seed": order.seed,
            "batch_tokens": batch_tokens(lengths, order.seed),
            "schedule": {"warmup": 0},
            "checkpoint_every": 10**6,
        }
    )

    def follow(event: Any) -> None:
        if event.kind == "advance" and event.task == "tune":
            clock.ended.append(time.perf_counter())

    with TemporaryDirectory() as place, Workspace.create(Path(place)) as ws:
        version = ledger.save_version(
            ws, {"train": rows}, labels=(), config={}, card={}, sources=[]
        )
        run = tune(config, version, ws, base, Objective(task="chat"), progress=Progress(follow))
        clock.peak_mb = memory_mb("VmHWM")
        steps = packing.plan(lengths, config.batch_tokens, 1, order.seed).steps
        clock.tokens += [sum(lengths[at] for at in step) for step in steps]
        assert run.adapter is not None and len(steps) == len(clock.ended)
        assert run.summary["layout"] == "segments"
        return PeftModel.from_pretrained(base.model, ws.artifacts.checkout(run.adapter))


def batch_tokens(lengths: Sequence[int], seed: int) -> int:
    """The least tokens per step with which the epoch has no more steps than batches of 4."""
    from metier.tune.packing import plan as packing

    budget = round(BATCH * fmean(lengths))
    while len(packing.plan(lengths, budget, 1, seed).steps) > len(lengths) / BATCH:
        budget += 4
    return budget


TRAIN: dict[str, Callable[[Order, Clock], Any]] = {
    OWN: with_metier,
    "trl": lambda order, clock: with_trl(order, clock, grouped=False),
    "grouped": lambda order, clock: with_trl(order, clock, grouped=True),
}


def train_here(order: Order) -> Measured:
    """Train in this process."""
    clock = Clock([], [])
    model = TRAIN[order.contender](order, clock)
    text = (Path(order.folder) / "tokens.json").read_text(encoding="utf-8")
    loss = held_out_loss(model, json.loads(text)["held out"])
    above = clock.peak_mb - clock.start_mb
    return Measured(clock.rate(), clock.peak_mb, above, loss, len(clock.ended))


def held_out_loss(model: Any, rows: Sequence[dict[str, Any]]) -> float:
    """Mean loss in nats over the supervised tokens of the held-out rows, one row at a time."""
    import torch

    model.eval()
    total, count = 0.0, 0
    for row in rows:
        ids, learn = torch.tensor([row["ids"]]), torch.tensor(row["in"])[1:]
        with torch.no_grad():
            hidden = model(input_ids=ids, use_cache=False).logits[0, :-1]
        losses = torch.nn.functional.cross_entropy(hidden, ids[0, 1:], reduction="none")
        total += float(losses[learn].sum())
        count += int(learn.sum())
    return total / count


# --- the measurement --------------------------------------------------------------------------


def measure(order: Order) -> Measured:
    """Train in a process of its own (LLaMA-Factory: in its own environment)."""
    script, python = __file__, sys.executable
    if order.contender == "factory":
        script, python = str(HERE / "training_factory.py"), os.environ[FACTORY]
    command = [python, script, "--child", json.dumps(asdict(order))]
    offline = {**os.environ, "HF_HUB_OFFLINE": "1", "TRL_DISABLE_TELEMETRY": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=offline)
    if done.returncode:
        raise SystemExit(f"{order.contender}, seed {order.seed}:\n{done.stderr[-4000:]}")
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


Found = dict[str, list[Measured]]


def measure_all(size: Size, contenders: Sequence[str]) -> tuple[Found, str]:
    """Measure every contender under every seed; also returns what the data is like, in words."""
    found: Found = {name: [] for name in contenders}
    with TemporaryDirectory() as place:
        folder = Path(place)
        write_base(size, folder / "base")
        write_tokens(folder, size)
        described = describe(json.loads((folder / "tokens.json").read_text(encoding="utf-8")))
        for seed in range(size.seeds):
            turn = seed % len(contenders)
            for name in [*contenders[turn:], *contenders[:turn]]:
                one = measure(Order(name, size, seed, place))
                found[name].append(one)
                print(size.base, seed, name, one, file=sys.stderr, flush=True)
    return found, described


def describe(tokens: dict[str, list[dict[str, Any]]]) -> str:
    """Say how long the rows are."""
    rows = [row for name, part in tokens.items() if name != "held out" for row in part]
    lengths = [len(row["ids"]) for row in rows]
    told = [sum(row["in"]) for row in rows]
    return (
        f"{len(rows)} rows of {fmean(lengths):.0f} tokens ({min(lengths)} to {max(lengths)}), "
        f"{fmean(told):.0f} of them supervised"
    )


def section(size: Size, found: Found, described: str) -> list[str]:
    """Lines for RESULTS.md."""
    lines = [
        f"### {size.base} base, {size.seeds} seeds, {size.rows} rows each: {described}",
        "",
        "| trained by | real tokens/s | metier's ratio, by seed | peak memory | above load "
        "| metier's peak to its | validation loss (by seed) | against metier's | steps |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    own = found[OWN]
    for name, runs in found.items():
        rates = [mine.tokens_per_s / it.tokens_per_s for mine, it in zip(own, runs, strict=True)]
        peaks = [mine.peak_mb / it.peak_mb for mine, it in zip(own, runs, strict=True)]
        losses = [one.loss for one in runs]
        apart = fmean(one.loss for one in own) / fmean(losses) - 1
        shown = ", ".join(f"{loss:.4f}" for loss in losses)
        lines.append(
            f"| {LABELS[name]} | {fmean(one.tokens_per_s for one in runs):,.0f} "
            f"| {_spread(rates)} | {fmean(one.peak_mb for one in runs):,.0f} MB "
            f"| {fmean(one.above_mb for one in runs):,.0f} MB | {_spread(peaks)} "
            f"| {fmean(losses):.4f} ({shown}) | {apart:+.2%} "
            f"| {', '.join(str(one.steps) for one in runs)} |"
        )
    return lines


def _spread(values: Sequence[float]) -> str:
    return f"{fmean(values):.2f} [{min(values):.2f}, {max(values):.2f}]"


def header() -> list[str]:
    """The section's title and what was measured on what."""
    import peft
    import torch
    import transformers
    import trl

    versions = ", ".join(f"{one.__name__} {one.__version__}" for one in (trl, transformers, peft))
    return [
        f"## Training speed, {datetime.now(UTC):%Y-%m-%d}",
        f"`python benchmarks/training.py`, revision {_revision()}, {platform.machine()}, "
        f"{os.cpu_count()} cores, {torch.get_num_threads()} threads, Python "
        f"{platform.python_version()}, torch {torch.__version__}, {versions}. float32, LoRA r "
        f"{RANK}, batch {BATCH}, each training in a process of its own, interleaved; "
        "means over seeds [least, most].",
        "",
    ]


def _revision() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, cwd=HERE, capture_output=True, text=True).stdout.strip()


def main(arguments: Sequence[str] | None = None) -> str:
    """Measure, print, and append to RESULTS.md at full size."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--print", action="store_true", help="print only")
    parser.add_argument("--base", choices=["135m", "tiny"], help="this base only")
    parser.add_argument("--small", action="store_true", help="seconds, printed only")
    parser.add_argument("--seeds", type=int, help="so many seeds, printed only")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.child:
        told = json.loads(given.child)
        print(json.dumps(asdict(train_here(Order(**told | {"size": Size(**told["size"])})))))
        return ""
    names = ["small"] if given.small else [given.base] if given.base else ["135m", "tiny"]
    contenders = [OWN, *PEERS] + (["factory"] if os.environ.get(FACTORY) else [])
    lines = header()
    for name in names:
        size = replace(SIZES[name], seeds=given.seeds or SIZES[name].seeds)
        lines += [*section(size, *measure_all(size, contenders)), ""]
    text = "\n".join(lines)
    print(text, flush=True)
    if not (given.print or given.small or given.seeds):
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write("\n" + text)
    return text


if __name__ == "__main__":
    main()
