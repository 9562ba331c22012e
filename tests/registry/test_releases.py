"""Releases keep their number, are found by many names, and come from somewhere."""

from __future__ import annotations

import threading

import pytest

from metier.core.errors import IntegrityError, NotFound
from metier.core.workspace import Workspace
from metier.registry import (
    aliases,
    create_release,
    get_release,
    list_releases,
    load_manifest,
    point_alias,
)
from tiny_releases import BAD, any_run, gate, judged, make, manifest


def test_releases_are_numbered_and_the_newest_is_the_challenger(any_workspace: Workspace) -> None:
    first, second = make(any_workspace), make(any_workspace)
    assert [first.name, second.name] == ["v1", "v2"]
    assert list_releases(any_workspace) == [first, second]
    assert aliases(any_workspace) == {"challenger": second}
    assert load_manifest(any_workspace, second).number == 2


def test_a_release_is_found_by_every_name_it_has(any_workspace: Workspace) -> None:
    first, second = make(any_workspace), make(any_workspace)
    for key in ("v1", first.id, first.id[:-1]):
        assert get_release(any_workspace, key) == first
    for key in ("v2", "challenger", "latest", second.id):
        assert get_release(any_workspace, key) == second
    with pytest.raises(NotFound, match="one release"):
        get_release(any_workspace, "rel_")


@pytest.mark.parametrize(
    ("key", "remedy"),
    [
        ("v9", "did you mean 'v1'"),
        ("chalenger", "did you mean 'challenger'"),
        ("champion", "which points to none so far"),
        ("", "known: challenger, latest, v1"),
        ("v99999999999999999999", "known"),
        ("rel_%", "known"),
    ],
)
def test_an_unknown_name_is_told_the_nearest(
    any_workspace: Workspace, key: str, remedy: str
) -> None:
    make(any_workspace)
    with pytest.raises(NotFound, match=remedy):
        get_release(any_workspace, key)


def test_without_a_release_it_says_how_to_make_one(workspace: Workspace) -> None:
    with pytest.raises(NotFound, match="metier cycle run"):
        get_release(workspace, "latest")
    assert aliases(workspace) == {}


def test_the_same_again_is_the_release_that_is_there(any_workspace: Workspace) -> None:
    ws = any_workspace
    asked = manifest(ws, any_run(ws))
    first = create_release(ws, asked, gate())
    assert create_release(ws, asked, gate()) == first
    by_state = create_release(ws, asked, gate(judged(BAD)))
    by_system = create_release(ws, manifest(ws, any_run(ws), system="You sort parcels."), gate())
    assert [first.number, by_state.number, by_system.number] == [1, 2, 3]
    assert len(ws.audit.entries(first.id)) == 1


def test_a_release_knows_where_it_came_from(any_workspace: Workspace) -> None:
    ws = any_workspace
    release = make(ws)
    above = {n.ref.id: n.relation for n in ws.lineage.trace(release.id) if n.via and n.depth == 1}
    assert above[release.run_id] == "made from"
    assert above[release.evaluation_id] == "judged by"
    for parent in (release.run_id, release.evaluation_id, release.version_id):
        below = ws.lineage.trace(parent, "down")
        assert release.id in {node.ref.id for node in below}
    assert ws.audit.entries(release.id)[0].detail["manifest"] == release.manifest


def test_numbers_are_unique_when_many_release_at_once(any_workspace: Workspace) -> None:
    ws = any_workspace
    asked = [manifest(ws, any_run(ws), system=f"You are number {n}.") for n in range(6)]
    twice = [*asked, *asked]
    threads = [threading.Thread(target=create_release, args=(ws, one, gate())) for one in twice]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = list_releases(ws)
    assert [one.number for one in found] == [1, 2, 3, 4, 5, 6]
    systems = {load_manifest(ws, one).system for one in found}
    assert systems == {one.system for one in asked}
    assert [load_manifest(ws, one).number for one in found] == [1, 2, 3, 4, 5, 6]
    assert ws.audit.verify().ok


def test_a_damaged_manifest_is_not_read(workspace: Workspace) -> None:
    release = make(workspace)
    path = workspace.folder / "artifacts" / release.manifest[:2] / release.manifest
    path.write_bytes(path.read_bytes().replace(b"You sort mail.", b"You sort junk."))
    with pytest.raises(IntegrityError, match="restore it from a backup"):
        load_manifest(workspace, release)


def test_an_alias_of_another_name_is_refused(workspace: Workspace) -> None:
    with pytest.raises(NotFound, match="did you mean 'champion'"), workspace.db.session() as s:
        point_alias(workspace, "champian", None, None, s)
