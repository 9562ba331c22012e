"""People, places and organisations in English text: the bundled tagger with its rules.

>>> from metier.privacy.names import NameRecogniser
>>> [found.kind for found in NameRecogniser().find("Ask Dr. Maria Lund in Bergen.")]
['title', 'person', 'place']
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from metier.privacy.names import addresses, features, rules, tagger
from metier.privacy.names.runs import Run, Tokens, decode, trimmed
from metier.privacy.types import Finding

CAUTION = 1.0
"""Nats taken off "no name": more finds more names, and takes more words for names."""
_HAS_LETTER = re.compile(r"[^\W\d_]")


class NameRecogniser:
    """Finds people, places, organisations, titles, nationalities and street addresses.

    Made and measured for English text; names may be of any origin in Latin letters.
    """

    name = "names.bundled"
    kinds = frozenset(tagger.KINDS)
    languages = frozenset({"en"})

    def __init__(self, caution: float = CAUTION) -> None:
        self._caution = caution

    def find(self, text: str) -> Iterable[Finding]:
        """Return findings in order, without overlaps."""
        if not _HAS_LETTER.search(text):
            return []
        spans = features.spans(text)
        words = [text[start:end] for start, end in spans]
        mode = features.mode(text)
        scores, bits = tagger.load().read(words, mode)
        tokens = Tokens(text, spans, words, bits.tolist(), mode)
        return _findings(tokens, _ruled(tokens, decode(scores, self._caution)))


def _ruled(tokens: Tokens, tagged: list[Run]) -> list[Run]:
    trims = (trimmed(tokens, run) for run in tagged)
    found = [run for run in trims if run and rules.credible(tokens, run)]
    for rule in (rules.listed, rules.after_titles, rules.signed, rules.widened, rules.again):
        found += [run for run in rule(tokens, found) if rules.credible(tokens, run)]
        found = rules.merged(tokens, found)
    return found


def _findings(tokens: Tokens, found: list[Run]) -> list[Finding]:
    spans = tokens.spans
    named = [Finding(spans[a][0], spans[b - 1][1], tagger.KINDS[k]) for a, b, k in found]
    return addresses.join(tokens.text, named)
