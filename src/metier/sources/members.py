"""What is read: a Blob is a file as it was handed over, a Member one file to read out of it.

Most blobs are one member; a ZIP or tar has many. Whatever is unpacked is counted, which stops
an archive that unpacks to far more than any honest file would (a "zip bomb").
"""

from __future__ import annotations

import gzip
import io
import lzma
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, Any, cast

from metier.core.errors import InputError, out_of_space

COMPRESSIONS = (".gz", ".xz", ".bz2")
RATIO_LIMIT = 300
"""How many times its packed size an archive may unpack to. Texts rarely pass 50; the deflate
format can reach 1,032."""
FREE_BYTES = 100_000_000
"""Unpacked bytes up to which the ratio does not count."""
BROKEN = (
    *(EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error, zipfile.BadZipFile),
    *(tarfile.TarError, NotImplementedError),
)
"""What the standard library raises on a damaged archive, or one packed in a way it lacks."""
Opener = Callable[[], IO[bytes]]


@dataclass(frozen=True, slots=True)
class Blob:
    """A file as it lies on a disk or a server. ``name`` is relative to the source, ``place`` is
    for messages, ``size`` in bytes; each ``opener()`` is a fresh seekable stream."""

    name: str
    place: str
    size: int
    opener: Opener


@dataclass(frozen=True, slots=True)
class Member:
    """One file to read. ``name`` is relative to the source (it may start with the archive's name),
    ``place`` is for messages, ``alone`` is true when the source is this one file."""

    name: str
    place: str
    alone: bool
    opener: Opener

    @property
    def suffix(self) -> str:
        """The suffix that tells the format, in lower case, without that of the compression."""
        path = PurePosixPath(self.name)
        if path.suffix.lower() in COMPRESSIONS:
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
            raise not_permitted(self.place) from error
        except BROKEN as error:
            raise InputError(
                "a whole archive",
                got=f"{self.place}: {error or type(error).__name__}",
                remedy="copy or pack the file again; it is cut short or damaged",
            ) from error

    @contextmanager
    def open_seekable(self) -> Iterator[IO[bytes]]:
        """Open for reading in any order; what comes out of an archive waits on disk, unnamed."""
        with self.open() as stream:
            if stream.seekable():
                yield stream
                return
            with spooled(stream) as spool, spool.opener() as whole:
                yield whole


def not_permitted(place: str) -> InputError:
    """Build the error for a file that the user may not read."""
    return InputError(
        "a file that may be read",
        got=f"{place}: permission denied",
        remedy="give the user who runs metier the right to read it",
    )


class _Part(io.RawIOBase):
    """The bytes ``start`` to ``start + size`` of a seekable stream, which closes with it."""

    def __init__(self, whole: IO[bytes], start: int, size: int) -> None:
        self._whole, self._start, self._size, self._at = whole, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        self._whole.seek(self._start + self._at)
        block = self._whole.read(max(0, min(len(buffer), self._size - self._at)))
        buffer[: len(block)] = block
        self._at += len(block)
        return len(block)

    def write(self, data: Any) -> int:
        raise io.UnsupportedOperation("write")

    def close(self) -> None:
        self._whole.close()
        super().close()


def part(whole: IO[bytes], start: int, size: int) -> IO[bytes]:
    """Return a stream over a stretch of another one."""
    return cast(IO[bytes], io.BufferedReader(_Part(whole, start, size), 1 << 16))


class _Guard(io.RawIOBase):
    """Unpacked bytes in order, counted. Raises InputError when they are too many. Closing it
    closes what they are unpacked from too, which the standard library leaves open."""

    def __init__(
        self, unpacked: IO[bytes], packed: IO[bytes], packed_bytes: int, place: str
    ) -> None:
        self._unpacked, self._packed = unpacked, packed
        self._packed_bytes, self._place = packed_bytes, place
        self._count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block = self._unpacked.read(len(buffer))
        buffer[: len(block)] = block
        self._count += len(block)
        refuse_bomb(self._place, self._packed_bytes, self._count)
        return len(block)

    def write(self, data: Any) -> int:
        raise io.UnsupportedOperation("write")

    def close(self) -> None:
        self._unpacked.close()
        self._packed.close()
        super().close()


def guarded(unpacked: IO[bytes], packed: IO[bytes], packed_bytes: int, place: str) -> IO[bytes]:
    """Return a stream that reads ``unpacked``, made from ``packed``, in order; refuses a bomb."""
    guard = _Guard(unpacked, packed, packed_bytes, place)
    return cast(IO[bytes], io.BufferedReader(guard, 1 << 16))


def refuse_bomb(place: str, packed_bytes: int, unpacked_bytes: int) -> None:
    """Raise InputError when so many bytes cannot honestly come out of so few."""
    if unpacked_bytes <= max(FREE_BYTES, RATIO_LIMIT * packed_bytes):
        return
    raise InputError(
        f"an archive that unpacks to at most {RATIO_LIMIT} times its size",
        got=f"{place}: {packed_bytes / 1e6:.1f} MB hold over {unpacked_bytes / 1e6:.0f} MB",
        remedy="if you know what it is, unpack it yourself and point the source at the files",
    )


class Spool:
    """Bytes that wait in a file without a name: when the process ends, however it ends, they are
    gone."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.size = file.seek(0, io.SEEK_END)

    def opener(self) -> IO[bytes]:
        """Return a fresh stream over them; closing it leaves the others open."""
        return part(cast(IO[bytes], _Borrowed(self._file)), 0, self.size)


class _Borrowed:
    """A file that somebody else closes."""

    def __init__(self, file: IO[bytes]) -> None:
        self.seek, self.read = file.seek, file.read

    def close(self) -> None:
        """Leave it open."""


@contextmanager
def spooled(stream: IO[bytes]) -> Iterator[Spool]:
    """Hold a stream's bytes on disk for as long as the context lasts."""
    with spool_file() as file:
        shutil.copyfileobj(stream, file, 1 << 20)
        yield Spool(file)


@contextmanager
def spool_file() -> Iterator[IO[bytes]]:
    """Open an unnamed file to write what is to be spooled."""
    with (
        out_of_space("holding a source for reading"),
        tempfile.TemporaryFile(prefix="metier-") as file,
    ):
        yield file
