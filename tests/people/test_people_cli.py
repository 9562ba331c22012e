"""``metier people`` and ``metier keys``: passwords from standard input, never as an argument."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from http_desk import write_project
from metier.apps.cli.keys import app as keys
from metier.apps.cli.people import app as people
from metier.core.audit import AuditQuery
from metier.core.errors import InputError, NotFound
from metier.journey.session import open_session
from metier.people import check_key, list_invitations, list_people, log_in
from people_site import PASSWORD


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_project(tmp_path / "desk")
    return tmp_path / "desk"


def run(app: Any, folder: Path, *words: str, stdin: str = "") -> Any:
    done = CliRunner().invoke(app, [*words, "-p", str(folder), "--json"], input=stdin)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return json.loads(done.stdout)


def test_people_from_the_first_to_the_last(folder: Path) -> None:
    with pytest.raises(InputError, match="an owner's account first"):
        run(people, folder, "add", "Li", "--email", "li@example.org", stdin=PASSWORD)
    mara = run(people, folder, "add", "Mara", "--email", "mara@example.org", "--role", "owner",
               stdin=f"{PASSWORD}\n")  # fmt: skip
    assert mara["role"] == "owner" and "password" not in mara
    run(people, folder, "add", "Li", "--email", "li@example.org", stdin=PASSWORD)
    assert run(people, folder, "role", "li@example.org", "engineer")["role"] == "engineer"
    with pytest.raises(InputError, match="an owner who stays"):
        run(people, folder, "disable", "mara@example.org")
    with pytest.raises(NotFound):
        run(people, folder, "role", "nobody@example.org", "viewer")
    made = run(people, folder, "invite", "viewer", "--days", "2")
    assert made["link"].startswith("http://127.0.0.1:0/join?code=")
    link = run(people, folder, "link", "li@example.org")
    assert link["invitation"]["person_id"] == run(people, folder, "list")[1]["id"]
    with open_session(folder / "metier.toml") as session:
        config = session.project.people
        log_in(session.workspace, config, "li@example.org", PASSWORD, "here")
    [login] = run(people, folder, "sessions")
    assert login["person"] == link["invitation"]["person_id"]
    run(people, folder, "sessions", "li@example.org", "--end")
    assert run(people, folder, "sessions") == []
    run(people, folder, "password", "li@example.org", stdin="something quite new\n")
    run(people, folder, "disable", "li@example.org")
    assert run(people, folder, "disable", "li@example.org", "--undo")["disabled_at"] is None
    with open_session(folder / "metier.toml") as session:
        log_in(session.workspace, session.project.people, "li@example.org", "something quite new",
               "here")  # fmt: skip
        assert len(list_people(session.workspace)) == 2


def test_a_key_opens_what_its_scopes_say(folder: Path) -> None:
    none = CliRunner().invoke(keys, ["list", "-p", str(folder)]).stdout
    assert "metier keys create NAME" in none
    made = run(keys, folder, "create", "desk", "--scope", "chat", "--scope", "feedback")
    assert made["key"]["scopes"] == ["chat", "feedback"] and made["key"]["created_by"]
    with pytest.raises(InputError, match="a scope of a key"):
        run(keys, folder, "create", "other", "--scope", "chatt")
    with open_session(folder / "metier.toml") as session:
        key = check_key(session.workspace, made["secret"])
    assert key is not None and key.opens("chat") and not key.opens("tune")
    assert run(keys, folder, "create", "all")["key"]["scopes"] is None
    text = CliRunner().invoke(keys, ["list", "-p", str(folder)]).stdout
    assert "chat, feedback" in text and "all" in text


def test_a_dry_run_tries_all_and_writes_nothing(folder: Path) -> None:
    def state() -> Any:
        with open_session(folder / "metier.toml") as session:
            ws = session.workspace
            return list_people(ws), list_invitations(ws), ws.audit.count(AuditQuery())

    def would(*words: str, stdin: str = "") -> Any:
        return run(people, folder, *words, "--dry-run", stdin=stdin)

    add = ("add", "Mara", "--email", "mara@example.org", "--role", "owner")
    nobody = state()
    assert would(*add, stdin=PASSWORD)["role"] == "owner" and state() == nobody
    mara = run(people, folder, *add, stdin=PASSWORD)
    li = run(people, folder, "add", "Li", "--email", "li@example.org", stdin=PASSWORD)
    with open_session(folder / "metier.toml") as session:
        log_in(session.workspace, session.project.people, "li@example.org", PASSWORD, "here")
    before = state()
    assert would("role", li["id"], "engineer")["role"] == "engineer"
    assert would("disable", li["id"])["disabled_at"]
    assert would("password", li["id"], stdin="something quite new")["id"] == li["id"]
    assert would("invite", "viewer")["link"] is None and would("link", li["id"])["link"] is None
    assert len(would("sessions", li["id"], "--end")) == 1
    assert state() == before and len(run(people, folder, "sessions")) == 1
    for refused in (("disable", mara["id"]), (*add[:3], "li@example.org"), ("invite", "boss")):
        with pytest.raises(InputError):
            would(*refused, stdin=PASSWORD)
    said = CliRunner().invoke(people, ["disable", li["id"], "--dry-run", "-p", str(folder)])
    assert said.output.strip() == "Li would be shut out"
    assert state() == before


def test_ending_logins_names_whose(folder: Path) -> None:
    with pytest.raises(InputError, match="whose logins to end"):
        run(people, folder, "sessions", "--end")
