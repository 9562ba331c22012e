"""XML, HTML, DOCX, PDF and what labelling tools export."""

import json
import logging
import zipfile
from pathlib import Path

import pytest

from metier.core.errors import InputError
from metier.core.objective import Objective
from metier.core.types import Example, LabelTarget, PreferenceTarget, SpansTarget
from metier.sources import BadRow, Row, SourceConfig, read_rows, to_example

ORDERS = """<?xml version="1.0"?>
<o:orders xmlns:o="urn:x" shop="7"><made>today</made>
<o:order id="1"><item>cup</item><item>jug</item><to><city>Ghent</city></to></o:order>
<o:order id="2"><item>pot</item><note>Use <b>both</b> hands</note></o:order>
</o:orders>"""


def read(folder: Path, path: str, **keys: object) -> list[Row | BadRow]:
    return list(read_rows(SourceConfig.model_validate({"path": path, **keys}), folder))


def values(found: list[Row | BadRow]) -> list[dict[str, object]]:
    return [dict(row.values) for row in found if isinstance(row, Row)]


def bad(found: list[Row | BadRow]) -> list[tuple[str, str]]:
    return [(row.kind, row.place) for row in found if isinstance(row, BadRow)]


def test_xml_records_are_guessed_and_nested_elements_are_columns(tmp_path: Path) -> None:
    (tmp_path / "in.xml").write_text(ORDERS)
    found = read(tmp_path, "in.xml", prompt="item", slices=["to.city", "orders.shop"])
    around = {"shop": "7", "made": "today"}
    assert values(found) == [
        {"id": "1", "item": ["cup", "jug"], "to": {"city": "Ghent"}, "orders": around},
        {
            "id": "2",
            "item": "pot",
            "note": {"b": "both", "text": "Use both hands"},
            "orders": around,
        },
    ]
    assert [row.place for row in found] == ["in.xml:3", "in.xml:4"]


def test_an_xml_record_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "in.xml").write_text(ORDERS)
    assert [row["text"] for row in values(read(tmp_path, "in.xml", record="item"))] == [
        "cup",
        "jug",
        "pot",
    ]
    with pytest.raises(InputError, match="did you mean 'item'"):
        read(tmp_path, "in.xml", record="itm")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('<!DOCTYPE a [<!ENTITY b "x"><!ENTITY c "&b;&b;">]><a><r>&c;</r></a>', "document type"),
        (
            '<!DOCTYPE a [<!ENTITY f SYSTEM "file:///x">]><a><r>&f;</r></a>',
            "document type",
        ),
        ("<a>" * 500 + "</a>" * 500, "nested more than"),
        ("<a><r>1</r><r>2", r"in\.xml:1: no element found|unclosed"),
        ("<a><r>1</r><r>&nbsp;</r></a>", "undefined entity"),
        ('<?xml version="1.0" encoding="nope"?><a/>', "known encoding|unknown encoding"),
    ],
)
def test_xml_that_hurts_or_is_broken_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "in.xml").write_text(text)
    with pytest.raises(InputError, match=said):
        read(tmp_path, "in.xml")


def test_an_xml_record_too_large_is_one_bad_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metier.sources.xml_records.LINE_LIMIT", 1000)
    (tmp_path / "in.xml").write_text(f"<a><r>x</r><r>{'y' * 5000}</r><r>z</r></a>")
    found = read(tmp_path, "in.xml")
    assert [row["text"] for row in values(found)] == ["x", "z"]
    assert bad(found) == [("record_too_long", "in.xml:1")]


def test_html_gives_the_main_text(tmp_path: Path) -> None:
    (tmp_path / "in.html").write_bytes(
        "<html><head><meta charset='iso-8859-1'><title>Lost\n card</title><style>p{}</style></head>"
        "<body><nav><a href=/>Home</a> <a href=/b>Shop</a></nav><main><h1>Lost card</h1>"
        "<p>Call us &amp; we <b>block</b> it – free.</p><ul><li>Day<li>Night</ul>"
        "<table><tr><th>When</th><th>Fee</th></tr><tr><td><p>Now</p></td><td>0</td></tr></table>"
        "<pre>a  b\n  c</pre></main><script>evil()</script>"
        "<footer>Imprint</footer></body></html>".encode("cp1252")
    )
    (row,) = values(read(tmp_path, "in.html"))
    assert row["title"] == "Lost card"
    assert row["text"] == (
        "Lost card\nCall us & we block it – free.\n- Day\n- Night\nWhen | Fee\nNow | 0\na  b\n  c"
    )


