"""Stand-in until ``refusal`` is there."""

from __future__ import annotations

import re

_REFUSES = re.compile(
    r"\b(?:i (?:do not|don't|cannot|can't) (?:know|answer|say|find)|not in the documents|"
    r"no information|cannot be answered|i'm sorry, but|unable to answer)\b",
    re.IGNORECASE,
)


def is_refusal(text: str) -> bool:
    """Whether a reply says that it does not answer."""
    return bool(_REFUSES.search(text.replace("’", "'")))
