"""Exact duplicates: a key that is equal for texts that say the same in the same words."""

from __future__ import annotations

import re
import unicodedata
from hashlib import blake2b

_BLANKS = re.compile(r"\s+")
_ENDS = " \t.!?,;:…\"'“”‘’"


def normalise(text: str) -> str:
    """Return the text without what does not count: case, runs of blanks, Unicode look-alikes
    (NFKC), and punctuation at both ends. Text of only punctuation stays as it is."""
    folded = _BLANKS.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip()
    return folded.strip(_ENDS) or folded


def exact_key(text: str) -> str:
    """Return the 128-bit BLAKE2b hash, in hex, of the normalised text."""
    return blake2b(normalise(text).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
