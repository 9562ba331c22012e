"""make_rows: the configured ways over training rows, filtered.

Which rows get a variant is drawn by their content, so rows that come later do not change which
of the earlier ones do, and the order of rows does not matter. What the filter is not sure of, or
what says the same as another row, is left out and counted.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from metier.core.canaries import is_canary
from metier.core.errors import ConfigError, InputError
from metier.core.objective import Objective
from metier.core.progress import Progress
from metier.core.types import Example, digest
from metier.data.augment.config import (
    AugmentConfig,
    BackTranslation,
    Noise,
    Paraphrase,
    Swap,
    Templates,
)
from metier.data.augment.keep import Claim, LabelFilter
from metier.data.augment.made import AUGMENT, CHALLENGE, Made, child, reworded
from metier.data.augment.noise import noisy
from metier.data.augment.rewriting import Rewrite
from metier.data.augment.swap import Swapper
from metier.data.augment.templates import from_templates
from metier.data.quality.rebalance import REBALANCE

NO_PARENTS = frozenset({AUGMENT, CHALLENGE, REBALANCE})
"""Steps of rows that are not anybody's own."""
BATCH = 64
Way = Paraphrase | BackTranslation
Writers = Callable[[Way], Rewrite]
"""Returns the rewriter of a way that has a model write."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The made rows that may be kept, and how many were left out for which reason."""

    rows: tuple[Made, ...]
    left_out: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Making:
    """What rows are made with: the objective, the folder of files, models that write, progress.

    ``writers`` is asked for a rewriter only where a way needs a model.
    """

    objective: Objective
    root: Path
    writers: Writers
    progress: Progress


def make_rows(
    config: AugmentConfig, rows: Sequence[Example], making: Making, most: int | None = None
) -> Batch:
    """Make rows from training rows in the configured ways; from ``most`` of them at most.

    Rows that were made, planted or copied are no parents.

    Raises:
        ConfigError: no way, a file of templates that cannot be used, or a task whose targets are
            places in the text.
        InputError: no row to make others from.
        ModelUnavailable, EgressRefused: a writer cannot be had.
    """
    parents, own = _checked(config, making.objective, rows, most)
    judge = LabelFilter(own, tuple(making.objective.enum_fields))
    sieve = _Sieve(config, {row.conversation.text for row in own})
    for number, way in enumerate(config.ways):
        drafts = _drafts(way, config.seed + number, parents, making)
        with making.progress.task(f"augment: {way.type}", unit="rows") as task:
            for batch in _batches(drafts):
                for made in _judged(batch, judge):
                    sieve.take(made)
                task.advance(len(batch))
    return Batch(tuple(sieve.kept), dict(sorted(sieve.left.items())))


def parents_of(rows: Iterable[Example]) -> list[Example]:
    """Return the rows that others may be made from, in an order that is theirs alone."""
    found = [
        row
        for row in rows
        if row.target is not None
        and row.conversation.last_user.strip()
        and not is_canary(row)
        and not NO_PARENTS & {*row.provenance.steps}
    ]
    return sorted(found, key=lambda row: (row.content_hash, row.id))


def chosen_counts(
    config: AugmentConfig, objective: Objective, rows: Sequence[Example], most: int | None = None
) -> list[int]:
    """Return how many rows each way would be tried on; for templates, 0. Raises as ``make_rows``
    does, but for what only its writers raise."""
    parents, _ = _checked(config, objective, rows, most)
    counts = []
    for number, way in enumerate(config.ways):
        seed = config.seed + number
        if isinstance(way, Templates):
            counts.append(0)
        elif isinstance(way, Noise):
            counts.append(sum(1 for _ in _noises(way, seed, parents)))
        else:
            counts.append(sum(1 for _ in _chosen(parents, way.share, seed, way.type)))
    return counts


def _checked(
    config: AugmentConfig, objective: Objective, rows: Sequence[Example], most: int | None
) -> tuple[list[Example], list[Example]]:
    """Return the rows to make others from, and all that the filter may learn from."""
    _refuse_task(config, objective)
    own = parents_of(rows)
    if not own:
        raise InputError("training rows to make others from", got="none")
    return own[:most], own


