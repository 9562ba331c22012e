"""Reader of HTML: the main text of a page, without menus, banners, forms and scripts.

The text is taken from <main> or <article> where they hold most of it, else from <body>. Blocks
that are mostly links are left out: menus seldom say what they are. The rule of link density is that
of Kohlschütter et al., "Boilerplate Detection using Shallow Text Features" (WSDM 2010).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser

from metier.core.types import Json
from metier.sources.config import SourceConfig
from metier.sources.documents import decoded
from metier.sources.encoding import BOMS
from metier.sources.members import Member
from metier.sources.pages import document_row, whole_file
from metier.sources.types import BadRow, Row

PAGE_LIMIT = 50_000_000
NEVER = {"script", "style", "noscript", "template", "svg", "head", "iframe", "object", "canvas"}
SELDOM = {"nav", "footer", "aside", "form", "button", "select", "menu", "dialog"}
MAIN = {"main", "article"}
CELLS = {"td", "th"}
INLINE = {
    *("a", "abbr", "b", "bdi", "bdo", "cite", "code", "data", "del", "dfn", "em", "font", "i"),
    *("img", "ins", "kbd", "label", "mark", "q", "s", "samp", "small", "span", "strong", "sub"),
    *("sup", "time", "tt", "u", "var", "wbr"),
}
VOID = {
    *("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param"),
    *("source", "track", "wbr"),
}
LINKS = 0.6
"""Share of a block's characters inside links from which it counts as a menu."""
MAIN_SHARE = 0.25
_CHARSET = re.compile(rb"<meta[^>]+charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]+)", re.IGNORECASE)


def read_html(member: Member, config: SourceConfig) -> Iterator[Row | BadRow]:
    """Read a page as one row, with its ``title`` beside the columns of a text file."""
    with member.open() as stream:
        content = stream.read(PAGE_LIMIT + 1)
    if len(content) > PAGE_LIMIT:
        limit = f"the page is over {PAGE_LIMIT // 1_000_000} MB"
        yield whole_file(member, "page_too_long", limit, "split it")
        return
    text = decoded(content, _encoding(content, config.encoding), member.place)
    page = _Page()
    page.feed(text)
    page.close()
    found = page.written()
    if not found:
        yield whole_file(member, "no_text", "the page holds no text", "leave it out")
        return
    more: dict[str, Json] = {"title": " ".join("".join(page.title).split())}
    yield document_row(member, found, more)


def _encoding(content: bytes, declared: str) -> str:
    """Return the encoding: as configured, else by mark, else as the page itself says."""
    if declared != "auto" or any(content.startswith(mark) for mark, _ in BOMS):
        return declared
    found = _CHARSET.search(content[:4096])
    name = found[1].decode("ascii").lower() if found else "auto"
    # What pages call Latin-1 is read as cp1252 (WHATWG Encoding Standard, "Names and labels").
    name = {"iso-8859-1": "cp1252", "latin1": "cp1252", "us-ascii": "cp1252"}.get(name, name)
    try:
        content.decode(name if name != "auto" else "utf-8")
    except (LookupError, UnicodeDecodeError):
        return "auto"
    return name


class _Page(HTMLParser):
    """Collects the blocks of text, each with where it stands and how much of it is links."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.title: list[str] = []
        self._blocks: list[tuple[str, bool, bool]] = []  # text, inside main, boilerplate
        self._pieces: list[str] = []
        self._linked = 0
        self._stack: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in INLINE:
            self._cell_or_block(tag)
        if tag not in VOID:
            self._stack.append(tag)

    def _cell_or_block(self, tag: str) -> None:
        if tag in CELLS:
            if "".join(self._pieces).strip():
                self._pieces.append(" | ")
        elif tag == "br":
            self._pieces.append("\n")
        elif not self._in_cell(tag):
            self._end_block()
            if tag == "li":
                self._pieces.append("- ")

    def _in_cell(self, tag: str) -> bool:
        """Whether a tag only lays out the text of one table cell."""
        return tag in ("p", "div") and bool(CELLS.intersection(self._stack[-3:]))

    def handle_endtag(self, tag: str) -> None:
        if tag not in self._stack:
            return
        if tag not in INLINE | CELLS and not self._in_cell(tag):
            self._end_block()
        while self._stack and self._stack.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "title" in self._stack and "svg" not in self._stack:
            self.title.append(data)
        elif not NEVER.intersection(self._stack):
            self._pieces.append(data if "pre" in self._stack else re.sub(r"\s+", " ", data))
            if "a" in self._stack:
                self._linked += len(data.strip())

    def close(self) -> None:
        super().close()
        self._end_block()

    def _end_block(self) -> None:
        text = "".join(self._pieces)
        text = text.strip() if "pre" not in self._stack else text.strip("\n")
        if text.strip(" -|"):
            inside = bool(MAIN.intersection(self._stack))
            around = SELDOM.intersection(self._stack)
            around |= {"header"}.intersection(self._stack) if not inside else set()
            menu = self._linked > LINKS * len(text)
            self._blocks.append((text, inside, bool(around) or menu))
        self._pieces, self._linked = [], 0

    def written(self) -> str:
        """Return the main text; that of the whole page where nothing of it looks like the main."""
        kept = [(text, inside) for text, inside, boilerplate in self._blocks if not boilerplate]
        main = [text for text, inside in kept if inside]
        every = [text for text, _ in kept] or [text for text, *_ in self._blocks]
        enough = sum(map(len, main)) >= MAIN_SHARE * sum(map(len, every))
        return "\n".join(main if main and enough else every).strip()
