"""Archives, whole and hostile; rows that are too wide or too long; memory while reading."""

import gzip
import io
import json
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from metier.core.errors import InputError
from metier.sources import BadRow, Row, SourceConfig, guess, read_rows

CSV = "message,queue\nWhere is it?,parcels\nIt broke,repairs\n"
MB = 1_000_000


def read(folder: Path, path: str, **keys: object) -> tuple[list[Row], list[BadRow]]:
    source = SourceConfig.model_validate({"path": path, **keys})
    found = list(read_rows(source, folder))
    rows = [row for row in found if isinstance(row, Row)]
    return rows, [row for row in found if isinstance(row, BadRow)]


def pack_tar(path: Path, files: dict[str, bytes], mode: str = "w") -> None:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


@pytest.mark.parametrize(
    ("name", "mode"),
    [("in.tar", "w"), ("in.tar.gz", "w:gz"), ("in.tgz", "w:gz"), ("in.tar.xz", "w:xz")],
)
def test_a_tar_is_read_in_place_in_order_of_name(tmp_path: Path, name: str, mode: str) -> None:
    files = {"./b.csv": CSV.encode(), "a/x.txt": b"hello", "__MACOSX/b": b"x", "no.bin": b"\x00"}
    pack_tar(tmp_path / name, files, mode)
    rows, bad = read(tmp_path, name)
    assert [row.locator for row in rows] == ["b.csv#1", "b.csv#2", "a/x.txt"]
    assert [(row.kind, row.locator) for row in bad] == [("unknown_format", "no.bin")]
    assert rows[0].place == f"{name}/b.csv:2"
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_parquet_inside_a_tar(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"text": ["a", "b"]}), buffer)
    pack_tar(tmp_path / "in.tgz", {"x.parquet": buffer.getvalue()}, "w:gz")
    assert [row.values for row in read(tmp_path, "in.tgz")[0]] == [{"text": "a"}, {"text": "b"}]


NAMES = ["../evil.csv", "a/../../evil.csv", "/etc/evil.csv", "C:\\evil.csv", "..\\evil.csv"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_names_that_lead_out_of_an_archive_are_refused(
    tmp_path: Path, name: str, kind: str
) -> None:
    if kind == "zip":
        with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
            archive.writestr(name, CSV)
    else:
        pack_tar(tmp_path / "in.tar", {name: CSV.encode()})
    with pytest.raises(InputError, match=r"evil\.csv.* is (an absolute path|a path with)"):
        read(tmp_path, f"in.{kind}")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, kind: bytes) -> None:
    with tarfile.open(tmp_path / "in.tar", "w") as archive:
        info = tarfile.TarInfo("in.csv")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    with pytest.raises(InputError, match=r"'in\.csv' is (a link|no plain file)"):
        read(tmp_path, "in.tar")


