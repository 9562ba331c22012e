"""Verification finds one changed byte, wherever it is, and says where."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from metier.core import ledger
from metier.core.codec import dumps
from metier.core.records import Release
from metier.core.store.tables import ReleaseRow, VersionRow
from metier.core.workspace import Workspace
from metier.registry import get_release, load_manifest, verify
from tiny_releases import make


@pytest.fixture
def release(any_workspace: Workspace) -> Release:
    return make(any_workspace)


def wrong(ws: Workspace, release: Release) -> list[str]:
    return [check.what for check in verify(ws, release) if not check.ok]


def stored(ws: Workspace, digest: str) -> Path:
    name = digest.removeprefix("tree_")
    return ws.folder / "artifacts" / name[:2] / name


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_what_was_not_touched_matches(any_workspace: Workspace, release: Release) -> None:
    checks = verify(any_workspace, release)
    assert all(check.ok for check in checks)
    assert all(
        check.expected == check.got for check in checks if check.what != "record of the release"
    )
    names = {check.what for check in checks}
    assert {
        "manifest",
        "manifest in the audit log",
        "adapter/adapter_model.safetensors",
        "data version/test",
        f"base {release.base}",
    } <= names


def test_a_flipped_byte_in_the_adapter_is_found(any_workspace: Workspace, release: Release) -> None:
    files = load_manifest(any_workspace, release).files
    flip(stored(any_workspace, files["adapter_model.safetensors"]))
    assert wrong(any_workspace, release) == ["adapter/adapter_model.safetensors"]


def test_a_file_that_is_gone_is_found(any_workspace: Workspace, release: Release) -> None:
    files = load_manifest(any_workspace, release).files
    stored(any_workspace, files["adapter_config.json"]).unlink()
    (check,) = [check for check in verify(any_workspace, release) if not check.ok]
    assert (check.what, check.got) == ("adapter/adapter_config.json", "nothing: it is missing")


def test_a_damaged_list_of_files_is_found(any_workspace: Workspace, release: Release) -> None:
    flip(stored(any_workspace, release.adapter))
    assert wrong(any_workspace, release) == ["adapter"]


def test_a_changed_manifest_is_found(any_workspace: Workspace, release: Release) -> None:
    path = stored(any_workspace, release.manifest)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"system": "You lie."}))
    assert wrong(any_workspace, release) == ["manifest"]


def test_a_manifest_put_in_the_place_of_another_is_found(
    any_workspace: Workspace, release: Release
) -> None:
    ws = any_workspace
    forged = replace(load_manifest(ws, release), system="You lie.", number=7)
    digest = ws.artifacts.put_bytes(dumps(forged).encode())
    with ws.db.session() as session:
        session.get_one(ReleaseRow, release.id).manifest = digest
    assert wrong(ws, get_release(ws, "v1")) == [
        "manifest in the audit log",
        "record of the release",
    ]


def test_a_record_that_was_changed_is_found(any_workspace: Workspace, release: Release) -> None:
    ws = any_workspace
    with ws.db.session() as session:
        session.get_one(ReleaseRow, release.id).base_fingerprint = "0" * 32
    found = wrong(ws, get_release(ws, "v1"))
    assert found == ["record of the release", f"base {release.base}"]


def test_another_base_is_found(any_workspace: Workspace, release: Release) -> None:
    (Path(release.base) / "model.safetensors").write_bytes(b"weights of another base")
    assert wrong(any_workspace, release) == [f"base {release.base}"]


def test_a_base_that_is_gone_is_told(any_workspace: Workspace, release: Release) -> None:
    Path(release.base).rename(Path(release.base).with_name("elsewhere"))
    (check,) = [check for check in verify(any_workspace, release) if not check.ok]
    assert check.got.startswith("no such model")


def test_changed_data_is_found(any_workspace: Workspace, release: Release) -> None:
    ws = any_workspace
    version = ledger.get_version(ws, release.version_id)
    flip(stored(ws, version.splits["train"]))
    with ws.db.session() as session:
        session.get_one(VersionRow, version.id).hash = "another"
    assert wrong(ws, release) == ["data version", "data version/train"]
