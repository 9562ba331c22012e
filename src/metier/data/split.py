"""Splits rows so that nothing that belongs together is separated.

Rows that share a group or a text, or that are tied as near duplicates, form one *unit*, and a unit
goes to one split as a whole. Units are drawn in the order of a seeded hash of their content, rarest
stratum first (iterative stratification: Sechidis et al. 2011, doi:10.1007/978-3-642-23808-6_10),
so the result depends on the rows and the seed, not on their order in the file.
"""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from metier.core.errors import InputError
from metier.core.types import SPLITS, Example
from metier.data.spool import Picked
from metier.data.units import FREE, RANK, Places, Units, gather


@dataclass(frozen=True, slots=True)
class Sizes:
    """Rows wanted in test and validation: a count (int), or a fraction of the rows to split."""

    test: int | float
    validation: int | float
    seed: int = 0
    newest: str = ""
    """The slice that says when a row came to be: the newest units are measured; "": drawn."""


def split(
    examples: Sequence[Example],
    sizes: Sizes,
    strata: Callable[[Example], Sequence[str]],
    key: Callable[[Example], str],
    ties: Iterable[tuple[int, int]] = (),
    kept: Mapping[str, str] | None = None,
) -> dict[str, Sequence[Example]]:
    """Return the examples by split, in the order they came.

    Args:
        examples: rows to split; one whose ``split`` is set keeps it, and units follow their
            members (test before validation before train).
        sizes: rows wanted; a shipped split of that name replaces the wish.
        strata: what to keep in proportion; every stratum of three units or more gets a row in
            test where the size allows, and none loses its last training unit.
        key: what rows of one text share.
        ties: pairs of positions that must not be separated.
        kept: sides of some examples by id, which count like shipped ones.

    Raises:
        InputError: the sizes leave no rows to train on, or there are none to draw from.
    """
    sides = (kept or {}).get
    units = gather(examples, sizes.seed, strata, key, ties, lambda row: sides(row.id, row.split))
    drawn = {name: np.flatnonzero(units.shipped == rank) for name, rank in RANK.items()}
    pool = np.flatnonzero(units.shipped == FREE)
    newest = times_of(examples, units, sizes.newest) if sizes.newest else None
    # Fractions are of the same rows for both: 0.2 and 0.1 leave 0.7.
    free = units.rows_in(pool)
    if not len(drawn["test"]):
        drawn["test"], pool = _carved(units, pool, _wanted("test", sizes.test, free, free), newest)
    pool = np.concatenate([pool, drawn["train"]])
    if not len(drawn["validation"]):
        of, available = free + units.rows_in(drawn["train"]), units.rows_in(pool)
        wanted = _wanted("validation", sizes.validation, of, available)
        drawn["validation"], pool = _carved(units, pool, wanted, newest)
    drawn["train"] = pool
    return _placed(examples, units, drawn)


def _placed(
    examples: Sequence[Example], units: Units, drawn: Mapping[str, Places]
) -> dict[str, Sequence[Example]]:
    of_unit = np.empty(len(units.shipped), np.int8)
    for name, found in drawn.items():
        of_unit[found] = RANK[name]
    side = np.empty(len(units.rows), np.int8)
    side[units.rows] = np.repeat(of_unit, units.sizes)
    # What a source put elsewhere than its unit stays there; the leakage gate sees it.
    is_bound = np.empty(len(units.rows), dtype=bool)
    measured = (units.shipped == RANK["test"]) | (units.shipped == RANK["validation"])
    is_bound[units.rows] = np.repeat(measured, units.sizes)
    stays = is_bound & (units.row_shipped != FREE)
    side[stays] = units.row_shipped[stays]
    return {name: Picked(examples, np.flatnonzero(side == RANK[name])) for name in SPLITS}


def _wanted(name: str, size: int | float, of: int, available: int) -> int:
    """Return the number of rows a size asks for; ``of`` is what a fraction is of."""
    if not size:
        return 0
    wanted = size if isinstance(size, int) else max(1, round(size * of))
    if wanted >= available:
        raise InputError(
            f"enough rows to draw {name} from and still train on some",
            got=f"{name} = {size}, and {available} rows that no source has put in a split",
            remedy=f"set a smaller [data] {name}, 0 for none, or add a source with "
            f'split = "{name}"',
        )
    return wanted


def times_of(examples: Sequence[Example], units: Units, name: str) -> NDArray[np.float64]:
    """Return when the newest row of each unit came to be, in seconds or in the slice's numbers.

    A unit none of whose rows says so is older than all others. Raises InputError for a value that
    is neither an ISO 8601 date nor a number, or where no row has the slice.
    """
    moments = np.fromiter((_moment(one, name) for one in examples), np.float64, len(examples))
    if not np.isfinite(moments).any():
        raise InputError(
            f"rows with the slice {name!r} ([data] newest)",
            got="none",
            remedy=f"add {name!r} to slices of the sources, or take newest out",
        )
    starts = np.concatenate([[0], np.cumsum(units.sizes)[:-1]]).astype(np.int64)
    return np.maximum.reduceat(moments[units.rows], starts)


