"""Texts: exact match, token F1, ROUGE, BLEU, chrF.

A reference may be one text or a list of acceptable ones (the best counts). A missing answer is an
empty one. Exact match and token F1 follow the SQuAD v1.1 evaluation: lower case, ASCII punctuation
dropped, the articles a/an/the dropped, white space collapsed (Rajpurkar et al. 2016, arXiv
1606.05250, section 6.1); two texts that are both empty after that agree, as in SQuAD 2.0.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from metier.core.types import Json, Score
from metier.scoring.base import GradeScorer, Measured, mean_of
from metier.scoring.labels.classification import decisions
from metier.scoring.registry import metrics, scorers
from metier.scoring.statistics.bootstrap import FloatArray, Sums
from metier.scoring.tasks import metric_info
from metier.scoring.types import Metric, Scorer

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_WORDS = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W_\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+"
)


def normalise(text: str) -> str:
    """Return ``text`` as SQuAD v1.1 compares it."""
    bare = text.lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", bare).split())


def words(text: str) -> list[str]:
    """Return lower-case words for ROUGE.

    As rouge-score's for ASCII; letters of any script count, and Chinese, Japanese and Korean
    characters stand alone (rouge-score drops them all).
    """
    return _WORDS.findall(text.lower())


def token_f1_of(got: str, expected: str) -> float:
    """Return the F1 of the normalised words two texts share."""
    ours, theirs = normalise(got).split(), normalise(expected).split()
    if not ours or not theirs:
        return float(ours == theirs)
    shared = sum((Counter(ours) & Counter(theirs)).values())
    return 2 * shared / (len(ours) + len(theirs))


def exact_match_of(got: Json, expected: Json) -> float:
    """Return 1 when an answer equals the reference: texts normalised, lists as sets."""
    if isinstance(expected, str):
        return float(isinstance(got, str) and normalise(got) == normalise(expected))
    if isinstance(expected, list | tuple):
        return float(got is not None and decisions(got) == decisions(list(expected)))
    return float(type(got) is type(expected) and got == expected)


def references_of(record: Score) -> list[str] | None:
    """Return the acceptable texts, None when there is none."""
    if record.expected is None:
        return None
    given = record.expected if isinstance(record.expected, list | tuple) else [record.expected]
    return [text_of(reference) for reference in given] or None


def text_of(value: Json) -> str:
    """Return an answer as text; a missing one is empty."""
    return "" if value is None else value if isinstance(value, str) else str(value)


def _best(grade: Callable[[str, str], float]) -> Callable[[Score], float | None]:
    def best(record: Score) -> float | None:
        references = references_of(record)
        if references is None:
            return None
        return max(grade(text_of(record.got), reference) for reference in references)

    return best


def _exact(record: Score) -> float | None:
    return None if record.expected is None else exact_match_of(record.got, record.expected)


@cache
def _rouge(kind: str) -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer([kind], tokenizer=_Words())


class _Words:
    """The tokenizer handed to rouge-score."""

    def tokenize(self, text: str) -> list[str]:
        """Return the words of ``text``."""
        return words(text)


def rouge_of(kind: str, got: str, expected: str) -> float:
    """Return the ROUGE F-measure (``kind`` rouge1, rouge2, rougeL, rougeLsum), without stemming.

    rougeLsum takes each line for a sentence, as the package does; of one line it is rougeL.
    Source: Lin (2004), computed by the rouge-score package.
    """
    return float(_rouge(kind).score(expected, got)[kind].fmeasure)


def _register_means() -> None:
    grades: dict[str, Callable[[Score], float | None]] = {
        "exact_match": _exact,
        "token_f1": _best(token_f1_of),
        "rouge1": _best(lambda got, expected: rouge_of("rouge1", got, expected)),
        "rouge2": _best(lambda got, expected: rouge_of("rouge2", got, expected)),
        "rougeL": _best(lambda got, expected: rouge_of("rougeL", got, expected)),
        "rougeLsum": _best(lambda got, expected: rouge_of("rougeLsum", got, expected)),
    }
    for name, grade in grades.items():
        _register_mean(name, grade)


def _register_mean(name: str, grade: Callable[[Score], float | None]) -> None:
    @scorers.register(name)
    def scorer() -> Scorer:
        return GradeScorer(name, grade)

    @metrics.register(name)
    def metric() -> Metric:
        return mean_of(name, grade)


_register_means()


@metrics.register("bleu")
def bleu() -> Metric:
    """Corpus BLEU: n-gram matches are summed over the (resampled) corpus, then combined."""
    return Measured(metric_info("bleu"), _bleu_sums)


def _bleu_sums(records: Sequence[Score]) -> Sums:
    from sacrebleu.metrics.bleu import BLEU

    scorer = BLEU(effective_order=True)  # the order only shapes the sentence's own score
    kept, left_out = _withreferences_of(records)
    cells: list[tuple[int, int, float]] = []
    for row, (record, references) in enumerate(kept):
        found = scorer.sentence_score(text_of(record.got), references)
        numbers = [*found.counts, *found.totals, found.sys_len, found.ref_len]
        cells += [(row, column, float(number)) for column, number in enumerate(numbers)]
    return Sums.of([record for record, _ in kept], cells, 10, _bleu_value, left_out)


def _bleu_value(sums: FloatArray) -> FloatArray:
    """Return BLEU [resamples] from sums of counts(4), totals(4), and both lengths.

    Source: Papineni et al. (2002) with sacrebleu's exponential smoothing (Post 2018): the k-th
    order without a match gets precision 1 / (2^k total).
    """
    counts, totals, lengths = sums[:, :4], sums[:, 4:8], sums[:, 8:10]
    missing = counts == 0
    smoothed = np.where(missing, 0.5 ** np.cumsum(missing, axis=1), counts)
    precision = smoothed / totals
    penalty = np.where(
        lengths[:, 0] < lengths[:, 1], np.exp(1 - lengths[:, 1] / lengths[:, 0]), 1.0
    )
    value = 100 * penalty * np.exp(np.log(precision).mean(axis=1))
    nothing = (counts.sum(axis=1) == 0) | (totals == 0).any(axis=1)
    return np.asarray(np.where(nothing, 0.0, value), dtype=np.float64)


def _withreferences_of(
    records: Sequence[Score],
) -> tuple[list[tuple[Score, list[str]]], tuple[str, ...]]:
    pairs = [(record, references_of(record)) for record in records]
    kept = [(record, references) for record, references in pairs if references is not None]
    gone = len(records) - len(kept)
    notes = (f"{gone} of {len(records)} items have no reference and were left out",) if gone else ()
    return kept, notes


_CHRF_ORDER, _CHRF_BETA = 6, 2


@metrics.register("chrf")
def chrf() -> Metric:
    """Corpus chrF2: character n-grams without white space, summed over the corpus.

    Source: Popovic (2015, 2016); the averaging over orders is sacrebleu's, and values equal its.
    """
    return Measured(metric_info("chrf"), _chrf_sums)


def _chrf_sums(records: Sequence[Score]) -> Sums:
    kept, left_out = _withreferences_of(records)
    cells: list[tuple[int, int, float]] = []
    for row, (record, references) in enumerate(kept):
        best = max((_chrf_counts(text_of(record.got), r) for r in references), key=_chrf_single)
        cells += [(row, column, number) for column, number in enumerate(best)]
    columns = 3 * _CHRF_ORDER
    return Sums.of([record for record, _ in kept], cells, columns, _chrf_value, left_out)


def _chrf_counts(got: str, expected: str) -> list[float]:
    """Per order: n-grams in the answer, in the reference, in both."""
    ours, theirs = "".join(got.split()), "".join(expected.split())
    found: list[float] = []
    for order in range(1, _CHRF_ORDER + 1):
        mine, other = _ngrams(ours, order), _ngrams(theirs, order)
        # as in sacrebleu: an order the reference lacks does not count against the answer
        size = sum(mine.values()) if other else 0
        found += [size, sum(other.values()), sum((mine & other).values())]
    return found


def _ngrams(text: str, order: int) -> Counter[str]:
    return Counter(text[i : i + order] for i in range(len(text) - order + 1))


def _chrf_single(counts: list[float]) -> float:
    return float(_chrf_value(np.asarray([counts], dtype=np.float64))[0])


def _chrf_value(sums: FloatArray) -> FloatArray:
    ours, theirs, both = (sums[:, i::3] for i in range(3))
    counted = (ours > 0) & (theirs > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(counted, both / ours, 0.0)
        recall = np.where(counted, both / theirs, 0.0)
    orders = counted.sum(axis=1)
    mean_p = precision.sum(axis=1) / np.maximum(orders, 1)
    mean_r = recall.sum(axis=1) / np.maximum(orders, 1)
    weight = _CHRF_BETA**2
    with np.errstate(divide="ignore", invalid="ignore"):
        value = 100 * (1 + weight) * mean_p * mean_r / (weight * mean_p + mean_r)
    return np.asarray(np.where(mean_p + mean_r > 0, value, 0.0), dtype=np.float64)
