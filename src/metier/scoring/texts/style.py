"""House style, by rule: banned and required phrases, form of address, length of sentences, marks.

Every rule that is given must hold for a reply to pass; ``detail["why"]`` names the first that does
not. How the team sounds beyond such rules is ``voice``'s part.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from metier.core.checks import StyleCheck
from metier.core.types import Score
from metier.scoring.materials import Materials
from metier.scoring.rules import PASSED, Outcome, Rule, checks, failed
from metier.scoring.texts.words import sentences, words

Finding = Callable[[str], str]
"""Says in words what is wrong with a text; "" when nothing is."""
SHOUTED_LETTERS = 4


@checks.register("style")
def style(check: StyleCheck, materials: Materials) -> Rule:
    """Every rule of the house style that is given."""
    findings = [
        _banned(check.banned),
        _required(check.required),
        _edges(check.opens_with, check.closes_with),
        _address(check),
        _limits(check),
    ]

    def rule(text: str, record: Score) -> Outcome:
        found = next((words for finding in findings if (words := finding(text))), "")
        return failed(found) if found else PASSED

    return rule


def _banned(phrases: Sequence[str]) -> Finding:
    patterns = [_phrase(phrase) for phrase in phrases]

    def finding(text: str) -> str:
        hits = (pattern.search(_even(text)) for pattern in patterns)
        return next((f"says {hit.group()!r}" for hit in hits if hit), "")

    return finding


def _required(phrases: Sequence[str]) -> Finding:
    patterns = {phrase: _phrase(phrase) for phrase in phrases}

    def finding(text: str) -> str:
        even = _even(text)
        return next(
            (f"does not say {p!r}" for p, one in patterns.items() if not one.search(even)), ""
        )

    return finding


def _edges(opens: Sequence[str], closes: Sequence[str]) -> Finding:
    first = tuple(_even(one).casefold() for one in opens)
    last = tuple(_even(one).casefold() for one in closes)

    def finding(text: str) -> str:
        even = _even(text).casefold()
        if first and not even.startswith(first):
            return f"does not begin with {' or '.join(map(repr, opens))}"
        if last and not even.endswith(last):
            return f"does not end with {' or '.join(map(repr, closes))}"
        return ""

    return finding


def _address(check: StyleCheck) -> Finding:
    """The words of the other form. A formal word that is only told by its capital is not looked
    for at the start of a sentence, where any word has one."""
    if check.address is None or check.language is None:
        return lambda text: ""
    table = _forms()[check.language]
    other = "informal" if check.address == "formal" else "formal"
    by_capital = other == "formal" and table["capital"]
    pattern = _any_of(table[other], 0 if by_capital else re.IGNORECASE)

    def finding(text: str) -> str:
        for sentence in sentences(text):
            for hit in pattern.finditer(sentence):
                if not (by_capital and not any(map(str.isalnum, sentence[: hit.start()]))):
                    return f"addresses the reader as {other}: {hit.group()!r}"
        return ""

    return finding


def _limits(check: StyleCheck) -> Finding:
    def finding(text: str) -> str:
        longest = max((len(words(one)) for one in sentences(text)), default=0)
        shouted = [
            w for w in words(text) if len(w) >= SHOUTED_LETTERS and w.isalpha() and w.isupper()
        ]
        counted = [
            (check.max_sentence_words, longest, "words in a sentence"),
            (check.max_exclamation_marks, text.count("!") + text.count("！"), "exclamation marks"),
            (check.max_capital_words, len(shouted), "words in capitals"),
        ]
        for most, count, what in counted:
            if most is not None and count > most:
                return f"{count} {what}, more than {most}"
        return "" if check.emoji or not _emoji(text) else f"holds the emoji {_emoji(text)}"

    return finding


def _emoji(text: str) -> str:
    """The first emoji: a pictograph or emoticon outside the letters and marks of any script."""
    return next((c for c in text if unicodedata.category(c) == "So" and ord(c) >= 0x2600), "")


def _phrase(phrase: str) -> re.Pattern[str]:
    """A phrase as whole words, blanks of any length, case ignored."""
    body = r"\s+".join(map(re.escape, _even(phrase).split()))
    return re.compile(rf"(?<!\w){body}(?!\w)", re.IGNORECASE)


def _any_of(names: Sequence[str], flags: int) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, names))})(?!\w)", flags)


def _even(text: str) -> str:
    """Typographic apostrophes made plain, blanks at the ends removed."""
    return text.replace("’", "'").strip()


@cache
def _forms() -> dict[str, Any]:
    text = files("metier.scoring.texts").joinpath("style.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)
