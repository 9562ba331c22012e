"""PackedTrainer: TRL's SFTTrainer over a planned run of packed steps.

One item of the data loader is one optimiser step: a few forward passes whose losses add up to the
mean over all supervised tokens of the step, however they are cut into passes. What is TRL's and
transformers' own stays theirs: optimiser, schedule, clipping, devices, the loop. Replaced are the
loss, the data loader, validation (a mean over tokens, not over batches) and checkpoints.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Sampler
from transformers import TrainerControl
from trl import SFTConfig, SFTTrainer

from metier.core.errors import InputError
from metier.tune.config import TuneConfig
from metier.tune.loop import checkpoints, state
from metier.tune.packing import passes
from metier.tune.packing import plan as packing
from metier.tune.types import Encoded, PassMode

STATE = "trainer_state.json"
ADAPTER, MODEL = "adapter_model.safetensors", "model.safetensors"
VALIDATION_PASS_TOKENS = 4096


@dataclass(frozen=True)
class Material:
    """What is trained on and how it is laid out."""

    train: Sequence[Encoded]
    validation: Sequence[Encoded]
    plan: packing.Plan
    mode: PassMode
    pad_id: int


class PackedTrainer(SFTTrainer):  # type: ignore[misc]
    """Trains ``model`` on the planned steps of ``material``."""

    control: TrainerControl

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        material: Material,
        config: TuneConfig,
        args: SFTConfig,
        callbacks: Sequence[Any],
    ) -> None:
        from datasets import Dataset
        from transformers import PrinterCallback

        self.material, self.config = material, config
        self.lengths = [example.tokens for example in material.train]
        # TRL asks for a Dataset to look at; the steps come from ``get_train_dataloader``.
        shown = Dataset.from_dict({"input_ids": [list(material.train[0].input_ids)]})
        super().__init__(
            model,
            args,
            data_collator=self._collate,
            train_dataset=shown,
            processing_class=tokenizer,
            callbacks=list(callbacks),
        )
        self.remove_callback(PrinterCallback)

    def _send_telemetry(self) -> None:
        """Say nothing to anyone: what leaves the machine passes the egress check."""

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Return the planned steps, one item each."""
        return DataLoader(
            range(len(self.material.train)),  # type: ignore[arg-type]
            batch_sampler=Steps(self.material.plan.steps),
            collate_fn=self._collate,
        )

    def _collate(self, batch: Sequence[int]) -> dict[str, Any]:
        cut = self._cut(batch, self.lengths, self.config.micro_batch_tokens)
        return {"passes": [self._pass(self.material.train, part) for part in cut]}

    def _cut(
        self, batch: Sequence[int], lengths: Sequence[int], most_tokens: int | None
    ) -> list[packing.Batch]:
        """Cut a step into passes; padded ones hold examples of similar length only."""
        if self.material.mode != "padded":
            return packing.split(batch, lengths, most_tokens)
        return packing.alike(batch, lengths, most_tokens or self.config.batch_tokens)

    def _pass(self, examples: Sequence[Encoded], part: packing.Batch) -> passes.Pass:
        chosen = [examples[index] for index in part]
        return passes.lay_out(chosen, self.material.mode, self.material.pad_id)

    def training_step(
        self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """Run one optimiser step's passes; returns the mean loss in nats per supervised token,
        weighted where tokens have weights.

        Raises InputError naming the examples when that loss is not finite.
        """
        model.train()
        weight = sum(float(one.weights.sum()) for one in inputs["passes"])
        total = torch.zeros((), device=self.args.device)
        for one in inputs["passes"]:
            here = passes.to_device(one, self.args.device)
            with self.compute_loss_context_manager():
                losses, _ = passes.token_losses(model, here)
                loss = (losses * here.weights).sum() / weight
            if not math.isfinite(loss.item()):
                raise self._not_finite(here, losses.detach())
            self.accelerator.backward(loss)
            total += loss.detach()
        return total

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Not counted."""
        return 0

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: Any = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Measure the validation split: mean (weighted) loss and top-1 accuracy over supervised
        tokens.
        """
        examples = self.material.validation
        lengths = [example.tokens for example in examples]
        cut = self._cut(range(len(examples)), lengths, VALIDATION_PASS_TOKENS)
        loss, weight, right, tokens = 0.0, 0.0, 0, 0
        self.model.eval()
        with torch.no_grad(), self.compute_loss_context_manager():
            for part in cut:
                one = passes.to_device(self._pass(examples, part), self.args.device)
                losses, best = passes.token_losses(self.model, one)
                loss += float((losses * one.weights).sum(dtype=torch.float64))
                weight += float(one.weights.sum(dtype=torch.float64))
                right += int((best == one.targets).sum())
                tokens += int((one.targets != passes.IGNORED).sum())
        self.model.train()
        metrics = {"eval_loss": loss / weight, "eval_token_accuracy": right / tokens}
        self.log(dict(metrics))
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics

    def _determine_best_metric(self, metrics: dict[str, float], trial: Any) -> bool:
        if self.state.best_metric is not None and metrics["eval_loss"] >= self.state.best_metric:
            return False
        self.state.best_metric = metrics["eval_loss"]
        self.state.best_global_step = self.state.global_step
        return True

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        root = Path(self.args.output_dir)
        checkpoints.save(root, self.state.global_step, self._fill)
        checkpoints.prune(root, self.config.keep_checkpoints, self.state.best_global_step)

    def _fill(self, folder: Path) -> None:
        save_weights(self.model, folder)
        state.write(folder, self.optimizer, self.lr_scheduler)
        self.state.save_to_json(str(folder / STATE))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        load_weights(self.model, Path(resume_from_checkpoint))

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            state.read_optimizer(Path(checkpoint), self.optimizer, self.lr_scheduler)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            state.read_random(Path(checkpoint))

    def _load_scaler(self, checkpoint: str | None) -> None:
        """There is none: float32 and bfloat16 need no loss scaling."""

    def _not_finite(self, one: passes.Pass, losses: torch.Tensor) -> InputError:
        bad = set(one.owners[~torch.isfinite(losses)].tolist())
        ids = [one.example_ids[owner] for owner in sorted(bad)]
        step, rate = self.state.global_step + 1, self._get_learning_rate()
        everywhere = len(ids) == len(one.example_ids) > 1
        shown = ", ".join(ids[:5]) + (", …" if len(ids) > 5 else "")
        return InputError(
            "a finite training loss",
            got=f"NaN or infinity at step {step} (learning rate {rate:.3g}) on {len(ids)} of "
            f"{len(one.example_ids)} examples of the batch: {shown}",
            remedy="lower lr in [tune]: on every example at once, the weights have run away"
            if everywhere
            else "look at these examples with `metier inspect`, or lower lr in [tune]",
        )


class Steps(Sampler[list[int]]):
    """The planned steps, in order, each the indices of its examples."""

    def __init__(self, steps: Sequence[packing.Batch]) -> None:
        self.steps = steps

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[list[int]]:
        return (list(step) for step in self.steps)


def save_weights(model: Any, folder: Path) -> None:
    """Write what is trained: an adapter's weights, or all of them (tied ones once)."""
    from safetensors.torch import save_file, save_model

    if hasattr(model, "get_base_model"):
        from peft import get_peft_model_state_dict

        # "auto" would ask the hub whether the base's vocabulary has grown.
        weights = get_peft_model_state_dict(model, save_embedding_layers=False)
        save_file({name: value.contiguous() for name, value in weights.items()}, folder / ADAPTER)
    else:
        save_model(model, str(folder / MODEL))


def load_weights(model: Any, folder: Path) -> None:
    """Put a checkpoint's weights into the model."""
    from safetensors.torch import load_file, load_model

    if hasattr(model, "get_base_model"):
        from peft import set_peft_model_state_dict

        set_peft_model_state_dict(model, load_file(folder / ADAPTER))
    else:
        load_model(model, folder / MODEL)


def arguments(config: TuneConfig, folder: Path, steps: int, lr: float) -> SFTConfig:
    """Say to TRL what the config says: no reports, no padding tricks, no checkpointing of its own.

    bfloat16 on a GPU that has it; float32 on a CPU, where bfloat16 is several times slower.
    """
    gpu = torch.cuda.is_available()
    shape = config.schedule.type
    return SFTConfig(
        output_dir=str(folder),
        num_train_epochs=1,
        max_steps=steps,
        per_device_train_batch_size=1,
        learning_rate=lr,
        lr_scheduler_type="constant_with_warmup" if shape == "constant" else shape,
        warmup_steps=round(config.schedule.warmup * steps),
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        seed=config.seed,
        bf16=gpu and torch.cuda.is_bf16_supported(),
        use_cpu=not gpu,
        gradient_checkpointing=None,  # None: off, and no deprecation warning
        dataloader_pin_memory=False,
        remove_unused_columns=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        optim="adamw_torch",
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="no",
        eval_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
