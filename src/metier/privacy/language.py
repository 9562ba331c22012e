"""Text in a language that no recogniser reads is not passed: names in it would go unseen.

``uncovered`` says why a text is to be put aside, or None. A text counts as being in a declared
language unless it is clearly in another: by its script, or as py3langid identifies it (naive Bayes
over byte n-grams; Lui and Baldwin, 2011), as a whole and in stretches of some 300 letters. Too few
letters tell nothing, and count as declared.

    >>> uncovered("Die Patientin kam gestern mit ihrer Tochter zu uns.", recognisers, ["en"])
    'the text is in another language (most likely de), which no recogniser of person reads'
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from metier.privacy.types import Finding, Recogniser
from metier.sources.languages import language_identifier

LEAST_LETTERS = 25
"""Below this the identifier errs too often to be asked."""
SURE_LETTERS = 40
LEAST_PROBABILITY = 0.95
LEAST_PROBABILITY_SHORT = 0.99
"""Where there are fewer than ``SURE_LETTERS``."""
STRETCH_LETTERS = 300
_READ_CHARACTERS = 20_000
_NOT_LETTERS = re.compile(r"https?://\S+|\S+@\S+|[\W\d_]+")
# First and last code point, and the languages written so; letters elsewhere are Latin or too rare.
_SCRIPTS = (
    ("Greek", r"\u0370-\u03ff\u1f00-\u1fff", "el"),
    ("Cyrillic", r"\u0400-\u052f", "be bg kk ky mk mn ru sr uk"),
    ("Armenian", r"\u0530-\u058f", "hy"),
    ("Hebrew", r"\u0590-\u05ff", "he yi"),
    ("Arabic", r"\u0600-\u06ff\u0750-\u077f", "ar fa ps ug ur"),
    ("Indic", r"\u0900-\u0dff", "bn gu hi kn ml mr ne or pa si ta te"),
    ("Thai", r"\u0e00-\u0e7f", "th"),
    ("Georgian", r"\u10a0-\u10ff", "ka"),
    ("Chinese or Japanese", r"\u3040-\u30ff\u3400-\u9fff", "ja zh"),
    ("Korean", r"\uac00-\ud7af\u1100-\u11ff", "ko"),
)
_LETTERS = tuple(
    (name, re.compile(f"[{span}]"), frozenset(read.split())) for name, span, read in _SCRIPTS
)
_BEYOND_LATIN = re.compile(r"[\u0370-\ud7af]")
_OTHER_SCRIPT_SHARE = 0.5


def uncovered(
    text: str,
    recognisers: Sequence[Recogniser],
    languages: Sequence[str] = ("en",),
    findings: Sequence[Finding] = (),
) -> str | None:
    """Return why the text is to be put aside, None where it may pass.

    ``languages`` are those the project declares (ISO 639-1). ``findings`` are left out of what is
    looked at: names and addresses mislead.
    """
    for declared in languages:
        if kinds := unread_kinds(recognisers, declared):
            return f"no recogniser of {', '.join(sorted(kinds))} reads {declared}"
    words = _words(text[:_READ_CHARACTERS], findings)
    if script := _other_script(words, languages):
        return f"the text is in {script} letters, which no recogniser is declared to read"
    for stretch in _stretches(words):
        found = identify(stretch, languages)
        if found:
            unread = ", ".join(sorted(unread_kinds(recognisers, found))[:3])
            why = f"no recogniser of {unread} reads" if unread else "the project does not declare"
            return f"the text is in another language (most likely {found}), which {why}"
    return None


def unread_kinds(recognisers: Sequence[Recogniser], language: str) -> frozenset[str]:
    """Return the kinds that some recogniser finds, but none in this language."""
    every: set[str] = set()
    read: set[str] = set()
    for one in recognisers:
        every |= one.kinds
        if "*" in one.languages or language in one.languages:
            read |= one.kinds
    return frozenset(every - read)


def identify(words: str, languages: Sequence[str]) -> str | None:
    """Return the likeliest language where it is clear that it is none of ``languages``."""
    letters = sum(map(str.isalpha, words))
    if letters < LEAST_LETTERS:
        return None
    ranked = language_identifier().rank(words)
    declared = sum(share for name, share in ranked if name in languages)
    least = LEAST_PROBABILITY if letters >= SURE_LETTERS else LEAST_PROBABILITY_SHORT
    return None if 1 - declared < least else str(ranked[0][0])


def _words(text: str, findings: Sequence[Finding]) -> str:
    """Return the words alone, in lower case: shouting, numbers and addresses mislead."""
    pieces, at = [], 0
    for found in findings:
        pieces.append(text[at : found.start])
        at = found.end
    return _NOT_LETTERS.sub(" ", " ".join([*pieces, text[at:]])).strip().lower()


def _other_script(words: str, languages: Sequence[str]) -> str | None:
    if not _BEYOND_LATIN.search(words):
        return None
    letters = sum(map(str.isalpha, words))
    for name, script, read in _LETTERS:
        here = len(script.findall(words))
        if here > _OTHER_SCRIPT_SHARE * letters and read.isdisjoint(languages):
            return name
    return None


def _stretches(words: str) -> Iterator[str]:
    """Yield the whole, then, of a long text, pieces of some 300 letters."""
    yield words
    if len(words) < 2 * STRETCH_LETTERS:
        return
    at = 0
    while at < len(words):
        end = words.find(" ", at + STRETCH_LETTERS)
        end = len(words) if end < 0 or len(words) - end < STRETCH_LETTERS // 2 else end
        yield words[at:end]
        at = end + 1
