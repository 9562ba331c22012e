"""make_rows: the configured ways over training rows, filtered; and how good the filter is.

Which rows get a variant is drawn by their content, so rows that come later do not change which
of the earlier ones do. Every way yields rows with their parent; what the filter is not sure of, or
what says the same as its parent, is left out and counted.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from metier.core.codec import from_json, to_json
from metier.core.objective import Objective
from metier.core.progress import Progress
from metier.core.types import Conversation, Example, ExampleTarget, Json, digest
from metier.data.augment.config import (
    AugmentConfig,
    BackTranslation,
    Noise,
    Paraphrase,
    Swap,
    Templates,
    Way,
)
from metier.data.augment.keep import LabelFilter
from metier.data.augment.made import AUGMENT, Made, reworded
from metier.data.augment.noise import noisy
from metier.data.augment.rewriting import Rewrite
from metier.data.augment.templates import from_templates
from metier.similarity import exact_key

BATCH = 64
Writers = Callable[[Way], Rewrite]
"""Returns the rewriter of a way that has a model write."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The made rows that may be kept, and how many were left out for which reason."""

    rows: tuple[Made, ...]
    left_out: Mapping[str, int]


def make_rows(
    config: AugmentConfig,
    objective: Objective,
    rows: Sequence[Example],
    root: Path,
    writers: Writers,
    progress: Progress,
) -> Batch:
    """Make rows from training rows in the configured ways.

    ``writers`` is asked for a rewriter only where a way needs a model. Rows that were made before
    are no parents.
    """
    parents = [row for row in rows if AUGMENT not in row.provenance.steps and row.target]
    judge = LabelFilter(parents, tuple(objective.enum_fields))
    kept: list[Made] = []
    left: Counter[str] = Counter()
    seen = {exact_key(row.conversation.text) for row in parents}
    per_parent: Counter[str] = Counter()
    for number, way in enumerate(config.ways):
        drafts = _drafts(way, config.seed + number, objective, parents, root, writers)
        with progress.task(f"augment: {way.type}", unit="rows") as task:
            for batch in _batches(drafts):
                for made in _judged(batch, judge):
                    reason = _refused(made, config, seen, per_parent)
                    if reason:
                        left[reason] += 1
                        continue
                    seen.add(exact_key(made.conversation.text))
                    per_parent[made.parent or ""] += made.parent is not None
                    kept.append(made)
                task.advance(len(batch))
    return Batch(tuple(kept), dict(sorted(left.items())))


Draft = tuple[Example | None, Made]


def _drafts(
    way: Way,
    seed: int,
    objective: Objective,
    parents: Sequence[Example],
    root: Path,
    writers: Writers,
) -> Iterator[Draft]:
    match way:
        case Noise():
            return _noises(way, seed, parents)
        case Swap():
            return _swaps(way, seed, parents)
        case Templates():
            return ((None, made) for made in from_templates(root / way.path, objective, seed))
        case Paraphrase() | BackTranslation():
            return _rewritten(way, seed, parents, writers(way))


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
            if row.target is not None:
                yield row, Made(row.id, f"noise: {kind}", reworded(row, text), row.target, 0.0)


def _swaps(way: Swap, seed: int, parents: Sequence[Example]) -> Iterator[Draft]:
    homes = {value: values for values in way.values.values() for value in values}
    longest_first = sorted(homes, key=len, reverse=True)
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)")
    for row in _chosen(parents, way.share, seed, "swap"):
        found = list(dict.fromkeys(pattern.findall(row.conversation.text)))
        if not found or row.target is None:
            continue
        rng = _rng(seed, "swap how", row)
        other = {one: rng.choice([v for v in homes[one] if v != one]) for one in found}
        asked, target = _swapped(row, row.target, pattern, other)
        yield row, Made(row.id, "swap", asked, target, 0.0)


def _swapped(
    row: Example, wanted: ExampleTarget, pattern: re.Pattern[str], other: Mapping[str, str]
) -> tuple[Conversation, ExampleTarget]:
    def swap(value: Json) -> Json:
        match value:
            case str():
                return pattern.sub(lambda m: other.get(m.group(), m.group()), value)
            case list():
                return [swap(one) for one in value]
            case dict():
                return {k: v if k == "type" else swap(v) for k, v in value.items()}
            case _:
                return value

    messages = [
        replace(one, parts=tuple(from_json(type(p), swap(to_json(p))) for p in one.parts))
        for one in row.conversation.messages
    ]
    target = from_json(type(wanted), swap(to_json(wanted)))
    return Conversation(tuple(messages)), target


def _rewritten(
    way: Paraphrase | BackTranslation, seed: int, parents: Sequence[Example], rewrite: Rewrite
) -> Iterator[Draft]:
    chosen = list(_chosen(parents, way.share, seed, way.type))
    for start in range(0, len(chosen), BATCH):
        part = chosen[start : start + BATCH]
        texts = rewrite([row.conversation.last_user for row in part])
        for row, text in zip(part, texts, strict=True):
            if row.target is not None:
                yield row, Made(row.id, way.type, reworded(row, text), row.target, 0.0)


def _batches(drafts: Iterable[Draft]) -> Iterator[list[Draft]]:
    batch: list[Draft] = []
    for draft in drafts:
        batch.append(draft)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _judged(batch: Sequence[Draft], judge: LabelFilter) -> list[Made]:
    pairs = [(parent, made.conversation.text) for parent, made in batch if parent is not None]
    sure = iter(judge.all_sure(pairs))
    return [replace(made, sure=next(sure)) if parent else made for parent, made in batch]


def _refused(
    made: Made, config: AugmentConfig, seen: set[str], per_parent: Counter[str]
) -> str | None:
    """Say why a made row is left out; None: it is kept."""
    if not made.conversation.last_user.strip():
        return "empty"
    if exact_key(made.conversation.text) in seen:
        return "said already"
    if made.sure < config.least_sure:
        return "target in doubt"
    if made.parent is not None and per_parent[made.parent] >= config.most_per_parent:
        return "enough of one parent"
    return None
