"""Every error metier raises on purpose.

MetierError
├── UserError                 the user can fix it: shown without traceback, CLI exit 2, HTTP 422
│   ├── ConfigError           a key or value in metier.toml (carries file:line)
│   ├── InputError            data that was handed over: a file, a row, a prediction
│   ├── ModelUnavailable      a base model, adapter or engine cannot be loaded or reached (HTTP 503)
│   ├── NotFound              an id or name the workspace does not know (HTTP 404)
│   ├── Busy                  another process holds what this one needs (HTTP 409)
│   ├── EgressRefused         text would leave the machine without permission (HTTP 403)
│   ├── OutOfSpace            the disk is full; what was acknowledged is kept
│   ├── OutOfMemory           memory does not suffice; the settings to change are named (HTTP 503)
│   ├── Overloaded            more requests wait than may (HTTP 429; carries retry_after_s)
│   ├── TimedOut              no answer within the time that was set (HTTP 504)
│   ├── Draining              the server is about to stop and takes nothing new (HTTP 503)
│   └── IntegrityError        stored bytes do not match their hash, or a sealed row its key
└── BoundaryError             a plugin or library failed inside a named boundary (a bug: traceback)
"""

from __future__ import annotations

import copyreg
import difflib
import errno
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says when a write has no room: disk, quota, or largest size of a file."""


class MetierError(Exception):
    """Root of the tree above."""


class UserError(MetierError):
    """Something the user can put right.

    Args:
        expected: what would have been right, as a noun phrase or short sentence.
        got: what came instead, with its place (``file:line`` or row id).
        remedy: what to do now, in the imperative.
    """

    exit_code = 2
    http_status = 422

    def __init__(self, expected: str, *, got: str = "", remedy: str = "") -> None:
        self.expected, self.got, self.remedy = expected, got, remedy
        lines = [f"expected {expected}"]
        if got:
            lines.append(f"got {got}")
        if remedy:
            lines.append(f"to fix: {remedy}")
        super().__init__("\n".join(lines))

    def __reduce__(self) -> tuple[Any, ...]:
        # A worker process hands its errors over; made anew from its message, one would say it twice
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]


class ConfigError(UserError):
    """A key or value in a config file is wrong."""


class InputError(UserError):
    """Data the user handed over cannot be used."""


class ModelUnavailable(UserError):
    """A model cannot be loaded or reached."""

    http_status = 503


class NotFound(UserError):
    """The workspace has no such thing."""

    http_status = 404


class Busy(UserError):
    """Another process holds what this one needs."""

    http_status = 409


class EgressRefused(UserError):
    """Text would leave the machine without an entry in ``[privacy.egress]``."""

    http_status = 403


class OutOfSpace(UserError):
    """The disk is full."""

    http_status = 507


class OutOfMemory(UserError):
    """Memory does not suffice for what was asked; what was saved is kept."""

    http_status = 503


class Overloaded(UserError):
    """More requests wait than may; ``retry_after_s`` says in how many seconds to ask again."""

    http_status = 429

    def __init__(
        self, expected: str, *, got: str = "", remedy: str = "", retry_after_s: int = 1
    ) -> None:
        super().__init__(expected, got=got, remedy=remedy)
        self.retry_after_s = retry_after_s


class TimedOut(UserError):
    """There was no answer within the time that was set."""

    http_status = 504


class Draining(UserError):
    """The server is about to stop and takes nothing new."""

    http_status = 503


class IntegrityError(UserError):
    """Stored bytes do not match what was recorded of them."""


class BoundaryError(MetierError):
    """Code behind a plugin boundary failed; ``__cause__`` holds what it raised."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a remedy that names the known choices, nearest first."""
    choices = sorted(known)
    close = difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    shown = ", ".join(choices[:20]) + (", …" if len(choices) > 20 else "")
    return f"{hint}known: {shown or 'none yet'}"


@contextmanager
def boundary(name: str) -> Iterator[None]:
    """Turn whatever escapes from foreign code into a ``BoundaryError`` that names the place.

    Errors of this tree pass unchanged; a full disk becomes ``OutOfSpace``.
    """
    try:
        yield
    except MetierError:
        raise
    except Exception as error:
        if met_full_disk(error):
            raise disk_full(name) from error
        raise BoundaryError(f"{name}: {type(error).__name__}: {error}") from error


@contextmanager
def out_of_space(doing: str) -> Iterator[None]:
    """Turn a write that met a full disk, a quota or a limit into ``OutOfSpace``."""
    try:
        yield
    except Exception as error:
        if met_full_disk(error):
            raise disk_full(doing) from error
        raise


def met_full_disk(error: BaseException) -> bool:
    """Say whether an error is a write's that had no room.

    safetensors writes in Rust and tells the system's number in the text of an error of its own.
    """
    if isinstance(error, OSError):
        return error.errno in NO_ROOM
    said = re.search(r"\(os error (\d+)\)", str(error))
    return (
        type(error).__name__ == "SafetensorError" and said is not None and int(said[1]) in NO_ROOM
    )


def disk_full(doing: str) -> OutOfSpace:
    """Build the error for a write that met a full disk."""
    return OutOfSpace(
        f"room on the disk while {doing}",
        got="no space left on the device",
        remedy="free some space and run the same command again; what was acknowledged is kept",
    )
