"""Which planned steps a probe runs: the heaviest, then an even sample of all. Torch-free."""

from __future__ import annotations

from math import gcd

from metier.tune.forecast.types import Work

MOST_STEPS, LEAST_STEPS = 60, 9


def spread(planned: Work) -> list[int]:
    """Choose steps by number: the heaviest first (cold, and the peak of memory), then an even
    sample from the lightest to the heaviest, light and heavy by turns; some twice where there are
    few."""
    by_size = sorted(range(planned.steps), key=lambda at: (planned.per_step[at].tokens, at))
    count = min(planned.steps, MOST_STEPS)
    even = [by_size[int((i + 0.5) * planned.steps / count)] for i in range(count)]
    stride = _stride(count)
    mixed = [even[(i * stride) % count] for i in range(count)]
    return [planned.heaviest_step, *(mixed * -(-LEAST_STEPS // count))]


def _stride(count: int) -> int:
    """A stride of about 0.38 of the steps that visits all of them."""
    start = max(1, round(count * 0.38))
    return next(s for s in range(start, count + start + 1) if gcd(s, count) == 1)
