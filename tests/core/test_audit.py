"""The audit chain shows every change, removal and reordering."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import delete, text, update

from metier.core.audit import Audit
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
