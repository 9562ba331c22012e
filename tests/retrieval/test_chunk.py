"""Chunks point into their document exactly, hold every word, and split none."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metier.core.errors import InputError
from metier.retrieval.chunk import WORD, chunk, chunk_documents, count_words
from metier.retrieval.types import Document

WORDS = st.sampled_from(["parcel", "Straße", "a", "“late.”", "No!", "北京市", "3.5", "😀"])
GAPS = st.sampled_from([" ", "\n", "\n\n", ". ", "  ", "\t", "。", " \n \n "])
PROSE = st.lists(st.tuples(WORDS, GAPS), max_size=60).map(
    lambda pairs: "".join(word + gap for word, gap in pairs)
)


def words_at(text: str) -> list[tuple[int, int]]:
    return [match.span() for match in WORD.finditer(text)]


@settings(max_examples=200, deadline=None)
@given(st.one_of(PROSE, st.text(max_size=200)), st.integers(1, 12), st.integers(0, 11))
def test_chunks_are_exact_whole_and_complete(text: str, words: int, overlap: int) -> None:
    found = chunk(Document("d", text), words, min(overlap, words - 1))
    edges = words_at(text)
    starts, ends = {a for a, _ in edges}, {b for _, b in edges}
    covered: set[tuple[int, int]] = set()
    for one in found:
        assert one.text == text[one.start : one.end]
        assert one.start in starts and one.end in ends
        assert 1 <= count_words(one.text) <= words
        covered |= {edge for edge in edges if one.start <= edge[0] and edge[1] <= one.end}
    assert covered == set(edges)
    assert [one.start for one in found] == sorted({one.start for one in found})


def test_sentences_stay_whole_and_the_last_one_is_repeated() -> None:
    text = "One two three. Four five. Six seven eight. Nine."
    found = chunk(Document("d", text), words=6, overlap=2)
    assert [one.text for one in found] == [
        "One two three. Four five.",
        "Four five. Six seven eight. Nine.",
    ]
    assert found[1].id == "d:15-48"


def test_a_half_full_chunk_ends_with_its_paragraph() -> None:
    text = "One two three four.\n\nFive six. Seven eight. Nine ten."
    found = chunk(Document("d", text), words=8, overlap=0)
    assert [one.text for one in found] == [
        "One two three four.",
        "Five six. Seven eight. Nine ten.",
    ]


def test_a_long_sentence_is_cut_between_words() -> None:
    found = chunk(Document("d", "a b c d e f g"), words=3, overlap=0)
    assert [one.text for one in found] == ["a b c", "d e f", "g"]


def test_a_closing_quote_stays_with_its_sentence() -> None:
    found = chunk(Document("d", "He said “go.” She went far away."), words=4, overlap=0)
    assert [one.text for one in found] == ["He said “go.”", "She went far away."]


def test_text_without_blanks_is_cut_by_characters() -> None:
    found = chunk(Document("d", "我要退货。我的包裹在哪里？"), words=5, overlap=0)
    assert found[0].text == "我要退货。"
    assert all(count_words(one.text) <= 5 for one in found)


@pytest.mark.parametrize("text", ["", " \n\n\t"])
def test_empty_documents_have_no_chunks(text: str) -> None:
    assert chunk(Document("d", text)) == []


def test_bad_sizes_and_double_ids_are_refused() -> None:
    with pytest.raises(ValueError, match="less than words"):
        chunk(Document("d", "a"), words=5, overlap=5)
    with pytest.raises(InputError, match="'d' twice"):
        chunk_documents([Document("d", "a"), Document("d", "b")])


def test_titles_travel_with_their_chunks() -> None:
    (only,) = chunk_documents([Document("d", "text", "Title")])
    assert (only.document, only.title) == ("d", "Title")
