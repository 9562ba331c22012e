"""Words and sentences, by rule: what style, readability and coverage count.

A word is a run of letters and digits of any script, with the apostrophes, hyphens and points
inside it (``don't``, ``e-mail``, ``U.S``). A sentence ends at . ! ? … or 。！？ followed by blank
space or the end, and at a line break; not after an abbreviation that is listed, an initial, or the
number of a list.
"""

from __future__ import annotations

import re

_WORD = re.compile(r"[^\W_]+(?:['’.\-][^\W_]+)*")
_END = re.compile(r"[.!?…]+[\"'”’)\]]*(?=\s|$)|[。！？]+|\n+")
_BEFORE = re.compile(r"(?:^|[\s(])(\S+)$")
_ABBREVIATIONS = frozenset(
    [
        *("dr", "mr", "mrs", "ms", "prof", "st", "vs", "etc", "e.g", "i.e", "approx", "no", "fig"),
        *("eq", "al", "jr", "sr", "inc", "ltd", "co", "dept", "bzw", "z.b", "d.h", "ca", "usw"),
        *("nr", "str", "hr", "fr", "u.a", "evtl", "ggf", "m.e", "p.ex", "av"),
    ]
)


def words(text: str) -> list[str]:
    """Return the words of a text in order, as written."""
    return _WORD.findall(text)


def sentences(text: str) -> list[str]:
    """Return the sentences of a text in order, stripped; those without a word are left out."""
    found, start = [], 0
    for end in _END.finditer(text):
        if end.group() == "." and _is_abbreviated(text[max(start, end.start() - 20) : end.start()]):
            continue
        found.append(text[start : end.end()])
        start = end.end()
    found.append(text[start:])
    return [one.strip() for one in found if _WORD.search(one)]


def _is_abbreviated(before: str) -> bool:
    last = _BEFORE.search(before)
    word = last.group(1).strip("\"'“‘([") if last else ""
    if word.casefold() in _ABBREVIATIONS:
        return True
    initial = len(word) == 1 and word.isalpha() and word.isupper() and word != "I"
    return initial or (word.isdigit() and before.strip() == word)
