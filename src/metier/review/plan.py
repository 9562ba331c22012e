"""A panel's design before it starts: how many items and raters show a difference of a given size.

    plan = plan_panel(Ask(detect=0.3))
    plan.items, plan.raters, plan.shared_items, plan.hours, plan.usd

A rating is taken apart as generalizability theory does (Brennan 2001, Generalizability Theory;
Shavelson and Webb 1991), candidate c of item i by rater r:

    y = mean + c + i + r + (i x c) + (r x c) + rest

What makes an item hard (i) and a rater severe (r) cancels in the difference of two candidates whose
replies to the same items are rated by the same people. With n items, R ratings of each reply and P
raters in all,

    Var(difference) = 2 (V_ic D / n + V_rc / P + V_rest / (n R)),     D = 1 + (m - 1) ICC

D being the design effect of m items per customer or conversation (Kish 1965, Survey Sampling, 8.2).
The middle term stays however many items there are: it is what the people differ in about the
candidates, and only more people bring it down. Items follow from the usual
((z_a + z_b) sd / difference)^2. Side by side, the share of items on which one is preferred is held
against one half.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Literal

from metier.core.errors import InputError
from metier.scoring.statistics.intervals import NORMAL, z_of
from metier.scoring.statistics.multiplicity import simultaneous_level
from metier.scoring.statistics.power import items_for_mean, items_for_proportion

Mode = Literal["rate", "compare", "timed"]
SHARES = {"item": 0.25, "rater": 0.20, "item_candidate": 0.20, "rater_candidate": 0.01}
"""Parts of a rating's variance that are assumed until a panel was held; the rest is the rest."""
CHOICES = (1, 2, 3, 5)
POOLS = (3, 5, 8, 12)


@dataclass(frozen=True, slots=True)
class Variances:
    """What ratings vary by, in squared points; see the module. ``source`` says where from."""

    item: float
    rater: float
    item_candidate: float
    rater_candidate: float
    rest: float
    source: str

    @classmethod
    def assumed(cls, sd: float) -> Variances:
        """The assumed parts of the variance of ratings that spread by ``sd`` points."""
        parts = {name: share * sd**2 for name, share in SHARES.items()}
        rest = (1 - sum(SHARES.values())) * sd**2
        return cls(**parts, rest=rest, source=f"assumed: a rating spreads by {sd:g} points")

    @classmethod
    def measured(cls, item: float, rater: float, noise: float, source: str) -> Variances:
        """What a panel's model found; it does not tell the parts of its noise apart, so they are
        shared out as is assumed."""
        rest = 1 - sum(SHARES.values())
        whole = SHARES["item_candidate"] + SHARES["rater_candidate"] + rest
        return cls(
            item,
            rater,
            noise * SHARES["item_candidate"] / whole,
            noise * SHARES["rater_candidate"] / whole,
            noise * rest / whole,
            source,
        )


@dataclass(frozen=True, slots=True)
class Ask:
    """What a panel is to show. ``detect`` is the least true difference, in points (compare: in
    the share of preferences, above one half).

    ``per_item`` raters rate each reply, of ``pool`` raters in all; ``comparisons`` differences are
    judged at once. ``cluster_size`` items come from one customer or conversation on average, with
    the correlation ``icc``. ``available`` is how many items there are.
    """

    detect: float = 0.3
    mode: Mode = "rate"
    candidates: int = 2
    per_item: int = 2
    pool: int = 5
    power: float = 0.8
    level: float = 0.95
    comparisons: int = 1
    sd: float = 1.0
    variances: Variances | None = None
    cluster_size: float = 1.0
    icc: float = 0.1
    seconds_per_item: float = 90.0
    usd_per_hour: float = 40.0
    duplicates: float = 0.1
    available: int | None = None

    @property
    def parts(self) -> Variances:
        """What was measured, else what is assumed."""
        return self.variances or Variances.assumed(self.sd)

    @property
    def judged_at(self) -> float:
        """The level of each interval, such that all hold together."""
        return simultaneous_level(self.level, self.comparisons)

    @property
    def per_reply(self) -> int:
        """Things to look at per item: a reply each, or a pair each."""
        return self.candidates if self.mode == "rate" else math.comb(self.candidates, 2)


