"""Reader of PDF: the text that is in it, per document or per page, through pypdf.

A PDF knows glyphs at places, not words in sentences: columns, tables and ligatures may come out in
another order than they are read. Scanned pages hold no text; they are said to be so, not skipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

from metier.core.errors import InputError
from metier.sources.config import SourceConfig
from metier.sources.members import Member
from metier.sources.pages import document_row, quiet, unreadable, whole_file
from metier.sources.types import BadRow, Row

PER_PAGE = "page"
NO_TEXT = "no text on any page; it seems to be scanned"


def read_pdf(member: Member, config: SourceConfig) -> Iterator[Row | BadRow]:
    """Read a PDF as one row, or with record = "page" as one row per page that holds text."""
    if config.record not in (None, PER_PAGE):
        raise InputError(
            f'record = "{PER_PAGE}", or no record, for a PDF',
            got=repr(config.record),
            remedy=f'write record = "{PER_PAGE}" for one row per page',
        )
    with member.open_seekable() as stream:
        try:
            pages = _pages(stream)
        except Exception as error:  # pypdf lets all kinds through on a damaged file
            if member.alone:
                raise unreadable("PDF", member, error) from error
            yield whole_file(member, "unreadable_file", f"not a PDF that opens: {error}", "")
            return
    if not any(pages):
        yield whole_file(member, "no_text", NO_TEXT, "run text recognition (OCR) on it first")
    elif config.record is None:
        text = "\n\n".join(page for page in pages if page)
        yield document_row(member, text, {"pages": len(pages)})
    else:
        yield from _page_rows(member, pages)


def _pages(stream: IO[bytes]) -> list[str]:
    import pypdf

    quiet("pypdf")
    reader = pypdf.PdfReader(stream)
    if reader.is_encrypted and not reader.decrypt(""):
        raise ValueError("it is locked with a password")
    return [page.extract_text().replace("\x00", "").strip() for page in reader.pages]


def _page_rows(member: Member, pages: list[str]) -> Iterator[Row | BadRow]:
    for number, text in enumerate(pages, 1):
        if not text:
            continue  # an empty page is no row; the document has others
        row = document_row(member, text, {"page": number, "pages": len(pages)})
        locator = member.locator(number)
        place = f"{member.place} page {number}"
        if isinstance(row, BadRow):
            yield BadRow(locator, row.reason, row.raw, row.kind, place)
        else:
            yield Row(row.values, locator, place)
