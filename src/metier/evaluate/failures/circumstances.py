"""When does it fail? Traits and terms that failing items have and right ones lack."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from metier.evaluate.failures.contrasts import contrast
from metier.evaluate.failures.items import Judged
from metier.evaluate.failures.predicates import CROWD, Facts, Trait, term_trait, traits
from metier.evaluate.failures.types import ALPHA, Circumstance, share_of
from metier.scoring.types import Resampling
from metier.similarity.terms import distinguishing

LEAST = 5
SHOWN = 2
TERMS_TRIED = 40
OVERLAP = 0.6


def circumstances(
    judged: Judged,
    facts: Sequence[Facts],
    failed: NDArray[np.bool_],
    resampling: Resampling,
    *,
    without: Collection[str] = (),
) -> tuple[Circumstance, ...]:
    """Return what sets the failed items apart from the others, the surest first; often nothing.

    Terms are ranked by log-odds; each candidate is then tested on whole clusters and its p-value
    multiplied by the number of all that could have been chosen. ``without`` leaves out kinds of
    traits.
    """
    candidates, tries = _candidates(facts, failed, set(without))
    clusters, found = judged.clusters, []
    for trait in candidates:
        mask = trait.mask(facts)
        result = contrast(failed.astype(np.float64), clusters, mask)
        p = min(1.0, result.p_value * tries)
        if result.estimate.value > 0 and p < ALPHA:
            found.append((p, trait.words, mask))
    kept: list[tuple[float, str, NDArray[np.bool_]]] = []
    for one in sorted(found, key=lambda one: one[:2]):
        if len(kept) < SHOWN and all(overlap(one[2], other[2]) < OVERLAP for other in kept):
            kept.append(one)
    return tuple(
        Circumstance(
            words,
            int((failed & mask).sum()),
            int(mask.sum()),
            share_of(judged.part(np.flatnonzero(mask)), failed[mask], resampling),
            p,
        )
        for p, words, mask in kept
    )


def _candidates(
    facts: Sequence[Facts], failed: NDArray[np.bool_], without: set[str]
) -> tuple[list[Trait], int]:
    """Return the traits to test, and how many there were to choose from."""
    plain = [
        trait
        for trait in traits(facts, least=LEAST)
        if trait.kind not in without and trait.kind != "term"
    ]
    inside = [one.terms for one, bad in zip(facts, failed, strict=True) if bad]
    outside = [one.terms for one, bad in zip(facts, failed, strict=True) if not bad]
    terms = [term for term in distinguishing(inside, outside) if shared(term.term, facts)]
    telling = [term_trait(one.term) for one in terms[:TERMS_TRIED] if one.z > 0]
    return [*plain, *telling], len(plain) + len(terms)


def shared(term: str, facts: Sequence[Facts]) -> bool:
    """Whether a term comes from enough independent groups to be shown."""
    return len({one.group for one in facts if term in one.terms}) >= CROWD


def overlap(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Return how alike two selections are (Jaccard)."""
    either = int((a | b).sum())
    return int((a & b).sum()) / either if either else 0.0