def test_html_without_a_main_part_loses_menus_only(tmp_path: Path) -> None:
    (tmp_path / "in.htm").write_text(
        "<div><a href=1>One</a> | <a href=2>Two</a></div><div>A text that is read.</div>"
    )
    assert values(read(tmp_path, "in.htm"))[0]["text"] == "A text that is read."


def test_an_html_page_without_text_is_said_to_be_so(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.html").write_text("<p></p>" if name == "a" else "<p>hello</p>")
    found = read(tmp_path, "*.html")
    assert bad(found) == [("no_text", "a.html")]
    assert len(values(found)) == 1


WORD = (
    '<w:document xmlns:w="urn:w"><w:body><w:p><w:r><w:t>Dear</w:t><w:tab/><w:t>'
    " all</w:t></w:r><w:del><w:r><w:delText>gone</w:delText></w:r></w:del></w:p><w:p/>"
    "<w:tbl><w:tr><w:tc><w:p><w:r><w:t>a</w:t></w:r></w:p></w:tc><w:tc><w:p><w:r><w:t>b</w:t>"
    "</w:r></w:p></w:tc></w:tr></w:tbl><w:p><w:r><w:t>End</w:t></w:r></w:p></w:body></w:document>"
)


def test_docx_paragraphs_and_tables(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "in.docx", "w") as archive:
        archive.writestr("word/document.xml", WORD)
    assert values(read(tmp_path, "in.docx"))[0]["text"] == "Dear\t all\n\na | b\nEnd"


@pytest.mark.parametrize("content", [b"hello", b"PK\x05\x06" + bytes(18)])
def test_a_file_that_is_not_docx(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "in.docx").write_bytes(content)
    with pytest.raises(InputError, match="a DOCX file"):
        read(tmp_path, "in.docx")


def pdf(*pages: str) -> bytes:
    """A PDF with one line of text a page (ISO 32000-1, 7.5)."""
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number, text in enumerate(pages):
        drawn = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET"
        objects.append(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources << /Font << /F1 3 0 R "
            f">> >> /Contents {5 + 2 * number} 0 R >>"
        )
        objects.append(f"<< /Length {len(drawn)} >>\nstream\n{drawn}\nendstream")
    body, offsets = "%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(body))
        body += f"{number} 0 obj\n{content}\nendobj\n"
    table = "".join(f"{offset:010d} 00000 n \n" for offset in offsets)
    size = len(objects) + 1
    body += f"xref\n0 {size}\n0000000000 65535 f \n{table}trailer\n<< /Size {size} /Root 1 0 R >>\n"
    return (body + f"startxref\n{body.index('xref')}\n%%EOF").encode()


def test_pdf_per_document_and_per_page(tmp_path: Path) -> None:
    (tmp_path / "in.pdf").write_bytes(pdf("First page", "", "Third page"))
    (row,) = values(read(tmp_path, "in.pdf"))
    assert (row["text"], row["pages"]) == ("First page\n\nThird page", 3)
    found = read(tmp_path, "in.pdf", record="page")
    assert [(row["text"], row["page"]) for row in values(found)] == [
        ("First page", 1),
        ("Third page", 3),
    ]
    assert found[1].place == "in.pdf page 3"
    with pytest.raises(InputError, match='record = "page"'):
        read(tmp_path, "in.pdf", record="row")


def test_pdfs_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "scan.pdf").write_bytes(pdf("", ""))
    with pytest.raises(InputError, match="seems to be scanned"):
        read(tmp_path, "scan.pdf")
    (tmp_path / "cut.pdf").write_bytes(pdf("Some text")[:60])
    with pytest.raises(InputError, match="a PDF file"):
        read(tmp_path, "cut.pdf")
    (tmp_path / "good.pdf").write_bytes(pdf("Fine"))
    found = read(tmp_path, "*.pdf")
    assert bad(found) == [("unreadable_file", "cut.pdf"), ("no_text", "scan.pdf")]
    assert len(values(found)) == 1
    assert logging.getLogger("pypdf").level == logging.CRITICAL


ARGILLA = {
    "id": "r1",
    "fields": {"text": "It broke"},
    "metadata": {"shop": "7"},
    "suggestions": {"topic": {"value": "parcels", "score": 0.4}},
    "responses": {
        "topic": [
            {"user_id": "ann", "value": "repairs"},
            {"user_id": "bob", "value": "parcels"},
            {"user_id": "eve", "value": "x", "status": "discarded"},
        ]
    },
}
FEEDBACK = {
    "fields": {"text": "Hello"},
    "responses": [
        {"user_id": "ann", "status": "submitted", "values": {"topic": {"value": "other"}}},
        {"user_id": "bob", "status": "submitted", "values": {"topic": {"value": "other"}}},
    ],
    "suggestions": [{"question_name": "topic", "value": "other"}],
}


