"""Numbers as the page writes them: rounded for reading, with unit, interval and n."""

from __future__ import annotations

import math

from metier.core.types import Estimate, Json

DASH = "–"


def number(value: float | None, unit: str = "", signed: bool = False) -> str:
    """Write a value with three significant places after the point, fewer when it is large."""
    if value is None or not math.isfinite(value):
        return DASH
    size = abs(value)
    places = 3 if size < 10 else 1 if size < 1000 else 0
    if 0 < size < 0.0005:
        places = 5
    text = f"{value:{'+' if signed else ''},.{places}f}".replace("-", "−")
    return text + (f"\u202f{unit}" if unit in ("s", "ms") else "")


def interval(estimate: Estimate | None, unit: str = "", signed: bool = False) -> str:
    """Write ``0.871 [0.840, 0.899]``; without an interval ``0.871 [no interval]``."""
    if estimate is None or not math.isfinite(estimate.value):
        return DASH
    if not (math.isfinite(estimate.low) and math.isfinite(estimate.high)):
        return f"{number(estimate.value, unit, signed)} [no interval]"
    low, high = number(estimate.low, "", signed), number(estimate.high, "", signed)
    return f"{number(estimate.value, unit, signed)} [{low}, {high}]"


def usd(value: float) -> str:
    """Write a price with two significant digits under a dollar."""
    if not math.isfinite(value):
        return DASH
    if value == 0:
        return "$0"
    return f"${value:,.2f}" if value >= 1 else f"${value:.2g}"


def p_words(value: float) -> str:
    """Write a p-value; below a thousandth only that."""
    if not math.isfinite(value):
        return DASH
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def answer(value: Json) -> str:
    """Write a parsed answer for reading: fields on lines of their own, None as "no answer"."""
    if value is None:
        return "no answer"
    if isinstance(value, dict):
        return "\n".join(f"{key}: {answer(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(answer(item) for item in value) or "none"
    return str(value)


def setting(value: Json) -> str:
    """Write a setting on one line."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {setting(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(setting(item) for item in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return number(value) if isinstance(value, float) else str(value)


def short(text: str, length: int) -> str:
    """Cut ``text`` to ``length`` characters with an ellipsis."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"
