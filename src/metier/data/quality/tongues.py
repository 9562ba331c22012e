"""What a text is written in, as far as its script and its commonest words tell.

A script alone tells Greek from Latin; among languages in Latin letters the function words of a few
decide, and only where they clearly do: "" means unknown, and is never held against a row.
"""

from __future__ import annotations

import unicodedata
from collections import Counter

CLEAR = 3
"""Function words a text must hold, and twice as many as of any other language."""
_WORDS = {
    "en": "the and is are was to of in that it you for with this have not on be your",
    "de": "der die das und ist nicht ein eine ich sie wir mit auf für den zu von im",
    "fr": "le la les des est et une vous nous pas que qui dans pour avec sur au ce",
    "es": "el los las una es y que no por con para del se su como está más al",
    "it": "il gli che non una è di per con sono della del si lo come più ma questo",
    "pt": "os as que não uma é de para com em do da por se mais como está ao",
    "nl": "de het een en is niet van ik je dat op te zijn met voor die wij aan",
}
FUNCTION_WORDS = {name: frozenset(words.split()) for name, words in _WORDS.items()}


def tongue(text: str) -> str:
    """Return a language code, a script's name in lower case (``cyrillic``), or ""."""
    script = script_of(text)
    if script != "latin":
        return script
    words = set(text.casefold().split())
    hits = {name: len(words & known) for name, known in FUNCTION_WORDS.items()}
    first, second = sorted(hits, key=lambda name: (-hits[name], name))[:2]
    return first if hits[first] >= CLEAR and hits[first] >= 2 * hits[second] else ""


def script_of(text: str) -> str:
    """Return the script most letters are of (``latin``, ``cjk`` …); "" without eight letters."""
    names = Counter(
        unicodedata.name(char, "").partition(" ")[0] for char in text[:2000] if char.isalpha()
    )
    if sum(names.values()) < 8:
        return ""
    return names.most_common(1)[0][0].lower()
