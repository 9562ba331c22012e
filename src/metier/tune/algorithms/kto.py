"""KTO: learn from replies that were wanted or not, each judged alone.

Ethayarajh et al. 2024, arXiv 2402.01306, eq. 7, as TRL's KTOTrainer computes it. With the ratio of
a reply = log-probability now minus that of the reference, and z the reference point:

    wanted      desirable_weight   * (1 - sigmoid(beta * (ratio - z)))
    unwanted    undesirable_weight * (1 - sigmoid(beta * (z - ratio)))

z estimates how far the model has moved (KL): the mean ratio, never below 0 and without gradient,
of replies that do not belong to their prompts. A prompt is paired with the replies of the row
before it, the same in every epoch, so that the reference's log-probabilities are computed once.
TRL rotates replies within a batch; over a batch that is the whole data set both are the same set.
The loss of a step is the mean over its replies; z is that of the whole step.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from metier.scoring.statistics.intervals import wilson
from metier.tune.algorithms import replies
from metier.tune.algorithms.base import Ground, PassLoss, Step, device_of
from metier.tune.algorithms.prompted import TRAIN, VALIDATION, PromptedReplies
from metier.tune.algorithms.reference import replies_log_probs
from metier.tune.config import Kto
from metier.tune.packing import passes, prefix
from metier.tune.packing.plan import Batch
from metier.tune.types import PassMode

UNEVEN = 1.34
"""Weights times counts of wanted and unwanted replies should differ by at most 4/3 (eq. 8)."""


def make(ground: Ground) -> JudgedReplies:
    """Encode the replies of both splits as the served model is shown them.

    Raises InputError when there are none, or only wanted or only unwanted ones.
    """
    config = ground.config.algorithm
    assert isinstance(config, Kto)
    return JudgedReplies(ground, config, *replies.read_verdicts(ground, config.verdict))


@dataclass(frozen=True)
class Judged:
    """One pass: items by their numbers, laid out, and the reference point of the step."""

    items: Batch
    laid: passes.Pass
    point: float


class JudgedReplies(PromptedReplies):
    """Replies, wanted and unwanted, under KTO's loss."""

    def __init__(
        self, ground: Ground, config: Kto, train: replies.Items, held_out: replies.Items | None
    ) -> None:
        super().__init__(ground, train, held_out)
        self.config = config
        self.notes = [*self.notes, *_uneven(config, train)]
        self._crossed = {
            name: crossed(trees, ground.max_tokens) for name, trees in self.trees.items()
        }

    def prepare(self, model: Any, mode: PassMode, folder: Path) -> None:
        """Find how replies are laid out, and what they are worth to the reference."""
        self._settle(model, mode)
        others = {f"{name}_crossed": trees for name, trees in self._crossed.items()}
        self._refer(model, self.trees | others, folder, self.config.reference)

    def step(self, model: Any, batch: Batch, number: int) -> Step:
        """Measure the reference point with the weights as they stand; lay the replies out."""
        point = self._point(model, TRAIN, batch)
        laid = [Judged(few, laid, point) for few, laid in self._cut(self.train, batch)]
        weight = sum(self._weights(self.train, batch))
        return Step(laid, weight, {"kl": point})

    def loss(self, model: Any, one: Judged, step: Step) -> PassLoss:
        """Return the pass's part of the mean loss of the step's replies."""
        losses, ratios = self._measure(model, self.train, TRAIN, one)
        weights = torch.tensor(self._weights(self.train, one.items)).to(losses)
        loss = (losses * weights).sum() / step.weight
        sizes = [len(self.train.items[index].wanted) for index in one.items]
        fine = torch.split(torch.isfinite(losses.detach()), sizes)
        series = self._series(self.train, one.items, ratios.detach().cpu())
        shares = {name: value / step.weight for name, value in series.items()}
        return PassLoss(loss, self._ids(one.items), [bool(part.all()) for part in fine], shares)

    @torch.no_grad()
    def validate(self, model: Any) -> dict[str, float]:
        """Mean loss over the held-out replies; where both replies to a prompt are there, how many
        pairs are the right way round, with its interval."""
        assert self.held_out is not None
        part, every = self.held_out, range(len(self.held_out.items))
        point = self._point(model, VALIDATION, every)
        total, right, pairs = 0.0, 0, 0
        for few, laid in self._cut(part, every):
            losses, ratios = self._measure(model, part, VALIDATION, Judged(few, laid, point))
            total += float(losses.sum(dtype=torch.float64))
            sizes = [len(part.items[index].wanted) for index in few]
            both = [pair for pair in torch.split(ratios, sizes) if len(pair) == 2]
            right += sum(bool(pair[0] > pair[1]) for pair in both)
            pairs += len(both)
        values = {"loss": total / sum(len(item.wanted) for item in part.items), "kl": point}
        if pairs:
            low, high = wilson(right, pairs)
            values |= {
                "pair_accuracy": right / pairs,
                "pair_accuracy_low": low,
                "pair_accuracy_high": high,
            }
        return values

    def _point(self, model: Any, name: str, batch: Sequence[int]) -> float:
        trees = [self._crossed[name][index] for index in batch]
        now = replies_log_probs(model, trees, self._manner)
        then = torch.cat([self._reference[f"{name}_crossed"][index] for index in batch])
        return max(0.0, float((now - then).mean()))

    def _measure(
        self, model: Any, part: replies.Items, name: str, one: Judged
    ) -> tuple[Tensor, Tensor]:
        device = device_of(model)
        sums, _ = prefix.log_probs(model, passes.to_device(one.laid, device))
        held = torch.cat([self._reference[name][index] for index in one.items]).to(device)
        wanted = torch.tensor([said for index in one.items for said in part.items[index].wanted])
        ratios = sums - held
        return reply_losses(self.config, ratios, wanted.to(device), one.point), ratios

    def _weights(self, part: replies.Items, batch: Sequence[int]) -> list[float]:
        return [part.items[at].weight for at in batch for _ in part.items[at].wanted]

    def _series(
        self, part: replies.Items, batch: Sequence[int], ratios: Tensor
    ) -> dict[str, float]:
        wanted = torch.tensor([said for index in batch for said in part.items[index].wanted])
        weights = torch.tensor(self._weights(part, batch))
        # Of each reply the reward in the direction that is wanted: up, or down.
        signed = self.config.beta * torch.where(wanted, ratios, -ratios)
        return {"reward_in_direction": float((signed * weights).sum())}


