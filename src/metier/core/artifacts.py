"""Artifacts: files kept under the hash of their content, on local disk or any fsspec store.

A file's digest is its SHA-256 in hex; a tree's is ``tree_`` and the SHA-256 of its manifest,
which lists relative path, digest and size of every file. Bytes go to a temporary name, are
synced, and are renamed last, so an artifact that is there is whole.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, BinaryIO, Protocol, cast
from uuid import uuid4

from metier.core.errors import InputError, IntegrityError, NotFound, out_of_space

TREE = "tree_"
TREE_MEDIA_TYPE = "application/vnd.metier.tree+json"
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Artifact:
    """What is known of an artifact beside its bytes."""

    digest: str
    media_type: str
    size_bytes: int


class Blobs(Protocol):
    """Where bytes lie, by key. ``write`` is atomic: the key appears when all bytes are safe."""

    def write(self, key: str, source: BinaryIO) -> None:
        """Store all of ``source`` under ``key``, replacing what is there."""
        ...

    def read(self, key: str) -> BinaryIO:
        """Open the bytes under ``key``. Raises FileNotFoundError."""
        ...

    def exists(self, key: str) -> bool:
        """Whether ``key`` holds anything."""
        ...

    def delete(self, key: str) -> None:
        """Remove what ``key`` holds; nothing happens where it holds nothing."""
        ...


class LocalBlobs:
    """Files in a folder, written through a temporary name with fsync."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, key: str, source: BinaryIO) -> None:
        """Store all of ``source`` under ``key``, replacing what is there."""
        target = self.root / key
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, source)

    def read(self, key: str) -> BinaryIO:
        """Open the bytes under ``key``."""
        return (self.root / key).open("rb")

    def exists(self, key: str) -> bool:
        """Whether ``key`` holds anything."""
        return (self.root / key).is_file()

    def delete(self, key: str) -> None:
        """Remove what ``key`` holds."""
        (self.root / key).unlink(missing_ok=True)


class RemoteBlobs:
    """Objects in an fsspec store, e.g. ``s3://bucket/prefix``; its own puts must be atomic."""

    def __init__(self, url: str) -> None:
        from fsspec.core import url_to_fs

        self._fs, self._root = url_to_fs(url)

    def write(self, key: str, source: BinaryIO) -> None:
        """Store all of ``source`` under ``key``, replacing what is there."""
        path = self._path(key)
        self._fs.makedirs(str(PurePosixPath(path).parent), exist_ok=True)
        with self._fs.open(path, "wb") as sink:
            shutil.copyfileobj(source, sink, _CHUNK)

    def read(self, key: str) -> BinaryIO:
        """Open the bytes under ``key``."""
        return cast(BinaryIO, self._fs.open(self._path(key), "rb"))

    def exists(self, key: str) -> bool:
        """Whether ``key`` holds anything."""
        return bool(self._fs.exists(self._path(key)))

    def delete(self, key: str) -> None:
        """Remove what ``key`` holds."""
        if self.exists(key):
            self._fs.rm(self._path(key))

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}"


