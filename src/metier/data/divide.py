"""Divides the rows that the steps kept: split, known sides, leakage gate.

The test set of an earlier version is sealed: rows that come in later never join it. One that
belongs with a test row (by text or group) goes to quarantine, unless a person restored it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from metier.core.objective import Objective
from metier.core.types import Example
from metier.data.config import DataConfig
from metier.data.duplicates import prompt_key
from metier.data.labels import strata
from metier.data.leakage import Gate, Leak, describe, find_leaks, refuse
from metier.data.pipeline import Dropped, Frame, Outcomes
from metier.data.quarantine import LEAKAGE
from metier.data.split import Sizes, split
from metier.data.spool import filtered

Splits = dict[str, Sequence[Example]]
Restored = Collection[tuple[str, str]]
"""Pairs of step and example id, or content hash (see ``Frame.restored``)."""


@dataclass(frozen=True, slots=True)
class Divided:
    """The rows by split; ``warnings`` says what a person should know of how they got there, and
    ``leaks`` which rows gave way."""

    splits: Splits
    warnings: tuple[str, ...] = ()
    leaks: tuple[Leak, ...] = ()


def divide(
    config: DataConfig,
    objective: Objective,
    outcomes: Outcomes,
    kept: Mapping[str, str],
    frame: Frame,
    gate: Gate | None = None,
) -> Divided:
    """Split what ``outcomes`` kept and let it through the gate; what gives way is among its drops.

    ``kept`` holds the sides of rows that an earlier version had, by id; without ``gate``, the
    splits are only compared with one another.

    Raises:
        InputError: the sizes cannot be had, or the splits leak and [data] leakage is "refuse".
    """
    rows = len(outcomes.examples)
    with frame.progress.task("data: split", total=rows, unit="rows") as task:
        splits = _draw(config, objective, outcomes, kept, frame.restored)
        task.advance(rows)
    said: list[str] = []
    with frame.progress.task("data: leakage", total=rows, unit="rows") as task:
        gate = gate or Gate(config.near_leakage)
        leaks = find_leaks(splits, gate)
        if any(_torn(leak, kept) for leak in leaks):
            kept = {}
            splits = _draw(config, objective, outcomes, kept, frame.restored)
            leaks = find_leaks(splits, gate)
            said.append(
                "the split was drawn anew: rows on two sides of an earlier version now belong "
                "together, so its test set is not this one's"
            )
        way = {leak.yields.id for leak in leaks if _gives_way(leak, kept)}
        if config.leakage == "refuse":
            refuse([leak for leak in leaks if leak.yields.id not in way])
        splits = take_out(splits, leaks, outcomes)
        task.advance(rows)
    if way:
        said.append(
            f"{len(way)} rows belong with measured rows of an earlier version, by text or group: "
            "they are in quarantine"
        )
    return Divided(splits, tuple(said), tuple(leaks))


def _draw(
    config: DataConfig,
    objective: Objective,
    outcomes: Outcomes,
    kept: Mapping[str, str],
    restored: Restored,
) -> Splits:
    examples = outcomes.examples
    closed = tuple(objective.enum_fields)
    states = [
        outcomes.states.get(name) or {} for name in ("near_duplicates", "semantic_duplicates")
    ]
    ties = [pair for state in states for pair in state.get("ties", [])]
    tied = {example_id for pair in ties for example_id in pair}
    places = {one.id: at for at, one in enumerate(examples) if one.id in tied} if tied else {}
    splits = split(
        examples,
        Sizes(_number(config.test), config.validation, config.seed, config.newest),
        lambda example: strata(example, closed),
        prompt_key,
        [(places[a], places[b]) for a, b in ties if a in places and b in places],
        kept,
    )
    late = {
        row.id for row in splits["test"] if _is_late(row, kept) and not _is_restored(row, restored)
    }
    if late:  # they leave the sealed test set; the gate sees whether they may be learned from
        train = late | {row.id for row in splits["train"]}
        splits["test"] = filtered(splits["test"], lambda row: row.id not in late)
        splits["train"] = filtered(examples, lambda row: row.id in train)
    return splits


def _is_late(row: Example, kept: Mapping[str, str]) -> bool:
    """Whether a test set was sealed before this row came."""
    return row.split is None and row.id not in kept and "test" in kept.values()


def _is_restored(row: Example, restored: Restored) -> bool:
    return any(key in (row.id, row.content_hash) for _, key in restored)


def _torn(leak: Leak, kept: Mapping[str, str]) -> bool:
    """Whether rows that were apart may not be apart any more: settings have changed."""
    return leak.kind not in ("near", "semantic") and _were_both_here(leak, kept)


def _gives_way(leak: Leak, kept: Mapping[str, str]) -> bool:
    """Whether the row goes without refusing the build, for the sake of the sealed test set."""
    if leak.version is not None:  # no source says that it is for training
        return leak.yields.split is None
    return _is_late(leak.yields, kept) or _were_both_here(leak, kept)


def _were_both_here(leak: Leak, kept: Mapping[str, str]) -> bool:
    rows = (leak.taints, leak.yields)
    return leak.version is None and all(row.split is None and row.id in kept for row in rows)


def take_out(splits: Splits, leaks: Sequence[Leak], outcomes: Outcomes) -> Splits:
    """Return the splits without the rows that give way, which become drops."""
    if not leaks:
        return splits
    gone = {leak.yields.id for leak in leaks}
    outcomes.drops.extend(leaked(leak) for leak in leaks)
    outcomes.examples = filtered(outcomes.examples, lambda one: one.id not in gone)
    return {name: filtered(rows, lambda one: one.id not in gone) for name, rows in splits.items()}


def leaked(leak: Leak) -> Dropped:
    """Return the row that gives way as a drop of the leakage gate."""
    evidence = {"what": describe(leak), "kept": leak.taints.id, "similarity": leak.similarity}
    return Dropped(LEAKAGE, leak.yields, f"{leak.kind}_leak", evidence)


def _number(size: int | float | str) -> int | float:
    assert not isinstance(size, str)  # build() has put the planned number there
    return size
