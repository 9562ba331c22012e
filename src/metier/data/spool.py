"""Spool: rows in order, in memory while they are few, in a temporary file when they are many.

    spool = Spool[Example](Room(folder))
    spool.append(example)
    for example in spool: ...          # block by block
    train = filtered(spool, lambda row: row.split == "train")   # positions only, no copy

The file has no name: the system takes it back when the process ends, however it ends. What is
written is encrypted (AES-256-GCM) with a key that only this process ever holds, for the rows
still have the personal data that later steps take out. ``Rows`` is what all of these are: a
sequence that may be read again and again, and of which a slice is a list.
"""

from __future__ import annotations

import os
import pickle
import tempfile
import weakref
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar, overload

import numpy as np
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from numpy.typing import NDArray

from metier.core.errors import out_of_space

T = TypeVar("T")
MEMORY_ROWS = 50_000
"""Rows that one spool holds in memory before it goes to disk."""
MEMORY_BYTES = 128 << 20
"""Bytes (pickled, estimated) from which fewer rows than that go to disk, too."""
BLOCK_ROWS = 1024
BLOCK_BYTES = 4 << 20
"""A block ends with the row that reaches either; one block is what reading holds in memory."""
SAMPLED = 16  # in memory, one of so many rows is weighed
PROTOCOL = 5
CODEC = "zstd"
SPOOLING = "spooling rows that do not fit into memory"


@dataclass(frozen=True, slots=True)
class Room:
    """Where spools may lie, and how much they may hold in memory before they do."""

    folder: Path
    memory_rows: int = MEMORY_ROWS
    memory_bytes: int = MEMORY_BYTES


class Rows(Sequence[T]):
    """A sequence that is equal to any other of the same rows; its ``repr`` shows none."""

    def _at(self, place: int) -> T:
        """Return the row at ``place``, which lies in range."""
        raise NotImplementedError

    @overload
    def __getitem__(self, place: int) -> T: ...
    @overload
    def __getitem__(self, place: slice) -> list[T]: ...
    def __getitem__(self, place: int | slice) -> T | list[T]:
        if isinstance(place, slice):
            return [self._at(one) for one in range(*place.indices(len(self)))]
        found = place + len(self) if place < 0 else place
        if not 0 <= found < len(self):
            raise IndexError(f"row {place} of {len(self)}")
        return self._at(found)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or len(other) != len(self):
            return False
        return all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # a spool grows

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self)} rows>"


class Spool(Rows[T]):
    """Rows that are appended one by one; without a room they all stay in memory."""

    def __init__(self, room: Room | None = None, rows: Iterable[T] = ()) -> None:
        self._room = room
        self._held: list[T] = []  # all rows, or those that come after the last block on disk
        self._bytes = 0  # estimate of what the held rows weigh
        self._file: _BlockFile | None = None
        self._block: tuple[int, list[T]] = (-1, [])  # the one read last, for single rows
        self.extend(rows)

    @property
    def on_disk(self) -> bool:
        """Whether rows have gone to the temporary file."""
        return self._file is not None

    def append(self, row: T) -> None:
        """Add a row at the end. Raises OutOfSpace."""
        self._held.append(row)
        if len(self._held) % SAMPLED == 1:
            self._bytes += SAMPLED * len(pickle.dumps(row, PROTOCOL))
        if self._file is not None:
            if len(self._held) >= BLOCK_ROWS or self._bytes >= BLOCK_BYTES:
                self._file.write(self._held)
                self._held, self._bytes = [], 0
        elif self._room is not None and self._overflows(self._room):
            self._file = _BlockFile(self._room.folder)
            rows, self._held, self._bytes = self._held, [], 0
            self.extend(rows)

    def extend(self, rows: Iterable[T]) -> None:
        """Add rows at the end. Raises OutOfSpace."""
        for row in rows:
            self.append(row)

    def __iadd__(self, rows: Iterable[T]) -> Spool[T]:
        self.extend(rows)
        return self

    def __len__(self) -> int:
        return len(self._held) + (0 if self._file is None else self._file.rows)

    def __iter__(self) -> Iterator[T]:
        if self._file is not None:
            for number in range(self._file.blocks):
                yield from self._file.read(number)
        yield from self._held

    def _at(self, place: int) -> T:
        if self._file is None:
            return self._held[place]
        if place >= self._file.rows:
            return self._held[place - self._file.rows]
        number, first = self._file.find(place)
        if self._block[0] != number:
            self._block = (number, self._file.read(number))
        return self._block[1][place - first]

    def _overflows(self, room: Room) -> bool:
        return len(self._held) > room.memory_rows or self._bytes > room.memory_bytes