def test_argilla_answers_are_columns_by_annotator(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text(json.dumps(ARGILLA) + "\n" + json.dumps(FEEDBACK) + "\n[1]")
    keys = {"format": "argilla", "prompt": "text", "target": "topic.ann", "slices": ["shop"]}
    found = read(tmp_path, "in.jsonl", **keys)
    assert values(found)[0] == {
        "id": "r1",
        "shop": "7",
        "text": "It broke",
        "topic": None,
        "topic.votes": ["repairs", "parcels"],
        "topic.ann": "repairs",
        "topic.bob": "parcels",
        "topic.suggestion": "parcels",
    }
    assert (values(found)[1]["topic"], values(found)[1]["topic.suggestion"]) == ("other", "other")
    assert bad(found) == [("broken_json", "in.jsonl:3")]


TASK = {
    "id": 5,
    "data": {"text": "Ann lives in Ghent"},
    "annotations": [
        {
            "completed_by": 3,
            "result": [
                {"from_name": "topic", "type": "choices", "value": {"choices": ["home"]}},
                {
                    "from_name": "spans",
                    "type": "labels",
                    "value": {"start": 0, "end": 3, "text": "Ann", "labels": ["person"]},
                },
                {
                    "from_name": "spans",
                    "type": "labels",
                    "value": {"start": 13, "end": 18, "text": "Ghent", "labels": ["place"]},
                },
                {"from_name": "why", "type": "textarea", "value": {"text": ["says so"]}},
                {"from_name": "stars", "type": "rating", "value": {"rating": 4}},
            ],
        },
        {"completed_by": {"id": 9, "email": "e@x"}, "was_cancelled": True, "result": []},
    ],
}


def test_label_studio_results_are_columns(tmp_path: Path) -> None:
    (tmp_path / "in.json").write_text(json.dumps([TASK, {"id": 6}]))
    found = read(tmp_path, "in.json", format="label_studio")
    (row,) = values(found)
    assert (row["topic"], row["topic.3"], row["why"], row["stars"]) == (
        "home",
        "home",
        "says so",
        4,
    )
    assert bad(found) == [("bad_record", "in.json[2]")]
    config = SourceConfig.model_validate(
        {"path": "in.json", "format": "label_studio", "prompt": "text", "target": "spans"}
    )
    first = next(iter(read_rows(config, tmp_path)))
    assert isinstance(first, Row)
    made = to_example(first, config, Objective(task="extract"), "d")
    assert isinstance(made, Example)
    assert isinstance(made.target, SpansTarget)
    assert [(span.start, span.label) for span in made.target.spans] == [
        (0, "person"),
        (13, "place"),
    ]


def preference(cells: dict[str, object], **target: str) -> Example | BadRow:
    config = SourceConfig.model_validate({"path": "x", "prompt": "ask", "target": target})
    return to_example(Row({"ask": "?", **cells}, "1", "x:1"), config, Objective(task="chat"), "d")


def test_preferences_told_and_voted() -> None:
    told = preference({"a": "good", "b": "bad"}, chosen="a", rejected="b")
    assert isinstance(told, Example)
    assert told.target == PreferenceTarget("good", "bad", 1.0)
    votes = {"first": "a", "second": "b", "better": "{v1} {v2} {v3}"}
    voted = preference({"a": "good", "b": "bad", "v1": 2, "v2": 2, "v3": 0}, **votes)
    assert isinstance(voted, Example)
    assert voted.target == PreferenceTarget("bad", "good", 2.0)
    tie = preference({"a": "good", "b": "bad", "v1": 2, "v2": 1, "v3": 0}, **votes)
    assert isinstance(tie, BadRow)
    assert tie.kind == "no_preference"
    same = preference({"a": "good", "b": "good "}, chosen="a", rejected="b")
    assert isinstance(same, BadRow)
    assert same.kind == "no_preference"


def test_a_chat_whose_reply_has_its_own_column_keeps_every_turn() -> None:
    turns = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"},
    ]
    config = SourceConfig(path="x", target="reply")
    row = Row({"messages": turns, "reply": "yes"}, "1", "x:1")
    made = to_example(row, config, Objective(task="classify"), "d")
    assert isinstance(made, Example)
    assert [message.text for message in made.conversation.messages] == ["a", "b", "c"]
    assert made.target == LabelTarget("yes")
