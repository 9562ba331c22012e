"""The one identifier of languages: py3langid (BSD), naive Bayes over byte n-grams.

Source: Lui and Baldwin, "langid.py: An Off-the-shelf Language Identification Tool", ACL 2012.
Short texts mislead it; each user says below how many letters it is not asked.
"""

from __future__ import annotations

from functools import cache
from typing import Any


@cache
def language_identifier() -> Any:
    """Return the identifier, loaded once a process; ``rank(text)`` gives (ISO 639-1, probability)
    pairs, likeliest first."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
