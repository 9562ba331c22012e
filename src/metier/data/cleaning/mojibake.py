"""Mojibake: text that was decoded with the wrong encoding (ftfy)."""

from __future__ import annotations

from metier.data.cleaning.rules import Rule, cleaning_rules


def fix_mojibake(text: str) -> str:
    """Undo decoding with the wrong encoding; quotes, ligatures and widths stay as typed."""
    if text.isascii():
        return text
    import ftfy

    return ftfy.fix_encoding(text)


@cleaning_rules.register("mojibake")
def mojibake() -> Rule:
    """Repair text that was decoded with the wrong encoding."""
    return Rule("mojibake", fix_mojibake, lambda text: not text.isascii(), True)
