"""Files on a server or in object storage, through fsspec: https, s3, gs and the like.

Each file is fetched once, into a file without a name on this disk, so that the digest is that of
the bytes that are read. Only what the config names is fetched; nothing is followed from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import IO, NoReturn

from metier.core.errors import InputError, MetierError
from metier.sources.addresses import last_part, opened_address, scheme, shown
from metier.sources.files import joint_digest
from metier.sources.members import Blob, Spool, spool_file

EXTRAS = {
    "s3": "s3fs",
    "s3a": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
}
"""Schemes of object storage -> the package that fsspec needs for them."""
SCHEMES = (*EXTRAS, "http", "https", "memory")


@dataclass(frozen=True, slots=True)
class Fetched:
    """The files of an address, held until the context ends, and the digest over them."""

    blobs: Sequence[Blob]
    digest: str


@contextmanager
def fetch(path: str) -> Iterator[Fetched]:
    """Fetch the file, or the files of a glob or prefix, that an address stands for.

    Raises InputError where it cannot be had; the message holds no secret.
    """
    with ExitStack() as stack:
        blobs, digests = [], []
        for name, remote in _files(path):
            file = stack.enter_context(spool_file())
            with _told(path):
                digests.append(_copy(remote, file))
            spool = Spool(file)
            place = shown(path) if name == last_part(path) else f"{shown(path)}: {name}"
            blobs.append(Blob(name, place, spool.size, spool.opener))
        names = [blob.name for blob in blobs]
        one = len(blobs) == 1
        yield Fetched(blobs, digests[0] if one else joint_digest(zip(names, digests, strict=True)))


def _files(path: str) -> Iterator[tuple[str, Callable[[], IO[bytes]]]]:
    """Yield each file's name and what opens it, sorted by name."""
    import fsspec

    if scheme(path) not in SCHEMES or "::" in path:
        raise InputError(
            f"an address that begins with one of {', '.join(SCHEMES)}",
            got=shown(path),
            remedy="download the file, or mount it, and give its path",
        )
    with _told(path):
        system, inner = fsspec.core.url_to_fs(opened_address(path))
        if scheme(path) in ("http", "https"):
            found = [inner]  # a web server lists nothing
        elif any(char in inner for char in "*?["):
            found = sorted(name for name in system.glob(inner) if system.isfile(name))
        elif system.isdir(inner):
            found = sorted(system.find(inner))
        else:
            found = [inner]
    if not found:
        raise InputError("files at the address", got=f"{shown(path)}: none", remedy="check it")
    if len(found) == 1:
        yield last_part(found[0]) or last_part(path) or "file", partial(system.open, found[0], "rb")
        return
    base = _shared_folder(found)
    for name in found:
        yield name[len(base) :], partial(system.open, name, "rb")


def _shared_folder(names: Sequence[str]) -> str:
    first, last = min(names), max(names)
    same = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), 0)
    return first[: first.rfind("/", 0, same) + 1]


def _copy(remote: Callable[[], IO[bytes]], file: IO[bytes]) -> str:
    hasher = blake2b(digest_size=16)
    with remote() as stream:
        while block := stream.read(1 << 20):
            hasher.update(block)
            file.write(block)
    file.flush()
    return hasher.hexdigest()


@contextmanager
def _told(path: str) -> Iterator[None]:
    """Say in words, and without the address's secrets, why a server gave nothing."""
    try:
        yield
    except MetierError:
        raise
    except ImportError as error:
        package = EXTRAS.get(scheme(path), str(error.name))
        raise InputError(
            f"the package {package}", got=shown(path), remedy=f"pip install {package}"
        ) from None
    except Exception as error:  # each storage library has errors of its own
        _refuse(path, error)


def _refuse(path: str, error: Exception) -> NoReturn:
    if isinstance(error, FileNotFoundError):
        got, remedy = "there is no such file", "check the address"
    elif isinstance(error, PermissionError):
        got, remedy = "permission denied", "check the credentials that the environment gives"
    else:
        status = getattr(error, "status", None)
        got = f"status {status}" if status else f"no answer ({type(error).__name__})"
        remedy = "check the address and the connection, or download the file and give its path"
    # The library's own message may hold the address with its secrets.
    raise InputError(
        "a file that can be fetched", got=f"{shown(path)}: {got}", remedy=remedy
    ) from None
