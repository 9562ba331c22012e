"""Cleaning: repairs text, and sends rows that are empty or of a wrong length to quarantine.

Repairs run in a fixed order until nothing changes any more, so cleaning clean text does nothing:
mojibake (ftfy), markup, line ends, control characters, Unicode NFC, white space.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html.entities import html5

from metier.core.steps import Change, Drop, Keep, Outcome
from metier.core.types import (
    CompletionTarget,
    Example,
    ExampleTarget,
    FieldsTarget,
    Image,
    Json,
    LabelsTarget,
    LabelTarget,
    PreferenceTarget,
)
from metier.data.config import CleanConfig, DataConfig
from metier.data.cleaning.rewrite import rewrite

# Enough for text that was mangled several times over; each round that changes shortens it.
MAX_ROUNDS = 8

_NAMED = r"(?:p|br|div|span|em|strong|ol|ul|li|h[1-6]|table|tbody|thead|tr|td|th|font|img|hr|pre"
_NAMED += r"|code|blockquote|html|body|head|title|meta|link|script|style|small|sup|sub)"
_VALUE = r"(?:\s*=\s*(?:\"[^\"]*\"|'[^']*'|[^\s>\"']+))"
_TAG = re.compile(rf"<(/?)({_NAMED})(?:\s+[\w:-]+{_VALUE}?)*\s*/?>", re.I)
# One-letter names are markup only in pairs: "if a <b> c" is not.
_PAIR = re.compile(rf"<([abius])(?:\s+[\w:-]+{_VALUE})*\s*>(.*?)</\1\s*>", re.I | re.S)
_HIDDEN = re.compile(r"<!--.*?-->|<(script|style)\b[^>]*>.*?</\1\s*>", re.I | re.S)
_BREAKS = frozenset(
    ["p", "br", "div", "li", "tr", "table", "ul", "ol", "hr", "pre", "blockquote", "title"]
    + [f"h{level}" for level in range(1, 7)]
)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});")
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\u200b\u2060\ufeff\u00ad]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_SPACES = re.compile(r"(?<=\S)[^\S\n]+(?=\S)")
_TRAILING = re.compile(r"[^\S\n]+$", re.M)
_EXOTIC = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
_BLANK_LINES = re.compile(r"\n{3,}")
_ODD = re.compile(r"[^\x21-\x25\x27-\x3b\x3d-\x7e ]|  |^ | $")


def fix_mojibake(text: str) -> str:
    """Undo decoding with the wrong encoding; quotes, ligatures and widths stay as typed."""
    if text.isascii():
        return text
    import ftfy

    return ftfy.fix_encoding(text)


def strip_markup(text: str) -> str:
    """Remove HTML tags and comments and unescape entities; block tags become line breaks.

    What was escaped twice is unescaped twice.
    """
    before = None
    while text != before:
        before = text
        text = _strip_once(text)
    return text


def _strip_once(text: str) -> str:
    if "<" in text:
        text = _HIDDEN.sub(" ", text)
        text = _TAG.sub(lambda m: "\n" if m[2].lower() in _BREAKS else "", text)
        text = _PAIR.sub(r"\2", text)
    return _ENTITY.sub(_unescape, text) if "&" in text else text


def _unescape(match: re.Match[str]) -> str:
    entity = match[0]
    return html.unescape(entity) if entity[1] == "#" or entity[1:] in html5 else entity


def plain_line_ends(text: str) -> str:
    """Turn every kind of line end into a newline."""
    for end in ("\r\n", "\r", "\x0b", "\x0c", "\x85", "\u2028", "\u2029"):
        if end in text:
            text = text.replace(end, "\n")
    return text


def strip_controls(text: str) -> str:
    """Remove control, zero-width and soft-hyphen characters."""
    return _CONTROL.sub("", text)


def compose(text: str) -> str:
    """Return the text in Unicode NFC, fit for UTF-8 (a lone surrogate becomes U+FFFD)."""
    if text.isascii():
        return text
    return unicodedata.normalize("NFC", _SURROGATE.sub("\ufffd", text))


def tidy_spaces(text: str) -> str:
    """Collapse spaces inside lines and blank lines; keep the indentation of inner lines."""
    text = _EXOTIC.sub(" ", text)
    text = _TRAILING.sub("", text)
    text = _BLANK_LINES.sub("\n\n", text)
    return _SPACES.sub(" ", text).strip()


def tidy_label(label: str) -> str:
    """Return a label as it is compared: NFC, one space between words, none around."""
    return " ".join(compose(label).split())


Repair = tuple[str, Callable[[str], str]]


def repairs(config: CleanConfig) -> list[Repair]:
    """Return the repairs that are on, in order, each under its rule's name."""
    chosen: list[tuple[bool, str, Callable[[str], str]]] = [
        (config.mojibake, "mojibake", fix_mojibake),
        (config.html, "html", strip_markup),
        (config.control_characters, "line_ends", plain_line_ends),
        (config.control_characters, "control_characters", strip_controls),
        # Always: what is not valid Unicode cannot be stored.
        (True, "unicode", compose),
        (config.white_space, "white_space", tidy_spaces),
    ]
    return [(rule, repair) for on, rule, repair in chosen if on]


