"""Many comparisons at once: p-values adjusted, and the level at which intervals hold together.

Among twenty comparisons of equal systems one is expected to look significant at 5%. An adjusted
p-value is read as before (under 0.05: significant), and means it for the whole family:

    holm([0.01, 0.04, 0.03])                # [0.03, 0.06, 0.06]: one false alarm in 20 families
    benjamini_hochberg([0.01, 0.04, 0.03])  # [0.03, 0.04, 0.04]: one false alarm in 20 findings

NaN (no test could be made) stays NaN and does not count.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values that keep the chance of any false alarm among them.

    Holds under any dependence. Source: Holm (1979), Scandinavian Journal of Statistics 6(2).
    """
    order = _ascending(p_values)
    adjusted, most = list(p_values), 0.0
    for rank, index in enumerate(order):
        most = max(most, min(1.0, (len(order) - rank) * p_values[index]))
        adjusted[index] = most
    return adjusted


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Return p-values that keep the share of false alarms among those called significant.

    Holds for independent and positively dependent tests, such as overlapping slices of one test
    set. Source: Benjamini and Hochberg (1995), JRSS B 57(1); Benjamini and Yekutieli (2001),
    Annals of Statistics 29(4).
    """
    order = _ascending(p_values)
    adjusted, least = list(p_values), 1.0
    for rank in range(len(order), 0, -1):
        index = order[rank - 1]
        least = min(least, p_values[index] * len(order) / rank)
        adjusted[index] = least
    return adjusted


def simultaneous_level(level: float, comparisons: int) -> float:
    """Return the level for each of several intervals that all hold together at ``level``.

    Bonferroni: 95% for five together asks 99% of each. Raises ValueError under one comparison.
    """
    if comparisons < 1 or not 0 < level < 1:
        raise ValueError(f"need level in 0..1 and a comparison, got {level} and {comparisons}")
    return 1 - (1 - level) / comparisons


def _ascending(p_values: Sequence[float]) -> list[int]:
    known = [index for index, p in enumerate(p_values) if not math.isnan(p)]
    if any(not 0 <= p_values[index] <= 1 for index in known):
        raise ValueError(f"p-values lie between 0 and 1, got {list(p_values)}")
    return sorted(known, key=lambda index: p_values[index])
