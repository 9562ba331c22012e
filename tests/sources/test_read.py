"""read_rows over whole sources: what is found, what is refused, and in which words."""

import bz2
import gzip
import io
import json
import lzma
import zipfile
from pathlib import Path

import pytest

from metier.core.errors import InputError
from metier.sources import BadRow, Row, SourceConfig, read_rows, source_digest

CSV = "message,queue\nWhere is it?,parcels\nIt broke,repairs\n"


def read(folder: Path, path: str, **keys: object) -> tuple[list[Row], list[BadRow]]:
    source = SourceConfig.model_validate({"path": path, **keys})
    found = list(read_rows(source, folder))
    rows = [row for row in found if isinstance(row, Row)]
    return rows, [row for row in found if isinstance(row, BadRow)]


def test_a_plain_csv(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(CSV)
    rows, bad = read(tmp_path, "in.csv")
    assert rows == [
        Row({"message": "Where is it?", "queue": "parcels"}, "1", "in.csv:2"),
        Row({"message": "It broke", "queue": "repairs"}, "2", "in.csv:3"),
    ]
    assert bad == []


@pytest.mark.parametrize(
    ("suffix", "pack"), [(".gz", gzip.compress), (".xz", lzma.compress), (".bz2", bz2.compress)]
)
def test_compressed_files_read_like_plain_ones(
    tmp_path: Path, suffix: str, pack: "type[bytes]"
) -> None:
    (tmp_path / f"in.csv{suffix}").write_bytes(pack(CSV.encode()))
    rows, _ = read(tmp_path, f"in.csv{suffix}")
    assert [row.values["queue"] for row in rows] == ["parcels", "repairs"]
    assert rows[0].locator == "1"


def test_a_damaged_archive_says_so(tmp_path: Path) -> None:
    (tmp_path / "in.csv.gz").write_bytes(gzip.compress((CSV * 5000).encode())[:-20])
    with pytest.raises(InputError, match=r"in\.csv\.gz.*\n.*cut short or damaged"):
        read(tmp_path, "in.csv.gz")


def test_a_zip_is_read_in_place_and_writes_nothing(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        archive.writestr("b.csv", CSV)
        archive.writestr("sub/a.jsonl", '{"message": "hello"}\n')
        archive.writestr("__MACOSX/b.csv", "junk")
        archive.writestr("photo.bin", b"\x00\x01")
    rows, bad = read(tmp_path, "in.zip")
    assert [row.locator for row in rows] == ["b.csv#1", "b.csv#2", "sub/a.jsonl#1"]
    assert [(row.kind, row.locator) for row in bad] == [("unknown_format", "photo.bin")]
    assert [entry.name for entry in tmp_path.iterdir()] == ["in.zip"]


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.csv", CSV)
    packed = bytearray(buffer.getvalue())
    packed[packed.index(b"PK\x01\x02") + 8] |= 1  # the flag bit of the central directory
    (tmp_path / "in.zip").write_bytes(packed)
    with pytest.raises(InputError, match=r"a\.csv is encrypted"):
        read(tmp_path, "in.zip")


def test_a_broken_zip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in.zip").write_bytes(b"PK\x03\x04 and nothing more")
    with pytest.raises(InputError, match="ZIP archive"):
        read(tmp_path, "in.zip")


def test_parquet_and_xlsx_inside_archives(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table({"text": ["a", "b"]}), tmp_path / "x.parquet")
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        archive.write(tmp_path / "x.parquet", "x.parquet")
    rows, _ = read(tmp_path, "in.zip")
    assert [row.values for row in rows] == [{"text": "a"}, {"text": "b"}]


def test_a_folder_of_texts(tmp_path: Path) -> None:
    for name, text in [("spam/1.txt", "Buy now"), ("ham/2.md", "See you"), (".hidden", "no")]:
        file = tmp_path / "mails" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    rows, bad = read(tmp_path, "mails")
    assert [(row.values["text"], row.values["folder"], row.locator) for row in rows] == [
        ("See you", "ham", "ham/2.md"),
        ("Buy now", "spam", "spam/1.txt"),
    ]
    assert bad == []


def test_a_glob_reads_in_order_of_name(tmp_path: Path) -> None:
    for name in ("part-2.csv", "part-1.csv", "other.csv"):
        (tmp_path / name).write_text(f"text\n{name}\n")
    rows, _ = read(tmp_path, "part-*.csv")
    assert [(row.locator, row.values["text"]) for row in rows] == [
        ("part-1.csv#1", "part-1.csv"),
        ("part-2.csv#1", "part-2.csv"),
    ]


def test_same_names_in_different_folders_stay_apart(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / "in" / folder).mkdir(parents=True)
        (tmp_path / "in" / folder / "x.csv").write_text(CSV)
    rows, _ = read(tmp_path, "in/*/x.csv")
    assert [row.locator for row in rows] == ["a/x.csv#1", "a/x.csv#2", "b/x.csv#1", "b/x.csv#2"]
    assert source_digest(tmp_path / "in/*/x.csv") == source_digest(tmp_path / "in")


def test_a_chat_format_needs_no_suffix(tmp_path: Path) -> None:
    (tmp_path / "chats.log").write_text('{"messages": []}\n')
    rows, _ = read(tmp_path, "chats.log", format="openai")
    assert rows[0].values == {"messages": []}


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in.csv").write_text(CSV)

    def denied(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(InputError, match=r"in\.csv: permission denied"):
        read(tmp_path, "in.csv")
    with pytest.raises(InputError, match=r"in\.csv: permission denied"):
        source_digest(tmp_path / "in.csv")


def test_an_empty_file_among_others_is_a_bad_row(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("")
    (tmp_path / "b.csv").write_text(CSV)
    rows, bad = read(tmp_path, "*.csv")
    assert len(rows) == 2
    assert [(row.kind, row.locator) for row in bad] == [("empty_file", "a.csv")]


def test_an_empty_file_alone_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("")
    with pytest.raises(InputError, match=r"in\.csv: the file is empty"):
        read(tmp_path, "in.csv")


def test_a_missing_file_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "tickets.csv").write_text(CSV)
    with pytest.raises(InputError, match=r"did you mean 'tickets\.csv'"):
        read(tmp_path, "tikets.csv")


def test_a_missing_folder_names_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(InputError, match="data"):
        read(tmp_path, "dta/in.csv")


def test_an_unknown_suffix_lists_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "in.dat").write_text(CSV)
    with pytest.raises(InputError, match=r"'\.dat'(.|\n)*\.parquet"):
        read(tmp_path, "in.dat")
    rows, _ = read(tmp_path, "in.dat", format="csv")
    assert len(rows) == 2


def test_an_unknown_column_is_named_at_once_in_a_table(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(CSV)
    with pytest.raises(InputError) as caught:
        read(tmp_path, "in.csv", prompt="mesage", target="queue")
    assert "a column 'mesage' in in.csv (for prompt)" in str(caught.value)
    assert "the columns message, queue" in str(caught.value)
    assert "did you mean 'message'" in str(caught.value)


@pytest.mark.parametrize(
    ("keys", "key"),
    [
        ({"prompt": "{message}\n{body}"}, "prompt"),
        ({"prompt": "message", "target": {"route": "body"}}, "target.route"),
        ({"prompt": "message", "group": "body"}, "group"),
        ({"prompt": "message", "slices": ["queue", "body"]}, "slices"),
    ],
)
def test_every_key_that_names_a_column_is_checked(
    tmp_path: Path, keys: dict[str, object], key: str
) -> None:
    (tmp_path / "in.csv").write_text(CSV)
    with pytest.raises(InputError, match=rf"'body' in in\.csv \(for {key}\)"):
        read(tmp_path, "in.csv", **keys)


def test_json_rows_may_leave_out_a_column_that_others_have(tmp_path: Path) -> None:
    lines = [{"text": "a"}, {"text": "b", "note": "x"}]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert len(read(tmp_path, "in.jsonl", prompt="text", target="note")[0]) == 2
    with pytest.raises(InputError, match="'noot'"):
        read(tmp_path, "in.jsonl", prompt="text", target="noot")


def test_a_wide_table_becomes_rows(tmp_path: Path) -> None:
    (tmp_path / "wide.csv").write_text(
        "file,Law,Law- Answer,Term\nx.pdf,\"['of France', 'of Spain']\",France,[]\n"
        'y.pdf,,,"[a clause that only looks like a list"\n'
    )
    rows, _ = read(
        tmp_path,
        "wide.csv",
        unpivot={"skip": ["File", "*-Answer"]},
        prompt="{value}",
        target="{name}",
        group="file",
    )
    assert [(row.values["name"], row.values["value"], row.values["file"]) for row in rows] == [
        ("Law", "of France", "x.pdf"),
        ("Law", "of Spain", "x.pdf"),
        ("Term", "[a clause that only looks like a list", "y.pdf"),
    ]
    assert [row.locator for row in rows] == ["1.Law.1", "1.Law.2", "2.Term"]


def test_unpivot_can_leave_lists_alone(tmp_path: Path) -> None:
    (tmp_path / "wide.csv").write_text('a,b\n"[1, 2]",x\n')
    rows, _ = read(tmp_path, "wide.csv", unpivot={"lists": False})
    assert [row.values["value"] for row in rows] == ["[1, 2]", "x"]


def test_digest_of_a_file_is_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(CSV)
    (tmp_path / "b.csv").write_text(CSV)
    assert source_digest(tmp_path / "a.csv") == source_digest(tmp_path / "b.csv")
    (tmp_path / "b.csv").write_text(CSV + "x,y\n")
    assert source_digest(tmp_path / "a.csv") != source_digest(tmp_path / "b.csv")


def test_digest_of_a_folder_or_glob_changes_with_names_and_content(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.csv").write_text(CSV)
    before = source_digest(folder)
    assert source_digest(folder / "*.csv") == before
    (folder / "a.csv").rename(folder / "b.csv")
    renamed = source_digest(folder)
    assert renamed != before
    (folder / "b.csv").write_text(CSV + "x,y\n")
    assert source_digest(folder) not in (before, renamed)


def test_digest_of_nothing_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "tickets.csv").write_text(CSV)
    with pytest.raises(InputError, match=r"tickets\.csv"):
        source_digest(tmp_path / "ticket.csv")