def _refuse_task(config: AugmentConfig, objective: Objective) -> None:
    if not config.ways:
        raise ConfigError(
            "a way to make rows",
            got="none in [data.augment]",
            remedy='add [[data.augment.ways]] with type = "noise", for example',
        )
    if objective.task == "extract":
        raise ConfigError(
            "a task whose targets are not places in the text",
            got='task = "extract": other words would move what is marked',
            remedy="leave [data.augment] out",
        )


class _Sieve:
    """Keeps what may be kept, and counts the rest by reason."""

    def __init__(self, config: AugmentConfig, said: set[str]) -> None:
        self._config, self._said = config, said
        self._per_parent: Counter[str] = Counter()
        self.kept: list[Made] = []
        self.left: Counter[str] = Counter()

    def take(self, made: Made) -> None:
        """Keep a made row, or count why not."""
        reason = self._refused(made)
        if reason is not None:
            self.left[reason] += 1
            return
        self._said.add(made.conversation.text)
        self._per_parent[made.said or ""] += 1
        self.kept.append(made)

    def _refused(self, made: Made) -> str | None:
        if not made.conversation.last_user.strip():
            return "not written"
        if made.conversation.text in self._said:
            return "said already"
        if made.sure < self._config.least_sure:
            return "target in doubt"
        if made.said is not None and self._per_parent[made.said] >= self._config.most_per_parent:
            return "enough of one parent"
        return None


@dataclass(frozen=True, slots=True)
class Draft:
    """A made row before it is judged; ``claim`` None: the target is right by construction."""

    made: Made
    claim: Claim | None


def _drafts(
    way: Noise | Swap | Templates | Way,
    seed: int,
    parents: Sequence[Example],
    making: Making,
) -> Iterator[Draft]:
    match way:
        case Noise():
            return _noises(way, seed, parents)
        case Swap():
            return _swaps(way, seed, parents)
        case Templates():
            made = from_templates(making.root / way.path, making.objective, seed)
            return (Draft(one, None) for one in made)
        case Paraphrase() | BackTranslation():
            return _rewritten(way, seed, parents, making.writers(way))


def _chosen(rows: Sequence[Example], share: float, seed: int, name: str) -> Iterator[Example]:
    for row in rows:
        if _rng(seed, name, row).random() < share:
            yield row


def _rng(seed: int, name: str, row: Example) -> random.Random:
    return random.Random(digest([seed, name, row.content_hash]))


def _noises(way: Noise, seed: int, parents: Sequence[Example]) -> Iterator[Draft]:
    for kind in way.kinds:
        for row in _chosen(parents, way.share / len(way.kinds), seed, kind):
            asked = row.conversation.last_user
            text = noisy(asked, kind, way.rate, _rng(seed, f"{kind} how", row))
            yield _draft(row, f"noise: {kind}", text)


def _swaps(way: Swap, seed: int, parents: Sequence[Example]) -> Iterator[Draft]:
    swapper = Swapper(way.values)
    for row in _chosen(parents, way.share, seed, "swap"):
        found = swapper.swapped(row, _rng(seed, "swap how", row))
        if found is not None:
            asked, target, before = found
            made = child(row, "swap", asked, target)
            yield Draft(made, Claim(before, asked.text, target))


def _rewritten(
    way: Paraphrase | BackTranslation, seed: int, parents: Sequence[Example], rewrite: Rewrite
) -> Iterator[Draft]:
    chosen = list(_chosen(parents, way.share, seed, way.type))
    for start in range(0, len(chosen), BATCH):
        part = chosen[start : start + BATCH]
        texts = rewrite([row.conversation.last_user for row in part])
        for row, text in zip(part, texts, strict=True):
            yield _draft(row, way.type, text)


def _draft(row: Example, way: str, text: str) -> Draft:
    assert row.target is not None  # parents_of sees to it
    made = child(row, way, reworded(row, text), row.target)
    return Draft(made, Claim(row.conversation.text, made.conversation.text, made.target))


def _batches(drafts: Iterable[Draft]) -> Iterator[list[Draft]]:
    rest = iter(drafts)
    while batch := list(islice(rest, BATCH)):
        yield batch


def _judged(batch: Sequence[Draft], judge: LabelFilter) -> list[Made]:
    sure = iter(judge.sure([draft.claim for draft in batch if draft.claim is not None]))
    return [replace(one.made, sure=1.0 if one.claim is None else next(sure)) for one in batch]
