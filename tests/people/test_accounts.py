"""Accounts: what is refused, who remains, and what is kept of a password."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import select

from metier.core.errors import InputError
from metier.core.store.tables import PersonRow
from metier.core.workspace import Workspace
from metier.people import (
    NewInvitation,
    NewPerson,
    Role,
    add_first_owner,
    add_person,
    change_role,
    get_person,
    invite,
    list_people,
    set_fields,
)
from metier.people.passwords import check_new, hash_password, is_right
from metier.people.throttle import wait_s

PASSWORD = "correct horse battery"


def owner(name: str = "Mara") -> NewPerson:
    return NewPerson(name, "owner", f"{name}@example.org", PASSWORD)


def test_of_two_first_owners_at_once_one_is_made(any_workspace: Workspace) -> None:
    results: list[str] = []

    def make(number: int) -> None:
        try:
            add_first_owner(any_workspace, owner(f"p{number}"))
            results.append("made")
        except InputError:
            results.append("refused")

    threads = [threading.Thread(target=make, args=(n,)) for n in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(results) == ["made"] + ["refused"] * 5
    assert len(list_people(any_workspace)) == 1


def test_of_two_owners_who_leave_at_once_one_stays(any_workspace: Workspace) -> None:
    both = [add_person(any_workspace, owner(name), None) for name in ("ann", "ben")]
    results: list[str] = []

    def leave(number: int) -> None:
        try:
            change_role(any_workspace, both[number].id, "viewer", None)
            results.append("left")
        except InputError:
            results.append("stays")

    threads = [threading.Thread(target=leave, args=(n,)) for n in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(results) == ["left", "stays"]


@pytest.mark.parametrize(
    ("new", "reason"),
    [
        (NewPerson("", "owner", "a@example.org", PASSWORD), "a name"),
        (NewPerson("x" * 101, "owner", "a@example.org", PASSWORD), "a name"),
        (NewPerson("a\u202eb", "owner", "a@example.org", PASSWORD), "a name"),
        (NewPerson("A", "boss", "a@example.org", PASSWORD), "a role"),  # type: ignore[arg-type]
        (NewPerson("A", "owner", None, PASSWORD), "an e-mail to log in with"),
        (NewPerson("A", "owner", "a@b", PASSWORD), "such as"),
        (NewPerson("A", "owner", "a b@example.org", PASSWORD), "such as"),
        (NewPerson("A", "owner", "a@example.org", "short"), "12 to 256"),
        (NewPerson("A", "owner", "a@example.org", "x" * 257), "12 to 256"),
        (NewPerson("A", "owner", "a@example.org", "aaaaaaaabbbbbbbb"), "same few"),
        (
            NewPerson("A", "owner", "long.name@example.org", "Long.Name@example.org"),
            "name or e-mail",
        ),
        (NewPerson("A", "guest"), "a guest of one panel"),
        (NewPerson("A", "viewer", "a@example.org", PASSWORD), "an owner's account first"),
    ],
)
def test_what_will_not_do_is_refused_in_words(
    workspace: Workspace, new: NewPerson, reason: str
) -> None:
    with pytest.raises(InputError, match=reason):
        add_person(workspace, new, None)
    assert list_people(workspace) == []


def test_an_email_belongs_to_one_person(any_workspace: Workspace) -> None:
    made = add_person(any_workspace, owner(), None)
    with pytest.raises(InputError, match="an e-mail that nobody here has"):
        add_person(any_workspace, NewPerson("Eve", "viewer", " MARA@Example.org", PASSWORD), None)
    with pytest.raises(InputError, match="an e-mail that nobody here has"):
        invite(any_workspace, NewInvitation("viewer", "mara@example.org"), made.id)
    assert get_person(any_workspace, "mara@EXAMPLE.org") == made
    assert set_fields(any_workspace, made.id, [" cardiology ", "", "coding"], None).fields == (
        "cardiology",
        "coding",
    )


def test_of_a_password_only_its_argon2_hash_is_kept(workspace: Workspace) -> None:
    add_person(workspace, owner(), None)
    with workspace.db.reading() as session:
        [kept] = session.scalars(select(PersonRow.password))
    assert kept is not None and kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert is_right(PASSWORD, kept) and not is_right(PASSWORD + "x", kept)
    assert hash_password(PASSWORD) != kept and not is_right(PASSWORD, None)
    assert not is_right("x" * 300, kept)
    check_new("пароль из нескольких слов")
    said = str(workspace.audit.entries())
    assert PASSWORD not in said and "example.org" not in said


@pytest.mark.parametrize(
    ("tries", "since", "wait"),
    [(0, 0, 0), (4, 0, 0), (5, 0, 15), (5, 10, 5), (6, 0, 30), (8, 20, 100), (30, 0, 900),
     (9999, 900, 0)],
)  # fmt: skip
def test_the_wait_doubles_up_to_a_quarter_of_an_hour(tries: int, since: float, wait: float) -> None:
    assert wait_s(tries, since, 5) == wait


@pytest.mark.parametrize(
    ("role", "queue", "days"),
    [("guest", None, 7), ("viewer", "panel", 7), ("viewer", None, 0), ("viewer", None, 91)],
)
def test_an_invitation_that_makes_no_sense_is_refused(
    workspace: Workspace, role: Role, queue: str | None, days: float
) -> None:
    add_person(workspace, owner(), None)
    with pytest.raises(InputError):
        invite(workspace, NewInvitation(role, queue=queue, days=days), "test")
