"""PackedTrainer: TRL's SFTTrainer over a planned run of packed steps.

One item of the data loader is one optimiser step: a few forward passes whose losses add up. What
the items are, how they are laid out and what their loss is, the algorithm says. What is TRL's and
transformers' own stays theirs: optimiser, schedule, clipping, devices, the loop. Replaced are the
loss, the data loader, validation (over the whole split, not batch by batch) and checkpoints.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch.utils.data import DataLoader, Sampler
from transformers import TrainerControl
from trl import SFTConfig, SFTTrainer

from metier.tune.algorithms.base import Algorithm, Step
from metier.tune.config import TuneConfig
from metier.tune.devices.parts import whole
from metier.tune.devices.share import Outcome, run_step
from metier.tune.devices.world import ALONE, World
from metier.tune.loop import checkpoints, state
from metier.tune.loop.best import By, is_best
from metier.tune.loop.stops import not_finite
from metier.tune.loop.watch import Watch
from metier.tune.loop.weights import (
    checkpoint_bytes,
    load_weights,
    save_weights,
    trained_weights,
)
from metier.tune.packing import plan as packing

STATE = "trainer_state.json"
OWN = "algorithm/"
"""Before the names of an algorithm's own series in the log."""


@dataclass(frozen=True)
class Work:
    """What is trained on, in which order, what is watched and which validation is the best."""

    algorithm: Algorithm
    plan: packing.Plan
    watch: Watch | None = None
    by: By = field(default_factory=By)
    world: World = ALONE


class PackedTrainer(SFTTrainer):  # type: ignore[misc]
    """Trains ``model`` on the planned steps of ``algorithm``'s items."""

    control: TrainerControl
    _series: Mapping[str, float] = MappingProxyType({})

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        work: Work,
        config: TuneConfig,
        args: SFTConfig,
        callbacks: Sequence[Any],
    ) -> None:
        from datasets import Dataset
        from transformers import PrinterCallback

        self.algorithm, self.plan, self.config = work.algorithm, work.plan, config
        self.watch, self.by, self.world = work.watch, work.by, work.world
        # TRL asks for a Dataset to look at; the steps come from ``get_train_dataloader``.
        shown = Dataset.from_dict({"input_ids": [list(work.algorithm.probes[0].input_ids)]})
        super().__init__(
            model,
            args,
            data_collator=_indices,
            train_dataset=shown,
            processing_class=tokenizer,
            callbacks=list(callbacks),
        )
        self.remove_callback(PrinterCallback)

    def _send_telemetry(self) -> None:
        """Say nothing to anyone: what leaves the machine passes the egress check."""

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Return the planned steps, one item each: the indices of the items in it."""
        return DataLoader(
            range(len(self.algorithm.lengths)),  # type: ignore[arg-type]
            batch_sampler=Steps(self.plan.steps),
            collate_fn=_indices,
        )

    def training_step(
        self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """Run one optimiser step's passes, or this process's share; returns the step's loss.

        Raises InputError naming the examples when that loss is not finite.
        """
        model.train()
        run, number = partial(self._run_passes, model), self.state.global_step
        loss, self._series = run_step(
            self.world, model, self.algorithm, inputs["batch"], number, run
        )
        return torch.tensor(loss, device=self.args.device)

    def _run_passes(self, model: Any, step: Step) -> Outcome:
        total, problem = torch.zeros((), device=self.args.device), None
        series = defaultdict(float, {OWN + name: value for name, value in step.series.items()})
        for one in step.passes:
            with self.compute_loss_context_manager():
                part = self.algorithm.loss(model, one, step)
            if not all(part.finite) or not math.isfinite(part.loss.item()):
                number, rate = self.state.global_step + 1, self._get_learning_rate()
                problem = problem or not_finite(part.example_ids, part.finite, number, rate)
            self.accelerator.backward(part.loss)
            total += part.loss.detach()
            for name, value in part.series.items():
                series[OWN + name] += value
        if problem is not None:  # only now: with shards the others need us in every pass
            raise problem
        return total.item(), dict(series)

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Log what transformers logs, with the algorithm's own series beside the training loss."""
        super().log(logs | dict(self._series) if "loss" in logs else logs, *args, **kwargs)

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Not counted."""
        return 0

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: Any = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Measure the validation split as the algorithm does, and replies by the task's metric.

        Where every process has the whole model the leader measures, and tells the others; of
        shards no pass is possible without all of them.
        """
        self.model.eval()
        found: dict[str, float] = {}
        if self.world.leads or self.world.sharded:
            with self.compute_loss_context_manager():
                found = self.algorithm.validate(self.model)
                if self.watch is not None:
                    found = {**found, **self.watch(self.model)}
        found = self.world.told(found)
        self.model.train()
        metrics = {f"eval_{name}": value for name, value in found.items()}
        self.log(dict(metrics))
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics

    def _determine_best_metric(self, metrics: dict[str, float], trial: Any) -> bool:
        if not is_best(self.state.log_history, self.by):
            return False
        self.state.best_metric = metrics["eval_loss"]
        self.state.best_global_step = self.state.global_step
        return True

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        if not self.world.leads and not self.world.sharded:
            return
        # Of shards every process gives its part, and the leader keeps the whole.
        weights = trained_weights(self.model, self.world.leads)
        moments = state.moments(self.optimizer, self.world.leads)
        if not self.world.leads:
            return
        root = Path(self.args.output_dir)
        room = checkpoints.Room(
            self.config.keep_checkpoints,
            self.state.best_global_step,
            most_bytes(self.config),
        )
        checkpoints.make_room(root, checkpoint_bytes(self.model), room)

        def fill(folder: Path) -> None:
            save_weights(self.model, weights, folder)
            state.write(folder, moments, self.optimizer, self.lr_scheduler)
            self.state.save_to_json(str(folder / STATE))

        checkpoints.save(root, self.state.global_step, fill)
        checkpoints.prune(root, room)

    def _clip_grad_norm(self, model: Any) -> Any:
        """Clip by the norm of all the gradients, also where this process holds a part of them."""
        return whole(super()._clip_grad_norm(model))

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


def _indices(batch: Sequence[int]) -> dict[str, Any]:
    return {"batch": tuple(batch)}


class Steps(Sampler[list[int]]):
    """The planned steps, in order, each the indices of its examples."""

    def __init__(self, steps: Sequence[packing.Batch]) -> None:
        self.steps = steps

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[list[int]]:
        return (list(step) for step in self.steps)


def most_bytes(config: TuneConfig) -> int | None:
    """Return the bytes that a run's checkpoints may take, None without a limit."""
    return None if config.disk_gb is None else round(config.disk_gb * checkpoints.GB)


def use_checkpointing(model: Any) -> None:
    """Let the model compute its activations anew on the way back instead of keeping them.

    The outcome is the same; a step takes about a third longer (Chen et al. 2016, arXiv 1604.06174).
    """
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    # The re-entrant kind needs inputs with gradients, which a frozen base's embedding has not.
    how = {"use_reentrant": False}
    if hasattr(inner, "activation_checkpointing_enable"):
        inner.activation_checkpointing_enable(how)
    else:  # transformers before it was renamed
        inner.gradient_checkpointing_enable(how)


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
        optim="adamw_torch_fused",
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="no",
        eval_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
