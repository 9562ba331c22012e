"""Agreement where an answer is a set of labels, stretches of text, or text.

Sets have a distance, and so an alpha: ``krippendorff(answers, masi)``. Stretches have none that
chance could be worked out for, as everything outside them is agreed upon as well; there the F1 of
one person against the other says it, and equals what kappa tends to (Hripcsak and Rothschild 2005,
JAMIA 12(3)).

Sources: Passonneau (2006), Measuring Agreement on Set-valued Items (MASI), LREC; Jaccard (1912).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import combinations
from typing import Any

import numpy as np

from metier.core.types import Estimate
from metier.scoring.statistics.agreement_answers import Answers, Value, measured
from metier.scoring.statistics.bootstrap import FloatArray, Sums
from metier.scoring.types import DEFAULT, Resampling

Parts = Counter[Any]
"""What an answer is made of: characters under a label, stretches, or words."""
Stretch = tuple[int, int, str]
"""Start, end (exclusive) and label."""
WORD = re.compile(r"\w+", re.UNICODE)


def jaccard(first: Any, second: Any) -> float:
    """Return 1 - shared over all labels; two empty sets are the same."""
    together = first | second
    return 1 - len(first & second) / len(together) if together else 0.0


def masi(first: Any, second: Any) -> float:
    """Return 1 - J * M of two sets: J is Jaccard's share; M is 1 for the same set, 2/3 where one
    holds the other, 1/3 where they overlap, else 0 (Passonneau 2006, section 2)."""
    if first == second:
        return 0.0
    shared = first & second
    if not shared:
        return 1.0
    kind = 2 / 3 if first <= second or second <= first else 1 / 3
    return 1 - (1 - jaccard(first, second)) * kind


def characters(answer: Iterable[Stretch]) -> Parts:
    """Return the characters that stretches cover, each with its label; overlaps count once."""
    return Counter({(at, label) for start, end, label in answer for at in range(start, end)})


def stretches(answer: Iterable[Stretch]) -> Parts:
    """Return the stretches themselves: only the same start, end and label agree."""
    return Counter(set(answer))


def words(answer: str) -> Parts:
    """Return the words of a text, in lower case, with how often each comes."""
    return Counter(WORD.findall(answer.casefold()))


def pairwise_f1(
    answers: Answers, parts: Callable[[Any], Parts] = characters, resampling: Resampling = DEFAULT
) -> Estimate:
    """Return the F1 of people against one another: twice the shared parts over all parts, summed
    over every pair of people at every item; 0 to 1. Which of two is "right" makes no difference.

    Undefined where nobody marked anything: then all agree that there is nothing.
    """
    found = answers.paired()
    cells = list(_f1_cells(found, [parts(one) for one in found.values]))
    sums = Sums.of(found.records, cells, 2, _ratio)
    return measured(answers, sums, resampling, (0.0, 1.0))


def pairwise_same(answers: Answers, resampling: Resampling = DEFAULT) -> Estimate:
    """Return the share of pairs of people that gave exactly the same answer, averaged over items.

    ``percent`` says the same; this needs no table of all values, of which texts have as many as
    there are answers.
    """
    found = answers.paired()
    cells = []
    for item, given in _by_item(found):
        pairs = len(given) * (len(given) - 1)
        same = sum(n * (n - 1) for n in Counter(given).values())
        cells += [(item, 0, same / pairs), (item, 1, 1.0)]
    return measured(answers, Sums.of(found.records, cells, 2, _ratio), resampling, (0.0, 1.0))


def apart(values: Collection[Value], distance: Callable[[Any, Any], float]) -> float:
    """Return the mean distance of two of the answers to one item, 0 (all the same) to 1."""
    pairs = list(combinations(values, 2))
    return sum(distance(a, b) for a, b in pairs) / len(pairs) if pairs else 0.0


def f1_distance(parts: Callable[[Any], Parts]) -> Callable[[Any, Any], float]:
    """Return 1 - F1 of two answers as a distance; two empty ones are the same."""

    def distance(first: Any, second: Any) -> float:
        ours, theirs = parts(first), parts(second)
        every = ours.total() + theirs.total()
        return 1 - 2 * (ours & theirs).total() / every if every else 0.0

    return distance


def _f1_cells(found: Answers, made: list[Parts]) -> Iterator[tuple[int, int, float]]:
    for item, given in _by_item(found):
        for a, b in combinations(given, 2):
            yield item, 0, 2.0 * (made[a] & made[b]).total()
            yield item, 1, float(made[a].total() + made[b].total())


def _by_item(found: Answers) -> Iterator[tuple[int, list[int]]]:
    """Yield each item with the indices of the values that it was given."""
    order = np.argsort(found.item, kind="stable")
    ends = np.cumsum(np.bincount(found.item, minlength=len(found.items)))
    for item, given in enumerate(np.split(found.value[order], ends[:-1])):
        yield item, given.tolist()


def _ratio(sums: FloatArray) -> FloatArray:
    there = sums[:, 1] > 0
    return np.asarray(np.where(there, sums[:, 0] / np.where(there, sums[:, 1], 1), np.nan))
