"""From ``path`` in a source's config to opened files: globs, folders, compression, archives.

A Member is one file to read, on disk or inside a ZIP. Archives are read in place: no member is
ever written to disk, so a hostile member path is only ever a name.
"""

from __future__ import annotations

import bz2
import glob
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import IO, cast

from metier.core.errors import InputError, nearest

BROKEN = (
    *(EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error, zipfile.BadZipFile),
    NotImplementedError,
)
"""What the standard library raises on a damaged archive, or one packed in a way it lacks."""


def _open_gzip(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.GzipFile(path, "rb"))


def _open_xz(path: Path) -> IO[bytes]:
    return cast(IO[bytes], lzma.LZMAFile(path))


def _open_bz2(path: Path) -> IO[bytes]:
    return cast(IO[bytes], bz2.BZ2File(path))


def _open_plain(path: Path) -> IO[bytes]:
    return path.open("rb")


COMPRESSED = {".gz": _open_gzip, ".xz": _open_xz, ".bz2": _open_bz2}


@dataclass(frozen=True, slots=True)
class Member:
    """One file to read. ``name`` is relative to the source (it may start with the archive's name),
    ``place`` is for messages, ``alone`` is true when the source is this one file."""

    name: str
    place: str
    alone: bool
    opener: Callable[[], IO[bytes]]

    @property
    def suffix(self) -> str:
        """The suffix that tells the format, in lower case, without that of the compression."""
        path = PurePosixPath(self.name)
        if path.suffix.lower() in COMPRESSED:
            path = path.with_suffix("")
        return path.suffix.lower()

    def locator(self, row: int | str) -> str:
        """Return the locator of a row of this member."""
        return str(row) if self.alone else f"{self.name}#{row}"

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Open for reading bytes. A damaged archive raises InputError, also while reading."""
        try:
            with self.opener() as stream:
                yield stream
        except PermissionError as error:
            raise _not_permitted(self.place) from error
        except BROKEN as error:
            raise InputError(
                "a whole archive",
                got=f"{self.place}: {error or type(error).__name__}",
                remedy="copy or pack the file again; it is cut short or damaged",
            ) from error

    def seekable(self, stream: IO[bytes]) -> IO[bytes]:
        """Return ``stream`` itself when it is a plain file, else its content held in memory."""
        return stream if isinstance(stream, io.BufferedReader) else io.BytesIO(stream.read())


def find_files(path: str, root: Path) -> list[Path]:
    """Return the files that ``path`` (file, folder or glob) stands for, sorted.

    Raises InputError when there are none, naming the nearest file that does exist.
    """
    full = root / path
    if full.is_file():
        return [full]
    if full.is_dir():
        found = (file for file in full.rglob("*") if not _hidden(file.relative_to(full)))
        files = sorted(file for file in found if file.is_file())
        if not files:
            raise InputError("files in the folder", got=f"{path}: it holds none", remedy="fill it")
        return files
    matches = sorted(Path(name) for name in glob.glob(str(full), recursive=True))
    files = [match for match in matches if match.is_file()]
    if files:
        return files
    raise InputError(
        "a file, folder or glob that exists", got=repr(path), remedy=_nearest_file(full)
    )


def _nearest_file(full: Path) -> str:
    folder = full.parent
    while not folder.is_dir():
        folder = folder.parent
    names = [entry.name for entry in folder.iterdir() if not entry.name.startswith(".")]
    return f"in {folder}: {nearest(full.name, names)}"


def _hidden(relative: Path) -> bool:
    names = [part for part in relative.parts if part != ".."]
    return any(name.startswith((".", "__MACOSX")) for name in names)


def find_members(path: str, root: Path) -> Iterator[Member]:
    """Yield what is to be read, in a fixed order (by name)."""
    files = find_files(path, root)
    base = _fixed_part(root / path)
    for file in files:
        name = file.relative_to(base).as_posix()
        if file.suffix.lower() == ".zip":
            yield from _zip_members(file, name, alone=len(files) == 1)
        else:
            opener = COMPRESSED.get(file.suffix.lower(), _open_plain)
            yield Member(name, _shown(file, root), len(files) == 1, _bind(opener, file))


def _fixed_part(full: Path) -> Path:
    """Return the folder that names inside a source are relative to: the folder itself, or what
    comes before the first wildcard."""
    if full.is_dir():
        return full
    parts = list(takewhile(lambda part: not glob.has_magic(part), full.parts[:-1]))
    return Path(*parts)


def _bind(opener: Callable[[Path], IO[bytes]], file: Path) -> Callable[[], IO[bytes]]:
    return lambda: opener(file)


def _shown(file: Path, root: Path) -> str:
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else str(file)


def _zip_members(file: Path, name: str, alone: bool) -> Iterator[Member]:
    try:
        with zipfile.ZipFile(file) as archive:
            infos = [info for info in archive.infolist() if not info.is_dir()]
    except zipfile.BadZipFile as error:
        raise InputError("a ZIP archive", got=f"{name}: {error}", remedy="pack it again") from error
    infos = sorted((i for i in infos if not _hidden(Path(i.filename))), key=lambda i: i.filename)
    locked = next((info for info in infos if info.flag_bits & 0x1), None)
    if locked is not None:
        raise InputError(
            "an archive without a password",
            got=f"{name}: {locked.filename} is encrypted",
            remedy="unpack it and point the source at the folder",
        )
    for info in infos:
        inner = info.filename if alone else f"{name}/{info.filename}"
        yield Member(inner, f"{name}/{info.filename}", False, _zip_opener(file, info))


def _zip_opener(file: Path, info: zipfile.ZipInfo) -> Callable[[], IO[bytes]]:
    def opener() -> IO[bytes]:
        # ZipFile keeps the file open for as long as the member's stream is.
        with zipfile.ZipFile(file) as archive:
            return archive.open(info)

    return opener


def source_digest(path: Path) -> str:
    """Return the 128-bit BLAKE2b hash, in hex, of a file's bytes as they lie on disk.

    For a folder or glob it is over the names and hashes of its files, in order.
    """
    if path.is_file():
        return _file_digest(path)
    files = find_files(path.name, path.parent)
    whole = blake2b(digest_size=16)
    base = _fixed_part(path)
    for file in files:
        name = file.relative_to(base).as_posix()
        whole.update(f"{name}\0{_file_digest(file)}\n".encode("utf-8", "surrogateescape"))
    return whole.hexdigest()


def _file_digest(file: Path) -> str:
    hasher = blake2b(digest_size=16)
    try:
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                hasher.update(block)
    except PermissionError as error:
        raise _not_permitted(file.name) from error
    return hasher.hexdigest()


def _not_permitted(place: str) -> InputError:
    return InputError(
        "a file that may be read",
        got=f"{place}: permission denied",
        remedy="give the user who runs metier the right to read it",
    )
