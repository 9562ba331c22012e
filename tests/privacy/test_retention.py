"""What is kept no longer is forgotten, and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import func, select, text, update

from metier.core import ledger
from metier.core.records import Interaction
from metier.core.store.tables import (
    AssignmentRow,
    InteractionRow,
    InvitationRow,
    LoginFailureRow,
    LoginRow,
    SealedRow,
)
from metier.core.types import Conversation
from metier.core.workspace import Workspace
from metier.people import (
    NewInvitation,
    NewPerson,
    PeopleConfig,
    add_person,
    begin_login,
    invite,
    log_out,
)
from metier.people.throttle import count_try
from metier.privacy.config import RetentionConfig
from metier.privacy.retention import apply_retention
from metier.queue import NewItem, add_items

OLD = timedelta(days=40)
ALL = RetentionConfig(
    views=30, logins=30, login_failures=30, invitations=30, drafts=30, interactions=30
)
SAID = "the lamp from Fernhill flickers"


def reply(ws: Workspace, number: int, at: datetime) -> str:
    one = Interaction(
        id=f"chatcmpl-{number:04d}", created_at=at, model="champion", release_id=None, state="done",
        asked=Conversation.of(("user", SAID)),
        replies=(SAID,), settings={}, input_tokens=1, output_tokens=1, total_s=0.1,
        first_token_s=None, confidence=None, guards=(), user=None, sealed_id=None,
    )  # fmt: skip
    ledger.save_interactions(ws, [one], {one.id: ("group", SAID.encode())})
    return one.id


def test_each_kind_is_forgotten_after_its_time(any_workspace: Workspace) -> None:
    ws, now = any_workspace, datetime.now(UTC)
    mara = add_person(ws, NewPerson("Mara", "owner", "m@example.org", "a long password"), None)
    begin_login(ws, mara, PeopleConfig())
    count_try(ws, "x@example.org", "10.0.0.1")
    for _ in range(2):
        invite(ws, NewInvitation("viewer"), mara.id)
    ws.audit.append(mara.id, "view", "thing", {"page": "/runs"})
    old, waits, new = (reply(ws, n, at) for n, at in enumerate((now - OLD, now - OLD, now)))
    for one in (old, new):
        ledger.add_feedback(ws, one, "comment", SAID, tags={}, actor="mara")
        ledger.add_feedback(ws, one, "helpful", True, tags={}, actor="mara")
    add_items(ws, "corrections", [NewItem("interaction", waits, ("comment",))])
    with ws.db.session() as session:
        session.execute(update(LoginRow).values(expires_at=now - OLD))
        session.execute(update(LoginFailureRow).values(at=now - OLD))
        first = session.scalars(select(InvitationRow)).first()
        assert first is not None
        first.expires_at = now - OLD
    planned = {one.kind: one.count for one in apply_retention(ws, ALL, dry_run=True)}
    assert planned == {
        "views": 0, "logins": 1, "login_failures": 2, "invitations": 1, "drafts": 0,
        "interactions": 1,
    }  # fmt: skip
    done = {one.kind: one.count for one in apply_retention(ws, ALL, "owner")}
    assert done == planned
    assert all(one.count == 0 for one in apply_retention(ws, ALL))
    gone, kept = ledger.get_interaction(ws, old), ledger.get_interaction(ws, new)
    assert gone.replies == () and gone.state == "erased" and kept.replies == (SAID,)
    assert ledger.get_interaction(ws, waits).replies == (SAID,), "people are to look at it"
    said = {one.metric: one.value for one in ledger.list_feedback(ws, [old])}
    assert said == {"comment": "[forgotten]", "helpful": True}, "numbers stay"
    with ws.db.reading() as session:
        row = session.get(InteractionRow, old)
        assert row is not None and row.sealed_id is not None
        box = session.get(SealedRow, row.sealed_id)
        assert box is not None and box.box is None
        assert session.scalar(select(func.count()).select_from(InvitationRow)) == 1
    last = ws.audit.entries("privacy.retention")[-1]
    assert (last.actor, last.detail["interactions"]) == ("owner", 1) and ws.audit.verify().ok


def test_what_has_no_limit_stays(workspace: Workspace) -> None:
    reply(workspace, 1, datetime.now(UTC) - timedelta(days=9000))
    found = apply_retention(workspace, RetentionConfig())
    assert {one.kind for one in found if one.days is not None} == {"login_failures"}
    assert sum(one.count for one in found) == 0 and len(workspace.audit.entries()) == 0


def test_a_live_login_and_an_open_draft_stay(workspace: Workspace) -> None:
    mara = add_person(
        workspace, NewPerson("Mara", "owner", "m@example.org", "a long password"), None
    )
    begin_login(workspace, mara, PeopleConfig())
    assert sum(one.count for one in apply_retention(workspace, ALL)) == 0
    with workspace.db.session() as session:
        [row] = session.scalars(select(LoginRow))
        row.created_at = datetime.now(UTC) - OLD
    log_out(workspace, row.hash, mara.id)
    assert sum(one.count for one in apply_retention(workspace, ALL)) == 0, "it ended just now"
    assert AssignmentRow.__tablename__ == "assignments"


def test_the_command_counts_before_it_forgets(tmp_path: Path) -> None:
    with Workspace.create(tmp_path) as ws:
        for number in range(3):
            ws.audit.append("mara", "view", f"thing_{number}")
        with ws.db.session() as session:  # as if they had been seen long ago
            session.execute(text("DELETE FROM audit"))
        from metier.core import audit

        long_ago = datetime.now(UTC) - OLD
        with ws.db.session() as session:
            entry = audit._link(None, "mara", "view", "thing", {"salt": "x"}, long_ago)
            fields = {name: getattr(entry, name) for name in entry.__dataclass_fields__}
            session.add(audit.AuditRow(**fields | {"at": long_ago.isoformat()}))
    toml = '[project]\nname = "desk"\n[objective]\ntask = "chat"\n[privacy.retention]\nviews = 30\n'
    (tmp_path / "metier.toml").write_text(toml)

    def run(*more: str) -> dict[str, int]:
        command = [sys.executable, "-m", "metier", "gc", "-p", str(tmp_path), "--json", *more]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return {one["kind"]: one["count"] for one in json.loads(out)}

    assert run("--dry-run")["views"] == 1 == run()["views"] and run()["views"] == 0
    with Workspace.open(tmp_path) as ws:
        check = ws.audit.verify()
    assert check.ok and check.forgotten == 1
