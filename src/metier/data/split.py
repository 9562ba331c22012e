"""Splits rows so that nothing that belongs together is separated.

Rows that share a group or a text, or that are tied as near duplicates, form one *unit*, and a unit
goes to one split as a whole. Units are drawn in the order of a seeded hash of their content, rarest
stratum first (iterative stratification: Sechidis et al. 2011, doi:10.1007/978-3-642-23808-6_10),
so the result depends on the rows and the seed, not on their order in the file.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from metier.core.errors import InputError
from metier.core.types import SPLITS, Example, digest

RANK = {"test": 0, "validation": 1, "train": 2}


@dataclass(frozen=True, slots=True)
class Sizes:
    """Rows wanted in test and validation: a count (int), or a fraction of the rows to split."""

    test: int | float
    validation: int | float
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Unit:
    """Rows that stay together. ``order`` is the seeded place in the draw."""

    order: str
    members: tuple[int, ...]
    strata: Mapping[str, int]
    shipped: str | None

    @property
    def size(self) -> int:
        """Rows in the unit."""
        return len(self.members)


def split(
    examples: Sequence[Example],
    sizes: Sizes,
    strata: Callable[[Example], Sequence[str]],
    keys: Sequence[str],
    ties: Iterable[tuple[int, int]] = (),
    kept: Mapping[str, str] | None = None,
) -> dict[str, list[Example]]:
    """Return the examples by split, in the order they came.

    Args:
        examples: rows to split; one whose ``split`` is set keeps it, and units follow their
            members (test before validation before train).
        sizes: rows wanted; a shipped split of that name replaces the wish.
        strata: what to keep in proportion; every stratum of three units or more gets a row in
            test where the size allows, and none loses its last training unit.
        keys: for each example, the key that rows of one text share.
        ties: pairs of positions that must not be separated.
        kept: sides of some examples by id, which count like shipped ones.

    Raises:
        InputError: the sizes leave no rows to train on, or there are none to draw from.
    """
    shipped = [(kept or {}).get(example.id, example.split) for example in examples]
    units = make_units(examples, sizes.seed, strata, keys, ties, shipped)
    sides = {name: [u for u in units if u.shipped == name] for name in SPLITS}
    pool = [unit for unit in units if unit.shipped is None]
    # Fractions are of the same rows for both: 0.2 and 0.1 leave 0.7.
    free = _rows_in(pool)
    if not sides["test"]:
        sides["test"], pool = carve(pool, _wanted("test", sizes.test, free, free))
    pool += sides["train"]
    if not sides["validation"]:
        wanted = _wanted(
            "validation", sizes.validation, free + _rows_in(sides["train"]), _rows_in(pool)
        )
        sides["validation"], pool = carve(pool, wanted)
    sides["train"] = pool
    return _placed(examples, sides, shipped)


def _rows_in(units: Iterable[Unit]) -> int:
    return sum(unit.size for unit in units)


def _placed(
    examples: Sequence[Example],
    sides: Mapping[str, Sequence[Unit]],
    shipped: Sequence[str | None],
) -> dict[str, list[Example]]:
    placed: dict[int, str] = {}
    for name, units in sides.items():
        for unit in units:
            # What a source put elsewhere than its unit stays there; the leakage gate sees it.
            bound = unit.shipped in ("test", "validation")
            for at in unit.members:
                placed[at] = (shipped[at] if bound else None) or name
    rows: dict[str, list[Example]] = {name: [] for name in SPLITS}
    for at, example in enumerate(examples):
        rows[placed[at]].append(example)
    return rows


def make_units(
    examples: Sequence[Example],
    seed: int,
    strata: Callable[[Example], Sequence[str]],
    keys: Sequence[str],
    ties: Iterable[tuple[int, int]],
    shipped: Sequence[str | None],
) -> list[Unit]:
    """Join rows of one group, one text key or one tie; return the units in drawing order.

    ``shipped`` holds the side each row is bound to, None where it is free.
    """
    parent = list(range(len(examples)))

    def root(at: int) -> int:
        while parent[at] != at:
            parent[at] = parent[parent[at]]
            at = parent[at]
        return at

    first: dict[tuple[str, str], int] = {}
    for at, (example, key) in enumerate(zip(examples, keys, strict=True)):
        joins = [("text", key)] + ([("group", example.group)] if example.group is not None else [])
        for join in joins:
            parent[root(at)] = root(first.setdefault(join, at))
    for a, b in ties:
        parent[root(a)] = root(b)
    members: dict[int, list[int]] = defaultdict(list)
    for at in range(len(examples)):
        members[root(at)].append(at)
    units = []
    for rows in members.values():
        bound = [side for side in (shipped[i] for i in rows) if side is not None]
        units.append(_unit([examples[i] for i in rows], rows, seed, strata, bound))
    return sorted(units, key=lambda unit: unit.order)


def _unit(
    rows: Sequence[Example],
    members: Sequence[int],
    seed: int,
    strata: Callable[[Example], Sequence[str]],
    shipped: Sequence[str],
) -> Unit:
    # A group is drawn by its name, so it keeps its side when it gains rows.
    marks = sorted({row.content_hash if row.group is None else row.group for row in rows})
    return Unit(
        order=digest([seed, marks]),
        members=tuple(members),
        strata=Counter(name for row in rows for name in strata(row)),
        shipped=min(shipped, key=lambda name: RANK[name]) if shipped else None,
    )


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


def carve(units: Sequence[Unit], wanted: int) -> tuple[list[Unit], list[Unit]]:
    """Draw about ``wanted`` rows of ``units``, never more unless one unit is larger than that.

    Returns (drawn, left), each in the order of ``units``.
    """
    draw = _Draw(units, wanted)
    for stratum in sorted(draw.total, key=lambda name: (draw.total[name], name)):
        draw.fill(stratum)
    draw.top_up()
    taken = draw.taken
    if wanted and not taken and len(units) > 1:
        taken = {min(range(len(units)), key=lambda at: (units[at].size, at))}
    return (
        [unit for at, unit in enumerate(units) if at in taken],
        [unit for at, unit in enumerate(units) if at not in taken],
    )


class _Draw:
    """The state of one draw: what each stratum still wants, and what it would leave behind."""

    def __init__(self, units: Sequence[Unit], wanted: int) -> None:
        self.units, self.room = units, wanted
        self.taken: set[int] = set()
        self.by_stratum: dict[str, list[int]] = defaultdict(list)
        self.total: Counter[str] = Counter()
        for at, unit in enumerate(units):
            for stratum, rows in unit.strata.items():
                self.by_stratum[stratum].append(at)
                self.total[stratum] += rows
        self.left = {stratum: len(found) for stratum, found in self.by_stratum.items()}
        self.quota = quotas(self.total, self.left, wanted, sum(unit.size for unit in units))

    def fill(self, stratum: str) -> None:
        for at in self.by_stratum[stratum]:
            if self.quota[stratum] <= 0 or self.room <= 0:
                return
            self.take(at)

    def top_up(self) -> None:
        """Use the room that rounding and large units left."""
        for at in range(len(self.units)):
            if self.room <= 0:
                return
            self.take(at)

    def take(self, at: int) -> None:
        unit = self.units[at]
        spends_last = any(self.left[stratum] <= 1 for stratum in unit.strata)
        if at in self.taken or unit.size > self.room or spends_last:
            return
        self.taken.add(at)
        self.room -= unit.size
        for stratum, rows in unit.strata.items():
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
