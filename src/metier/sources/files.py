"""From ``path`` in a source's config to files on this machine: globs, folders, digests."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from itertools import takewhile
from pathlib import Path
from typing import IO

from metier.core.errors import InputError, nearest
from metier.sources.archives import hidden, members_of
from metier.sources.members import Blob, Member, not_permitted


def find_files(path: str, root: Path) -> list[Path]:
    """Return the files that ``path`` (file, folder or glob) stands for, sorted.

    Raises InputError when there are none, naming the nearest file that does exist.
    """
    full = root / path
    if full.is_file():
        return [full]
    if full.is_dir():
        found = (file for file in full.rglob("*") if not hidden(file.relative_to(full).as_posix()))
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


def find_members(path: str, root: Path) -> Iterator[Member]:
    """Yield what is to be read, in a fixed order (by name)."""
    files = find_files(path, root)
    base = _fixed_part(root / path)
    for file in files:
        name = file.relative_to(base).as_posix()
        blob = Blob(name, _shown(file, root), file.stat().st_size, _bind(file))
        yield from members_of(blob, len(files) == 1)


def _fixed_part(full: Path) -> Path:
    """Return the folder that names inside a source are relative to: the folder itself, or what
    comes before the first wildcard."""
    if full.is_dir():
        return full
    parts = list(takewhile(lambda part: not glob.has_magic(part), full.parts[:-1]))
    return Path(*parts)


def _bind(file: Path) -> Callable[[], IO[bytes]]:
    return lambda: file.open("rb")


def _shown(file: Path, root: Path) -> str:
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else str(file)


def source_digest(path: Path) -> str:
    """Return the 128-bit BLAKE2b hash, in hex, of a file's bytes as they lie on disk.

    For a folder or glob it is over the names and hashes of its files, in order.
    """
    if path.is_file():
        return _file_digest(path)
    files = find_files(path.name, path.parent)
    base = _fixed_part(path)
    names = [file.relative_to(base).as_posix() for file in files]
    return joint_digest(zip(names, map(_file_digest, files), strict=True))


def joint_digest(files: Iterable[tuple[str, str]]) -> str:
    """Return the digest of several files, given name and digest of each, in order."""
    whole = blake2b(digest_size=16)
    for name, digest in files:
        whole.update(f"{name}\0{digest}\n".encode("utf-8", "surrogateescape"))
    return whole.hexdigest()


def _file_digest(file: Path) -> str:
    hasher = blake2b(digest_size=16)
    try:
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                hasher.update(block)
    except PermissionError as error:
        raise not_permitted(file.name) from error
    return hasher.hexdigest()
