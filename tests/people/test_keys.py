"""Keys open while they are valid; nothing stored opens anything."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from metier.core.errors import InputError, NotFound
from metier.core.store.tables import ApiKeyRow
from metier.core.workspace import Workspace
from metier.people import check_key, create_key, list_keys, revoke_key


def test_a_key_opens_until_it_is_revoked(any_workspace: Workspace) -> None:
    key, secret = create_key(any_workspace, "helpdesk", actor="mara")
    assert re.fullmatch(r"mk_[A-Za-z0-9_-]{43}", secret)
    assert check_key(any_workspace, secret) == key and key.live
    revoked = revoke_key(any_workspace, "helpdesk", actor="mara")
    assert check_key(any_workspace, secret) is None and not revoked.live
    assert revoke_key(any_workspace, key.id) == revoked, "again: nothing changes"
    actions = [(e.actor, e.action) for e in any_workspace.audit.entries(key.id)]
    assert actions == [("mara", "key.create"), ("mara", "key.revoke")]
    assert list_keys(any_workspace) == [revoked]


def test_an_expired_key_opens_nothing(workspace: Workspace) -> None:
    key, secret = create_key(workspace, "trial", expires_days=30)
    assert key.expires_at == key.created_at + timedelta(days=30)
    assert check_key(workspace, secret) is not None
    with workspace.db.session() as session:
        past = datetime.now(UTC) - timedelta(seconds=1)
        session.execute(update(ApiKeyRow).values(expires_at=past))
    assert check_key(workspace, secret) is None


def test_the_secret_is_nowhere(workspace: Workspace) -> None:
    _, secret = create_key(workspace, "helpdesk")
    workspace.db.scrub()
    assert secret.encode() not in (workspace.folder / "metier.db").read_bytes()


@pytest.mark.parametrize("secret", ["", "mk_", "mk_" + "a" * 43, "mk_" + "é" * 43, "x" * 9999])
def test_any_other_secret_opens_nothing(workspace: Workspace, secret: str) -> None:
    create_key(workspace, "helpdesk")
    assert check_key(workspace, secret) is None


def test_wrong_names_and_times_are_refused(workspace: Workspace) -> None:
    create_key(workspace, "helpdesk")
    for name, days in (("", None), (" ", None), ("helpdesk", None), ("a", 0.0), ("a", -1.0)):
        with pytest.raises(InputError):
            create_key(workspace, name, days)
    with pytest.raises(NotFound, match="helpdesk"):
        revoke_key(workspace, "helpdeks")


def test_a_revoked_name_can_be_used_again(workspace: Workspace) -> None:
    _, old = create_key(workspace, "helpdesk")
    revoke_key(workspace, "helpdesk")
    _, new = create_key(workspace, "helpdesk")
    assert check_key(workspace, old) is None and check_key(workspace, new) is not None
    revoke_key(workspace, "helpdesk")
    assert check_key(workspace, new) is None
