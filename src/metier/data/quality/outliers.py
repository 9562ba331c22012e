"""Outliers: prompts far from all others, much longer or shorter, or in another language.

A row is far when the mean cosine to its nearest rows lies under the lower fence of all rows
(Tukey 1977, Exploratory Data Analysis: the first quartile less 1.5 times the quartiles' distance);
its length stands out beyond 3 such distances of the logarithm. Who is rare is no less right for
it: these are rows to look at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metier.core.types import Example, Json
from metier.data.cleaning.language import identify
from metier.data.quality.confident import FloatArray
from metier.data.quality.neighbours import Near
from metier.models.classical import text_of

FAR_FENCES, LENGTH_FENCES = 1.5, 3.0
FEWEST = 20
CLEARLY = 0.95
"""Probability from which a text counts as being in a language."""
RARE = 0.2
"""A language of this share of the prompts is one of the data's own."""


@dataclass(frozen=True, slots=True)
class Outlier:
    """A prompt that stands out. ``score`` is larger the more it does (units of fences)."""

    example: Example
    reason: str
    score: float
    evidence: dict[str, Json]


def far_prompts(examples: Sequence[Example], near: Near) -> list[Outlier]:
    """Return the prompts unlike all others, the farthest first."""
    if len(examples) < FEWEST:
        return []
    cosine = near.cosine.mean(axis=1)
    low, _ = fences(cosine, FAR_FENCES)
    spread = max(1e-9, float(np.subtract(*np.quantile(cosine, [0.75, 0.25]))))
    found = [
        Outlier(
            examples[i],
            "outlier",
            (low - float(cosine[i])) / spread,
            {"mean_cosine": round(float(cosine[i]), 4), "fence": round(low, 4)},
        )
        for i in np.flatnonzero(cosine < low).tolist()
    ]
    return sorted(found, key=lambda one: (-one.score, one.example.id))


def odd_lengths(examples: Sequence[Example]) -> list[Outlier]:
    """Return the prompts that are much longer or shorter than the others."""
    if len(examples) < FEWEST:
        return []
    sizes = [len(text_of(one.conversation)) for one in examples]
    logs = np.log1p(np.asarray(sizes, dtype=np.float64))
    low, high = fences(logs, LENGTH_FENCES)
    spread = max(1e-9, float(np.subtract(*np.quantile(logs, [0.75, 0.25]))))
    found = []
    for i in np.flatnonzero((logs < low) | (logs > high)).tolist():
        reason = "long_prompt" if logs[i] > high else "short_prompt"
        beyond = max(float(logs[i]) - high, low - float(logs[i])) / spread
        evidence: dict[str, Json] = {
            "characters": sizes[i],
            "usual": [max(0, round(float(np.expm1(low)))), round(float(np.expm1(high)))],
        }
        found.append(Outlier(examples[i], reason, beyond, evidence))
    return sorted(found, key=lambda one: (-one.score, one.example.id))


def odd_languages(examples: Sequence[Example]) -> list[Outlier]:
    """Return the prompts that are clearly in another language than most, by language."""
    spoken = [tongue(text_of(one.conversation)) for one in examples]
    counts = Counter(name for name in spoken if name)
    if len(counts) < 2:
        return []
    usual = counts.most_common(1)[0][0]
    found = [
        Outlier(one, "other_language", 1.0, {"language": name, "usual": usual})
        for one, name in zip(examples, spoken, strict=True)
        if name and name != usual and counts[name] < RARE * sum(counts.values())
    ]
    return sorted(found, key=lambda one: (str(one.evidence["language"]), one.example.id))


def tongue(text: str) -> str:
    """Return the language a text is clearly in (ISO 639-1), "" where it is not clear."""
    found = identify(text)
    return found[0][0] if found and found[0][1] >= CLEARLY else ""


def fences(values: FloatArray, width: float) -> tuple[float, float]:
    """Return Tukey's fences: the quartiles, so many quartile distances further out."""
    first, third = (float(one) for one in np.quantile(values, [0.25, 0.75]))
    arm = width * (third - first)
    return first - arm, third + arm
