"""GRPO: learn from the model's own replies, by how much better each is than its group's mean.

Shao et al. 2024, arXiv 2402.03300, section 4.1; the loss is normalised by tokens over the whole
step, not reply by reply (DAPO, arXiv 2503.14476, section 3.3), which keeps long replies from being
favoured. Each step draws ``group`` replies to each of its prompts from the weights as they stand
and makes one update from them, so that old and new policy are one: the probability ratio is 1
where it is taken, and clipping it would change nothing.

    advantage = (reward - mean of the group) / (spread of the group + 1e-4)
    loss      = - sum over tokens of advantage * log-probability / tokens of the step
                + beta * sum of (exp(ref - new) - (ref - new) - 1) / tokens of the step
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import NormalDist, fmean, pstdev, stdev
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from metier.core.completer import Sampling
from metier.core.errors import ConfigError, InputError
from metier.core.types import Conversation, Example, Json, digest
from metier.models.engines.local import LocalCompleter, Sampled
from metier.models.prompt import TUNED, render_prompt
from metier.scoring.statistics.intervals import wilson
from metier.tune.algorithms.base import Ground, PassLoss, Step, device_of
from metier.tune.algorithms.rewards import Term, make_reward
from metier.tune.config import Grpo
from metier.tune.packing import passes
from metier.tune.packing.plan import Batch, cut
from metier.tune.types import Encoded, PassMode

SPREAD_FLOOR = 1e-4
"""Added to a group's spread, as in TRL's GRPOTrainer."""


def make(ground: Ground) -> OwnReplies:
    """Render the prompts of both splits.

    Raises InputError when no prompt leaves room for a reply, ConfigError for an unknown reward.
    """
    config = ground.config.algorithm
    assert isinstance(config, Grpo)
    if not config.reward:
        raise ConfigError(
            "rewards in [tune] algorithm",
            got="reward = []",
            remedy='name scorers, e.g. reward = [{ type = "scorer", name = "rouge_l" }]',
        )
    return OwnReplies(ground, config, make_reward(ground, config.reward))


@dataclass(frozen=True)
class _Prompt:
    """One example as the served model is shown it."""

    example: Example
    conversation: Conversation
    ids: tuple[int, ...]


class OwnReplies:
    """Prompts, the replies drawn to them, and what those are worth."""

    def __init__(self, ground: Ground, config: Grpo, worth: Term) -> None:
        self._ground, self._config, self._worth = ground, config, worth
        self._prompts, left_out = _prompts(ground, config, ground.rows)
        self._held_out, _ = _prompts(ground, config, ground.held_out)
        if not self._prompts:
            raise InputError(
                f"prompts that leave room for {config.max_new_tokens} tokens of a reply",
                got=f"{left_out} prompts, none of which does",
                remedy="raise max_tokens, or lower max_new_tokens in [tune] algorithm",
            )
        self.lengths: Sequence[int] = [
            config.group * (len(prompt.ids) + config.max_new_tokens) for prompt in self._prompts
        ]
        self.probes: Sequence[Encoded] = [
            Encoded(one.example.id, one.ids, [True] * len(one.ids)) for one in self._prompts
        ]
        self.validates = bool(self._held_out)
        self.notes: Sequence[str] = (
            [f"{left_out} prompts left out: no room for a reply in {ground.max_tokens} tokens"]
            if left_out
            else []
        )
        self._mode: PassMode = "padded"
        # How the model attends when it writes; in training it attends as the layout asks.
        # Where only items are counted, as in a forecast, there is no model yet.
        model = ground.base.model
        self._usual = "sdpa" if model is None else str(model.config._attn_implementation)

    @property
    def identity(self) -> Json:
        """Hash of the prompts, and of what replies are compared with."""
        seen = [[p.example.content_hash, list(p.ids)] for p in (*self._prompts, *self._held_out)]
        return digest(seen)

    def prepare(self, model: Any, mode: PassMode, folder: Path) -> None:
        """Note the layout."""
        self._mode = mode
        self._writer = LocalCompleter(replace(self._ground.base, model=model))

    def step(self, model: Any, batch: Batch, number: int) -> Step:
        """Draw and reward replies to the step's prompts; lay out those that teach something."""
        prompts = [self._prompts[index] for index in batch]
        drawn = [prompt for prompt in prompts for _ in range(self._config.group)]
        # Room for every step's draws under its own seed: a resumed run draws the same.
        seed = self._ground.config.seed * 1_000_003 + number + 1
        sampled = self._write(model, drawn, self._config.temperature, seed)
        rewards = self._rewarded(drawn, sampled)
        advantages = [
            value
            for start in range(0, len(rewards), self._config.group)
            for value in advantages_of(
                rewards[start : start + self._config.group], self._config.scale
            )
        ]
        replies = [
            _encoded(prompt, one, advantage)
            for prompt, one, advantage in zip(drawn, sampled, advantages, strict=True)
            if one.reply
        ]
        tokens = sum(len(one.reply) for one in sampled)
        return Step(self._laid(replies), float(max(tokens, 1)), self._seen(rewards, sampled))

    def loss(self, model: Any, one: passes.Pass, step: Step) -> PassLoss:
        """Return the pass's part of the step's loss; ``one.weights`` are the advantages."""
        here = passes.to_device(one, device_of(model))
        losses = _nll(model, here, self._config.temperature)
        real = here.targets != passes.IGNORED
        # exp(new - new) is 1 and has the gradient of the log-probability.
        ratio = torch.exp(losses.detach() - losses)
        total = -(here.weights * ratio)[real].sum()
        series = {}
        if self._config.beta:
            apart = losses - self._reference(model, here)  # = reference - new log-probabilities
            kl = (torch.exp(apart) - apart - 1)[real].sum()
            total = total + self._config.beta * kl
            series["kl"] = float(kl.detach()) / step.weight
        return PassLoss(total / step.weight, one.example_ids, passes.finite(here, losses), series)

    def validate(self, model: Any) -> dict[str, float]:
        """Mean reward of greedy replies to held-out prompts, with its 95% interval (by items)."""
        sampled = self._write(model, self._held_out, 0.0, 0)
        rewards = self._rewarded(self._held_out, sampled)
        mean, low, high = _interval(rewards)
        return {"loss": -mean, "reward": mean, "reward_low": low, "reward_high": high}

    def summary(self) -> dict[str, Json]:
        """Counts of prompts."""
        return {"examples": len(self._prompts), "validation_examples": len(self._held_out)}

    # -- writing ---------------------------------------------------------------------------

    def _write(
        self, model: Any, prompts: Sequence[_Prompt], temperature: float, seed: int
    ) -> list[Sampled]:
        sampling = Sampling(self._config.max_new_tokens, temperature, seed=seed)
        with _writing(model, self._mode, self._usual):
            return self._writer.sample([prompt.conversation for prompt in prompts], sampling)

    def _rewarded(self, prompts: Sequence[_Prompt], sampled: Sequence[Sampled]) -> list[float]:
        return self._worth(
            [prompt.example for prompt in prompts],
            [prompt.conversation for prompt in prompts],
            [one.text for one in sampled],
        )

    def _seen(self, rewards: Sequence[float], sampled: Sequence[Sampled]) -> dict[str, float]:
        size = self._config.group
        groups = [rewards[start : start + size] for start in range(0, len(rewards), size)]
        return {
            "reward": fmean(rewards),
            "reward_spread": fmean(pstdev(group) for group in groups),
            "groups_alike": fmean(len(set(group)) == 1 for group in groups),
            "reply_tokens": fmean(len(one.reply) for one in sampled),
        }

    # -- passes ----------------------------------------------------------------------------

    def _laid(self, replies: Sequence[Encoded]) -> list[passes.Pass]:
        """Lay replies out in passes; without a KL term, replies of no advantage teach nothing."""
        config = self._ground.config
        taught = [one for one in replies if self._config.beta or any(one.weights or ())]
        taught = taught or list(replies[:1])
        lengths = [one.tokens for one in taught]
        parts = cut(
            range(len(taught)), lengths, self._mode, config.micro_batch_tokens, config.batch_tokens
        )
        pad = self._ground.base.tokenizer.pad_token_id or 0
        return [passes.lay_out([taught[at] for at in part], self._mode, pad) for part in parts]

    @torch.no_grad()
    def _reference(self, model: Any, one: passes.Pass) -> Tensor:
        """Negative log-likelihoods [rows, K] under the weights the run started from."""
        if hasattr(model, "disable_adapter"):
            with model.disable_adapter():
                return _nll(model, one, self._config.temperature)
        start = self._ground.base.model
        passes.use(start, self._mode, self._usual)
        try:
            return _nll(start, one, self._config.temperature)
        finally:
            passes.use(start, "padded", self._usual)


