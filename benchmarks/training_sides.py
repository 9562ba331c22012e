"""One training of training.py, in this process: by metier, or by TRL's SFTTrainer.

python benchmarks/training_sides.py --child ORDER
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

from training_rows import Size, examples

BATCH, WARM, RANK = 4, 2, 8
OWN = "metier"


@dataclass(frozen=True)
class Measured:
    """One training: real tokens/s, peak MB, peak MB above the loaded model, validation loss in
    nats per supervised token, and the steps made."""

    tokens_per_s: float
    peak_mb: float
    above_mb: float
    loss: float
    steps: int


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
        {"input_ids": row["ids"], "labels": labels(row), "length": len(row["ids"])}
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


def labels(row: dict[str, Any]) -> list[int]:
    """Token ids where they are learned, -100 elsewhere."""
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


def order_given() -> Order:
    """What the command line asks for."""
    told = json.loads(sys.argv[sys.argv.index("--child") + 1])
    return Order(**told | {"size": Size(**told["size"])})


if __name__ == "__main__":
    print(json.dumps(asdict(train_here(order_given()))))
