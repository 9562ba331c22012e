"""A reward model: score replies so that the preferred one of a pair scores higher.

Bradley and Terry's model of comparisons with a scalar head, as in Ouyang et al. 2022, arXiv
2203.02155, eq. 1, and as TRL's RewardTrainer computes it:

    -log sigmoid(score(chosen) - score(rejected) - margin) + center * (their sum)^2

The score is read at the token that ends the reply (``models.reward``); the head is trained beside
the adapter, or beside all weights. The loss of a step is the mean over its pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from metier.models.reward import attach, head_of, hidden_states
from metier.scoring.statistics.intervals import wilson
from metier.tune.algorithms import replies
from metier.tune.algorithms.base import Ground, PassLoss, Step, device_of
from metier.tune.algorithms.prompted import PromptedReplies
from metier.tune.config import Reward
from metier.tune.packing import passes
from metier.tune.packing.plan import Batch
from metier.tune.types import PassMode


def make(ground: Ground) -> ScoredReplies:
    """Encode the pairs of both splits as the served model is shown them.

    Raises InputError when there are none.
    """
    config = ground.config.algorithm
    assert isinstance(config, Reward)
    train, held_out = replies.read_pairs(ground)
    return ScoredReplies(ground, config, train.ends(), held_out.ends() if held_out else None)


@dataclass(frozen=True)
class Scored:
    """One pass: pairs by their numbers, laid out."""

    items: Batch
    laid: passes.Pass


class ScoredReplies(PromptedReplies):
    """Pairs of replies under the loss of a reward model."""

    def __init__(
        self, ground: Ground, config: Reward, train: replies.Items, held_out: replies.Items | None
    ) -> None:
        super().__init__(ground, train, held_out)
        self.config = config

    def prepare(self, model: Any, mode: PassMode, folder: Path) -> None:
        """Find how pairs are laid out, and put the head on the model."""
        self._settle(model, mode)
        if head_of(model) is None:
            attach(model)

    def step(self, model: Any, batch: Batch, number: int) -> Step:
        """Lay out the pairs of one step."""
        return Step(self._laid(self.train, batch), self._weight(batch))

    def loss(self, model: Any, one: Scored, step: Step) -> PassLoss:
        """Return the pass's part of the mean loss of the step's pairs."""
        items = [self.train.items[index] for index in one.items]
        scores = self._scores(model, one)
        losses = self._losses(scores, items)
        weights = torch.tensor([item.weight for item in items]).to(losses)
        told, apart = scores.detach(), (scores[:, 0] - scores[:, 1]).detach()
        shares = {
            "reward_margin": float((apart * weights).sum()) / step.weight,
            "pair_accuracy": float(((apart > 0) * weights).sum()) / step.weight,
            "mean_reward": float((told.mean(1) * weights).sum()) / step.weight,
        }
        finite = torch.isfinite(losses.detach()).tolist()
        loss = (losses * weights).sum() / step.weight
        return PassLoss(loss, self._ids(one.items), finite, shares)

    @torch.no_grad()
    def validate(self, model: Any) -> dict[str, float]:
        """Mean loss over the held-out pairs; how many are ranked right, with its interval."""
        assert self.held_out is not None
        part, pairs = self.held_out, len(self.held_out.items)
        total, right = 0.0, 0
        for one in self._laid(part, range(pairs)):
            scores = self._scores(model, one)
            losses = self._losses(scores, [part.items[index] for index in one.items])
            total += float(losses.sum(dtype=torch.float64))
            right += int((scores[:, 0] > scores[:, 1]).sum())
        low, high = wilson(right, pairs)
        return {
            "loss": total / pairs,
            "pair_accuracy": right / pairs,
            "pair_accuracy_low": low,
            "pair_accuracy_high": high,
        }

    def _laid(self, part: replies.Items, batch: Sequence[int]) -> list[Scored]:
        return [Scored(few, laid) for few, laid in self._cut(part, batch)]

    def _scores(self, model: Any, one: Scored) -> Tensor:
        """Scores [pairs, 2]: chosen and rejected."""
        laid = passes.to_device(one.laid, device_of(model))
        states = hidden_states(model, laid.inputs, laid.positions)
        wanted = laid.targets != passes.IGNORED
        owners = laid.owners[wanted]
        head = head_of(model) or head_of(getattr(model, "module", model))
        assert head is not None
        found: Tensor = head(states[wanted].to(head.weight.dtype))[:, 0]
        return found[owners.argsort()].view(-1, 2)

    def _losses(self, scores: Tensor, items: Sequence[replies.Item]) -> Tensor:
        apart = scores[:, 0] - scores[:, 1]
        if self.config.margin:
            apart = apart - torch.tensor([item.margin for item in items]).to(apart)
        return -logsigmoid(apart) + self.config.center * scores.sum(1).square()