@dataclass(frozen=True, slots=True)
class Option:
    """One design. ``items`` None: no number of items shows the difference with these raters.

    ``shared_items`` is how many items any two raters have both rated, ``per_rater`` how many
    things each of them looks at, ``answers`` all of them together, hidden duplicates included.
    """

    per_item: int
    raters: int
    items: int | None
    shared_items: int = 0
    per_rater: int = 0
    answers: int = 0
    hours: float = 0.0
    usd: float = 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What to ask for, what else would do, and what all of it rests on."""

    ask: Ask
    chosen: Option
    alternatives: tuple[Option, ...]
    assumptions: tuple[str, ...]
    detectable: float | None = None
    """What the items there are would show, where they are fewer than asked for."""
    warnings: tuple[str, ...] = field(default=())


def plan_panel(ask: Ask) -> Plan:
    """Return the design that ``ask`` describes, with others beside it.

    Raises InputError for a difference or numbers that cannot be meant.
    """
    _check(ask)
    chosen = _option(ask)
    others = [
        _option(replace(ask, per_item=per_item, pool=pool))
        for per_item in CHOICES
        for pool in POOLS
        if per_item <= pool
    ]
    possible = sorted((one for one in others if one.items), key=lambda one: one.hours)
    short = ask.available is not None and (chosen.items or math.inf) > ask.available
    shown = _detectable(ask, ask.available) if short and ask.available else None
    warnings = tuple(_warnings(ask, chosen, shown))
    return Plan(ask, chosen, tuple(possible), _assumptions(ask), shown, warnings)


def difference_sd(ask: Ask, items: int) -> float:
    """The standard error of the difference of two candidates with that many items (rate)."""
    parts = ask.parts
    per_item = parts.item_candidate * _effect(ask) + parts.rest / ask.per_item
    return math.sqrt(2 * (per_item / items + parts.rater_candidate / ask.pool))


def _check(ask: Ask) -> None:
    top = 0.5 if ask.mode == "compare" else 4.0
    if not 0 < ask.detect < top:
        unit = "a share above one half" if ask.mode == "compare" else "points"
        raise InputError(f"a difference between 0 and {top:g} ({unit})", got=f"{ask.detect:g}")
    if ask.per_item > ask.pool:
        raise InputError(
            "at least as many raters as each reply is to have",
            got=f"{ask.pool} raters for {ask.per_item} ratings of each reply",
            remedy="raise --raters or lower --per-item",
        )
    if ask.candidates < 2 or min(ask.per_item, ask.sd, ask.cluster_size) <= 0:
        raise InputError("two candidates or more, and positive numbers", got=str(ask.candidates))


def _effect(ask: Ask) -> float:
    return 1 + (ask.cluster_size - 1) * ask.icc


def _items(ask: Ask) -> int | None:
    return _items_to_prefer(ask) if ask.mode == "compare" else _items_to_rate(ask)


def _items_to_rate(ask: Ask) -> int | None:
    reach = z_of(ask.judged_at) + NORMAL.inv_cdf(ask.power)
    left = (ask.detect / reach) ** 2 - 2 * ask.parts.rater_candidate / ask.pool
    if left <= 0:
        return None
    parts = ask.parts
    sd = math.sqrt(2 * (parts.item_candidate * _effect(ask) + parts.rest / ask.per_item))
    # What the raters' own differences leave of the distance is what items must cover.
    return items_for_mean(0.0, reach * math.sqrt(left), sd, power=ask.power, level=ask.judged_at)


def _items_to_prefer(ask: Ask) -> int:
    answers = items_for_proportion(0.5, 0.5 + ask.detect, power=ask.power, level=ask.judged_at)
    parts = ask.parts
    about_item = parts.item_candidate / (parts.item_candidate + parts.rest)
    worth = ask.per_item / (1 + (ask.per_item - 1) * about_item)
    return math.ceil(answers * _effect(ask) / worth)


def _option(ask: Ask) -> Option:
    items = _items(ask)
    if items is None:
        return Option(ask.per_item, ask.pool, None)
    answers = math.ceil(items * ask.per_reply * (1 + ask.duplicates)) * ask.per_item
    hours = answers * ask.seconds_per_item / 3600
    pairs = ask.pool * (ask.pool - 1)
    shared = items if pairs == 0 else items * ask.per_item * (ask.per_item - 1) / pairs
    return Option(
        ask.per_item,
        ask.pool,
        items,
        round(shared),
        math.ceil(answers / ask.pool),
        answers,
        hours,
        hours * ask.usd_per_hour,
    )


def _detectable(ask: Ask, items: int) -> float | None:
    reach = z_of(ask.judged_at) + NORMAL.inv_cdf(ask.power)
    if ask.mode != "compare":
        return reach * difference_sd(ask, items)
    low, high = 1e-4, 0.4999
    if _items_to_prefer(replace(ask, detect=high)) > items:
        return None
    for _ in range(50):
        middle = (low + high) / 2
        enough = _items_to_prefer(replace(ask, detect=middle)) <= items
        low, high = (low, middle) if enough else (middle, high)
    return high


def _warnings(ask: Ask, chosen: Option, shown: float | None) -> list[str]:
    found = []
    if chosen.items is None:
        least = math.ceil(2 * ask.parts.rater_candidate / _target_variance(ask) + 1e-9)
        found.append(
            f"{ask.pool} raters cannot show {ask.detect:g} however many items there are: "
            f"they differ too much about the candidates; it takes at least {least + 1}"
        )
    elif shown is not None:
        found.append(
            f"there are {ask.available:,} items, {chosen.items:,} are needed; "
            f"with those there are, you would see differences from {shown:.2f}"
        )
    elif ask.available is not None and chosen.items > ask.available:
        found.append(f"there are only {ask.available:,} items, {chosen.items:,} are needed")
    if ask.per_item == 1:
        found.append("one rater per reply: agreement and severity cannot be told from the items")
    return found


def _target_variance(ask: Ask) -> float:
    reach = z_of(ask.judged_at) + NORMAL.inv_cdf(ask.power)
    return (ask.detect / reach) ** 2


def _assumptions(ask: Ask) -> tuple[str, ...]:
    parts = ask.parts
    whole = sum((parts.item, parts.rater, parts.item_candidate, parts.rater_candidate, parts.rest))
    shares = ", ".join(
        f"{name} {value / whole:.0%}"
        for name, value in (
            ("items", parts.item),
            ("rater severity", parts.rater),
            ("item by candidate", parts.item_candidate),
            ("rater by candidate", parts.rater_candidate),
            ("rest", parts.rest),
        )
    )
    unit = f"{ask.detect:g} points" if ask.mode != "compare" else f"{0.5 + ask.detect:.0%} wins"
    return (
        f"a true difference of {unit} is found {ask.power:.0%} of the time, "
        f"on intervals of {ask.judged_at:.1%}",
        f"{ask.comparisons} comparison{'s' if ask.comparisons > 1 else ''} judged at once "
        f"(the level is shared out among them)",
        f"variance of one rating {whole:.2f} ({parts.source}): {shares}",
        "every candidate's replies to the same items, rated by the same people: hard items and "
        "severe raters cancel",
        f"{ask.cluster_size:g} items per customer or conversation, alike by {ask.icc:g}: "
        f"design effect {_effect(ask):.2f}",
        f"{ask.seconds_per_item:g} s per item, {ask.usd_per_hour:g} USD per hour, "
        f"{ask.duplicates:.0%} hidden duplicates",
    )
