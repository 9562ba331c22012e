"""DPO: of two replies to a prompt, make the preferred one likelier against the other.

Rafailov et al. 2023, arXiv 2305.18290, eq. 7, as TRL's DPOTrainer computes it. With the ratio of
a reply = log-probability now minus that of the reference, d = ratio(chosen) - ratio(rejected):

    sigmoid   -log sigmoid(beta * d); with label smoothing e (arXiv 2403.00409, eq. 12)
              ((1 - e) * -log sigmoid(beta * d) + e * log sigmoid(-beta * d)) / (1 - 2e)
    ipo       (d' - 1 / (2 * beta))^2, d' from ratios per token (arXiv 2310.12036, eq. 17)

plus ``sft_weight`` times the chosen replies' mean loss per token (RPO, arXiv 2404.19733). The loss
of a step is the mean over its pairs, however it is cut into passes. Both replies share one
computation of their prompt (``packing.prefix``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from metier.scoring.statistics.intervals import wilson
from metier.tune.algorithms import replies
from metier.tune.algorithms.base import Ground, PassLoss, Step, device_of
from metier.tune.algorithms.prompted import TRAIN, VALIDATION, PromptedReplies
from metier.tune.config import Dpo
from metier.tune.packing import passes, prefix
from metier.tune.packing.plan import Batch
from metier.tune.types import PassMode

VALIDATION_PASS_TOKENS = 4096


def make(ground: Ground) -> PreferredReplies:
    """Encode the pairs of both splits as the served model is shown them.

    Raises InputError when there are none.
    """
    config = ground.config.algorithm
    assert isinstance(config, Dpo)
    return PreferredReplies(ground, config, *replies.read_pairs(ground))


@dataclass(frozen=True)
class Pairs:
    """One pass: pairs by their numbers, laid out; ``chosen_tokens`` are those of the whole step."""

    items: Batch
    laid: passes.Pass
    chosen_tokens: int


@dataclass(frozen=True)
class Measured:
    """What pairs are worth, each [pairs]: loss, ratios and log-probabilities in nats."""

    losses: Tensor
    ratios: Tensor
    """[pairs, 2]: chosen and rejected."""
    log_probs: Tensor
    """[pairs, 2]: chosen and rejected."""

    def series(self, weights: Tensor, beta: float) -> dict[str, float]:
        """Sums over the pairs, weighted, for the log."""
        margins = self.ratios[:, 0] - self.ratios[:, 1]
        values = {
            "reward_margin": beta * margins,
            "pair_accuracy": (margins > 0).float(),
            "chosen_log_prob": self.log_probs[:, 0],
            "rejected_log_prob": self.log_probs[:, 1],
        }
        return {name: float((value * weights).sum()) for name, value in values.items()}


class PreferredReplies(PromptedReplies):
    """Pairs of replies under DPO's loss."""

    def __init__(
        self, ground: Ground, config: Dpo, train: replies.Items, held_out: replies.Items | None
    ) -> None:
        super().__init__(ground, train, held_out)
        self.config = config

    def prepare(self, model: Any, mode: PassMode, folder: Path) -> None:
        """Find how pairs are laid out, and what they are worth to the reference."""
        self._settle(model, mode)
        self._refer(model, self.trees, folder, self.config.reference)

    def step(self, model: Any, batch: Batch, number: int) -> Step:
        """Lay out the pairs of one step."""
        return Step(self._laid(self.train, batch), self._weight(batch))

    def loss(self, model: Any, one: Pairs, step: Step) -> PassLoss:
        """Return the pass's part of the mean loss of the step's pairs."""
        found = self._measure(model, TRAIN, one)
        weights = self._weights(self.train, one).to(found.losses)
        loss = (found.losses * weights).sum() / step.weight
        if self.config.sft_weight:
            chosen = (found.log_probs[:, 0] * weights).sum()
            loss = loss - self.config.sft_weight * chosen / one.chosen_tokens
        finite = torch.isfinite(found.losses.detach() + found.log_probs.detach().sum(1)).tolist()
        told = Measured(*(part.detach() for part in vars(found).values()))
        series = told.series(weights, self.config.beta)
        shares = {name: value / step.weight for name, value in series.items()}
        return PassLoss(loss, self._ids(one.items), finite, shares)

    @torch.no_grad()
    def validate(self, model: Any) -> dict[str, float]:
        """Mean loss over the held-out pairs, and how many are right way round, with interval."""
        assert self.held_out is not None
        pairs = len(self.held_out.items)
        sums = {"loss": 0.0, "pair_accuracy": 0.0, "reward_margin": 0.0}
        for one in self._laid(self.held_out, range(pairs)):
            found = self._measure(model, VALIDATION, one)
            series = found.series(torch.ones_like(found.losses), self.config.beta)
            sums["loss"] += float(found.losses.sum(dtype=torch.float64))
            if self.config.sft_weight:
                share = pairs * self.config.sft_weight / one.chosen_tokens
                sums["loss"] -= share * float(found.log_probs[:, 0].sum())
            for name in ("pair_accuracy", "reward_margin"):
                sums[name] += series[name]
        low, high = wilson(round(sums["pair_accuracy"]), pairs)
        values = {name: value / pairs for name, value in sums.items()}
        return values | {"pair_accuracy_low": low, "pair_accuracy_high": high}

    def _laid(self, part: replies.Items, batch: Sequence[int]) -> list[Pairs]:
        trees = part.trees
        tokens = sum(len(trees[index].replies[0]) for index in batch)
        return [Pairs(few, laid, tokens) for few, laid in self._cut(part, batch)]

    def _measure(self, model: Any, name: str, one: Pairs) -> Measured:
        device = device_of(model)
        sums, counts = prefix.log_probs(model, passes.to_device(one.laid, device))
        held = torch.stack([self._reference[name][index] for index in one.items]).to(device)
        log_probs, tokens = sums.view(-1, 2), counts.view(-1, 2)
        ratios = log_probs - held
        return Measured(pair_losses(self.config, ratios, tokens), ratios, log_probs)

    def _weights(self, part: replies.Items, one: Pairs) -> Tensor:
        return torch.tensor([part.items[index].weight for index in one.items])


def pair_losses(config: Dpo, ratios: Tensor, tokens: Tensor) -> Tensor:
    """Return the loss of each pair from [pairs, 2] log-probability ratios and reply lengths."""
    if config.loss == "ipo":
        per_token = ratios / tokens
        wanted = 1 / (2 * config.beta)
        return (per_token[:, 0] - per_token[:, 1] - wanted).square()
    scaled = config.beta * (ratios[:, 0] - ratios[:, 1])
    wrong = config.label_smoothing
    clean, flipped = (1 - wrong) * -logsigmoid(scaled), wrong * -logsigmoid(-scaled)
    return (clean - flipped) / (1 - 2 * wrong)
