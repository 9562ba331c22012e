"""How many test items a number needs, before any is labelled.

A target passes when the *lower* end of its interval reaches it, so the observed value must be
better than the target by the interval's arm, and the true value better still if that is to happen
most of the time. For a proportion the gate is Wilson's interval, the inverse of the score test, so
the textbook formula for the one-sample test is the gate's own:

    n = ((z_a sqrt(p0 q0) + z_b sqrt(p1 q1)) / (p1 - p0))^2

with p0 the target, p1 the assumed true value, z_a of the two-sided level and z_b of the power
(Fleiss, Levin, Paik 2003, Statistical Methods for Rates and Proportions, eq. (2.11) without
continuity correction). For a mean both roots are the standard deviation.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from metier.core.types import Estimate
from metier.scoring.statistics.intervals import NORMAL, wilson, z_of

_POWER, _LEVEL = 0.8, 0.95


def items_for_proportion(
    target: float, assumed: float, *, power: float = _POWER, level: float = _LEVEL
) -> int:
    """Return the items at which the gate passes with probability ``power``.

    ``assumed`` above ``target`` plans a lower-bound gate, below it an upper-bound gate. Raises
    ValueError when they are equal (no number of items is enough) or outside 0..1.
    """
    if not (0 <= target <= 1 and 0 <= assumed <= 1) or target == assumed:
        raise ValueError(f"need two different shares, got target {target} and assumed {assumed}")
    arms = z_of(level) * _spread(target) + NORMAL.inv_cdf(power) * _spread(assumed)
    return max(1, math.ceil((arms / (assumed - target)) ** 2 - 1e-9))


def _spread(share: float) -> float:
    return math.sqrt(share * (1 - share))


def items_for_mean(
    target: float, assumed: float, sd: float, *, power: float = _POWER, level: float = _LEVEL
) -> int:
    """Return the items at which the gate on a mean passes with probability ``power``.

    ``sd`` is the standard deviation between items (between clusters: count clusters).
    """
    if target == assumed or sd <= 0:
        raise ValueError(f"need a difference and sd > 0, got {target}, {assumed}, sd {sd}")
    reach = z_of(level) + NORMAL.inv_cdf(power)
    return max(2, math.ceil((reach * sd / (assumed - target)) ** 2 - 1e-9))


def observed_for_proportion(
    target: float, n: int, *, at_least: bool = True, level: float = _LEVEL
) -> float | None:
    """Return the least observed share of ``n`` items that passes; None when even all (or none) of
    them would not.

    ``at_least`` False: the largest observed share whose upper end stays at or under ``target``.
    """
    if not at_least:
        mirrored = observed_for_proportion(1 - target, n, level=level)
        return None if mirrored is None else 1 - mirrored
    z = z_of(level)
    guess = math.floor(n * (target + z * _spread(target) / math.sqrt(n))) - 1
    for k in range(max(0, guess), n + 1):
        if wilson(k, n, level)[0] >= target:
            return k / n
    return None


def observed_for_mean(
    target: float, n: int, sd: float, *, at_least: bool = True, level: float = _LEVEL
) -> float:
    """Return the observed mean of ``n`` items that just passes."""
    arm = z_of(level) * sd / math.sqrt(n)
    return target + arm if at_least else target - arm


def detectable_proportion(
    value: float, n: int, *, power: float = _POWER, level: float = _LEVEL
) -> float | None:
    """Return the least increase over ``value`` that ``n`` items show with ``power``.

    None when even a perfect score would not. Solved from the formula above.
    """
    low, high = value + 1e-9, 1.0
    if items_for_proportion(value, high, power=power, level=level) > n:
        return None
    for _ in range(60):
        middle = (low + high) / 2
        enough = items_for_proportion(value, middle, power=power, level=level) <= n
        low, high = (low, middle) if enough else (middle, high)
    return high - value


def detectable_mean(sd: float, n: int, *, power: float = _POWER, level: float = _LEVEL) -> float:
    """Return the least change of a mean that ``n`` items show with ``power``."""
    return (z_of(level) + NORMAL.inv_cdf(power)) * sd / math.sqrt(n)


def detectable(estimate: Estimate, *, power: float = _POWER) -> float | None:
    """Return the least true distance from a bound that these items show with ``power``.

    (z_a + z_b) standard errors, at the estimate's level and with the error its interval implies,
    so it serves any metric and any paired difference. None without an interval.
    """
    arm = (estimate.high - estimate.low) / 2
    if not math.isfinite(arm) or arm <= 0:
        return None
    z = z_of(estimate.level)
    return (z + NORMAL.inv_cdf(power)) * arm / z


def items_for_paired(
    difference: float, discordant: float, *, power: float = _POWER, level: float = _LEVEL
) -> int:
    """Return the items that show a paired ``difference`` of two proportions.

    ``discordant`` is the share of items that exactly one of the two gets right. Source: Connor
    (1987), Biometrics 43(1), for McNemar's test.
    """
    gap = abs(difference)
    if not 0 < gap <= discordant <= 1:
        raise ValueError(f"need 0 < |difference| <= discordant <= 1, got {gap}, {discordant}")
    reach = z_of(level) * math.sqrt(discordant)
    reach += NORMAL.inv_cdf(power) * math.sqrt(discordant - gap**2)
    return math.ceil((reach / gap) ** 2 - 1e-9)


def independent_discordance(a: float, b: float) -> float:
    """Return the share of items exactly one of two gets right if their errors are independent.

    Systems on the same items usually share their errors, so the true share is lower.
    """
    return a * (1 - b) + b * (1 - a)


def detectable_paired(
    discordant: float, n: int, *, power: float = _POWER, level: float = _LEVEL
) -> float | None:
    """Return the least paired difference of two proportions that ``n`` items show."""
    low, high = 1e-9, discordant
    if items_for_paired(high, discordant, power=power, level=level) > n:
        return None
    for _ in range(60):
        middle = (low + high) / 2
        enough = items_for_paired(middle, discordant, power=power, level=level) <= n
        low, high = (low, middle) if enough else (middle, high)
    return high


def effective_items(class_counts: Iterable[int]) -> float:
    """Return how many items of equally frequent classes a macro average is worth.

    The mean of K class values, each with variance v / n_k, has variance v / K^2 sum(1 / n_k), that
    of K^2 / sum(1 / n_k) items: K times the harmonic mean of the counts, at most their sum.
    """
    counts = [count for count in class_counts if count > 0]
    return len(counts) ** 2 / sum(1 / count for count in counts) if counts else 0.0


def expert_hours(items: int, labels_per_item: int, seconds_per_label: float) -> float:
    """Return the expert hours that labelling takes."""
    return items * labels_per_item * seconds_per_label / 3600
