"""Brand voice: a classifier that tells the team's own texts from those of others.

Character 2- to 4-grams (TF-IDF), logistic regression with both sides weighted alike. Before it may
judge a reply it is tried on texts it was not trained on: in five folds every text is scored by a
model that has not seen it, and from these scores comes the AUROC with its interval. Where its lower
end is under ``LEAST_AUROC`` the check says nothing of any reply: such a classifier does not know
the voice. A reply passes when it is more likely ours than theirs.

It learns whatever parts the two piles: give texts on the same subjects, or it learns the subject.
It cannot tell good advice in our voice from bad.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metier.core.checks import VoiceCheck
from metier.core.errors import InputError
from metier.core.types import Estimate, Score
from metier.scoring.materials import Materials
from metier.scoring.rules import PASSED, Noted, Outcome, Rule, checks, failed
from metier.scoring.statistics.bootstrap import size_warnings
from metier.scoring.statistics.intervals import z_of

LEAST_TEXTS, LEAST_AUROC, FOLDS = 50, 0.7, 5
MOST_TEXTS = 5000
"""Texts of each side that are used; more would cost time and bring little."""
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Voice:
    """A trained classifier; ``auroc`` is what it reached on texts it had not seen."""

    model: Any
    auroc: Estimate

    @property
    def knows(self) -> bool:
        """Whether it tells the two sides apart well enough to judge."""
        return self.auroc.low >= LEAST_AUROC

    def ours(self, texts: Sequence[str]) -> FloatArray:
        """Return the probability of each text to be the team's own."""
        return np.asarray(self.model.predict_proba(list(texts))[:, 1], dtype=np.float64)


@checks.register("voice")
def voice_rule(check: VoiceCheck, materials: Materials) -> Rule:
    """The reply reads like the team's own texts."""
    ours = materials.column(check.ours, check.column) if check.ours else list(materials.training())
    theirs = materials.column(check.theirs, check.column)
    voice = learn_voice(tuple(ours), tuple(theirs))
    if not voice.knows:
        told = f"were not judged: the voice is not known well enough (AUROC {voice.auroc})"
        return lambda text, record: Outcome(None, told)

    def rule(text: str, record: Score) -> Outcome:
        share = float(voice.ours([text])[0])
        if share > 0.5:
            return PASSED
        return failed(f"reads like ours with probability {share:.2f}")

    told = f"the voice is told by a classifier; on texts it had not seen its AUROC is {voice.auroc}"
    return Noted(rule, (told, *voice.auroc.warnings))


@lru_cache(maxsize=8)
def learn_voice(ours: tuple[str, ...], theirs: tuple[str, ...]) -> Voice:
    """Train on both piles. Raises InputError with fewer than ``LEAST_TEXTS`` different texts on a
    side; a text on both sides counts on neither."""
    both = set(ours) & set(theirs)
    sides = [
        [text for text in dict.fromkeys(side) if text.strip() and text not in both][:MOST_TEXTS]
        for side in (ours, theirs)
    ]
    for name, side in zip(("ours", "theirs"), sides, strict=True):
        if len(side) < LEAST_TEXTS:
            raise InputError(
                f"at least {LEAST_TEXTS} different texts to learn a voice from",
                got=f"{len(side)} in {name}",
                remedy="add texts, or use a check of type style instead",
            )
    texts = [*sides[0], *sides[1]]
    labels = np.array([1] * len(sides[0]) + [0] * len(sides[1]))
    model = _classifier()
    model.fit(texts, labels)
    return Voice(model, auroc(_unseen_scores(texts, labels), labels))


def auroc(scores: FloatArray, labels: NDArray[Any], level: float = 0.95) -> Estimate:
    """Return the area under the ROC curve with a score-type interval, sound also near 0 and 1.

    Its ends are the areas from which the observed one is just as far as chance goes, by the
    variance of Hanley and McNeil (1982, Radiology 143) at that area (Newcombe 2006, Statistics in
    Medicine 25). ``labels`` holds 1 and 0. Raises ValueError when one of the two is missing.
    """
    from scipy.stats import rankdata

    own, other = int((labels == 1).sum()), int((labels == 0).sum())
    if not own or not other:
        raise ValueError("the AUROC needs both classes")
    ranks = rankdata(scores)
    value = float((ranks[labels == 1].sum() - own * (own + 1) / 2) / (own * other))
    z, n = z_of(level), own + other
    low, high = (_end(value, bound, z, own, other) for bound in (0.0, 1.0))
    notes = size_warnings(n, n)
    return Estimate(value, low, high, n, n, level, "Hanley-McNeil, score", notes)


def _end(value: float, bound: float, z: float, own: int, other: int) -> float:
    """The area between ``value`` and ``bound`` from which ``value`` is z standard errors away."""
    near, far = value, bound
    for _ in range(60):  # bisection, to far below what is shown
        middle = (near + far) / 2
        within = abs(value - middle) <= z * math.sqrt(_variance(middle, own, other))
        near, far = (middle, far) if within else (near, middle)
    return (near + far) / 2


def _variance(area: float, own: int, other: int) -> float:
    spread = 1 + (own - 1) * (1 - area) / (2 - area) + (other - 1) * area / (1 + area)
    return area * (1 - area) * spread / (own * other)


def _unseen_scores(texts: Sequence[str], labels: NDArray[Any]) -> FloatArray:
    from sklearn.model_selection import StratifiedKFold

    found = np.zeros(len(texts))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    for seen, unseen in folds.split(texts, labels):
        model = _classifier()
        model.fit([texts[i] for i in seen], labels[seen])
        found[unseen] = model.predict_proba([texts[i] for i in unseen])[:, 1]
    return found


def _classifier() -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    grams = TfidfVectorizer(
        analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True, max_features=100_000
    )
    return make_pipeline(grams, LogisticRegression(class_weight="balanced", C=10.0, max_iter=1000))