class ArtifactStore:
    """Puts, finds and verifies artifacts.

    Args:
        url: a folder, or an fsspec URL.
        cache: local folder for checkouts.
        on_stored: told of every artifact once its bytes are safe.
    """

    def __init__(
        self,
        url: str,
        cache: Path,
        on_stored: Callable[[Sequence[Artifact]], None] = lambda artifacts: None,
    ) -> None:
        local = "://" not in url or url.startswith("file://")
        self._blobs: Blobs = (
            LocalBlobs(Path(url.removeprefix("file://"))) if local else RemoteBlobs(url)
        )
        self._cache = cache
        self._on_stored = on_stored

    def put_bytes(self, data: bytes, media_type: str = "application/octet-stream") -> str:
        """Store ``data`` and return its digest. Raises OutOfSpace."""
        stored = self._put(io.BytesIO(data), media_type)
        self._on_stored([stored])
        return stored.digest

    def put_file(self, path: Path, media_type: str = "application/octet-stream") -> str:
        """Store a file's content and return its digest. Raises OutOfSpace."""
        with path.open("rb") as source:
            stored = self._put(source, media_type)
        self._on_stored([stored])
        return stored.digest

    def put_stream(self, source: BinaryIO, media_type: str = "application/octet-stream") -> str:
        """Store what can be read of ``source``, which must seek, from its start; return the digest.

        Raises OutOfSpace.
        """
        source.seek(0)
        stored = self._put(source, media_type)
        self._on_stored([stored])
        return stored.digest

    def put_tree(self, directory: Path) -> str:
        """Store every file under ``directory`` and return the tree's digest.

        Links and empty folders are not kept; equal content gives an equal digest.
        """
        files, stored = [], []
        for path in sorted(p for p in directory.rglob("*") if p.is_file() and not p.is_symlink()):
            with path.open("rb") as source:
                one = self._put(source, "application/octet-stream")
            name = path.relative_to(directory).as_posix()
            files.append({"path": name, "digest": one.digest, "size": one.size_bytes})
            stored.append(one)
        manifest = json.dumps({"files": files}, sort_keys=True, separators=(",", ":")).encode()
        tree = self._put(io.BytesIO(manifest), TREE_MEDIA_TYPE)
        digest = TREE + tree.digest
        self._on_stored([*stored, Artifact(digest, TREE_MEDIA_TYPE, tree.size_bytes)])
        return digest

    def get_bytes(self, digest: str) -> bytes:
        """Return an artifact's bytes (a tree's: its manifest), checked against the digest.

        Raises NotFound, or IntegrityError when the stored bytes are not what was put.
        """
        with self.open(digest) as source:
            data = source.read()
        if hashlib.sha256(data).hexdigest() != digest.removeprefix(TREE):
            raise _damaged(digest)
        return data

    @contextmanager
    def open(self, digest: str) -> Iterator[IO[bytes]]:
        """Open an artifact for reading, unchecked. Raises NotFound."""
        try:
            source = self._blobs.read(_key(digest))
        except FileNotFoundError as error:
            raise NotFound(
                "an artifact that is stored", got=digest, remedy="check the id, or make it again"
            ) from error
        with source:
            yield source

    def exists(self, digest: str) -> bool:
        """Whether the artifact is there; its content is not read."""
        return self._blobs.exists(_key(digest))

    def delete(self, digest: str) -> None:
        """Remove an artifact's bytes (of a tree: its manifest), for good. Only erasure does so."""
        self._blobs.delete(_key(digest))

    def verify(self, digest: str) -> bool:
        """Whether every byte of the artifact, and of a tree's files, is as it was put."""
        try:
            if digest.startswith(TREE):
                return all(self.verify(entry["digest"]) for entry in self.files(digest))
            with self.open(digest) as source:
                return hash_stream(source)[0] == digest
        except (IntegrityError, NotFound):
            return False

    def files(self, digest: str) -> list[dict[str, Any]]:
        """The entries of a tree: ``path`` (relative, POSIX), ``digest`` and ``size`` in bytes."""
        entries: list[dict[str, Any]] = json.loads(self.get_bytes(digest))["files"]
        return entries

    def checkout(self, digest: str, into: Path | None = None) -> Path:
        """Materialise a tree as a folder, or a file as a file, and return its path.

        Without ``into`` it lies in the cache, which is checked and mended when it is used again;
        do not write there. ``into`` must not exist yet. Raises IntegrityError, NotFound.
        """
        target = into if into is not None else self._cache / digest
        if into is None and target.exists():
            if self._matches(digest, target):
                return target
            _remove(target)
        elif target.exists():
            raise InputError(
                "a path that does not exist yet", got=str(target), remedy="name another one"
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.{uuid4().hex}")
        try:
            with out_of_space("checking out an artifact"):
                self._materialise(digest, partial)
                _move_into_place(partial, target)
        finally:
            _remove(partial)
        return target

    def _put(self, source: BinaryIO, media_type: str) -> Artifact:
        digest, size = hash_stream(source)
        if not (self.exists(digest) and self.verify(digest)):
            source.seek(0)
            with out_of_space("storing an artifact"):
                self._blobs.write(_key(digest), source)
        return Artifact(digest, media_type, size)

    def _materialise(self, digest: str, target: Path) -> None:
        if not digest.startswith(TREE):
            self._copy(digest, target)
            return
        target.mkdir()
        for entry in self.files(digest):
            path = target / entry["path"]
            if not path.resolve().is_relative_to(target.resolve()):
                raise _damaged(digest)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._copy(entry["digest"], path)

    def _copy(self, digest: str, target: Path) -> None:
        with self.open(digest) as source, target.open("wb") as sink:
            found = _copy_hashing(source, sink)
        if found != digest:
            raise _damaged(digest)

    def _matches(self, digest: str, path: Path) -> bool:
        if not digest.startswith(TREE):
            return path.is_file() and _hash_file(path) == digest
        wanted = {entry["path"]: entry["digest"] for entry in self.files(digest)}
        here = [p for p in path.rglob("*") if p.is_file()]
        return {p.relative_to(path).as_posix(): _hash_file(p) for p in here} == wanted


def write_atomically(target: Path, source: BinaryIO) -> None:
    """Write a file so that it is there in full, and durable, or not at all."""
    partial = target.with_name(f".{target.name}.{os.getpid()}.{uuid4().hex[:8]}.tmp")
    try:
        with partial.open("xb") as sink:
            shutil.copyfileobj(source, sink, _CHUNK)
            sink.flush()
            os.fsync(sink.fileno())
        partial.replace(target)
        sync_directory(target.parent)
    finally:
        partial.unlink(missing_ok=True)


def sync_directory(path: Path) -> None:
    """Make a rename in ``path`` durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def hash_stream(source: IO[bytes]) -> tuple[str, int]:
    """Return the SHA-256, in hex, and the length of the rest of ``source``."""
    hasher, size = hashlib.sha256(), 0
    while chunk := source.read(_CHUNK):
        hasher.update(chunk)
        size += len(chunk)
    return hasher.hexdigest(), size


def _hash_file(path: Path) -> str:
    with path.open("rb") as source:
        return hash_stream(source)[0]


def _copy_hashing(source: IO[bytes], sink: IO[bytes]) -> str:
    hasher = hashlib.sha256()
    while chunk := source.read(_CHUNK):
        hasher.update(chunk)
        sink.write(chunk)
    return hasher.hexdigest()


def _key(digest: str) -> str:
    name = digest.removeprefix(TREE)
    if len(name) != 64 or not set(name) <= set("0123456789abcdef"):
        raise NotFound("an artifact digest: 64 hex digits, perhaps after tree_", got=repr(digest))
    return f"{name[:2]}/{name}"


def _damaged(digest: str) -> IntegrityError:
    return IntegrityError(
        f"the bytes that were stored as {digest}",
        got="other bytes under that name: the file was changed or the disk is failing",
        remedy="restore it from a backup, or make it again",
    )


def _move_into_place(partial: Path, target: Path) -> None:
    try:
        partial.replace(target)
    except OSError:
        if not target.exists():  # else another process has just made the same checkout
            raise


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
