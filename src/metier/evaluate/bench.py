"""The bench: what all rungs of a project share when they are measured.

    bench = Bench(ws, version, objective, config)
    evaluate(bench, Contender("tfidf", tfidf(bench.examples("train"), objective)))

A Contender is who is measured and how it is asked.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from metier.core.canaries import is_canary
from metier.core.completer import Completer, Sampling
from metier.core.costs import Prices
from metier.core.errors import InputError
from metier.core.ledger import load_split
from metier.core.objective import Objective
from metier.core.progress import Progress
from metier.core.records import REGRESSION, DataVersion
from metier.core.types import Conversation, Example, Json, digest
from metier.core.workspace import Workspace
from metier.evaluate.config import EvaluateConfig
from metier.evaluate.turns import every_turn
from metier.models.choosing import Priors
from metier.models.prompt import PromptVariant, render_prompt
from metier.retrieval.knowledge import Knowledge
from metier.scoring import Resampling


@dataclass(frozen=True)
class Bench:
    """One frozen version, one objective, one way to measure; ``knowledge`` is what may be shown."""

    workspace: Workspace
    version: DataVersion
    objective: Objective
    config: EvaluateConfig = field(default_factory=EvaluateConfig)
    prices: Prices = field(default_factory=Prices)
    progress: Progress = field(default_factory=Progress)
    knowledge: Knowledge | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """The closed label set, () where the task has none."""
        return self.version.labels

    @property
    def resampling(self) -> Resampling:
        """How intervals are made."""
        config = self.config
        return Resampling(resamples=config.resamples, seed=config.seed, level=config.level)

    @property
    def sampling(self) -> Sampling:
        """How replies are decoded: greedily."""
        return Sampling(max_tokens=self.config.max_new_tokens)

    @cached_property
    def _loaded(self) -> dict[str, list[Example]]:
        return {}

    def examples(self, split: str) -> list[Example]:
        """Return the examples of a split with a target, in frozen order; [] of an absent split.

        Planted canaries are not among them: no baseline learns or shows them.
        """
        if split not in self.version.splits:
            return []
        if split not in self._loaded:
            loaded = load_split(self.workspace, self.version, split)
            self._loaded[split] = [
                one for one in loaded if one.target is not None and not is_canary(one)
            ]
        return self._loaded[split]

    def measured(self, split: str) -> list[Example]:
        """Return the examples to measure on: all, or ``test_sample`` of them, always the same; with
        ``turns = "every"`` one for each assistant turn of those.

        Raises InputError when the split is empty.
        """
        found = self.examples(split)
        if not found:
            raise InputError(
                f"examples with a target in split {split!r} of {self.version.id}",
                got="none",
                remedy="correct replies that were wrong, and build the data again"
                if split == REGRESSION
                else f"give [data] a {split} share or a source with split = {split!r}",
            )
        chosen = sample(found, self.sample_size(split), self.config.seed)
        return every_turn(chosen) if self.config.turns == "every" else chosen

    def sample_size(self, split: str) -> int:
        """How many rows of a split are measured (0: all). Every regression case counts."""
        return 0 if split == REGRESSION else self.config.test_sample


@dataclass(frozen=True)
class Contender:
    """Who is measured, and how it is asked.

    ``rung`` is its place in the table of baselines. ``variant`` None hands conversations over as
    they are (classical models). ``chosen`` says what was chosen on validation. ``device`` sets the
    price of its time.
    """

    rung: str
    completer: Completer
    variant: PromptVariant | None = None
    system: str = ""
    priors: Priors | None = None
    chosen: Mapping[str, Json] = field(default_factory=dict)
    run_id: str | None = None
    device: str = "cpu"
    warnings: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """Hash over the completer and how it is asked."""
        asked = [self.variant.name, self.variant.system, self.variant.user] if self.variant else []
        priors = {name: dict(prior) for name, prior in (self.priors or {}).items()}
        return digest([self.completer.fingerprint, asked, self.system, priors])

    def ask(
        self, examples: Sequence[Example], objective: Objective, labels: Sequence[str]
    ) -> list[Conversation]:
        """Return what is put to the completer for each example."""
        if self.variant is None:
            return [example.conversation for example in examples]
        return [
            render_prompt(example.conversation, objective, labels, self.variant, self.system)
            for example in examples
        ]


def sample(examples: Sequence[Example], size: int, seed: int) -> list[Example]:
    """Return ``size`` examples in their order (0: all), the same ones for the same seed."""
    if size <= 0 or size >= len(examples):
        return list(examples)
    # Sorted by id first, so that the choice does not hang on the order of the split.
    ordered = sorted(range(len(examples)), key=lambda index: examples[index].id)
    return [examples[index] for index in sorted(random.Random(seed).sample(ordered, size))]
