"""Numbers as the page writes them: rounded for reading, with unit, interval and n."""

from __future__ import annotations

import math

from metier.core.types import Estimate, Json

DASH = "–"


def number(value: float | None, unit: str = "", signed: bool = False) -> str:
    """Write a value for reading: three places under 10, fewer above; short times in ms."""
    if value is None or not math.isfinite(value):
        return DASH
    scale, shown = _scaled(value, unit)
    return _plain(value * scale, signed) + shown


def interval(estimate: Estimate | None, unit: str = "", signed: bool = False) -> str:
    """Write ``0.871 [0.840, 0.899]``; without an interval ``0.871 [no interval]``."""
    if estimate is None or not math.isfinite(estimate.value):
        return DASH
    scale, shown = _scaled(estimate.value, unit)
    value = _plain(estimate.value * scale, signed) + shown
    if not (math.isfinite(estimate.low) and math.isfinite(estimate.high)):
        return f"{value} [no interval]"
    low, high = (_plain(bound * scale, signed) for bound in (estimate.low, estimate.high))
    return f"{value} [{low}, {high}]"


def _scaled(value: float, unit: str) -> tuple[float, str]:
    """Return the factor and the unit to show: seconds become milliseconds under a tenth."""
    if unit == "s":
        return (1000.0, "\u202fms") if 0 < abs(value) < 0.1 else (1.0, "\u202fs")
    return 1.0, ""


def _plain(value: float, signed: bool) -> str:
    size = abs(value)
    places = 3 if size < 10 else 1 if size < 1000 else 0
    return f"{value:{'+' if signed else ''},.{places}f}".replace("-", "−")


def tick(value: float, signed: bool = False) -> str:
    """Write an axis label with two significant digits, without an exponent where it can."""
    if not math.isfinite(value):
        return DASH
    sign = "+" if signed and value else ""
    text = f"{value:{sign},.0f}" if abs(value) >= 100 else f"{value:{sign}.2g}"
    return text.replace("-", "−")


def usd(value: float) -> str:
    """Write a price: cents above a dollar, two significant digits under it."""
    if not math.isfinite(value):
        return DASH
    if value == 0:
        return "$0"
    if value < 0.0001:
        return "< $0.0001"
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
        return ", ".join(f"{_words(key)} {setting(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(setting(item) for item in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return number(value) if isinstance(value, float) else str(value)


def short(text: str, length: int) -> str:
    """Cut ``text`` to ``length`` characters with an ellipsis."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def _words(name: str) -> str:
    return name.replace("_", " ")
