"""One preference tune of preferences.py, in this process: by metier, or by TRL's DPOTrainer.

python benchmarks/preference_sides.py --child ORDER
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from training_rows import Size, _words
from training_sides import memory_mb

BATCH, RANK, BETA = 4, 8, 0.1
OWN = "metier"
# Words of a prompt and both replies together: the same in every pair, so that the packed steps
# hold as many pairs as TRL's batches do.
WORDS, REPLY = 330, (30, 50)


@dataclass(frozen=True)
class Measured:
    """One tune: seconds from its start (the reference included) to its last step, peak MB, peak MB
    above the loaded model, and the loss of every step."""

    seconds: float
    peak_mb: float
    above_mb: float
    losses: list[float]


@dataclass(frozen=True)
class Order:
    """What a child process is told."""

    contender: str
    size: Size
    seed: int
    folder: str

    def read(self, name: str) -> Any:
        """One of the files prepared for this seed."""
        path = Path(self.folder) / f"{name}-{self.seed}.json"
        return json.loads(path.read_text(encoding="utf-8"))


# --- what is trained on -----------------------------------------------------------------------


def make_rows(tokenizer: Any, count: int, seed: int) -> list[tuple[str, str, str]]:
    """Make prompts of 230 to 270 words and two replies of 30 to 50 to each; the preferred ones take
    their words from one half of the vocabulary, the others from the other."""
    import numpy as np

    words = _words(tokenizer)
    draw = np.random.default_rng([20_263, seed])

    def text(first: str, length: int, among: Sequence[str]) -> str:
        return " ".join([first, *(among[i] for i in draw.integers(0, len(among), length))])

    rows = []
    for _ in range(count):
        chosen, rejected = (int(draw.integers(*REPLY)) for _ in range(2))
        prompt = text("Hello", WORDS - chosen - rejected, words)
        good, bad = text("Well", chosen, words[::2]), text("Well", rejected, words[1::2])
        rows.append((prompt, good, bad))
    return rows


def examples(rows: Sequence[Sequence[str]]) -> list[Any]:
    """The rows as metier's examples."""
    from metier.core.types import Conversation, Example, PreferenceTarget, Provenance

    return [
        Example(
            Example.make_id("pairs", str(number)),
            Conversation.of(("user", prompt)),
            PreferenceTarget(chosen, rejected),
            Provenance("pairs", "pairs", str(number)),
        )
        for number, (prompt, chosen, rejected) in enumerate(rows)
    ]


def settings(size: Size, seed: int, pair_tokens: int) -> Any:
    """Settings of metier: steps of ``BATCH`` pairs, one pair's tokens in a pass."""
    from metier.tune.config import TuneConfig

    return TuneConfig.model_validate(
        {
            "method": {"type": "lora", "r": RANK, "alpha": 16},
            "algorithm": {"type": "dpo", "beta": BETA},
            "lr": size.lr,
            "epochs": 1,
            "seed": seed,
            "batch_tokens": BATCH * pair_tokens,
            "micro_batch_tokens": 2 * pair_tokens,
            "schedule": {"warmup": 0},
            "checkpoint_every": 10**6,
        }
    )


def prepare(size: Size, seed: int, folder: Path) -> str:
    """Write rows, tokens in the order of metier's steps, and the adapter all begin with."""
    from types import SimpleNamespace

    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    from metier.core.objective import Objective
    from metier.core.progress import Progress
    from metier.models.base import load_base
    from metier.tune.algorithms.base import Ground
    from metier.tune.algorithms.replies import read_pairs
    from metier.tune.methods.trainable import begin, trainable
    from metier.tune.packing.plan import plan

    base = load_base(str(folder / "base"))
    rows = make_rows(base.tokenizer, size.rows, seed)
    version, made = SimpleNamespace(labels=()), examples(rows)
    config = settings(size, seed, 1024)
    nowhere: Any = None
    with Progress().task("encode") as task:
        objective = Objective(task="chat")
        facts: Any = (config, version, nowhere, base, objective, "", made, [], task)
        trees = read_pairs(Ground(*facts))[0].trees
    sizes = {tree.tokens for tree in trees}
    assert len(sizes) == 1, sizes
    steps = plan([tree.tokens for tree in trees], BATCH * sizes.pop(), 1, seed).steps
    assert {len(step) for step in steps} == {BATCH}
    tokens = [
        {"prompt_ids": trees[i].prompt, "chosen_ids": reply, "rejected_ids": other}
        for step in steps
        for i in step
        for reply, other in [trees[i].replies]
    ]
    (folder / f"rows-{seed}.json").write_text(json.dumps(rows), encoding="utf-8")
    (folder / f"tokens-{seed}.json").write_text(json.dumps(tokens), encoding="utf-8")
    with trainable(begin(config, base, nowhere), config) as model:
        start = get_peft_model_state_dict(model, save_embedding_layers=False)
        save_file({n: v.contiguous() for n, v in start.items()}, folder / f"start-{seed}")
    prompts = [len(row["prompt_ids"]) for row in tokens]
    return (
        f"{len(rows)} pairs: prompts of {min(prompts)} to {max(prompts)} tokens, replies of "
        f"{REPLY[0]} to {REPLY[1]}; {len(steps)} steps of {BATCH} pairs"
    )


