"""Texts that people write, without the identifiers that patterns find."""

from __future__ import annotations

from metier.privacy import redact

_PASSES = 20


def clear_text(text: str) -> str:
    """Return a text in which no identifier is found any more.

    One pass is not enough: where two finds overlap, the second shows once the first is replaced.
    """
    for _ in range(_PASSES):
        cleared, found = redact(text)
        if not found:
            break
        text = cleared
    return text
