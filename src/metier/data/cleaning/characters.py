"""Characters: line ends, control characters, Unicode, widths, white space."""

from __future__ import annotations

import re
import unicodedata

from metier.data.cleaning.rules import Rule, cleaning_rules

_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\u200b\u2060\ufeff\u00ad]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_RUNS = re.compile(r"[^\S\n]{2,}|[^\S\n ]")
_PLAIN_RUNS = re.compile("  +")
# White space that is neither in _EXOTIC nor a space or a newline.
_OTHER = "\t\x0b\x0c\r\x1c\x1d\x1e\x1f\x85\u2028\u2029"
_EXOTIC = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
_BLANK_LINES = re.compile(r"\n{3,}")
_LINE_ENDS = ("\r\n", "\r", "\x0b", "\x0c", "\x85", "\u2028", "\u2029")
# The fullwidth forms of printable ASCII (Unicode block Halfwidth and Fullwidth Forms).
_FULLWIDTH = re.compile("[\uff01-\uff5e]")
_NARROW = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}


def plain_line_ends(text: str) -> str:
    """Turn every kind of line end into a newline."""
    for end in _LINE_ENDS:
        if end in text:
            text = text.replace(end, "\n")
    return text


def strip_controls(text: str) -> str:
    """Remove control, zero-width and soft-hyphen characters."""
    return _CONTROL.sub("", text)


def compose(text: str) -> str:
    """Return the text in Unicode NFC, fit for UTF-8 (a lone surrogate becomes U+FFFD)."""
    return text if text.isascii() else unicodedata.normalize("NFC", storable(text))


def storable(text: str) -> str:
    """Return the text with U+FFFD in place of lone surrogates, which UTF-8 cannot hold."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def narrow(text: str) -> str:
    """Turn fullwidth letters, digits and signs into plain ASCII; kana and Hangul stay."""
    return text.translate(_NARROW)


def tidy_spaces(text: str) -> str:
    """Collapse spaces inside lines and blank lines; keep the indentation of inner lines."""
    if not text.isascii():
        text = _EXOTIC.sub(" ", text)
    other = any(one in text for one in _OTHER)
    if other or " \n" in text:
        text = "\n".join([line.rstrip() for line in text.split("\n")])
    if "\n\n\n" in text:
        text = _BLANK_LINES.sub("\n\n", text)
    text = text.rstrip()
    if other or "  " in text:
        text = (_RUNS if other else _PLAIN_RUNS).sub(_one_space, text)
    return text.strip()


def _one_space(run: re.Match[str]) -> str:
    """Return a space for a run inside a line; indentation stays."""
    at = run.start()
    return run[0] if at == 0 or run.string[at - 1] == "\n" else " "


def tidy_label(label: str) -> str:
    """Return a label as it is compared: NFC, one space between words, none around."""
    return " ".join(compose(label).split())


def _has_line_ends(text: str) -> bool:
    return any(end in text for end in _LINE_ENDS)


@cleaning_rules.register("line_ends")
def line_ends() -> Rule:
    """Turn line ends into newlines."""
    return Rule("line_ends", plain_line_ends, _has_line_ends, True)


@cleaning_rules.register("control_characters")
def control_characters() -> Rule:
    """Remove control characters."""
    return Rule("control_characters", strip_controls, spares_plain=True)


@cleaning_rules.register("unicode")
def unicode() -> Rule:
    """Compose characters (NFC); replace lone surrogates."""
    return Rule("unicode", compose, lambda text: not text.isascii(), True)


@cleaning_rules.register("storable")
def storable_only() -> Rule:
    """Replace lone surrogates alone: what is left of "unicode" when that is undone."""
    return Rule("unicode", storable, lambda text: not text.isascii(), True)


@cleaning_rules.register("fullwidth")
def fullwidth() -> Rule:
    """Turn fullwidth forms into plain ones."""
    return Rule("fullwidth", narrow, lambda text: bool(_FULLWIDTH.search(text)), True)


@cleaning_rules.register("white_space")
def white_space() -> Rule:
    """Collapse white space."""
    return Rule("white_space", tidy_spaces, spares_plain=True)
