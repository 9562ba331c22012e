"""The vault: sealed per group, opened under the audit log, the same after every build."""

import base64
import os

import pytest

from metier.core.errors import IntegrityError
from metier.core.workspace import Workspace
from metier.privacy.book import Assigned, Book
from metier.privacy.vault import (
    Shelf,
    Vault,
    count_vault,
    list_pages,
    restore_text,
    scope_hash,
    show_vault,
)

SMITH, MAIL = (
    Assigned("person", "Smith", "Kelbrook"),
    Assigned("email", "a@b.org", "x9@example.org"),
)


def kept(ws, scope="group", **groups):
    """A vault in which each group uses some assignments."""
    vault, shelf, used = Vault(ws, scope), Shelf(), {}
    for group, entries in groups.items():
        key = vault.scope_hash("ex_1", group)
        for one in entries:
            shelf.book(key).put(one)
        used[key, ws.sealed.group_hash(group)] = {(one.kind, one.original) for one in entries}
    return vault, vault.save(used, shelf), (used, shelf)


def test_what_was_assigned_is_there_again(any_workspace):
    vault, count, (used, shelf) = kept(any_workspace, ann=[SMITH, MAIL], bo=[SMITH])
    assert count == 3
    opened = vault.open("test")
    book = opened.book(vault.scope_hash("ex_1", "ann"))
    assert sorted(book.entries(), key=str) == sorted([SMITH, MAIL], key=str)
    assert vault.save(used, shelf) == 0
    assert vault.save(used, opened) == 0
    assert count_vault(any_workspace) == {"group": {"email": 1, "person": 2}}


def test_each_opening_is_audited_and_counting_opens_nothing(workspace):
    vault, _, _ = kept(workspace, ann=[SMITH], bo=[MAIL])
    before = len(workspace.audit.entries())
    count_vault(workspace)
    assert len(workspace.audit.entries()) == before
    vault.open("data build")
    show_vault(workspace, "ann", actor="mara")
    entries = workspace.audit.entries()[before:]
    assert [(one.action, one.detail["purpose"]) for one in entries] == [
        ("sealed.open", "data build"), ("sealed.open", "vault show"),
    ]  # fmt: skip
    assert entries[1].actor == "mara"
    assert len(entries[1].detail["rows"]) == 1


def test_erasing_a_groups_key_erases_its_pages_and_no_others(any_workspace):
    ws = any_workspace
    vault, _, _ = kept(ws, "project", ann=[SMITH, MAIL], bo=[SMITH])
    ws.sealed.erase_group("ann")
    project = scope_hash(ws.sealed.group_key, "project", "ex_9", None)
    assert vault.open("test").book(project).entries() == [SMITH]
    assert show_vault(ws, "ann") == []
    assert count_vault(ws) == {"project": {"person": 1}}


def test_nothing_of_it_lies_in_clear(workspace):
    kept(workspace, ann=[SMITH, MAIL])
    workspace.db.scrub()
    stored = (workspace.folder / "metier.db").read_bytes()
    for secret in (b"Smith", b"a@b.org", b"Kelbrook", b"ann"):
        assert secret not in stored or secret == b"ann"
    assert b"x9@example.org" not in stored


def test_a_wrong_key_is_a_clear_error_and_nothing_is_lost(tmp_path, monkeypatch):
    with Workspace.create(tmp_path) as ws:
        kept(ws, ann=[SMITH])
    monkeypatch.setenv("METIER_KEY", base64.b64encode(os.urandom(32)).decode())
    with pytest.raises(IntegrityError, match="the key this workspace was made with"):
        Workspace.open(tmp_path)
    monkeypatch.setenv("METIER_KEY", "no key")
    with pytest.raises(IntegrityError, match="a key of 32 bytes"):
        Workspace.open(tmp_path)
    monkeypatch.delenv("METIER_KEY")
    with Workspace.open(tmp_path) as ws:
        assert show_vault(ws, "ann") == [SMITH]


def test_a_page_that_was_tampered_with_is_told(any_workspace):
    from sqlalchemy import update

    from metier.core.store.tables import SealedRow

    vault, _, _ = kept(any_workspace, ann=[SMITH])
    (page,) = list_pages(any_workspace)
    with any_workspace.db.session() as session:
        change = update(SealedRow).where(SealedRow.id == page.sealed_id)
        session.execute(change.values(box=b"x" * 40))
    with pytest.raises(IntegrityError, match="changed or sealed with another key"):
        vault.open("test")


def test_a_text_of_a_group_can_be_had_back(workspace):
    kept(workspace, ann=[SMITH, MAIL], bo=[])
    text = "Kelbrook wrote from x9@example.org."
    assert restore_text(workspace, text, "ann") == "Smith wrote from a@b.org."
    assert restore_text(workspace, text, "bo") == text


def test_scopes_reach_as_far_as_they_say(workspace):
    key = workspace.sealed.group_key
    of = lambda scope, row, group: scope_hash(key, scope, row, group)  # noqa: E731
    assert of("record", "ex_1", "ann") != of("record", "ex_2", "ann")
    assert of("group", "ex_1", "ann") == of("group", "ex_2", "ann") != of("group", "ex_1", "bo")
    assert of("group", "ex_1", workspace.sealed.group_hash("ann")) == of("group", "ex_2", "ann")
    assert of("group", "ex_1", None) != of("group", "ex_2", None)
    assert of("project", "ex_1", "ann") == of("project", "ex_2", None)


def test_of_two_that_share_a_surrogate_only_the_first_is_kept():
    book = Book()
    book.put(SMITH)
    book.put(Assigned("person", "Lee", "Kelbrook"))
    assert book.entries() == [SMITH]