def _cut(content: bytes, kind: str) -> bytes:
    return content[: len(content) // 2] if kind != "tar at a member's end" else content


@pytest.mark.parametrize("name", ["in.zip", "in.tar", "in.tgz", "in.csv.gz"])
def test_archives_that_are_cut_short(tmp_path: Path, name: str) -> None:
    content = CSV.encode() * 500
    if name == "in.zip":
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.csv", content)
    elif name == "in.csv.gz":
        (tmp_path / name).write_bytes(gzip.compress(content))
    else:
        mode = "w:gz" if name == "in.tgz" else "w"
        pack_tar(tmp_path / name, {"a.csv": content, "b.csv": content}, mode)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(InputError, match=rf"{name}(.|\n)*(cut|damaged)"):
        read(tmp_path, name)


def test_a_tar_cut_between_two_members_is_noticed(tmp_path: Path) -> None:
    pack_tar(tmp_path / "in.tar", {"a.csv": CSV.encode(), "b.csv": CSV.encode()})
    (tmp_path / "in.tar").write_bytes((tmp_path / "in.tar").read_bytes()[:1024])
    with pytest.raises(InputError, match="the end of the archive is missing"):
        read(tmp_path, "in.tar")


def _zip_bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", bytes(4 * MB))


def _gzip_bomb(path: Path) -> None:
    path.write_bytes(gzip.compress(bytes(4 * MB)))


def _tar_bomb(path: Path) -> None:
    pack_tar(path, {"a.csv": bytes(4 * MB)}, "w:gz")


def _docx_bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", bytes(4 * MB))


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("in.zip", _zip_bomb),
        ("in.txt.gz", _gzip_bomb),
        ("in.tgz", _tar_bomb),
        ("in.docx", _docx_bomb),
        ("in.xlsx", _docx_bomb),
    ],
)
def test_an_archive_that_unpacks_to_far_too_much_is_refused(
    tmp_path: Path, name: str, pack: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metier.sources.members.FREE_BYTES", MB)
    pack(tmp_path / name)
    with pytest.raises(InputError, match=r"at most 300 times its size"):
        read(tmp_path, name)


def test_ten_thousand_columns(tmp_path: Path) -> None:
    names = [f"c{number}" for number in range(10_000)]
    (tmp_path / "in.csv").write_text(",".join(names) + "\n" + ",".join("x" * 10_000) + "\nshort\n")
    rows, bad = read(tmp_path, "in.csv", prompt="c9999")
    assert rows[0].values["c9999"] == "x"
    assert [row.reason for row in bad] == ["1 cells where the header has 10000 columns"]
    with pytest.raises(InputError) as caught:
        read(tmp_path, "in.csv", prompt="nope")
    assert "and 9,980 more" in str(caught.value)
    assert len(str(caught.value)) < 2_000
    assert len(guess(tmp_path / "in.csv", max_cells=20_000).preview_rows) == 1


def test_a_cell_of_ten_megabytes_is_one_bad_row(tmp_path: Path) -> None:
    big = "x" * (10 * MB + 10)
    (tmp_path / "in.csv").write_text(f"a,b\n1,{big}\n2,y\n")
    (tmp_path / "in.jsonl").write_text(json.dumps({"a": big}) + '\n{"a": "y"}\n')
    (tmp_path / "in.xml").write_text(f"<t><r><a>{big}</a></r><r><a>y</a></r></t>")
    for name, kind in [("csv", "line"), ("jsonl", "line"), ("xml", "record")]:
        rows, bad = read(tmp_path, f"in.{name}")
        assert len(rows) == 1
        assert [row.kind for row in bad] == [f"{kind}_too_long"]
        assert "10 MB; limit 10 MB" in bad[0].reason
        assert len(bad[0].raw) <= 64_000


def test_mixed_encodings_cost_the_rows_of_the_rarer_one(tmp_path: Path) -> None:
    good = "".join(f"{number},déjà vu çà et là\n" for number in range(20))
    (tmp_path / "in.csv").write_bytes(f"n,text\n{good}".encode() + "99,caf\xe9\n".encode("cp1252"))
    rows, bad = read(tmp_path, "in.csv")
    assert len(rows) == 20
    assert [(row.kind, row.place) for row in bad] == [("bad_encoding", "in.csv:22")]


@pytest.mark.parametrize("name", ["in.csv", "in.jsonl", "in.parquet", "in.tgz", "in.xml"])
def test_a_long_file_never_sits_in_memory(tmp_path: Path, name: str) -> None:
    """24 MB of rows are read within 14 MB, most of it what is looked at to detect the encoding."""
    count, cell = 6_000, "word " * 800
    lines = (f"{number},{cell}\n" for number in range(count))
    if name == "in.jsonl":
        text = "".join(f'{{"n": {number}, "text": "{cell}"}}\n' for number in range(count))
        (tmp_path / name).write_text(text)
    elif name == "in.xml":
        text = "".join(f"<r><n>{number}</n><text>{cell}</text></r>" for number in range(count))
        (tmp_path / name).write_text(f"<all>{text}</all>")
    elif name == "in.parquet":
        import pyarrow
        import pyarrow.parquet

        # Random-looking cells, or the dictionary would hold the file in one page.
        columns = {"n": range(count), "text": [f"{n} {cell}" for n in range(count)]}
        pyarrow.parquet.write_table(
            pyarrow.table({k: list(v) for k, v in columns.items()}), tmp_path / name
        )
    else:
        text = "n,text\n" + "".join(lines)
        if name == "in.tgz":
            pack_tar(tmp_path / name, {"a.csv": text.encode()}, "w:gz")
        else:
            (tmp_path / name).write_text(text)
    tracemalloc.start()
    seen = sum(1 for _ in read_rows(SourceConfig(path=name), tmp_path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seen == count
    assert peak < 14 * MB
