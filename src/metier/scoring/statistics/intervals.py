"""Intervals and tests that need no resampling: Wilson, cluster-robust t, McNemar, binomial.

They take plain numbers and use ``statistics.NormalDist``; scipy is imported only where a t or
binomial distribution is needed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import NormalDist

from metier.core.types import Estimate

NORMAL = NormalDist()


def z_of(level: float) -> float:
    """Return the two-sided normal quantile, e.g. 1.96 for level 0.95."""
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level}")
    return NORMAL.inv_cdf((1 + level) / 2)


def percent(level: float) -> str:
    """Write a level, e.g. ``95%`` or ``98.33%``."""
    return f"{100 * level:.4g}%"


def wilson(successes: float, n: float, level: float = 0.95) -> tuple[float, float]:
    """Return Wilson's score interval for a proportion.

    ``n`` may be an effective (fractional) sample size. Source: E. B. Wilson (1927), JASA 22;
    formula as in Brown, Cai, DasGupta (2001), Statistical Science 16(2), eq. (4).
    """
    if n <= 0 or not 0 <= successes <= n:
        raise ValueError(f"need 0 <= successes <= n and n > 0, got {successes} of {n}")
    z2 = z_of(level) ** 2
    share = successes / n
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = math.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return low, high


def effective_n(sums: Sequence[float], sizes: Sequence[float], level: float = 0.95) -> float:
    """Return how many independent items a clustered yes/no sample is worth.

    ``sums`` are successes and ``sizes`` items per cluster. n / design effect, at most n, times
    (t_{n-1} / t_{C-1})^2 for few clusters. Source: Korn and Graubard (1998), Survey Methodology
    24(2); recommended with Wilson's interval by Franco, Little, Louis, Slud (2019), J. Survey
    Statistics and Methodology 7(3). Without variation between clusters the design effect cannot be
    seen: then the clusters count as the items.
    """
    n, count = sum(sizes), len(sizes)
    if all(size == 1 for size in sizes):
        return n
    if count < 2:
        return 1.0
    share = sum(sums) / n
    binomial = share * (1 - share) / n
    residuals = (total - share * size for total, size in zip(sums, sizes, strict=True))
    clustered = count / (count - 1) * sum(r * r for r in residuals) / n**2
    if binomial == 0 or clustered == 0:
        return float(count)
    worth = n * min(1.0, binomial / clustered)
    shrink = (t_quantile(level, n - 1) / t_quantile(level, count - 1)) ** 2
    return max(1.0, worth * shrink)


def t_quantile(level: float, degrees: float) -> float:
    """Return the two-sided Student t quantile, e.g. 2.262 for level 0.95 and 9 degrees."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, (1 + level) / 2))


def t_tail(t: float, degrees: float) -> float:
    """Return the two-sided p-value of a t statistic."""
    from scipy.special import stdtr

    return 2 * float(stdtr(degrees, -abs(t)))


def cluster_t(
    sums: Sequence[float], sizes: Sequence[float], level: float = 0.95
) -> tuple[float, float, float]:
    """Return mean, low, high of items in clusters, by the cluster-robust t interval.

    ``sums`` are the totals and ``sizes`` the item counts per cluster; C - 1 degrees of freedom.
    Source: linearised variance of a ratio, Cochran, Sampling Techniques (1977), eq. (6.13); the
    clustered standard error of Miller (2024), arXiv 2411.00640, section 2.2, with the C/(C-1)
    factor.
    """
    n, count = sum(sizes), len(sizes)
    if n <= 0:
        raise ValueError("need at least one item")
    mean = sum(sums) / n
    if count < 2:
        return mean, math.nan, math.nan
    residuals = (total - mean * size for total, size in zip(sums, sizes, strict=True))
    variance = count / (count - 1) * sum(r * r for r in residuals) / n**2
    half = t_quantile(level, count - 1) * math.sqrt(variance)
    return mean, mean - half, mean + half


def clustered_error(values: Sequence[float], clusters: Sequence[str]) -> float:
    """Return the standard error of the mean of items in clusters.

    sqrt(SE_CLT^2 + 1/n^2 sum over clusters of sum_{i != j} (s_i - mean)(s_j - mean)), where
    SE_CLT^2 = sum (s_i - mean)^2 / n^2. Source: Miller (2024), arXiv 2411.00640, section 2.2.
    ``cluster_t`` is this times C / (C - 1), with t quantiles.
    """
    n = len(values)
    if n == 0 or len(clusters) != n:
        raise ValueError(f"need one cluster per value, got {n} values, {len(clusters)} clusters")
    mean = math.fsum(values) / n
    totals: dict[str, float] = {}
    for value, cluster in zip(values, clusters, strict=True):
        totals[cluster] = totals.get(cluster, 0.0) + value - mean
    # The cross terms and the squares of a cluster together are the square of its sum.
    return math.sqrt(math.fsum(total**2 for total in totals.values())) / n


def mcnemar(only_a: int, only_b: int, *, mid_p: bool = False) -> float:
    """Return the two-sided p-value of McNemar's test, exact or mid-p.

    ``only_a`` items were right by a alone, ``only_b`` by b alone: a sign test on the discordant
    pairs, p = min(1, 2 P(X <= min)) with X ~ Binomial(only_a + only_b, 1/2). The exact test is
    cautious where these are few; mid-p takes half of P(X = min) and is near the nominal level.
    Source: McNemar (1947), Psychometrika 12; both forms in Fagerland, Lydersen, Laake (2013), BMC
    Med Res Methodol 13:91.
    """
    if only_a < 0 or only_b < 0:
        raise ValueError(f"counts cannot be negative, got {only_a} and {only_b}")
    fewer, total = min(only_a, only_b), only_a + only_b
    tail = binomial_cdf(fewer, total, 0.5)
    if mid_p:
        tail -= (tail - binomial_cdf(fewer - 1, total, 0.5)) / 2
    return min(1.0, 2 * tail)


def widened(estimate: Estimate, level: float) -> Estimate:
    """Return an estimate at another level, its arms scaled by the normal quantiles.

    For estimates that cannot be made again from the items. The scaling errs where the arms are
    far from normal: prefer to estimate again.
    """
    if level == estimate.level or not math.isfinite(estimate.high - estimate.low):
        return replace(estimate, level=level)
    factor = z_of(level) / z_of(estimate.level)
    return replace(
        estimate,
        low=estimate.value - factor * (estimate.value - estimate.low),
        high=estimate.value + factor * (estimate.high - estimate.value),
        level=level,
        method=f"{estimate.method}, widened from {estimate.level:g}".lstrip(", "),
    )


def binomial_cdf(k: int, n: int, p: float) -> float:
    """Return P(X <= k) for X ~ Binomial(n, p)."""
    from scipy.special import bdtr

    if k < 0:
        return 0.0
    return 1.0 if k >= n else float(bdtr(k, n, p))
