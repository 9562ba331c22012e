"""Quantities, written one way: a space between number and unit, one micro sign, one mmHg.

Only units of two letters and more: ``5m`` may be metres, minutes or millions, ``5g`` a network.
Spacing after the SI brochure (BIPM, 9th edition), 5.4.3; the Greek letter in place of the micro
sign after Unicode Technical Report 25, section 2.3.
"""

from __future__ import annotations

import re

from metier.data.cleaning.rules import Rule, cleaning_rules

_UNITS = (
    r"[mkcµμ]g|mcg|ng|[mdcµμ][lL]|[mckµμn]m|[mkµμn]?mol|mmHg|kPa|hPa|MPa|[kMG]Hz|Hz|kcal|kJ|kWh?"
    r"|MW|[kMGT]B|mAh|mV|kV|mA|bpm|mph|km/h|IU|mEq|min|hrs|[mµμ]s|°C|°F"
)
# Not inside words, codes ("AB-12mm", "#12mm") or paths; a range ("10-20mg") is not a code.
_GLUED = re.compile(rf"(?<![\w.,/#])(?<![^\W\d]-)(\d+(?:[.,]\d+)?)({_UNITS})(?![\w°])")
_MICRO = re.compile(r"µ(?=(?:[glLmsVAMF]|mol)(?![\w]))")
_MERCURY = re.compile(r"(?<=\d )mm Hg(?!\w)")
_DEGREES = re.compile("℃|℉|(?<=\\d)( ?)º ?(?=[CF](?!\\w))")


def tidy_units(text: str) -> str:
    """Write the quantities of ``text`` one way; what could be anything else stays."""
    text = _DEGREES.sub(_degrees, text)
    text = _MICRO.sub("μ", text)
    text = _GLUED.sub(r"\1 \2", text)
    return _MERCURY.sub("mmHg", text)


def _degrees(match: re.Match[str]) -> str:
    whole = {"℃": "°C", "℉": "°F"}.get(match[0])
    return whole or match[1] + "°"


_DIGIT = re.compile(r"\d")


@cleaning_rules.register("units")
def units() -> Rule:
    """Write quantities one way."""
    return Rule("units", tidy_units, lambda text: bool(_DIGIT.search(text)))
