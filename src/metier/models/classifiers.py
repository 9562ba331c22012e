"""The arithmetic of the classical baselines: keyword evidence, logistic regression, neighbours."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log
from typing import Any, Protocol

WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
RULES_PER_LABEL = 12
LEAST_EVIDENCE = 0.5
SEED = 0


class Classifier(Protocol):
    """Gives every label a score for every text; scores of one text compare with one another."""

    labels: tuple[str, ...]

    def scores(self, texts: Sequence[str]) -> Any:
        """Return an array [texts, labels]; larger is likelier."""
        ...


@dataclass(frozen=True, slots=True)
class Rule:
    """``word`` in the text counts ``weight`` (nats of evidence) for ``label``; seen ``count``
    times in training."""

    word: str
    label: str
    weight: float
    count: int


class KeywordRules:
    """Per label the words with most evidence for it; a text's score is the sum that matches.

    Evidence is pointwise mutual information of word and label with add-half counts; a word must
    occur in two texts at least. Where nothing matches, the most frequent label wins.
    """

    def __init__(self, texts: Sequence[str], answers: Sequence[Sequence[str]]) -> None:
        counts = Counter(label for given in answers for label in given)
        self.labels = tuple(sorted(counts))
        self._prior = {label: counts[label] / max(1, len(texts)) for label in self.labels}
        self.rules = _learn_rules(texts, answers, counts)
        self._by_word: dict[str, list[Rule]] = {}
        for rule in self.rules:
            self._by_word.setdefault(rule.word, []).append(rule)

    def scores(self, texts: Sequence[str]) -> Any:
        """Return an array [texts, labels] of summed weights."""
        import numpy as np

        place = {label: index for index, label in enumerate(self.labels)}
        # The prior decides where no rule fires; it is too small to outweigh one that does.
        base = np.array([self._prior[label] * 1e-3 for label in self.labels])
        table = np.tile(base, (len(texts), 1))
        for row, text in enumerate(texts):
            for word in _terms(text):
                for rule in self._by_word.get(word, ()):
                    table[row, place[rule.label]] += rule.weight
        return table


class TfidfRegression:
    """Words, word pairs and character n-grams (3-5, inside words), balanced class weights."""

    def __init__(self, texts: Sequence[str], answers: Sequence[Sequence[str]]) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.pipeline import FeatureUnion

        self.labels = tuple(sorted({label for given in answers for label in given}))
        self._features = FeatureUnion(
            [
                (
                    "words",
                    TfidfVectorizer(
                        token_pattern=WORD.pattern, ngram_range=(1, 2), sublinear_tf=True
                    ),
                ),
                (
                    "characters",
                    TfidfVectorizer(
                        analyzer="char_wb",
                        ngram_range=(3, 5),
                        sublinear_tf=True,
                        min_df=2 if len(texts) > 50 else 1,
                        max_features=50_000,
                    ),
                ),
            ]
        )
        features = self._features.fit_transform([_never_empty(text) for text in texts])
        self._single = all(len(given) == 1 for given in answers)
        self._model = self._fit(features, answers)

    def _fit(self, features: Any, answers: Sequence[Sequence[str]]) -> Any:
        """Return one model for single labels, or a model (or constant) per label for several."""
        from sklearn.linear_model import LogisticRegression

        if self._single:
            if len(self.labels) < 2:
                return None
            one = LogisticRegression(C=10.0, class_weight="balanced", max_iter=300, tol=1e-3)
            return one.fit(features, [given[0] for given in answers])
        models = []
        for column in indicator(answers, self.labels).T:
            if column.all():
                models.append(1.0)
                continue
            each = LogisticRegression(
                C=10.0, class_weight="balanced", solver="liblinear", random_state=SEED
            )
            models.append(each.fit(features, column))
        return models

    def log_probabilities(self, texts: Sequence[str]) -> Any:
        """Return log P(label | text), [texts, labels]; for several labels each on its own."""
        import numpy as np

        if self._model is None:
            return np.zeros((len(texts), 1))
        features = self._features.transform([_never_empty(text) for text in texts])
        if self._single:
            return np.log(np.clip(self._model.predict_proba(features), 1e-12, None))
        table = np.zeros((len(texts), len(self.labels)))
        for place, model in enumerate(self._model):
            table[:, place] = model if model == 1.0 else model.predict_proba(features)[:, 1]
        return np.log(np.clip(table, 1e-12, None))

    def scores(self, texts: Sequence[str]) -> Any:
        """Return log-probabilities, as ``log_probabilities``."""
        return self.log_probabilities(texts)


def _learn_rules(
    texts: Sequence[str], answers: Sequence[Sequence[str]], counts: Counter[str]
) -> tuple[Rule, ...]:
    """Return the best rules per label: most evidence times how often it is needed."""
    seen: Counter[str] = Counter()
    together: Counter[tuple[str, str]] = Counter()
    for text, given in zip(texts, answers, strict=True):
        for term in _terms(text):
            seen[term] += 1
            together.update((term, label) for label in given)
    least = 2 if len(texts) > 20 else 1
    by_label: dict[str, list[Rule]] = {label: [] for label in counts}
    for (term, label), count in together.items():
        if seen[term] < least:
            continue
        weight = log((count + 0.5) / (seen[term] + 1)) - log(counts[label] / len(texts))
        if weight >= LEAST_EVIDENCE:
            by_label[label].append(Rule(term, label, round(weight, 4), count))
    return tuple(
        rule
        for label in sorted(by_label)
        for rule in sorted(by_label[label], key=lambda r: (-r.weight * r.count, r.word))[
            :RULES_PER_LABEL
        ]
    )


def _terms(text: str) -> list[str]:
    """Return the distinct words and word pairs of a text, in lower case, sorted."""
    words = [word.casefold() for word in WORD.findall(text)]
    pairs = [f"{a} {b}" for a, b in pairwise(words)]
    return sorted({*words, *pairs})


def _never_empty(text: str) -> str:
    # Vectorizers refuse a collection without a single word; this stands for "nothing".
    return text if WORD.search(text) else "nothing here"


def neighbours(texts: Sequence[str]) -> Callable[[Sequence[str]], list[int]]:
    """Return a function from texts to the index of the most similar one of ``texts``."""
    ranked = neighbour_ranks(texts)
    return lambda asked: [ranks[0] for ranks in ranked(asked, 1)]


def neighbour_ranks(texts: Sequence[str]) -> Callable[[Sequence[str], int], list[list[int]]]:
    """Return a function from texts and k to the k most similar indices each, nearest first.

    Ties go to the earlier text.
    """
    import numpy as np
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectors = TfidfVectorizer(token_pattern=WORD.pattern, sublinear_tf=True, ngram_range=(1, 2))
    try:
        known = vectors.fit_transform(texts)
    except ValueError:  # not one word in all of them
        return lambda asked, k: [list(range(min(k, len(texts)))) for _ in asked]

    def ranks(asked: Sequence[str], k: int) -> list[list[int]]:
        found: list[list[int]] = []
        for start in range(0, len(asked), 256):
            similar = (vectors.transform(asked[start : start + 256]) @ known.T).toarray()
            order = np.argsort(-similar, axis=1, kind="stable")[:, :k]
            found.extend([int(i) for i in row] for row in order)
        return found

    return ranks


def indicator(answers: Sequence[Sequence[str]], labels: Sequence[str]) -> Any:
    """Return a 0/1 array [texts, labels]."""
    import numpy as np

    place = {label: index for index, label in enumerate(labels)}
    table = np.zeros((len(answers), len(labels)), dtype=np.int8)
    for row, given in enumerate(answers):
        for label in given:
            table[row, place[label]] = 1
    return table
