"""Evens out training rows, after the split: validation and test stay as the world is.

    oversample    rows of rare parts come again, up to ``cap`` times in all
    undersample   rows of frequent parts are left out, down to 1/``cap`` of them
    weight        the loss of rows in rare parts weighs more, up to ``cap``

The aim is as many rows (or as much weight) for every part; the cap says how far towards it. A copy
has an id of its own and its parent's; which rows come again or go is drawn by their content, so
the same rows give the same result in any order.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from metier.core.errors import InputError, nearest
from metier.core.records import LOSS_WEIGHT
from metier.core.types import Example, Json, digest
from metier.data.labels import strata
from metier.data.quality.config import RebalanceConfig

REBALANCE = "rebalance"
Splits = Mapping[str, Sequence[Example]]


@dataclass(frozen=True, slots=True)
class Evened:
    """Training rows after rebalancing, and what was done, for the data card."""

    rows: list[Example]
    account: dict[str, Json]


def rebalance(
    config: RebalanceConfig, rows: Sequence[Example], closed: Sequence[str] = ()
) -> Evened:
    """Return training rows in better proportion; ``closed`` names the closed fields.

    A row with several labels belongs to its rarest. Raises InputError when no row has what is to
    be evened out.
    """
    parts = _parts(config, rows, closed)
    sizes = Counter(part for part in parts if part is not None)
    if len(sizes) < 2:
        raise _nothing(config, rows, sizes)
    factors = _factors(config, sizes)
    made = [
        one
        for row, part in zip(rows, parts, strict=True)
        for one in _times(config, row, 1.0 if part is None else factors[part])
    ]
    after = Counter(part for part in _parts(config, made, closed) if part is not None)
    weighed = {
        part: round(count * factors[part], 1) if config.method == "weight" else count
        for part, count in after.items()
    }
    return Evened(made, _account(config, len(rows), len(made), sizes, weighed))


def even_out(
    config: RebalanceConfig | str, splits: Splits, closed: Sequence[str]
) -> tuple[dict[str, Sequence[Example]], dict[str, Json] | None]:
    """Return the splits with train evened out, and the account; as they are where it is off."""
    found = dict(splits)
    if not isinstance(config, RebalanceConfig) or not splits.get("train"):
        return found, None
    evened = rebalance(config, splits["train"], closed)
    return {**found, "train": evened.rows}, evened.account


def is_copy(example: Example) -> bool:
    """Say whether a row is a copy that rebalancing made."""
    return REBALANCE in example.provenance.steps


def _parts(
    config: RebalanceConfig, rows: Sequence[Example], closed: Sequence[str]
) -> list[str | None]:
    if config.by != "label":
        return [row.slices.get(config.by) for row in rows]
    names = [strata(row, closed) for row in rows]
    counts = Counter(name for found in names for name in found)
    return [min(found, key=lambda n: (counts[n], n)) if found else None for found in names]


def _factors(config: RebalanceConfig, sizes: Mapping[str, int]) -> dict[str, float]:
    """Return how many times the rows of a part should count, within the cap."""
    if config.method == "undersample":
        least = min(sizes.values())
        return {part: max(least / size, 1 / config.cap) for part, size in sizes.items()}
    most = max(sizes.values())
    return {part: min(most / size, config.cap) for part, size in sizes.items()}


def _times(config: RebalanceConfig, row: Example, factor: float) -> list[Example]:
    """Return a row as often as its factor says; of the fraction, a share drawn by content."""
    if config.method == "weight":
        if factor == 1.0:
            return [row]
        return [replace(row, slices={**row.slices, LOSS_WEIGHT: f"{factor:.4g}"})]
    whole = math.floor(factor + 1e-9)
    count = whole + (_lot(row) < factor - whole - 1e-9)
    copies = [_copy(row, number) for number in range(1, count)]
    return [row, *copies] if count else []


def _lot(row: Example) -> float:
    """Return a number in [0, 1) that hangs on the row's content alone."""
    return int(digest([REBALANCE, row.content_hash])[:13], 16) / 16**13


def _copy(row: Example, number: int) -> Example:
    where = replace(row.provenance, parent=row.id, steps=(*row.provenance.steps, REBALANCE))
    return replace(row, id=Example.make_id(REBALANCE, f"{row.id}#{number}"), provenance=where)


def _account(
    config: RebalanceConfig,
    rows: int,
    made: int,
    before: Mapping[str, int],
    after: Mapping[str, float],
) -> dict[str, Json]:
    """Return parts and their gap before and after, for the card."""
    return {
        "by": config.by,
        "method": config.method,
        "cap": config.cap,
        "rows": {"before": rows, "after": made},
        "parts": {part: [before[part], after.get(part, 0)] for part in sorted(before)},
        "gap": {"before": _gap(before), "after": _gap(after)},
    }


def _gap(sizes: Mapping[str, float]) -> float:
    """Return how many times the largest part is as large as the smallest."""
    return round(max(sizes.values()) / max(min(sizes.values()), 1e-9), 3)


def _nothing(
    config: RebalanceConfig, rows: Sequence[Example], sizes: Mapping[str, int]
) -> InputError:
    known = sorted({key for row in rows for key in row.slices})
    remedy = "name another slice, or take [data.rebalance] out"
    if config.by != "label" and config.by not in known and known:
        remedy = nearest(config.by, ["label", *known])
    return InputError(
        f"two parts or more to even out by {config.by!r}",
        got=f"{len(sizes)} among {len(rows)} training rows",
        remedy=remedy,
    )
