"""The built-in repairs in their order. Importing this registers them."""

from __future__ import annotations

from metier.data.cleaning import characters, dates, mail, markup, mojibake, units

__all__ = ["ORDER", "characters", "dates", "mail", "markup", "mojibake", "units"]

ORDER = (
    "mojibake",
    "html",
    "line_ends",
    "control_characters",
    "unicode",
    "fullwidth",
    "white_space",
    "quoted_replies",
    "signatures",
    "units",
    "dates",
)
