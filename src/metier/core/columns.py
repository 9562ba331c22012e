"""Columns: what is kept of every row of a large set while its texts stay on disk.

seen = Marks()
for row in rows:
    seen.add(row.id)
seen.firsts()     # [rows]: where each row's id came first
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MARK_BYTES = 16


class Marks:
    """128-bit hashes of strings, 16 bytes each: they tell what is equal, and nothing else."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._bytes = bytearray()
        for text in texts:
            self.add(text)

    def add(self, text: str) -> None:
        """Add the mark of a string."""
        data = text.encode("utf-8", "surrogatepass")
        self._bytes += blake2b(data, digest_size=MARK_BYTES).digest()

    def __len__(self) -> int:
        return len(self._bytes) // MARK_BYTES

    def firsts(self) -> NDArray[np.int64]:
        """Return, for each row, the first row with the same mark: itself where it is the first."""
        import numpy as np

        halves = np.frombuffer(bytes(self._bytes), np.uint64).reshape(-1, 2)
        order = np.lexsort((halves[:, 1], halves[:, 0]))  # stable: equal marks keep their order
        ordered = halves[order]
        is_new = np.ones(len(order), dtype=bool)
        is_new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
        starts = np.flatnonzero(is_new)
        found = np.empty(len(order), np.int64)
        if len(order):
            found[order] = order[starts[np.cumsum(is_new) - 1]]
        return found

    def repeats(self) -> NDArray[np.int64]:
        """Return the rows whose mark an earlier row has, in order."""
        import numpy as np

        return np.flatnonzero(self.firsts() != np.arange(len(self)))


class Hashes:
    """Hashes that are 32 hex digits each, kept as 16 bytes, in the order they were added."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def add(self, found: str) -> None:
        """Add a hash. Raises ValueError on anything but 32 hex digits."""
        data = bytes.fromhex(found)
        if len(data) != MARK_BYTES:
            raise ValueError(f"32 hex digits, got {found!r}")
        self._bytes += data

    def __len__(self) -> int:
        return len(self._bytes) // MARK_BYTES

    def __getitem__(self, place: int) -> str:
        return self._bytes[place * MARK_BYTES : (place + 1) * MARK_BYTES].hex()

    def ordered(self) -> Iterable[str]:
        """Yield the hashes in ascending order, repeats included."""
        import numpy as np

        halves = np.frombuffer(bytes(self._bytes), ">u8").reshape(-1, 2)
        for place in np.lexsort((halves[:, 1], halves[:, 0])):
            yield self[int(place)]
