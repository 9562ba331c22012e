"""Documents from files, and from the replies of training examples."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from metier.core.errors import InputError
from metier.core.objective import Objective
from metier.core.types import CompletionTarget, Example, FieldsTarget
from metier.retrieval.config import DocumentSource
from metier.retrieval.types import Document
from metier.sources import BadRow, Row, SourceConfig, read_rows
from metier.sources.values import as_text, fill

_HEADING = re.compile(r"\s*#\s+(.+)")


def read_documents(sources: Sequence[DocumentSource], root: Path) -> list[Document]:
    """Read every document of the sources, in order; rows without text are passed over.

    Raises InputError with the place of the first row that cannot be read: a knowledge base with
    holes would go unseen.
    """
    return [document for source in sources for document in _read(source, root)]


def training_documents(examples: Sequence[Example], objective: Objective) -> list[Document]:
    """Return the replies of training examples as documents, their questions as titles.

    Of structured replies the free texts count. Raises InputError where replies are no texts.
    """
    texts = ((example, _written(example, objective)) for example in examples)
    found = [
        Document(example.id, text, example.conversation.last_user)
        for example, text in texts
        if text.strip()
    ]
    if not found:
        raise InputError(
            "training replies that are texts",
            got=f"{len(examples)} examples of the task {objective.task} without any",
            remedy='name files in [retrieval] documents instead of "from-train"',
        )
    return found


def _read(source: DocumentSource, root: Path) -> Iterator[Document]:
    config = SourceConfig(
        path=source.path, format=source.format, encoding=source.encoding, prompt=source.text
    )
    for row in read_rows(config, root):
        if isinstance(row, BadRow):
            raise InputError(
                "documents that can all be read",
                got=f"{row.place or row.locator}: {row.reason}",
                remedy="repair it, or leave it out of [retrieval] documents",
            )
        text = as_text(fill(source.text, row.values))
        if text.strip():
            yield Document(_name(row, source), text, _title(row, source, text))


def _name(row: Row, source: DocumentSource) -> str:
    return row.place if source.id is None else as_text(fill(source.id, row.values))


def _title(row: Row, source: DocumentSource, text: str) -> str:
    if source.title is not None:
        return as_text(fill(source.title, row.values)).strip()
    if not _is_file(row):
        return ""
    heading = _HEADING.match(text)
    return heading[1].strip() if heading else as_text(row.values["name"])


def _is_file(row: Row) -> bool:
    """The row is a text file as ``sources`` reads one."""
    return {"text", "name", "file", "folder"} == set(row.values)


def _written(example: Example, objective: Objective) -> str:
    target = example.target
    if isinstance(target, CompletionTarget):
        return target.text
    if isinstance(target, FieldsTarget):
        closed = objective.enum_fields
        free = (text for name, text in target.fields.items() if name not in closed)
        return "\n".join(text for text in free if isinstance(text, str))
    return ""
