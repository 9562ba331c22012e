"""The task's own metric while training: the weights as they stand answer a fixed sample.

The sample is drawn once under the seed; prompts, answering and scoring are those of evaluation
and serving (``models.prompt``, ``models.answer``, ``scoring``). Answers are greedy and nothing is
drawn at random; the model's attention is put back, and so are torch's random numbers, so that a
run with a watch trains exactly as one without.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from metier.core.canaries import is_canary
from metier.core.completer import Sampling
from metier.core.errors import ConfigError
from metier.core.ids import new_id
from metier.core.objective import Objective
from metier.core.records import Prediction
from metier.core.types import Completion, Estimate, Example
from metier.models.answer import answer
from metier.models.base import Base
from metier.models.prompt import TUNED, expected, parse_reply, render_example, render_prompt
from metier.scoring import Resampling, make_metric, primary_metric, records_of
from metier.scoring.tasks import metric_info
from metier.tune.algorithms.base import Ground
from metier.tune.config import TuneConfig
from metier.tune.loop.best import LOSS, By
from metier.tune.loop.memory import is_out_of_memory
from metier.tune.packing import passes
from metier.tune.types import PassMode

UNANSWERED = ("pretrain", "reward")
"""Algorithms that do not teach the model to reply."""
SHORTEST_REPLY, LONGEST_REPLY = 16, 512
"""Tokens that a reply may have, at least and at most; between them a quarter more than wanted."""
AUTO = "auto"


@dataclass(frozen=True)
class Sample:
    """What is asked, and what it is measured by."""

    examples: Sequence[Example]
    objective: Objective
    labels: Sequence[str]
    system: str
    metric: str
    reply_tokens: int


class Watch:
    """Measures a model in training on a sample. ``by`` says how its validations compare."""

    def __init__(self, base: Base, sample: Sample, mode: PassMode, usual: str) -> None:
        self._base, self._sample, self._mode, self._usual = base, sample, mode, usual
        self._completer: Any = None

    def __call__(self, model: Any) -> dict[str, float]:
        """Answer and score; returns the metric, its interval's ends and its n.

        The model is left in evaluation mode, with the attention it trains with.
        """
        import torch

        name = self._sample.metric
        devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
        with torch.random.fork_rng(devices=devices):
            passes.use(model, "padded", self._usual)
            try:
                found = self._measure(model)
            finally:
                passes.use(model, self._mode, self._usual)
        return {
            name: found.value,
            f"{name}_low": found.low,
            f"{name}_high": found.high,
            f"{name}_n": float(found.n),
        }

    def _measure(self, model: Any) -> Estimate:
        sample = self._sample
        asked = [
            render_prompt(e.conversation, sample.objective, sample.labels, TUNED, sample.system)
            for e in sample.examples
        ]
        completions = self._answer(model, asked)
        predictions = [
            _prediction(example, completion, sample)
            for example, completion in zip(sample.examples, completions, strict=True)
        ]
        metric = make_metric(sample.metric, objective=sample.objective)
        return metric(records_of(predictions, sample.examples), Resampling())

    def _answer(self, model: Any, asked: Sequence[Any]) -> list[Completion]:
        """Answer all; where memory does not suffice, in ever smaller batches."""
        completer, sample = self._of(model), self._sample
        sampling = Sampling(max_tokens=sample.reply_tokens)
        while True:
            try:
                return answer(completer, asked, sample.objective, sample.labels, sampling)
            except Exception as error:
                if not is_out_of_memory(error) or completer.most_rows <= 1:
                    raise
                completer.most_rows = max(1, completer.most_rows // 4)
                completer.batch_tokens = max(1, completer.batch_tokens // 4)

    def _of(self, model: Any) -> Any:
        from metier.models.engines.local import LocalCompleter

        if self._completer is None:
            inner = model.get_base_model() if hasattr(model, "get_base_model") else model
            self._completer = LocalCompleter(replace(self._base, model=inner), None, "in training")
        self._completer.model.eval()
        return self._completer


def sample_of(ground: Ground) -> Sample | None:
    """Return what is asked during a run, always the same; None where there is nothing to ask.

    Raises ConfigError when ``best_by`` names a metric that the task does not have.
    """
    config, objective = ground.config, ground.objective
    usable = [e for e in ground.held_out if e.target is not None and not is_canary(e)]
    silent = config.algorithm.type in UNANSWERED or not config.eval_task_examples
    if silent or not usable:
        if config.best_by not in (AUTO, LOSS):
            raise ConfigError(
                'best_by = "auto" or "loss" where no replies are measured',
                got=f"best_by = {config.best_by!r}",
                remedy="set eval_task_examples in [tune], and give [data] a validation split",
            )
        return None
    chosen = _draw(usable, config)
    wanted = [render_example(example, objective) for example in chosen]
    longest = max(len(ground.base.tokenizer(text)["input_ids"]) for text in wanted)
    room = min(LONGEST_REPLY, max(SHORTEST_REPLY, longest * 5 // 4))
    labels = ground.version.labels
    return Sample(chosen, objective, labels, ground.system, _metric(config, objective), room)


def compared_by(config: TuneConfig, sample: Sample | None) -> By:
    """Return what the run's validations are compared by."""
    if sample is None or config.best_by == LOSS:
        return By()
    return By(sample.metric, metric_info(sample.metric, sample.objective).higher_is_better)


def _metric(config: TuneConfig, objective: Objective) -> str:
    if config.best_by in (AUTO, LOSS):
        return primary_metric(objective)
    info = metric_info(config.best_by, objective)
    if info.needs not in ("answers", "asked") or info.kind == "probe":
        raise ConfigError(
            "a metric of replies in [tune] best_by",
            got=repr(config.best_by),
            remedy=f'take best_by = "auto", which is {primary_metric(objective)} here',
        )
    return config.best_by


def _draw(examples: Sequence[Example], config: TuneConfig) -> list[Example]:
    size = config.eval_task_examples
    if size >= len(examples):
        return list(examples)
    ordered = sorted(examples, key=lambda example: example.id)
    return random.Random(config.seed).sample(ordered, size)


def _prediction(example: Example, completion: Completion, sample: Sample) -> Prediction:
    assert example.target is not None
    failed = completion.error is not None
    return Prediction(
        id=new_id("pred"),
        example_id=example.id,
        completion=completion,
        parsed=None if failed else parse_reply(completion.text, sample.objective, sample.labels),
        expected=expected(example.target, example.conversation),
        cluster=example.group or "",
        slices=example.slices,
    )
