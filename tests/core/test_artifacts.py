"""Artifacts are whole or absent, found by content, and mended or refused when damaged."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from metier.core.artifacts import Artifact, ArtifactStore
from metier.core.errors import InputError, IntegrityError, NotFound, OutOfSpace

KILLED_WHILE_WRITING = """
import os, signal, sys
from pathlib import Path
from metier.core import artifacts
syncs = int(sys.argv[2])
real = os.fsync
def fsync(descriptor):
    global syncs
    if syncs == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    syncs -= 1
    real(descriptor)
os.fsync = fsync
store = artifacts.ArtifactStore(sys.argv[1], Path(sys.argv[1]) / "cache")
print(store.put_bytes(b"one" * 100_000), flush=True)
"""


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    url = str(tmp_path / "blobs") if request.param == "local" else f"memory://{uuid4().hex}"
    return ArtifactStore(url, tmp_path / "cache")


@pytest.fixture
def local(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(str(tmp_path / "blobs"), tmp_path / "cache")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "adapter"
    (folder / "deep").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "deep" / "weights.bin").write_bytes(bytes(range(256)))
    return folder


def blob(tmp_path: Path, digest: str) -> Path:
    name = digest.removeprefix("tree_")
    return tmp_path / "blobs" / name[:2] / name


def test_bytes_come_back(store: ArtifactStore) -> None:
    digest = store.put_bytes(b"hello")
    assert digest == "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    assert store.get_bytes(digest) == b"hello"
    assert store.exists(digest)
    assert store.verify(digest)
    with store.open(digest) as source:
        assert source.read(4) == b"hell"


def test_a_file_and_its_checkout(store: ArtifactStore, tmp_path: Path) -> None:
    path = tmp_path / "in.bin"
    path.write_bytes(b"x" * 3_000_000)
    digest = store.put_file(path)
    assert store.checkout(digest).read_bytes() == path.read_bytes()


def test_a_tree_comes_back_as_it_was(store: ArtifactStore, tree: Path, tmp_path: Path) -> None:
    digest = store.put_tree(tree)
    assert digest.startswith("tree_")
    assert store.verify(digest)
    out = store.checkout(digest, tmp_path / "out" / "here")
    assert (out / "config.json").read_text() == "{}"
    assert (out / "deep" / "weights.bin").read_bytes() == bytes(range(256))
    assert store.put_tree(out) == digest
    assert [entry["path"] for entry in store.files(digest)] == ["config.json", "deep/weights.bin"]


def test_a_checkout_that_was_changed_is_mended(local: ArtifactStore, tree: Path) -> None:
    digest = local.put_tree(tree)
    here = local.checkout(digest)
    (here / "config.json").write_text("changed")
    (here / "stray").write_text("new")
    assert local.checkout(digest) == here
    assert (here / "config.json").read_text() == "{}"
    assert not (here / "stray").exists()


def test_a_checkout_never_overwrites(local: ArtifactStore, tree: Path) -> None:
    with pytest.raises(InputError, match="does not exist yet"):
        local.checkout(local.put_tree(tree), tree)


def test_whoever_listens_is_told_after_the_bytes_are_safe(tmp_path: Path, tree: Path) -> None:
    told: list[Artifact] = []

    def hear(artifacts: object) -> None:
        assert isinstance(artifacts, list)
        told.extend(artifacts)
        assert all(store.verify(one.digest) for one in artifacts)

    store = ArtifactStore(str(tmp_path / "blobs"), tmp_path / "cache", hear)
    digest = store.put_bytes(b"abc", "text/plain")
    assert told == [Artifact(digest, "text/plain", 3)]
    assert store.put_tree(tree) in [one.digest for one in told]


def test_what_is_absent_or_no_digest_is_not_found(store: ArtifactStore) -> None:
    for digest in ("0" * 64, "../../etc/passwd", ""):
        with pytest.raises(NotFound):
            store.get_bytes(digest)
    assert not store.verify("0" * 64)


def test_a_flipped_byte_is_refused_and_mended_by_the_next_put(
    local: ArtifactStore, tree: Path, tmp_path: Path
) -> None:
    digest, whole = local.put_bytes(b"hello"), local.put_tree(tree)
    weights = next(e["digest"] for e in local.files(whole) if e["path"] == "deep/weights.bin")
    for damaged in (digest, weights):
        path = blob(tmp_path, damaged)
        path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])
    with pytest.raises(IntegrityError, match=f"expected the bytes that were stored as {digest}"):
        local.get_bytes(digest)
    with pytest.raises(IntegrityError):
        local.checkout(whole)
    assert not local.verify(digest)
    assert not local.verify(whole)
    assert list((tmp_path / "cache").iterdir()) == []
    assert local.put_bytes(b"hello") == digest
    assert local.get_bytes(digest) == b"hello"


def test_a_manifest_that_points_outside_is_refused(local: ArtifactStore, tmp_path: Path) -> None:
    inner = local.put_bytes(b"x")
    manifest = f'{{"files":[{{"digest":"{inner}","path":"../../escaped","size":1}}]}}'
    with pytest.raises(IntegrityError):
        local.checkout("tree_" + local.put_bytes(manifest.encode()))
    assert not (tmp_path / "escaped").exists()


def test_a_full_disk_says_so_and_keeps_what_was_there(
    local: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = local.put_bytes(b"kept")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for module, name in ((shutil, "copyfileobj"), (os, "fsync")):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, full)
            with pytest.raises(OutOfSpace, match="storing an artifact"):
                local.put_bytes(b"new")
    assert local.get_bytes(kept) == b"kept"
    files = [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]
    assert files == [blob(tmp_path, kept)]
    assert local.get_bytes(local.put_bytes(b"new")) == b"new"


@pytest.mark.parametrize("syncs", [0, 1, 2])
def test_a_killed_write_leaves_everything_or_nothing(syncs: int, tmp_path: Path) -> None:
    root = tmp_path / "blobs"
    command = [sys.executable, "-c", KILLED_WHILE_WRITING, str(root), str(syncs)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    store = ArtifactStore(str(root), tmp_path / "cache")
    acknowledged = done.stdout.strip()
    assert (done.returncode == 0) == bool(acknowledged) == (syncs == 2)
    data = b"one" * 100_000
    digest = ArtifactStore(f"memory://{uuid4().hex}", tmp_path / "c").put_bytes(data)
    assert store.exists(digest) == (syncs > 0)  # named only once its bytes were synced
    assert not store.exists(digest) or store.get_bytes(digest) == data
    assert store.put_bytes(data) == digest
    assert store.verify(digest)
