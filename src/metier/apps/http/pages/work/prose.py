"""Guidelines as HTML: Markdown of the plain kind, every character of the text escaped.

# heading   - list   1. list   > quote   ``` code   **strong**   *emphasis*   `code`

What is none of these stays text: no links, no images, no HTML of the writer's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from markupsafe import Markup, escape

_INLINE = (
    (re.compile(r"`([^`\n]+)`"), r"<code>\1</code>"),
    (re.compile(r"\*\*(?=\S)([^*\n]+?)(?<=\S)\*\*"), r"<strong>\1</strong>"),
    (re.compile(r"(?<![\w*])\*(?=\S)([^*\n]+?)(?<=\S)\*(?![\w*])"), r"<em>\1</em>"),
)
_HEADING = re.compile(r"(#{1,4})\s+(.+)")
_BULLET = re.compile(r"[-*+]\s+(.+)")
_NUMBER = re.compile(r"\d{1,3}[.)]\s+(.+)")
_QUOTE = re.compile(r">\s?(.*)")
_FENCE = "```"
_TOP = 2  # the page's own title is the one of level 1


def prose(text: str) -> Markup:
    """Render a guideline's text. Headings begin at level 3, as they stand under a page's own."""
    return Markup("\n").join(_blocks(text.splitlines()))


def _blocks(lines: list[str]) -> Iterator[Markup]:
    at = 0
    while at < len(lines):
        line = lines[at].strip()
        heading = _HEADING.fullmatch(line)
        if not line:
            at += 1
        elif line.startswith(_FENCE):
            block, at = _fenced(lines, at + 1)
            yield Markup("<pre><code>{}</code></pre>").format("\n".join(block))
        elif heading:
            level = min(len(heading[1]) + _TOP, 6)
            yield Markup(f"<h{level}>") + inline(heading[2]) + Markup(f"</h{level}>")
            at += 1
        else:
            block, at = _same(lines, at)
            yield _block(block)


def inline(text: str) -> Markup:
    """Render emphasis and code within a line."""
    safe = str(escape(text))
    for pattern, html in _INLINE:
        safe = pattern.sub(html, safe)
    return Markup(safe)


def _kind(line: str) -> str:
    line = line.strip()
    for kind, pattern in (("ul", _BULLET), ("ol", _NUMBER), ("blockquote", _QUOTE)):
        if pattern.fullmatch(line):
            return kind
    return "p"


def _same(lines: list[str], at: int) -> tuple[list[str], int]:
    """The lines that belong together from one on: to an empty line or one of another kind."""
    kind = _kind(lines[at])
    block: list[str] = []
    while at < len(lines) and lines[at].strip():
        line = lines[at]
        other = _kind(line) != kind and not (kind in ("ul", "ol") and line.startswith(" "))
        if other or (block and (_HEADING.match(line.strip()) or line.startswith(_FENCE))):
            break
        block.append(line)
        at += 1
    return block, at


def _block(lines: list[str]) -> Markup:
    kind = _kind(lines[0])
    if kind in ("ul", "ol"):
        items = Markup("").join(
            Markup("<li>") + inline(one) + Markup("</li>") for one in _items(lines)
        )
        return Markup(f"<{kind}>") + items + Markup(f"</{kind}>")
    if kind == "blockquote":
        lines = [_QUOTE.fullmatch(one.strip())[1] for one in lines]  # type: ignore[index]
    body = inline(" ".join(one.strip() for one in lines))
    return Markup(f"<{kind}>") + body + Markup(f"</{kind}>")


def _items(lines: list[str]) -> list[str]:
    """The items of a list; an indented line goes on with the item before."""
    found: list[str] = []
    for line in lines:
        new = _BULLET.fullmatch(line.strip()) or _NUMBER.fullmatch(line.strip())
        if new:
            found.append(new[1])
        elif found:
            found[-1] += " " + line.strip()
    return found


def _fenced(lines: list[str], at: int) -> tuple[list[str], int]:
    block = []
    while at < len(lines) and not lines[at].strip().startswith(_FENCE):
        block.append(lines[at])
        at += 1
    return block, at + 1