def advantages_of(rewards: Sequence[float], scale: str) -> list[float]:
    """Return each reward less the mean of its group, in spreads (``group``) or as it is (``none``).

    The spread is the sample standard deviation, as in TRL's GRPOTrainer; a group of equal rewards
    has advantages of exactly 0.
    """
    if len(set(rewards)) == 1:
        return [0.0] * len(rewards)
    mean = fmean(rewards)
    unit = stdev(rewards) + SPREAD_FLOOR if scale == "group" else 1.0
    return [(reward - mean) / unit for reward in rewards]


def _interval(rewards: Sequence[float]) -> tuple[float, float, float]:
    """Mean and 95% interval: Wilson's where replies pass or fail, else the normal one."""
    mean, n = fmean(rewards), len(rewards)
    if set(rewards) <= {0.0, 1.0}:
        return mean, *wilson(sum(rewards), n)
    half = NormalDist().inv_cdf(0.975) * stdev(rewards) / math.sqrt(n) if n > 1 else math.nan
    return mean, mean - half, mean + half


def _prompts(
    ground: Ground, config: Grpo, examples: Sequence[Example]
) -> tuple[list[_Prompt], int]:
    found = []
    for example in examples:
        asked = render_prompt(
            example.conversation, ground.objective, ground.version.labels, TUNED, ground.system
        )
        ids = tuple(ground.base.encode(asked))
        if len(ids) + config.max_new_tokens <= ground.max_tokens:
            found.append(_Prompt(example, asked, ids))
        ground.task.advance()
    return found, len(examples) - len(found)


def _encoded(prompt: _Prompt, one: Sampled, advantage: float) -> Encoded:
    ids = (*one.prompt, *one.reply)
    supervised = [False] * len(one.prompt) + [True] * len(one.reply)
    return Encoded(prompt.example.id, ids, supervised, [advantage] * len(ids))


def _nll(model: Any, one: passes.Pass, temperature: float) -> Tensor:
    """Negative log-likelihoods [rows, K] at the temperature replies are drawn at."""
    scores = passes.logits(model, one).float() / temperature
    flat = cross_entropy(
        scores.flatten(0, 1), one.targets.flatten(), ignore_index=passes.IGNORED, reduction="none"
    )
    return flat.view_as(one.targets)


@contextmanager
def _writing(model: Any, mode: PassMode, usual: str) -> Iterator[None]:
    """Let the model write: its usual attention, no dropout; afterwards it is as it was."""
    trained = model.training
    model.eval()
    passes.use(model, "padded", usual)
    try:
        yield
    finally:
        passes.use(model, mode, usual)
        model.train(trained)