class _BlockFile:
    """Blocks of pickled rows, each compressed and encrypted, in a file without a name."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        with out_of_space(SPOOLING):
            self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115
        weakref.finalize(self, self._file.close)
        self._cipher = AESGCM(AESGCM.generate_key(256))
        self._starts = array("q")  # of each block: its first row, place and lengths in bytes
        self._places = array("q")
        self._sizes = array("q")
        self._plain_sizes = array("q")
        self.rows = 0

    @property
    def blocks(self) -> int:
        """Blocks that are on disk."""
        return len(self._starts)

    def write(self, rows: Sequence[Any]) -> None:
        """Write a block."""
        import pyarrow as pa

        plain = pickle.dumps(rows, PROTOCOL)
        packed = pa.compress(plain, codec=CODEC, asbytes=True)
        sealed = self._cipher.encrypt(_nonce(self.blocks), packed, None)
        place = self._places[-1] + self._sizes[-1] if self._places else 0
        with out_of_space(SPOOLING):
            self._put(memoryview(sealed))
        self._starts.append(self.rows)
        self._places.append(place)
        self._sizes.append(len(sealed))
        self._plain_sizes.append(len(plain))
        self.rows += len(rows)

    def find(self, row: int) -> tuple[int, int]:
        """Return the number of the block that holds ``row``, and that block's first row."""
        number = bisect_right(self._starts, row) - 1
        return number, self._starts[number]

    def read(self, number: int) -> list[Any]:
        """Return the rows of a block."""
        import pyarrow as pa

        sealed = os.pread(self._file.fileno(), self._sizes[number], self._places[number])
        packed = self._cipher.decrypt(_nonce(number), sealed, None)
        plain = pa.decompress(packed, self._plain_sizes[number], codec=CODEC, asbytes=True)
        rows: list[Any] = pickle.loads(plain)  # its seal shows that this process wrote it
        return rows

    def _put(self, data: memoryview) -> None:
        while data:  # an unbuffered write may take less than it was given
            data = data[self._file.write(data) :]


def _nonce(number: int) -> bytes:
    # Each file has a key of its own, and no block is ever written twice.
    return number.to_bytes(12, "big")


class Picked(Rows[T]):
    """Some rows of another sequence, by position; that sequence must not change."""

    def __init__(self, rows: Sequence[T], places: Iterable[int] | NDArray[np.int64]) -> None:
        found = np.asarray(
            places if isinstance(places, np.ndarray) else array("q", places), dtype=np.int64
        )
        inner = rows if isinstance(rows, Picked) else None
        self._rows: Sequence[T] = rows if inner is None else inner._rows
        self._places: NDArray[np.int64] = found if inner is None else inner._places[found]

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[T]:
        for start in range(0, len(self._places), BLOCK_ROWS):
            for place in self._places[start : start + BLOCK_ROWS].tolist():
                yield self._rows[place]

    def _at(self, place: int) -> T:
        return self._rows[int(self._places[place])]


class Chained(Rows[T]):
    """The rows of several sequences, one after the other."""

    def __init__(self, *parts: Sequence[T]) -> None:
        self._parts = parts

    def __len__(self) -> int:
        return sum(len(part) for part in self._parts)

    def __iter__(self) -> Iterator[T]:
        return chain.from_iterable(self._parts)

    def _at(self, place: int) -> T:
        for part in self._parts:
            if place < len(part):
                return part[place]
            place -= len(part)
        raise IndexError(place)


def filtered(rows: Sequence[T], keep: Callable[[T], bool]) -> Rows[T]:
    """Return the rows that ``keep`` is true of, in order: 8 bytes each, no copy of the rows."""
    return Picked(rows, (place for place, row in enumerate(rows) if keep(row)))
