"""Is a made style learned? The second part of preferences.py: tuned, asked, counted."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from preference_style import Pair, as_examples, has_style, make_pairs

TRAIN, VALIDATION = 180, 20
MOST_TOKENS = 60


@dataclass(frozen=True)
class Setting:
    """How much is made of it: pairs held out to test on, and epochs."""

    held_out: int
    train: int
    epochs: float


def styled(small: bool = False) -> list[str]:
    """Tune, ask and count; returns lines for RESULTS.md."""
    from metier.core.workspace import Workspace
    from metier.models.base import load_base

    setting = Setting(6, 12, 0.1) if small else Setting(100, TRAIN, 1)
    pairs = make_pairs()
    train = pairs[: setting.train]
    validation = pairs[TRAIN : TRAIN + VALIDATION]
    test = pairs[TRAIN + VALIDATION :][: setting.held_out]
    with TemporaryDirectory() as place, Workspace.create(Path(place)) as ws:
        bench = Bench(ws, load_base("metier/tiny"), train, validation, test, setting.epochs)
        return bench.lines()


@dataclass(frozen=True)
class Bench:
    """A base, pairs, and what is measured of who is tuned on them."""

    ws: Any
    base: Any
    train: Sequence[Pair]
    validation: Sequence[Pair]
    test: Sequence[Pair]
    epochs: float

    def lines(self) -> list[str]:
        """Tune by every way and measure each."""
        from metier.models.engines.local import LocalCompleter

        untuned = LocalCompleter(self.base)
        start = self.tune({"type": "sft"}, 2e-3, epochs=2 * self.epochs)
        begun = self.completer(start)
        lines = [
            f"### A made style: {len(self.train)} pairs, {len(self.test)} held-out prompts",
            "",
            "| model | replies in the preferred style | general loss against the start "
            "| against the base | held-out pairs the right way round |",
            "|---|---|---|---|---|",
            f"| bundled base | {self.wins(untuned)} | | | |",
            f"| start: tuned on half in the style | {self.wins(begun)} | "
            f"| {self.moved(untuned, begun)} | |",
        ]
        for kind in ("dpo", "kto"):
            run = self.tune({"type": kind}, 5e-4, start=start.id, epochs=self.epochs)
            after = self.completer(run)
            lines.append(
                f"| then {kind} | {self.wins(after)} | {self.moved(begun, after)} "
                f"| {self.moved(untuned, after)} | {_pairs(run.summary)} |"
            )
            print(lines[-1], file=sys.stderr, flush=True)
        run = self.tune({"type": "reward"}, 1e-3, epochs=self.epochs)
        return [*lines, f"| reward model, from the base | | | | {self.ranked(run)} |"]

    def tune(self, algorithm: dict[str, Any], lr: float, epochs: float, start: Any = None) -> Any:
        """Tune on the pairs; supervised: on one reply of each, alternately."""
        from metier.core import ledger
        from metier.core.objective import Objective
        from metier.tune.config import TuneConfig
        from metier.tune.run import tune

        both = as_examples([*self.train, *self.validation])
        if algorithm["type"] == "sft":
            both = [_one_of(example, number) for number, example in enumerate(both)]
        splits = {"train": both[: len(self.train)], "validation": both[len(self.train) :]}
        version = ledger.save_version(self.ws, splits, labels=(), config={}, card={}, sources=[])
        config = TuneConfig.model_validate(
            {"algorithm": algorithm, "lr": lr, "epochs": epochs, "batch_tokens": 512}
            | ({"start_from": start} if start else {})
        )
        return tune(config, version, self.ws, self.base, Objective(task="chat"))

    def completer(self, run: Any) -> Any:
        """The model a run left."""
        from metier.models.engines.local import LocalCompleter

        return LocalCompleter(self.base, self.ws.artifacts.checkout(run.adapter))

    def wins(self, model: Any) -> str:
        """Share of greedy replies in the style, with Wilson's interval."""
        from metier.core.completer import Sampling

        asked = [self.asked(pair) for pair in self.test]
        found = model.complete(asked, Sampling(max_tokens=MOST_TOKENS))
        return _share(sum(has_style(one.text) for one in found), len(asked))

    def asked(self, pair: Pair) -> Any:
        """The conversation a tuned model is served."""
        from metier.core.objective import Objective
        from metier.core.types import Conversation
        from metier.models.prompt import TUNED, render_prompt

        prompt = Conversation.of(("user", pair.prompt))
        return render_prompt(prompt, Objective(task="chat"), (), TUNED, "")

    def moved(self, before: Any, after: Any) -> str:
        """General loss after against before, relative, with its interval (paired, by passage)."""
        from metier.evaluate.effects.forgetting import forgetting, load_items, load_texts

        found = forgetting(before, after, load_items()[:1], load_texts())
        rise, own = found.metrics["general_loss_increase"], found.before["general_loss"].value
        assert rise.value is not None and rise.low is not None and rise.high is not None
        return f"{rise.value / own:+.2%} [{rise.low / own:+.2%}, {rise.high / own:+.2%}]"

    def ranked(self, run: Any) -> str:
        """Share of held-out pairs that the reward model ranks right."""
        from metier.models.reward import load_reward_model

        model = load_reward_model(self.ws, self.base, run.id)
        asked = [self.asked(pair) for pair in self.test]
        scores = [
            model.score([p.then("assistant", reply) for p, reply in zip(asked, said, strict=True)])
            for said in zip(*((pair.preferred, pair.other) for pair in self.test), strict=True)
        ]
        right = sum(a > b for a, b in zip(*scores, strict=True))
        return _share(right, len(asked))


def _one_of(example: Any, number: int) -> Any:
    from metier.core.types import CompletionTarget

    said = example.target.chosen if number % 2 else example.target.rejected
    return replace(example, target=CompletionTarget(said))


def _share(count: int, n: int) -> str:
    from metier.scoring.statistics.intervals import wilson

    low, high = wilson(count, n)
    return f"{count / n:.3f} [{low:.3f}, {high:.3f}] (n {n})"


def _pairs(summary: dict[str, Any]) -> str:
    n = summary["validation_examples"]
    return _share(round(summary["validation_pair_accuracy"] * n), n)
