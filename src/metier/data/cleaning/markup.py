"""HTML in texts: tags, comments, entities. Every pass is linear, whatever the nesting."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from html.entities import html5

from metier.data.cleaning.rules import Rule, cleaning_rules

# Nested or repeatedly escaped markup needs one pass per level. A text gets as many passes as read
# this many characters, and four at least: short texts all they need, long ones linear time.
READ_CHARS = 500_000
LEAST_PASSES = 4

_NAMED = r"(?:p|br|div|span|em|strong|ol|ul|li|h[1-6]|table|tbody|thead|tr|td|th|font|img|hr|pre"
_NAMED += r"|code|blockquote|html|body|head|title|meta|link|script|style|small|sup|sub)"
# A value without quotes holds no "<" (the HTML standard calls it an error): with it, a run of
# unfinished tags would be read to its end from each of them.
_VALUE = r"(?:\s*=\s*(?:\"[^\"]*\"|'[^']*'|[^\s>\"'<]+))"
_TAG = re.compile(rf"<(/?)({_NAMED})(?:\s+[\w:-]+{_VALUE}?)*\s*/?>", re.I)
_BREAKS = frozenset(
    ["p", "br", "div", "li", "tr", "table", "ul", "ol", "hr", "pre", "blockquote", "title"]
    + [f"h{level}" for level in range(1, 7)]
)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});")
# One-letter names are markup only in pairs: "if a <b> c" is not.
_LETTER_OPEN = re.compile(rf"<([abius])(?:\s+[\w:-]+{_VALUE})*\s*>", re.I)
_LETTER_CLOSE = {one: re.compile(rf"</{one}\s*>", re.I) for one in "abius"}
_HIDDEN_OPEN = re.compile(r"<(!--|script\b|style\b)", re.I)
_HIDDEN_CLOSE = {
    "!--": re.compile("-->"),
    "script": re.compile(r"</script\s*>", re.I),
    "style": re.compile(r"</style\s*>", re.I),
}
_END = re.compile(">")


def strip_markup(text: str) -> str:
    """Remove HTML tags and comments and unescape entities; block tags become line breaks.

    What was escaped twice is unescaped twice.
    """
    for _ in range(max(LEAST_PASSES, READ_CHARS // (len(text) + 1))):
        before = text
        text = _strip_once(text)
        if text == before:
            break
    return text


def _strip_once(text: str) -> str:
    if "<" in text:
        text = _strip_hidden(text)
        text = _TAG.sub(lambda m: "\n" if m[2].lower() in _BREAKS else "", text)
        text = _strip_letters(text)
    return _ENTITY.sub(_unescape, text) if "&" in text else text


class _Ahead:
    """The first match at or after a place. Places only grow, so all questions scan once."""

    def __init__(self, pattern: re.Pattern[str], text: str) -> None:
        self._found: Iterator[re.Match[str]] = pattern.finditer(text)
        self._next = next(self._found, None)

    def after(self, at: int) -> re.Match[str] | None:
        while self._next is not None and self._next.start() < at:
            self._next = next(self._found, None)
        return self._next


Piece = tuple[int, int, str]
"""A stretch of the text, and what takes its place."""


def _strip_hidden(text: str) -> str:
    """Replace comments, scripts and styles, each with what is in it, by a space."""
    if not _HIDDEN_OPEN.search(text):
        return text
    closers = {name: _Ahead(pattern, text) for name, pattern in _HIDDEN_CLOSE.items()}
    ends = _Ahead(_END, text)

    def piece(opener: re.Match[str]) -> Piece | None:
        name, start = opener[1].casefold(), opener.end()
        if name != "!--":
            end = ends.after(start)
            if end is None:
                return None
            start = end.end()
        closer = closers[name].after(start) if name in closers else None
        return None if closer is None else (opener.start(), closer.end(), " ")

    return _replaced(text, _HIDDEN_OPEN, piece)


def _strip_letters(text: str) -> str:
    """Remove pairs such as <b>…</b>; what stands between them stays."""
    closers = {
        name: _Ahead(pattern, text)
        for name, pattern in _LETTER_CLOSE.items()
        if f"</{name}" in text or f"</{name.upper()}" in text
    }
    if not closers:
        return text

    def piece(opener: re.Match[str]) -> Piece | None:
        ahead = closers.get(opener[1].casefold())
        closer = ahead.after(opener.end()) if ahead else None
        if closer is None:
            return None
        return opener.start(), closer.end(), text[opener.end() : closer.start()]

    return _replaced(text, _LETTER_OPEN, piece)


def _replaced(
    text: str, opener: re.Pattern[str], piece: Callable[[re.Match[str]], Piece | None]
) -> str:
    """Replace each stretch that begins with an opener outside the one before, from the left."""
    parts: list[str] = []
    done = 0
    found = opener.search(text)
    while found is not None:
        stretch = piece(found)
        if stretch is not None:
            parts += [text[done : stretch[0]], stretch[2]]
            done = stretch[1]
        found = opener.search(text, found.end() if stretch is None else done)
    return "".join([*parts, text[done:]]) if parts else text


def _unescape(match: re.Match[str]) -> str:
    entity = match[0]
    return html.unescape(entity) if entity[1] == "#" or entity[1:] in html5 else entity


@cleaning_rules.register("html")
def markup() -> Rule:
    """Remove HTML tags, unescape entities."""
    return Rule("html", strip_markup, lambda text: "<" in text or "&" in text, True)
