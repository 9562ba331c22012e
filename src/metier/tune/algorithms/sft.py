"""Supervised fine-tuning: the wanted replies, token by token.

The loss is the mean over all supervised tokens of a step, weighted where tokens have weights,
however the step is cut into passes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from metier.core.errors import ConfigError
from metier.core.types import Json, digest
from metier.tune.algorithms.base import Ground, PassLoss, Step, device_of
from metier.tune.config import Replay, Sft
from metier.tune.inspect.gate import require_sound
from metier.tune.packing import passes
from metier.tune.packing.plan import Batch, cut
from metier.tune.tokens.encode import Weigh, encode
from metier.tune.tokens.replay import with_replay
from metier.tune.tokens.spoken import spoken
from metier.tune.tokens.weights import by_field
from metier.tune.types import Encoded, Encodings, PassMode

VALIDATION_PASS_TOKENS = 4096


def make(ground: Ground) -> SupervisedTokens:
    """Encode both splits as the served model is shown them.

    Raises InputError when there is nothing to learn from or the loss would be on the wrong tokens,
    ConfigError for a share of the loss that the task does not have.
    """
    algorithm = ground.config.algorithm
    turns = algorithm.turns if isinstance(algorithm, Sft) else "all"
    speak = spoken(ground.objective, ground.version.labels, ground.system, turns)
    tokenizer, limit, task = ground.base.tokenizer, ground.max_tokens, ground.task
    weigh = _weigh(ground)
    train = encode(ground.rows, speak, tokenizer, limit, task, weigh)
    require_sound(train, tokenizer, ground.objective.task, boilerplate=_allows(ground))
    usable = [example for example in ground.held_out if example.target is not None]
    held_out = encode(usable, speak, tokenizer, limit, task, weigh) if usable else None
    place = (ground.ws.root, ground.config.seed)
    train, replayed = with_replay(train, _replay(ground), tokenizer, limit, place)
    return SupervisedTokens(ground, train, held_out, replayed)


class SupervisedTokens:
    """Encoded examples under the mean loss of their supervised tokens.

    ``more`` is what the run's record says besides.
    """

    def __init__(
        self,
        ground: Ground,
        train: Encodings,
        held_out: Encodings | None,
        more: Mapping[str, Json] | None = None,
    ) -> None:
        self.train, self.held_out = train, held_out
        self.lengths: Sequence[int] = [example.tokens for example in train.examples]
        self.probes: Sequence[Encoded] = train.examples
        self.validates = held_out is not None
        self.notes: Sequence[str] = list(_notes(train, ground.max_tokens))
        self._config, self._pad = ground.config, ground.base.tokenizer.pad_token_id or 0
        self._mode: PassMode = "padded"
        self._more = dict(more or {})

    @property
    def identity(self) -> Json:
        """Hash of the very tokens of both splits."""
        return digest([_tokens(part) for part in (self.train, self.held_out) if part is not None])

    def prepare(self, model: Any, mode: PassMode, folder: Path) -> None:
        """Note the layout; nothing has to be computed."""
        self._mode = mode

    def step(self, model: Any, batch: Batch, number: int) -> Step:
        """Lay out the examples of one step."""
        laid = self._laid(self.train.examples, batch, self._config.micro_batch_tokens)
        return Step(laid, sum(float(one.weights.sum()) for one in laid))

    def loss(self, model: Any, one: passes.Pass, step: Step) -> PassLoss:
        """Return the pass's part of the step's mean loss, nats per supervised token."""
        here = passes.to_device(one, device_of(model))
        losses, _ = passes.token_losses(model, here)
        loss = (losses * here.weights).sum() / step.weight
        return PassLoss(loss, one.example_ids, passes.finite(here, losses))

    @torch.no_grad()
    def validate(self, model: Any) -> dict[str, float]:
        """Mean (weighted) loss and top-1 accuracy over the supervised tokens of validation."""
        assert self.held_out is not None
        examples = self.held_out.examples
        loss, weight, right, tokens = 0.0, 0.0, 0, 0
        for one in self._laid(examples, range(len(examples)), VALIDATION_PASS_TOKENS):
            one = passes.to_device(one, device_of(model))
            losses, best = passes.token_losses(model, one)
            loss += float((losses * one.weights).sum(dtype=torch.float64))
            weight += float(one.weights.sum(dtype=torch.float64))
            right += int((best == one.targets).sum())
            tokens += int((one.targets != passes.IGNORED).sum())
        return {"loss": loss / weight, "token_accuracy": right / tokens}

    @torch.no_grad()
    def reply_losses(self, model: Any, examples: Sequence[Encoded]) -> list[float]:
        """Return the loss of each example in nats, summed over its supervised tokens."""
        found = dict.fromkeys((example.example_id for example in examples), 0.0)
        for one in self._laid(examples, range(len(examples)), VALIDATION_PASS_TOKENS):
            one = passes.to_device(one, device_of(model))
            losses, _ = passes.token_losses(model, one)
            sums = torch.zeros(len(one.example_ids), dtype=torch.float64, device=losses.device)
            sums.index_add_(0, one.owners.flatten(), losses.flatten().double())
            found |= dict(zip(one.example_ids, sums.tolist(), strict=True))
        return [found[example.example_id] for example in examples]

    def summary(self) -> dict[str, Json]:
        """Counts of examples and tokens, and what was shortened or left out."""
        train, held_out = self.train, self.held_out
        excluded: Sequence[tuple[str, str]] = list(train.excluded.items())[:20]
        return {
            "examples": len(train.examples),
            "tokens_per_epoch": train.tokens,
            "supervised_share": round(train.supervised_tokens / train.tokens, 4),
            "masked_by": dict(train.how),
            "truncated": train.truncated,
            "cut_replies": train.cut_replies,
            "excluded": len(train.excluded),
            "excluded_examples": dict(excluded),
            "validation_examples": len(held_out.examples) if held_out else 0,
            "supervised_validation_tokens": held_out.supervised_tokens if held_out else 0,
            **self._more,
        }

    def _laid(
        self, examples: Sequence[Encoded], batch: Sequence[int], most_tokens: int | None
    ) -> list[passes.Pass]:
        lengths = [example.tokens for example in examples]
        parts = cut(batch, lengths, self._mode, most_tokens, self._config.batch_tokens)
        return [
            passes.lay_out([examples[index] for index in part], self._mode, self._pad)
            for part in parts
        ]


def _tokens(part: Encodings) -> list[Json]:
    return [[e.example_id, list(e.input_ids), list(map(int, e.supervised))] for e in part.examples]


def _weigh(ground: Ground) -> Weigh | None:
    algorithm = ground.config.algorithm
    if not isinstance(algorithm, Sft) or algorithm.loss_share == "tokens":
        return None
    if ground.objective.task != "structured":
        raise ConfigError(
            'loss_share = "fields" with task = "structured"',
            got=f"task {ground.objective.task!r}, whose replies have no fields",
            remedy='take loss_share = "tokens" in [tune] algorithm, or leave it out',
        )
    return partial(by_field, ground.base.tokenizer)


def _replay(ground: Ground) -> Replay | None:
    algorithm = ground.config.algorithm
    return algorithm.replay if isinstance(algorithm, Sft) else None


def _allows(ground: Ground) -> bool:
    algorithm = ground.config.algorithm
    return isinstance(algorithm, Sft) and algorithm.boilerplate == "allow"


def _notes(train: Encodings, limit: int) -> Iterator[str]:
    if train.excluded:
        yield f"{len(train.excluded)} training examples left out: {_first(train.excluded)}"
    if train.truncated:
        yield (
            f"{train.truncated} training examples shortened to {limit} tokens, "
            f"{train.cut_replies} of them in the reply"
        )
    if train.lost_turns:
        yield f"{train.lost_turns} earlier replies not supervised: the template rewrites them"


def _first(excluded: dict[str, str]) -> str:
    example_id, reason = next(iter(excluded.items()))
    return f"{example_id} ({reason})" + (", …" if len(excluded) > 1 else "")
