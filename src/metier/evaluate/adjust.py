"""Differences made side by side, with p-values that hold for all of them together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from metier.core.records import Difference
from metier.scoring.statistics.multiplicity import holm


def adjusted(differences: Sequence[Difference]) -> list[Difference]:
    """Return differences with p-values corrected (Holm) within each metric, in their order."""
    families: dict[str, list[int]] = {}
    for index, one in enumerate(differences):
        families.setdefault(one.metric, []).append(index)
    found = list(differences)
    for family in families.values():
        corrected = holm([differences[index].p_value for index in family])
        for index, p_value in zip(family, corrected, strict=True):
            found[index] = replace(differences[index], p_adjusted=p_value)
    return found
