"""Classes that are hard whatever they are taken for, and answers given too often whatever is right.

What confusions of a pair have already told is left out: a class is hard where its *other* errors
are more than the rest's, and an answer is drawn on where the wrong answers that fall on it are
more than its share of the data. Whole clusters of items vary; p-values are corrected over all
classes and both questions (Benjamini and Hochberg 1995).
"""

from __future__ import annotations

from collections.abc import Sequence, Set

import numpy as np
from numpy.typing import NDArray

from metier.evaluate.failures.circumstances import circumstances
from metier.evaluate.failures.contrasts import at_least, contrast
from metier.evaluate.failures.items import Judged
from metier.evaluate.failures.predicates import CROWD, Facts
from metier.evaluate.failures.types import ALPHA, FailureCluster, Kind, share_of, some_ids
from metier.scoring.statistics.multiplicity import benjamini_hochberg
from metier.scoring.types import Resampling

Places = NDArray[np.int64]
Chance = tuple[float, float, frozenset[int]]
Question = tuple[str, Kind, frozenset[int], frozenset[int], Chance]
"""Label, kind, the items concerned, those that fail; the chance of each by the rest, how many
counts that number rests on, and all items that fail."""


def class_clusters(
    judged: Judged,
    facts: Sequence[Facts],
    labels: tuple[list[str | None], list[str | None]],
    told: Set[int],
    field: str,
    resampling: Resampling,
) -> list[FailureCluster]:
    """Return the clusters of whole classes of one field with a single label.

    ``labels`` are the expected and the given ones, by item; the items of ``told`` are explained by
    a pair already and do not count as failures.
    """
    asked = [*_hard(labels, told), *_drawn(labels, told)]
    p_values = [_p(judged.clusters, question) for question in asked]
    adjusted = benjamini_hochberg(p_values)
    return [
        _cluster(judged, facts, one, p, field, resampling)
        for one, p in zip(asked, adjusted, strict=True)
        if p < ALPHA
    ]


def _hard(labels: tuple[list[str | None], list[str | None]], told: Set[int]) -> list[Question]:
    wanted, got = labels
    wrong = {i for i, (w, g) in enumerate(zip(wanted, got, strict=True)) if w != g} - told
    found: list[Question] = []
    for label in sorted({one for one in wanted if one is not None}):
        mine = frozenset(i for i, one in enumerate(wanted) if one == label)
        others = len(wanted) - len(mine)
        elsewhere = len(wrong - mine)
        chance = elsewhere / max(others, 1), elsewhere + 0.5, frozenset(wrong)
        found.append((label, "hard", mine, frozenset(wrong & mine), chance))
    return found


def _drawn(labels: tuple[list[str | None], list[str | None]], told: Set[int]) -> list[Question]:
    wanted, got = labels
    found: list[Question] = []
    for label in sorted({one for one in got if one is not None} & {w for w in wanted if w}):
        wrong = {
            i
            for i, (w, g) in enumerate(zip(wanted, got, strict=True))
            if w not in (g, label) and i not in told
        }
        failing = frozenset(i for i in wrong if got[i] == label)
        sizes = sum(one == label for one in wanted)
        # An error of another class can fall on every class but its own.
        usual = sizes / max(len(wanted) - len(wanted) / max(len(set(wanted)), 1), 1)
        found.append(
            (label, "drawn", frozenset(wrong), failing, (min(usual, 1.0), sizes + 0.5, failing))
        )
    return found


def _p(clusters: Places, question: Question) -> float:
    """A hard class is compared with the rest; for a drawn answer the share is known beforehand."""
    _, kind, concerned, failing, (rate, worth, wrong) = question
    hit = len(set(clusters[sorted(failing)].tolist()))
    if hit < CROWD:
        return 1.0
    if kind == "drawn":
        return at_least(hit, rate * len(set(clusters[sorted(concerned)].tolist())), worth)
    failed, inside = (np.zeros(len(clusters), dtype=bool) for _ in range(2))
    failed[sorted(wrong)], inside[sorted(concerned)] = True, True
    found = contrast(failed.astype(np.float64), clusters, inside)
    return found.p_value if found.estimate.value > 0 and found.p_value == found.p_value else 1.0


def _cluster(
    judged: Judged,
    facts: Sequence[Facts],
    question: Question,
    adjusted_p: float,
    field: str,
    resampling: Resampling,
) -> FailureCluster:
    label, kind, concerned, failing, (rate, _, _) = question
    places = sorted(concerned)
    part, failed = judged.part(places), np.asarray([i in failing for i in places], dtype=bool)
    known = [facts[i] for i in places]
    where = f"{field}: " if field else ""
    name = f"{where}misses `{label}`, whatever else it takes it for"
    if kind == "drawn":
        name = f"{where}answers `{label}` where it is wrong, for errors of several classes"
    return FailureCluster(
        name=name,
        kind=kind,
        field=field,
        labels=(label,),
        failed=len(failing),
        of=len(places),
        share=share_of(part, failed, resampling),
        by_chance=rate * len(places),
        adjusted_p=adjusted_p,
        when=circumstances(part, known, failed, resampling, without=("expected",)),
        example_ids=some_ids(part, failed),
    )
