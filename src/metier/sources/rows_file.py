"""Rows from elsewhere (a database, the hub) held as JSON Lines while they are read.

They are written once to a file without a name, and hashed on the way: the digest is that of the
rows that are read, whatever happens to the table meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b

from metier.core.types import Json
from metier.sources.members import Member, Spool, spool_file
from metier.sources.values import plain


@dataclass(frozen=True, slots=True)
class HeldRows:
    """Rows as one JSON Lines member, and the digest over them in order."""

    member: Member
    digest: str


@contextmanager
def held_rows(rows: Iterable[Mapping[str, Json]], name: str, place: str) -> Iterator[HeldRows]:
    """Write the rows out; they can be read for as long as the context lasts."""
    hasher = blake2b(digest_size=16)
    with spool_file() as file:
        for row in rows:
            line = _line({str(key): plain(value) for key, value in row.items()})
            hasher.update(line)
            file.write(line)
        file.flush()
        yield HeldRows(Member(name, place, True, Spool(file).opener), hasher.hexdigest())


def _line(values: Mapping[str, Json]) -> bytes:
    try:
        return json.dumps(values, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:  # half a surrogate pair: told when the row is read
        return json.dumps(values).encode() + b"\n"
