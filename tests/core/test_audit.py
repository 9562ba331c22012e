"""The audit chain shows every change, removal and reordering."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete, text, update

from metier.core.audit import Audit, AuditQuery
from metier.core.store.database import Database
from metier.core.store.tables import AuditRow


@pytest.fixture
def audit(database: Database) -> Audit:
    log = Audit(database)
    for number in range(5):
        log.append("mara", "label", f"ex_{number}", {"n": number, "score": 0.1 * number})
    return log


def test_an_untouched_chain_verifies(audit: Audit) -> None:
    check = audit.verify()
    assert (check.ok, check.count, check.first_bad) == (True, 5, None)
    assert check.head == audit.entries()[-1].hash
    assert [entry.subject for entry in audit.entries("ex_3")] == ["ex_3"]


def test_an_empty_chain_verifies(database: Database) -> None:
    assert Audit(database).verify().ok


@pytest.mark.parametrize(
    ("column", "value"),
    [("actor", "marb"), ("action", "Label"), ("subject", "ex_9"),
     ("at", "2026-01-01T00:00:00+00:00"), ("detail", {"n": 3}),
     ("previous", "0" * 64), ("hash", "f" * 64)],
)  # fmt: skip
def test_any_changed_column_breaks_the_chain_there(
    column: str, value: object, audit: Audit, database: Database
) -> None:
    with database.session() as session:
        session.execute(update(AuditRow).where(AuditRow.seq == 3).values({column: value}))
    check = audit.verify()
    assert (check.ok, check.first_bad) == (False, 3)


def test_one_flipped_bit_in_the_stored_detail_is_seen(audit: Audit, database: Database) -> None:
    with database.session() as session:
        session.execute(
            text("UPDATE audit SET detail = replace(detail, :old, :new)"),
            {"old": '"n":3', "new": '"n":2'},
        )
    assert audit.verify().first_bad == 4


def test_a_removed_or_swapped_entry_breaks_the_chain(audit: Audit, database: Database) -> None:
    with database.session() as session:
        session.execute(delete(AuditRow).where(AuditRow.seq == 2))
    assert audit.verify().first_bad == 3
    with database.session() as session:
        session.execute(update(AuditRow).where(AuditRow.seq > 2).values(seq=AuditRow.seq + 100))
        session.execute(update(AuditRow).where(AuditRow.seq > 2).values(seq=AuditRow.seq - 101))
    assert audit.verify().first_bad == 2


def test_many_writers_make_one_chain(database_url: str, database: Database) -> None:
    def write(name: str) -> None:
        own = Database(database_url)
        for number in range(10):
            Audit(own).append(name, "write", str(number))
        own.close()

    threads = [threading.Thread(target=write, args=(f"w{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check = Audit(database).verify()
    assert (check.ok, check.count) == (True, 40)


def test_an_entry_is_part_of_the_transaction_it_is_given(database: Database) -> None:
    log = Audit(database)
    with pytest.raises(RuntimeError), database.session() as session:
        log.append("mara", "x", "y", session=session)
        raise RuntimeError
    assert log.entries() == []


def test_nobody_named_is_the_os_user(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "operator")
    assert Audit(database).append(None, "x", "y").actor == "operator"


def views_and_actions(audit: Audit) -> None:
    for number in range(3):
        audit.append("li", "view", f"item_{number}", {"page": "/queues"})
        audit.append("li", "answer", f"item_{number}")


def test_views_are_forgotten_and_the_chain_still_verifies(audit: Audit, database: Database) -> None:
    views_and_actions(audit)
    before = audit.verify()
    later = datetime.now(UTC) + timedelta(seconds=1)
    assert audit.count_views_before(later) == 3
    assert audit.forget_before(later, "owner") == 3
    after = audit.verify()
    assert (after.ok, after.forgotten, after.count) == (True, 3, before.count + 1)
    held = audit.entries()
    gone = [one for one in held if one.action == "view"]
    assert all(one.forgotten and one.actor == one.subject == "" for one in gone)
    assert len([one for one in held if one.action == "answer" and one.actor == "li"]) == 3
    last = held[-1]
    assert (last.actor, last.action, last.detail["n"]) == ("owner", "audit.forget", 3)
    assert before.head in [one.hash for one in held], "a head noted before is still in the chain"
    assert audit.forget_before(later) == 0 and audit.verify().count == after.count
    with database.reading() as session:
        raw = str(session.execute(text("SELECT * FROM audit WHERE action = 'view'")).all())
    assert "salt" not in raw and "item_1" not in raw


def test_only_views_before_the_moment_go(audit: Audit) -> None:
    views_and_actions(audit)
    assert audit.forget_before(audit.entries("item_1")[0].at) == 1
    left = [one.subject for one in audit.entries() if one.action == "view"]
    assert left == ["", "item_1", "item_2"] and audit.verify().ok


@pytest.mark.parametrize(
    "change",
    [
        {"action": "view", "actor": "", "subject": "", "detail": {"forgotten": "0" * 64}},
        {"actor": "", "subject": "", "detail": {"forgotten": "0" * 64}},
    ],
)
def test_an_action_cannot_be_passed_off_as_a_forgotten_view(
    change: dict[str, object], audit: Audit, database: Database
) -> None:
    with database.session() as session:
        session.execute(update(AuditRow).where(AuditRow.seq == 3).values(change))
    assert audit.verify().first_bad == 3


@pytest.mark.parametrize(
    ("column", "value"), [("actor", "x"), ("subject", "x"), ("at", "2026-01-01T00:00:00+00:00")]
)
def test_a_changed_view_breaks_the_chain_forgotten_or_not(
    column: str, value: str, audit: Audit, database: Database
) -> None:
    entry = audit.append("li", "view", "item_1", {"page": "/"})
    audit.append("li", "view", "item_2", {"page": "/"})
    with database.session() as session:
        session.execute(update(AuditRow).where(AuditRow.seq == entry.seq).values({column: value}))
    assert audit.verify().first_bad == entry.seq
    audit.forget_before(datetime.now(UTC) + timedelta(days=1))
    assert audit.verify().first_bad == entry.seq, "forgetting hides no change"


def test_entries_are_found_by_person_action_subject_and_period(audit: Audit) -> None:
    views_and_actions(audit)
    assert [one.subject for one in audit.search(AuditQuery("li", "answer"))] == [
        "item_2", "item_1", "item_0",
    ]  # fmt: skip
    assert audit.count(AuditQuery(subject="item_")) == 6
    assert len(audit.search(AuditQuery(), limit=4, offset=8)) == 3
    since = audit.entries("item_2")[0].at
    assert [one.action for one in audit.each(AuditQuery(since=since))] == ["view", "answer"]
    assert audit.count(AuditQuery(until=since)) == 9
    assert audit.actions() == ["answer", "label", "view"]
