"""LLaMA-Factory's side of training.py: runs in an environment of its own, which has no metier.

    python -m venv factory
    factory/bin/pip install llamafactory torch==2.11.0 torchvision==0.26.0 torchaudio==2.11.0
    METIER_LLAMAFACTORY=factory/bin/python python benchmarks/training.py

LLaMA-Factory 0.9.5 imports torchaudio, whose last release (2.11) fits torch 2.11 only, while pip
left alone takes a newer torch: hence the three versions. It pins transformers, PEFT and TRL below
the ones metier uses, so the two cannot share an environment. Its defaults are kept, gradient
checkpointing and random batches among them; rows come ready as tokens.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from training_sides import (
    BATCH,
    RANK,
    Clock,
    Measured,
    Order,
    held_out_loss,
    labels,
    memory_mb,
    order_given,
)


def settings(order: Order, rows: str) -> dict[str, Any]:
    """What a user would write into the YAML file."""
    return {
        "stage": "sft",
        "do_train": True,
        "model_name_or_path": str(Path(order.folder) / "base"),
        "template": "empty",
        "finetuning_type": "lora",
        "lora_rank": RANK,
        "lora_alpha": 16,
        "lora_target": "all",
        "dataset": "ready",  # asked for, not looked at
        "tokenized_path": rows,
        "output_dir": str(Path(order.folder) / "factory"),
        "overwrite_output_dir": True,
        "per_device_train_batch_size": BATCH,
        "num_train_epochs": 1,
        "learning_rate": order.size.lr,
        "seed": order.seed,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }


def train_here(order: Order) -> Measured:
    """Train by LLaMA-Factory in this process."""
    from datasets import Dataset, DatasetDict
    from llamafactory.train.tuner import run_exp
    from transformers import TrainerCallback

    clock = Clock([], [])
    kept: dict[str, Any] = {}

    class Steps(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            model = kept["model"] = given["model"]
            assert {str(p.dtype) for p in model.parameters()} == {"torch.float32"}
            clock.start_mb = memory_mb("VmRSS")
            kept["hook"] = model.register_forward_pre_hook(count, with_kwargs=True)

        def on_step_end(self, *_: Any, **__: Any) -> None:
            clock.ended.append(time.perf_counter())

    def count(_: Any, __: Any, named: dict[str, Any]) -> None:
        clock.tokens.append(int(named["attention_mask"].sum()) - len(named["input_ids"]))

    rows = [
        {"input_ids": r["ids"], "attention_mask": [1] * len(r["ids"]), "labels": labels(r)}
        for r in order.tokens()
    ]
    place = str(Path(order.folder) / f"factory-rows-{order.seed}")
    DatasetDict({"train": Dataset.from_list(rows)}).save_to_disk(place)
    run_exp(settings(order, place), [Steps()])
    clock.peak_mb = memory_mb("VmHWM")
    kept["hook"].remove()
    text = (Path(order.folder) / "tokens.json").read_text(encoding="utf-8")
    loss = held_out_loss(kept["model"], json.loads(text)["held out"])
    above = clock.peak_mb - clock.start_mb
    return Measured(clock.rate(), clock.peak_mb, above, loss, len(clock.ended))


if __name__ == "__main__":
    print(json.dumps(asdict(train_here(order_given()))))