def clean_text(text: str, chosen: Sequence[Repair]) -> list[tuple[str, str]]:
    """Apply the repairs until nothing changes; return (rule, text after it) of each that did."""
    if not _ODD.search(text):
        return []
    stages: list[tuple[str, str]] = []
    for _ in range(MAX_ROUNDS):
        before = text
        for rule, repair in chosen:
            after = repair(text)
            if after != text:
                stages.append((rule, after))
                text = after
        if text == before:
            break
    return stages


@dataclass(frozen=True, slots=True)
class Clean:
    """The cleaning step. ``closed`` names the structured fields that hold one of a closed set."""

    config: DataConfig
    closed: frozenset[str] = frozenset()
    name: str = "clean"

    def apply(self, batch: Sequence[Example], state: Json) -> Iterator[Outcome]:
        """Repair each example; drop it when nothing or too much is left."""
        chosen = repairs(self.config.cleaning)
        for example in batch:
            cleaned, changes = rewrite(
                example, self.name, lambda text: clean_text(text, chosen), self.closed
            )
            tidy, spacing = self._tidy_labels(cleaned)
            reason, evidence = self._unfit(tidy)
            if reason:
                yield Drop(example, reason, evidence)
            else:
                yield Keep(tidy, (*changes, *spacing))

    def _tidy_labels(self, example: Example) -> tuple[Example, tuple[Change, ...]]:
        before = _labels_of(example, self.closed)
        after = {place: tidy_label(label) for place, label in before.items()}
        if after == before:
            return example, ()
        changes = tuple(
            Change("label_spacing", label, after[place])
            for place, label in before.items()
            if label != after[place]
        )
        return example.changed(self.name, target=_with_labels(example, after)), changes

    def _unfit(self, example: Example) -> tuple[str, dict[str, Json]]:
        chars = len(example.conversation.text.strip())
        if not chars and not _has_image(example):
            return "empty", {"what": "no text is left in the prompt"}
        if chars < self.config.min_chars and not _has_image(example):
            return "too_short", {"chars": chars, "min_chars": self.config.min_chars}
        if chars > self.config.max_chars:
            return "too_long", {"chars": chars, "max_chars": self.config.max_chars}
        if _reply_is_empty(example):
            return "empty_target", {"what": "no text is left in the reply"}
        return "", {}


def _labels_of(example: Example, closed: frozenset[str]) -> dict[str, str]:
    match example.target:
        case LabelTarget(label=label):
            return {"": label}
        case LabelsTarget(labels=labels):
            return {str(place): label for place, label in enumerate(labels)}
        case FieldsTarget(fields=fields):
            return {k: v for k, v in fields.items() if k in closed and isinstance(v, str)}
        case _:
            return {}


def _with_labels(example: Example, labels: dict[str, str]) -> ExampleTarget | None:
    match example.target:
        case LabelTarget():
            return LabelTarget(labels[""])
        case LabelsTarget():
            return LabelsTarget(tuple(sorted(set(labels.values()))))
        case FieldsTarget(fields=fields):
            return FieldsTarget({**fields, **labels})
        case target:
            return target


def _has_image(example: Example) -> bool:
    messages = example.conversation.messages
    return any(isinstance(part, Image) for message in messages for part in message.parts)


def _reply_is_empty(example: Example) -> bool:
    match example.target:
        case CompletionTarget(text=text):
            return not text.strip()
        case LabelTarget(label=label):
            return not label
        case PreferenceTarget(chosen=chosen, rejected=rejected):
            return not chosen.strip() or not rejected.strip()
        case _:
            return False
