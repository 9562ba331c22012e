"""Readability: how hard English text is to read, from the length of its sentences and words.

Reading ease: 206.835 - 1.015 words/sentences - 84.6 syllables/words (Flesch 1948, A new readability
yardstick, Journal of Applied Psychology 32). Grade: 0.39 words/sentences + 11.8 syllables/words
- 15.59, a US school grade (Kincaid et al. 1975, Research Branch Report 8-75). Both are cut to their
scale (0 to 100; 0 to 20).

Syllables are counted by rule, per run of letters: groups of vowels (a e i o u y), less a silent
final e, es or ed (not "ed" after t or d; "le" after a consonant counts) and a silent e before -ful,
-less, -ly, -ment, -ness; one more for "ia", "io", "ua" spoken apart and for "crea"; at least one.
The rule is ours, in the manner of the ones such tools use; it misses some words ("area" counts 2).
Numbers count as one syllable a digit.

Undefined for text that is not in Latin script or does not read as English: the formulas were fitted
to English. A reply that is missing counts as the hardest there is.
"""

from __future__ import annotations

import re
import unicodedata

from metier.core.types import Score
from metier.scoring.base import mean_of
from metier.scoring.registry import metrics
from metier.scoring.rules import reply_text
from metier.scoring.texts.quantities import words_of
from metier.scoring.texts.words import sentences, words
from metier.scoring.types import Metric

HARDEST_EASE, HARDEST_GRADE = 0.0, 20.0
ENGLISH_SHARE, ENGLISH_FROM_WORDS = 0.1, 20
_WHY = "are not English text in Latin script"
_VOWELS = re.compile(r"[aeiouy]+")
_LETTERS = re.compile(r"[^\W\d_]+")
_APART = re.compile(r"(?:[^tcsg]ia|[^tcsg]io|[^gq]ua[^rl]|crea(?![mks]))")
_SILENT = re.compile(r"(?:[^aeiouyl]e|[aeiouy]le|[^aeioutdl]ed|[^aeioucgszxh]es)$")

_DIAERESIS = re.compile("(?<=[aeo])([ei])\u0308")
_INNER = re.compile(r"(?<=[aeiouy])[^aeiouyl]e(?=(?:ful|less|ly|ment|ness)$)")


def syllables(word: str) -> int:
    """Return the syllables of an English word by the module's rule; at least 1."""
    count = sum(char.isdigit() for char in word)
    for run in _LETTERS.findall(_plain(word)):
        found = len(_VOWELS.findall(run)) + len(_APART.findall(run))
        found -= len(_INNER.findall(run))
        if found > 1 and _SILENT.search(run):
            found -= 1
        count += max(found, 1)
    return max(count, 1)


def reading_ease(text: str) -> float | None:
    """Return Flesch reading ease, 0 (hard) to 100; None where it is undefined."""
    sizes = _sizes(text)
    if sizes is None:
        return None
    per_sentence, per_word = sizes
    return min(max(206.835 - 1.015 * per_sentence - 84.6 * per_word, 0.0), 100.0)


def reading_grade(text: str) -> float | None:
    """Return the Flesch-Kincaid grade, 0 to 20; None where it is undefined."""
    sizes = _sizes(text)
    if sizes is None:
        return None
    per_sentence, per_word = sizes
    return min(max(0.39 * per_sentence + 11.8 * per_word - 15.59, 0.0), 20.0)


def _sizes(text: str) -> tuple[float, float] | None:
    """Words per sentence and syllables per word; None of text that is not English."""
    found = words(text)
    if not found or not _is_english(text, found):
        return None
    return len(found) / len(sentences(text)), sum(map(syllables, found)) / len(found)


def _is_english(text: str, found: list[str]) -> bool:
    letters = [char for char in text if char.isalpha()]
    latin = sum("LATIN" in unicodedata.name(char, "") for char in letters)
    if not letters or latin < 0.9 * len(letters):
        return False
    if len(found) < ENGLISH_FROM_WORDS:
        return True
    common = sum(word.lower() in words_of("stopwords") for word in found)
    return common >= ENGLISH_SHARE * len(found)


def _plain(word: str) -> str:
    """Lower case, accents taken off; a vowel with a diaeresis (naïve) stands apart."""
    apart = unicodedata.normalize("NFD", word.lower().replace("'", "").replace("’", ""))
    apart = _DIAERESIS.sub(r" \1", apart)
    return "".join(char for char in apart if not unicodedata.combining(char))


def _ease(record: Score) -> float | None:
    text = reply_text(record)
    return HARDEST_EASE if text is None else reading_ease(text)


def _grade(record: Score) -> float | None:
    text = reply_text(record)
    return HARDEST_GRADE if text is None else reading_grade(text)


@metrics.register("reading_ease")
def reading_ease_metric() -> Metric:
    """Mean Flesch reading ease of the replies."""
    return mean_of("reading_ease", _ease, _WHY)


@metrics.register("reading_grade")
def reading_grade_metric() -> Metric:
    """Mean Flesch-Kincaid grade of the replies."""
    return mean_of("reading_grade", _grade, _WHY)
