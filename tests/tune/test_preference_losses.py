"""Losses and gradients, packed and with shared prompts, equal those of TRL's own trainers, which
pad every reply after a prompt of its own; for each shape of model and every loss."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from preference_cases import ground, pairs
from test_parity import shaped
from torch import Tensor

from metier.models.reward import HEAD
from metier.tune.algorithms import make
from metier.tune.packing import attention, passes
from metier.tune.packing.prefix import Tree
from tiny_models import tiny_tokenizer

WITHIN = 1e-5
NAMES = ("chosen", "rejected")
SHAPES = ["llama", "qwen2", "mistral", "mistral-window"]
DPO: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "sigmoid": ({}, {"loss_type": ["sigmoid"]}),
    "smoothed": ({"label_smoothing": 0.1}, {"loss_type": ["robust"], "label_smoothing": 0.1}),
    "ipo": ({"loss": "ipo", "beta": 0.5}, {"loss_type": ["ipo"], "beta": 0.5}),
    "rpo": (
        {"sft_weight": 0.3},
        {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, 0.3]},
    ),
}


def start(kind: str) -> Any:
    attention.register()
    model = shaped(kind)
    passes.use(model, "segments", "sdpa")
    return model


def moved(model: Any) -> None:
    """Move the weights off the reference, always the same way."""
    draw = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=draw)


Outcome = tuple[float, dict[str, Tensor]]


def gradients(model: Any) -> dict[str, Tensor]:
    named = model.named_parameters()
    return {name: p.grad.clone() for name, p in named if p.grad is not None}


def ours(algorithm: Any, model: Any, batch: Sequence[int]) -> Outcome:
    """Loss and gradients of one step over the batch, however many passes it has."""
    model.zero_grad()
    step = algorithm.step(model, tuple(batch), 0)
    total = 0.0
    for one in step.passes:
        part = algorithm.loss(model, one, step)
        assert all(part.finite)
        part.loss.backward()
        total += part.loss.item()
    return total, gradients(model)


def same(one: Outcome, other: Outcome) -> None:
    assert one[0] == pytest.approx(other[0], abs=WITHIN)
    assert one[1].keys() == other[1].keys()
    assert len(one[1]) > 10
    for name, gradient in one[1].items():
        torch.testing.assert_close(gradient, other[1][name], atol=WITHIN, rtol=1e-4)


def of_trl(trainer: Any, inputs: dict[str, Any]) -> Outcome:
    trainer.model.train()
    trainer.model.zero_grad()
    loss = trainer.compute_loss(trainer.model, inputs)
    loss.backward()
    return loss.item(), gradients(trainer.model)


def options(folder: Path, **more: Any) -> dict[str, Any]:
    quiet = {"report_to": "none", "use_cpu": True, "bf16": False, "disable_tqdm": True}
    return {"output_dir": str(folder), "gradient_checkpointing": None} | quiet | more


def rows_of(*names: str) -> Any:
    from datasets import Dataset

    said = [{"role": "assistant", "content": "yes"}]
    row = {"prompt": [{"role": "user", "content": "card"}]} | dict.fromkeys(names, said)
    return Dataset.from_list([row, row])


def dpo_trainer(policy: Any, held: Any, folder: Path, more: dict[str, Any]) -> Any:
    from trl import DPOConfig, DPOTrainer

    args = DPOConfig(**options(folder, max_length=None, **more))
    return DPOTrainer(
        policy,
        held,
        args,
        train_dataset=rows_of("chosen", "rejected"),
        processing_class=tiny_tokenizer(),
    )


def collated_pairs(trees: Sequence[Tree]) -> dict[str, Any]:
    from trl.trainer.dpo_trainer import DataCollatorForPreference

    rows = [
        {
            "prompt_ids": list(tree.prompt),
            "chosen_ids": list(tree.replies[0]),
            "rejected_ids": list(tree.replies[1]),
        }
        for tree in trees
    ]
    collated: dict[str, Any] = DataCollatorForPreference(pad_token_id=3)(rows)
    return collated


@pytest.mark.parametrize("loss", DPO)
@pytest.mark.parametrize("kind", SHAPES)
def test_dpo_equals_trl(tmp_path: Path, kind: str, loss: str) -> None:
    settings, theirs = DPO[loss]
    algorithm: Any = make(ground("dpo", pairs(5), algorithm=settings))
    model = start(kind)
    held = copy.deepcopy(model)
    algorithm.prepare(model, "segments", tmp_path)
    assert algorithm.summary()["shared_prompts"]
    moved(model)
    policy = copy.deepcopy(model)
    for one in (held, policy):
        passes.use(one, "padded", "sdpa")
    mine = ours(algorithm, model, range(5))
    trainer = dpo_trainer(policy, held, tmp_path / "trl", theirs)
    same(mine, of_trl(trainer, collated_pairs(algorithm.train.trees)))


@pytest.mark.parametrize("kind", SHAPES)
def test_kto_equals_trl(tmp_path: Path, kind: str) -> None:
    from trl import KTOConfig, KTOTrainer
    from trl.trainer.kto_trainer import DataCollatorForUnpairedPreference

    weights = {"desirable_weight": 1.5, "undesirable_weight": 0.5, "beta": 0.2}
    algorithm: Any = make(ground("kto", pairs(5), algorithm=weights))
    model = start(kind)
    held = copy.deepcopy(model)
    algorithm.prepare(model, "segments", tmp_path)
    moved(model)
    policy = copy.deepcopy(model)
    for one in (held, policy):
        passes.use(one, "padded", "sdpa")
    mine = ours(algorithm, model, range(5))

    trees = algorithm.train.trees
    flat = [(tree, place) for place in (0, 1) for tree in trees]
    said = [list(tree.replies[place]) for tree, place in flat]
    rows = [
        {
            "prompt_ids": list(tree.prompt),
            "completion_ids": reply,
            "KL_completion_ids": before,
            "label": place == 0,
        }
        for (tree, place), reply, before in zip(flat, said, said[-1:] + said[:-1], strict=True)
    ]
    data = rows_of("completion").add_column("label", [True, False])
    args = KTOConfig(**options(tmp_path / "trl", per_device_train_batch_size=2, **weights))
    trainer = KTOTrainer(policy, held, args, train_dataset=data, processing_class=tiny_tokenizer())
    inputs = DataCollatorForUnpairedPreference(pad_token_id=3)(rows)
    same(mine, of_trl(trainer, inputs))


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("margin", [False, True])
def test_reward_equals_trl(tmp_path: Path, kind: str, margin: bool) -> None:
    from transformers import AutoModelForSequenceClassification
    from trl import RewardConfig, RewardTrainer
    from trl.trainer.reward_trainer import DataCollatorForPreference

    algorithm: Any = make(ground("reward", pairs(5), algorithm={"center": 0.05, "margin": margin}))
    model = start(kind)
    algorithm.prepare(model, "segments", tmp_path)
    moved(model)
    mine = ours(algorithm, model, range(5))

    config = copy.deepcopy(model.config)
    config.num_labels, config._attn_implementation = 1, "sdpa"
    scorer = AutoModelForSequenceClassification.from_config(config).float()
    scorer.model.load_state_dict(model.model.state_dict())
    scorer.score.load_state_dict(getattr(model, HEAD).state_dict())
    args = RewardConfig(**options(tmp_path / "trl", center_rewards_coefficient=0.05))
    trainer = RewardTrainer(
        scorer, args, train_dataset=rows_of("chosen", "rejected"), processing_class=tiny_tokenizer()
    )
    rows = [
        {
            f"{name}_ids": [*tree.prompt, *reply]
            for name, reply in zip(NAMES, tree.replies, strict=True)
        }
        | ({"margin": 1.0} if margin else {})
        for tree in algorithm.train.trees
    ]
    loss, theirs = of_trl(trainer, DataCollatorForPreference(pad_token_id=3)(rows))
    renamed = {name.replace("score.", f"{HEAD}."): value for name, value in theirs.items()}
    same((mine[0], {n: g for n, g in mine[1].items() if "lm_head" not in n}), (loss, renamed))