def reply_losses(config: Kto, ratios: Tensor, wanted: Tensor, point: float) -> Tensor:
    """Return the loss of each reply [replies] from its ratio and whether it was wanted."""
    gain = torch.where(wanted, ratios - point, point - ratios)
    weights = torch.where(wanted, config.desirable_weight, config.undesirable_weight)
    return weights * (1 - torch.sigmoid(config.beta * gain))


def crossed(trees: Sequence[prefix.Tree], max_tokens: int) -> list[prefix.Tree]:
    """Give each prompt the replies of the nearest row before it with another prompt (around the
    end; its own where all prompts are the same), cut to what fits ``max_tokens``."""
    found = []
    for number, tree in enumerate(trees):
        before = (trees[number - back] for back in range(1, len(trees)))
        other = next((one for one in before if list(one.prompt) != list(tree.prompt)), tree)
        room = max(1, max_tokens - len(tree.prompt))
        found.append(
            prefix.Tree(tree.example_id, tree.prompt, tuple(r[:room] for r in other.replies))
        )
    return found


def _uneven(config: Kto, train: replies.Items) -> Iterator[str]:
    wanted = sum(sum(item.wanted) for item in train.items)
    unwanted = sum(len(item.wanted) for item in train.items) - wanted
    one, other = config.desirable_weight * wanted, config.undesirable_weight * unwanted
    if not one or not other or max(one, other) / min(one, other) <= UNEVEN:
        return
    name, value = (
        ("desirable_weight", other / wanted)
        if one < other
        else ("undesirable_weight", one / unwanted)
    )
    yield (
        f"{wanted} wanted and {unwanted} unwanted replies: the loss is uneven; "
        f"{name} = {value:.3g} would balance it"
    )
