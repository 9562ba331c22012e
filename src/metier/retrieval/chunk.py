"""Chunks: documents cut at paragraphs and sentences to a number of words, with some overlap.

Sentences are packed until the next one would not fit. A chunk ends early, at a paragraph's end,
when it is at least half full and the next paragraph does not fit whole. A sentence longer than a
whole chunk is cut between words. ``chunk.text`` is always exactly ``document.text[start:end]``.

A word is a run without white space; of Chinese and Japanese, which have none, each character.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from metier.core.errors import InputError
from metier.retrieval.types import Chunk, Document

# With their punctuation, after which a sentence may end without a blank.
IDEOGRAPHS = "\u3001-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff01\uff0c\uff1f"
WORD = re.compile(rf"[{IDEOGRAPHS}]|[^\s{IDEOGRAPHS}]+")
_PARAGRAPH_END = re.compile(r"\n[ \t\r\f\v]*\n\s*")
_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+|(?<=[。！？])|\n+")
CHUNK_WORDS = 150
OVERLAP_WORDS = 30


@dataclass(frozen=True, slots=True)
class _Piece:
    """A sentence, or a part of a very long one: a span with its number of words."""

    start: int
    end: int
    words: int
    paragraph: int


def chunk_documents(
    documents: Sequence[Document], words: int = CHUNK_WORDS, overlap: int = OVERLAP_WORDS
) -> list[Chunk]:
    """Return the chunks of all documents, in order.

    Raises InputError when two documents have the same id.
    """
    seen: set[str] = set()
    found: list[Chunk] = []
    for document in documents:
        if document.id in seen:
            raise InputError(
                "documents with different ids",
                got=f"{document.id!r} twice",
                remedy="name another id column, or list the file once",
            )
        seen.add(document.id)
        found += chunk(document, words, overlap)
    return found


def chunk(
    document: Document, words: int = CHUNK_WORDS, overlap: int = OVERLAP_WORDS
) -> list[Chunk]:
    """Return the chunks of one document, each of at most ``words`` words.

    Each begins with up to ``overlap`` words' worth of the sentences that end the one before;
    a document without a word has none. Raises ValueError unless 0 <= overlap < words.
    """
    if not 0 <= overlap < words:
        raise ValueError(f"overlap must be at least 0 and less than words, got {overlap}, {words}")
    pieces = list(_pieces(document.text, max(1, words - overlap)))
    return [_chunk(document, group) for group in _packed(pieces, words, overlap)]


def count_words(text: str) -> int:
    """Return the number of words, as chunks count them."""
    return sum(1 for _ in WORD.finditer(text))


def _chunk(document: Document, pieces: Sequence[_Piece]) -> Chunk:
    start, end = pieces[0].start, pieces[-1].end
    name = f"{document.id}:{start}-{end}"
    return Chunk(name, document.id, start, end, document.text[start:end], document.title)


def _packed(pieces: Sequence[_Piece], words: int, overlap: int) -> Iterator[list[_Piece]]:
    left = _paragraph_sizes(pieces)
    group: list[_Piece] = []
    new = 0  # pieces of the group that no chunk before it holds
    for place, piece in enumerate(pieces):
        size = sum(one.words for one in group)
        fits = size + piece.words <= words
        begins = bool(group) and piece.paragraph != group[-1].paragraph
        if new and (not fits or (begins and 2 * size >= words and size + left[place] > words)):
            yield group
            group, new = _tail(group, overlap, words - piece.words), 0
        elif not fits:
            group = _tail(group, overlap, words - piece.words)
        group.append(piece)
        new += 1
    if new:
        yield group


def _paragraph_sizes(pieces: Sequence[_Piece]) -> list[int]:
    """Return per piece the words from it to the end of its paragraph."""
    sizes = [piece.words for piece in pieces]
    for place in range(len(pieces) - 2, -1, -1):
        if pieces[place].paragraph == pieces[place + 1].paragraph:
            sizes[place] += sizes[place + 1]
    return sizes


def _tail(group: Sequence[_Piece], overlap: int, room: int) -> list[_Piece]:
    """Return the last pieces within ``overlap`` words, and within the room there is."""
    taken: list[_Piece] = []
    budget = min(overlap, room)
    for piece in reversed(group[1:]):  # a chunk never holds the whole of the one before
        if piece.words > budget:
            break
        budget -= piece.words
        taken.insert(0, piece)
    return taken


def _pieces(text: str, most: int) -> Iterator[_Piece]:
    """Yield sentences in order, without blanks around them; parts of those of over ``most``."""
    for number, (start, end) in enumerate(_spans(text, 0, len(text), _PARAGRAPH_END)):
        for first, last in _spans(text, start, end, _SENTENCE_END):
            found = [match.span() for match in WORD.finditer(text, first, last)]
            for place in range(0, len(found), most):
                part = found[place : place + most]
                yield _Piece(part[0][0], part[-1][1], len(part), number)


def _spans(text: str, start: int, end: int, cut: re.Pattern[str]) -> Iterator[tuple[int, int]]:
    place = start
    for match in cut.finditer(text, start, end):
        # What closes a sentence (a quote, a bracket) belongs to it: only the blanks part.
        yield place, match.end()
        place = match.end()
    if place < end:
        yield place, end
