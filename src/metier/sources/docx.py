"""Reader of Word documents (.docx): paragraphs and tables in their order, as one text.

The file is a ZIP of XML (ECMA-376, WordprocessingML). Deleted text of tracked changes is left out,
inserted text is in. Headers, footers, footnotes, comments and pictures are not read.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator

from metier.sources.config import SourceConfig
from metier.sources.members import BROKEN, Member
from metier.sources.pages import document_row, refuse_packed_bomb, unreadable, whole_file
from metier.sources.types import BadRow, Row
from metier.sources.xml_events import XmlFeed, parse_all

BODY = "word/document.xml"


def read_docx(member: Member, config: SourceConfig) -> Iterator[Row | BadRow]:
    """Read a document as one row; the cells of a table row are joined by " | "."""
    with member.open_seekable() as stream:
        try:
            refuse_packed_bomb(stream, member)
            with zipfile.ZipFile(stream) as archive, archive.open(BODY) as body:
                found = _Body()
                parse_all(body, XmlFeed(found, f"{member.place}/{BODY}"))
        except (*BROKEN, KeyError, OSError) as error:
            what = f"no {BODY} in it" if isinstance(error, KeyError) else error
            if member.alone:
                raise unreadable("DOCX", member, what) from error
            yield whole_file(member, "unreadable_file", str(what), "")
            return
    text = found.written()
    if not text:
        yield whole_file(member, "no_text", "the document holds no text", "leave it out")
        return
    yield document_row(member, text)


class _Body:
    """Listens to the body: paragraphs, and rows of tables."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._rows: list[list[list[str]]] = []  # one entry per open table: cells of its row
        self._paragraph: list[list[str]] = []
        self._in_text = self._skipped = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "Fallback":  # the same content again, for old programs
            self._skipped += 1
        elif name == "p":
            self._paragraph.append([])
        elif name == "t":
            self._in_text += 1
        elif name == "tr":
            self._rows.append([])
        elif name == "tc" and self._rows:
            self._rows[-1].append([])
        elif name in ("tab", "br", "cr") and self._paragraph and not self._skipped:
            self._paragraph[-1].append("\t" if name == "tab" else "\n")

    def text(self, text: str) -> None:
        if self._in_text and self._paragraph and not self._skipped:
            self._paragraph[-1].append(text)

    def end(self, name: str) -> None:
        if name == "Fallback":
            self._skipped -= 1
        elif name == "t":
            self._in_text -= 1
        elif name == "p":
            self._say("".join(self._paragraph.pop()).strip())
        elif name == "tr":
            cells = [" ".join(filter(None, cell)) for cell in self._rows.pop()]
            self._say(" | ".join(cells) if any(cells) else "")

    def _say(self, line: str) -> None:
        if self._rows and self._rows[-1]:
            self._rows[-1][-1].append(" ".join(line.split()))
        elif line or (self._lines and self._lines[-1]):
            self._lines.append(line)

    def written(self) -> str:
        """Return the text; at most one blank line stands between two others."""
        return "\n".join(self._lines).strip()