# --- who trains -------------------------------------------------------------------------------


def with_trl(order: Order, default: bool) -> Measured:
    """Tune by TRL's DPOTrainer: with its defaults, or (not ``default``) with the reference
    computed beforehand and no checkpointing."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig, set_peft_model_state_dict
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import DPOConfig, DPOTrainer

    class SameTokens(DPOTrainer):  # type: ignore[misc]
        def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
            return dataset

        def _send_telemetry(self) -> None:
            pass

    base = Path(order.folder) / "base"
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    held = memory_mb("VmRSS")
    changed = {"precompute_ref_log_probs": True, "gradient_checkpointing": None}
    args = DPOConfig(
        output_dir=str(Path(order.folder) / "out"),
        per_device_train_batch_size=BATCH,
        num_train_epochs=1,
        learning_rate=order.size.lr,
        beta=BETA,
        seed=order.seed,
        train_sampling_strategy="sequential",
        logging_steps=1,
        bf16=False,
        use_cpu=True,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
        **({} if default else changed),
    )
    began = time.perf_counter()
    trainer = SameTokens(
        model,
        args=args,
        train_dataset=Dataset.from_list(order.read("tokens")),
        processing_class=AutoTokenizer.from_pretrained(base),
        peft_config=LoraConfig(
            r=RANK, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM"
        ),
    )
    set_peft_model_state_dict(trainer.model, load_file(Path(order.folder) / f"start-{order.seed}"))
    if default:
        began = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - began
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    peak = memory_mb("VmHWM")
    return Measured(seconds, peak, peak - held, losses)


def with_metier(order: Order) -> Measured:
    """Tune by ``tune()``, timed from the call to the last step."""
    from metier.core import ledger
    from metier.core.objective import Objective
    from metier.core.progress import Progress
    from metier.core.workspace import Workspace
    from metier.models.base import load_base
    from metier.tune.run import tune

    base = load_base(str(Path(order.folder) / "base"))
    held = memory_mb("VmRSS")
    first = order.read("tokens")[0]
    tokens = sum(len(first[name]) for name in first) - 2
    config = settings(order.size, order.seed, tokens)
    ended: list[float] = []
    losses: list[float] = []

    def follow(event: Any) -> None:
        if event.kind == "advance" and event.task == "tune":
            ended.append(time.perf_counter())
        if "train_loss" in event.values:
            losses.append(event.values["train_loss"])

    with TemporaryDirectory() as place, Workspace.create(Path(place)) as ws:
        rows = examples(order.read("rows"))
        version = ledger.save_version(
            ws, {"train": rows}, labels=(), config={}, card={}, sources=[]
        )
        began = time.perf_counter()
        run = tune(config, version, ws, base, Objective(task="chat"), progress=Progress(follow))
        peak = memory_mb("VmHWM")
        assert run.summary["shared_prompts"]
    return Measured(ended[-1] - began, peak, peak - held, losses)


def train_here(order: Order) -> Measured:
    """Tune in this process."""
    if order.contender == OWN:
        return with_metier(order)
    return with_trl(order, default=order.contender == "trl")


if __name__ == "__main__":
    told = json.loads(sys.argv[sys.argv.index("--child") + 1])
    print(json.dumps(asdict(train_here(Order(**told | {"size": Size(**told["size"])})))))
