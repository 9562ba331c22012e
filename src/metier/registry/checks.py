"""Checks: everything a release stands on, hashed again and compared with what was recorded.

Nothing here raises because of what it finds: damage is a ``Check`` that is not ok. The anchor is
the audit log, whose own chain of hashes names the manifest; the manifest names all the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from metier.core import ledger
from metier.core.artifacts import TREE, hash_stream
from metier.core.codec import loads
from metier.core.errors import IntegrityError, ModelUnavailable, NotFound
from metier.core.records import Release
from metier.core.workspace import Workspace
from metier.registry.types import Check, Manifest

CREATED = "release.create"
MISSING = "nothing: it is missing"
_SHARED = (
    "number", "run_id", "version_id", "evaluation_id", "base", "base_fingerprint", "adapter",
)  # fmt: skip


def verify(ws: Workspace, release: Release) -> list[Check]:
    """Hash again what a release holds and came from, and say of each thing whether it is the same.

    Covers the manifest, every file of the adapter, the base model, the splits of the data version
    and the predictions that were judged. Reads all of those bytes.
    """
    manifest = _read_manifest(ws, release)
    checks = [_logged(ws, release), _stored(ws, "manifest", release.manifest)]
    if manifest is not None:
        checks.append(_agrees(release, manifest))
    checks += _adapter(ws, release.adapter, None if manifest is None else manifest.files)
    checks.append(_base(release))
    checks += _version(ws, release, manifest)
    report = ledger.get_evaluation(ws, release.evaluation_id)
    checks.append(_stored(ws, "evaluation/predictions", report.predictions))
    return checks


def _read_manifest(ws: Workspace, release: Release) -> Manifest | None:
    try:
        return loads(Manifest, ws.artifacts.get_bytes(release.manifest))
    except (IntegrityError, NotFound, ValueError, TypeError, KeyError):
        return None  # what is wrong with it is told by its own checks


def _logged(ws: Workspace, release: Release) -> Check:
    """Compare with what the audit log says was released, which cannot be changed unseen."""
    entries = [e for e in ws.audit.entries(release.id) if e.action == CREATED]
    expected = str(entries[0].detail["manifest"]) if entries else "an entry of its creation"
    return _check("manifest in the audit log", expected, release.manifest if entries else "none")


def _stored(ws: Workspace, what: str, digest: str) -> Check:
    return _check(what, digest, _hash(ws, digest))


def _agrees(release: Release, manifest: Manifest) -> Check:
    wrong = [name for name in _SHARED if getattr(manifest, name) != getattr(release, name)]
    said = [", ".join(f"{n} {getattr(one, n)}" for n in wrong) for one in (manifest, release)]
    same = "the same in record and manifest"
    return Check("record of the release", not wrong, said[0] or same, said[1] or same)


def _adapter(ws: Workspace, adapter: str, files: Mapping[str, str] | None) -> Iterator[Check]:
    tree = _stored(ws, "adapter", adapter)
    yield tree
    entries = (
        {entry["path"]: entry["digest"] for entry in ws.artifacts.files(adapter)} if tree.ok else {}
    )
    wanted = entries if files is None else files
    for path in sorted({*wanted, *entries}):
        # Where the list of the tree is damaged, the manifest still says where the bytes lie.
        digest = entries.get(path) if tree.ok else wanted[path]
        got = "no such file" if digest is None else _hash(ws, digest)
        yield _check(f"adapter/{path}", wanted.get(path, "no such file"), got)


def _base(release: Release) -> Check:
    from metier.models.base import find_base, fingerprint_folder

    try:
        got = fingerprint_folder(find_base(release.base))
    except ModelUnavailable as error:
        got = f"no such model: {error.got}"
    return _check(f"base {release.base}", release.base_fingerprint, got)


def _version(ws: Workspace, release: Release, manifest: Manifest | None) -> Iterator[Check]:
    version = ledger.get_version(ws, release.version_id)
    if manifest is not None:
        yield _check("data version", manifest.version_hash, version.hash)
    for split, digest in version.splits.items():
        yield _stored(ws, f"data version/{split}", digest)


def _check(what: str, expected: str, got: str) -> Check:
    return Check(what, expected == got, expected, got)


def _hash(ws: Workspace, digest: str) -> str:
    """The digest that the bytes stored under ``digest`` have now."""
    try:
        with ws.artifacts.open(digest) as source:
            found = hash_stream(source)[0]
    except NotFound:
        return MISSING
    return TREE + found if digest.startswith(TREE) else found