def _moment(example: Example, name: str) -> float:
    said = example.slices.get(name, "").strip()
    if not said:
        return -np.inf
    try:
        return float(said)
    except ValueError:
        pass
    try:
        found = datetime.fromisoformat(said)
    except ValueError as error:
        raise InputError(
            f"a date such as 2026-03-01 (ISO 8601) or a number in {name!r}",
            got=f"{said!r} ({example.provenance.source}:{example.provenance.locator})",
            remedy="write the dates so in the source, or name another column in [data] newest",
        ) from error
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _carved(
    units: Units, pool: Places, wanted: int, newest: NDArray[np.float64] | None
) -> tuple[Places, Places]:
    """Draw as ``carve`` does, or take the newest units, as many as fit (at least one)."""
    if newest is None or not wanted:
        return carve(units, pool, wanted)
    latest_first = np.argsort(-newest[pool], kind="stable")
    fits = np.cumsum(units.sizes[pool][latest_first]) <= wanted
    taken = np.zeros(len(pool), dtype=bool)
    taken[latest_first[: max(1, int(fits.sum()))]] = True
    return pool[taken], pool[~taken]


def carve(units: Units, pool: Places, wanted: int) -> tuple[Places, Places]:
    """Draw about ``wanted`` rows of the units in ``pool``, never more unless one is larger.

    Returns (drawn, left), each in the order of ``pool``.
    """
    draw = _Draw(units, pool, wanted)
    for stratum in sorted(draw.total, key=lambda one: (draw.total[one], units.names[one])):
        draw.fill(stratum)
    draw.top_up()
    if wanted and not draw.taken.any() and len(pool) > 1:
        draw.taken[int(np.argmin(units.sizes[pool]))] = True
    return pool[draw.taken], pool[~draw.taken]


class _Draw:
    """The state of one draw: what each stratum still wants, and what it would leave behind."""

    def __init__(self, units: Units, pool: Places, wanted: int) -> None:
        self.units, self.pool, self.room = units, pool, wanted
        self.sizes = units.sizes[pool]
        self.taken = np.zeros(len(pool), dtype=bool)
        self.by_stratum: dict[int, array[int]] = defaultdict(lambda: array("q"))
        self.total: Counter[int] = Counter()
        for at in range(len(pool)):
            for stratum, rows in self._strata(at):
                self.by_stratum[stratum].append(at)
                self.total[stratum] += rows
        self.left = {stratum: len(found) for stratum, found in self.by_stratum.items()}
        names = units.names
        named = {names[one]: rows for one, rows in self.total.items()}
        left = {names[one]: count for one, count in self.left.items()}
        quota = quotas(named, left, wanted, int(self.sizes.sum()))
        self.quota = {one: quota[names[one]] for one in self.total} if quota else {}

    def _strata(self, at: int) -> list[tuple[int, int]]:
        return self.units.strata_of(int(self.pool[at]))

    def fill(self, stratum: int) -> None:
        for at in self.by_stratum[stratum]:
            if self.quota[stratum] <= 0 or self.room <= 0:
                return
            self.take(at)

    def top_up(self) -> None:
        """Use the room that rounding and large units left."""
        for at in range(len(self.pool)):
            if self.room <= 0:
                return
            self.take(at)

    def take(self, at: int) -> None:
        size = int(self.sizes[at])
        if self.taken[at] or size > self.room:
            return
        strata = self._strata(at)
        if any(self.left[stratum] <= 1 for stratum, _ in strata):  # it would spend the last
            return
        self.taken[at] = True
        self.room -= size
        for stratum, rows in strata:
            self.left[stratum] -= 1
            self.quota[stratum] -= rows


def quotas(
    rows: Mapping[str, int], units: Mapping[str, int], wanted: int, of: int
) -> dict[str, int]:
    """Share ``wanted`` rows among strata in proportion, largest remainder first.

    Strata of three units or more get at least one row while there is room.
    """
    if not of:
        return {}
    exact = {name: count * wanted / of for name, count in rows.items()}
    floor = {n: max(int(x), 1 if units[n] >= 3 else 0) for n, x in exact.items()}
    spare = round(sum(exact.values())) - sum(floor.values())
    for name in sorted(exact, key=lambda n: (floor[n] - exact[n], n)):
        if spare <= 0:
            break
        floor[name] += 1
        spare -= 1
    return floor
