"""Sources that are no files here: databases, the hub, object storage; and their secrets."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy

from metier.core.errors import InputError
from metier.sources import BadRow, Row, SourceConfig, open_source, read_rows
from metier.sources.addresses import opened_address, refuse_secrets, shown

CSV = "message,queue\nWhere is it?,parcels\nIt broke,repairs\n"


def read(folder: Path, path: str, **keys: object) -> list[Row | BadRow]:
    return list(read_rows(SourceConfig.model_validate({"path": path, **keys}), folder))


@pytest.fixture
def tickets(database_url: str) -> Iterator[str]:
    """URL of a database with a table of tickets."""
    engine = sqlalchemy.create_engine(database_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("create table tickets (id integer, body text, price numeric)")
        rows = "(1, 'Where; is 100% of it?', 1.50), (2, 'It broke', null)"
        connection.execute(sqlalchemy.text(f"insert into tickets values {rows}"))
    yield database_url
    engine.dispose()


def count(url: str) -> int:
    engine = sqlalchemy.create_engine(url)
    try:
        with engine.connect() as connection:
            return int(connection.exec_driver_sql("select count(*) from tickets").scalar_one())
    finally:
        engine.dispose()


def test_a_query_gives_rows(tickets: str, tmp_path: Path) -> None:
    query = "select id, body, price from tickets where body like '%;%' or id = 2 order by id;"
    found = read(tmp_path, tickets, query=query, prompt="body")
    assert [(row.values, row.locator) for row in found if isinstance(row, Row)] == [
        ({"id": 1, "body": "Where; is 100% of it?", "price": 1.5}, "1"),
        ({"id": 2, "body": "It broke", "price": None}, "2"),
    ]
    source = SourceConfig(path=tickets, query=query)
    with open_source(source, tmp_path) as first, open_source(source, tmp_path) as second:
        assert first.digest == second.digest
    with open_source(source, tmp_path, limit=1) as cut:
        assert len(list(cut.rows())) == 1


WRITES = [
    "delete from tickets",
    "insert into tickets values (3, 'x', 1)",
    "select 1; delete from tickets",
    "select 1; commit; delete from tickets; --",
    "with gone as (delete from tickets returning id) select * from gone",
    "select ';' -- '\n; delete from tickets",
    "pragma writable_schema = 1",
    "attach 'x.db' as x",
    "select * into copied from tickets",
    "explain analyze delete from tickets",
    "drop table tickets",
]


@pytest.mark.parametrize("query", WRITES)
def test_a_query_that_writes_is_refused(tickets: str, tmp_path: Path, query: str) -> None:
    with pytest.raises(InputError, match=r"only reads|that the database answers"):
        read(tmp_path, tickets, query=query)
    assert count(tickets) == 2


def test_a_function_that_writes_is_refused(postgres_server: str, tmp_path: Path) -> None:
    url = f"{postgres_server}/postgres"
    engine = sqlalchemy.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("create table if not exists touched (n integer)")
        connection.exec_driver_sql(
            "create or replace function touch() returns integer language sql as "
            "$$ insert into touched values (1) returning n $$"
        )
    engine.dispose()
    with pytest.raises(InputError, match="only reads"):
        read(tmp_path, url, query="select touch()")


def test_a_query_that_fails_says_why(tickets: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nope"):
        read(tmp_path, tickets, query="select nope from tickets")
    with pytest.raises(InputError, match="'id' twice"):
        read(tmp_path, tickets, query="select id, id from tickets")
    with pytest.raises(InputError, match="a query beside the address"):
        read(tmp_path, tickets)


def test_a_data_error_does_not_quote_the_cell(postgres_server: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, f"{postgres_server}/postgres", query="select 'Jane Doe'::text::integer")
    assert "Jane" not in str(caught.value)


def test_a_sqlite_file_is_beside_the_project_and_never_made(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "in.db") as made:
        made.execute("create table t (a)")
        made.execute("insert into t values ('x'), (X'FF'), ('nul' || char(0))")
    made.close()
    found = read(tmp_path, "sqlite:///in.db", query="select a from t")
    assert [getattr(row, "kind", "row") for row in found] == ["row", "bad_encoding", "nul_byte"]
    with pytest.raises(InputError, match="SQLite file that exists"):
        read(tmp_path, "sqlite:///other.db", query="select 1")
    assert not (tmp_path / "other.db").exists()


@pytest.mark.parametrize("path", ["mysql://u@h/d", "in.csv", "https://example.com/x.csv"])
def test_a_query_needs_a_database_that_can_be_held_to_reading(tmp_path: Path, path: str) -> None:
    with pytest.raises(InputError, match="postgresql, sqlite"):
        read(tmp_path, path, query="select 1")


SECRETS = [
    "postgresql+psycopg://u:hunter2@h/d",
    "https://u:hunter2@example.com/x.csv",
    "https://example.com/x.csv?X-Amz-Signature=hunter2",
    "s3://b/x.csv?a=1&api_key=hunter2",
]


@pytest.mark.parametrize("path", SECRETS)
def test_a_secret_that_is_written_out_is_refused_and_not_shown(tmp_path: Path, path: str) -> None:
    with pytest.raises(InputError, match="environment variable") as caught:
        read(tmp_path, path, query="select 1" if "psycopg" in path else None)
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in shown(path)
    refuse_secrets(path.replace("hunter2", "$DB_PASSWORD"))


def test_secrets_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_PASSWORD", "p@ss/1")
    path = "postgresql+psycopg://u:${DB_PASSWORD}@h/d"
    assert opened_address(path) == "postgresql+psycopg://u:p%40ss%2F1@h/d"
    assert sqlalchemy.make_url(opened_address(path)).password == "p@ss/1"
    assert shown(path) == "postgresql+psycopg://u:***@h/d"
    monkeypatch.delenv("DB_PASSWORD")
    with pytest.raises(InputError, match="DB_PASSWORD"):
        opened_address(path)


def test_a_password_stands_in_no_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_WORD", "hunter2")
    path = "postgresql+psycopg://u:$SECRET_WORD@127.0.0.1:1/d"
    with pytest.raises(InputError) as caught:
        read(tmp_path, path, query="select 1")
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.fixture
def memory() -> Iterator[object]:
    """fsspec's file system in memory, emptied afterwards."""
    import fsspec

    system = fsspec.filesystem("memory")
    yield system
    system.rm("/", recursive=True)


def test_files_at_an_address(memory: object, tmp_path: Path) -> None:
    memory.pipe("/in/b.csv", CSV.encode())  # type: ignore[attr-defined]
    (found, *_) = read(tmp_path, "memory://in/b.csv")
    assert found == Row({"message": "Where is it?", "queue": "parcels"}, "1", "memory://in/b.csv:2")
    memory.pipe("/in/a/x.jsonl", b'{"message": "a"}')  # type: ignore[attr-defined]
    locators = [row.locator for row in read(tmp_path, "memory://in")]
    assert locators == ["a/x.jsonl#1", "b.csv#1", "b.csv#2"]
    assert [row.locator for row in read(tmp_path, "memory://in/*.csv")] == ["1", "2"]
    (tmp_path / "b.csv").write_text(CSV)
    source, same = SourceConfig(path="memory://in/b.csv"), SourceConfig(path="b.csv")
    with open_source(source, tmp_path) as there, open_source(same, tmp_path) as here:
        assert there.digest == here.digest


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("memory://nothing.csv", "there is no such file"),
        ("ftp://x/y.csv", "begins with one of"),
        ("simplecache::memory://x.csv", "begins with one of"),
        ("gs://bucket/x.csv", "pip install gcsfs"),
        ("http://127.0.0.1:9/x.csv?page=1", "no answer|no such file"),
    ],
)
def test_addresses_that_give_nothing(tmp_path: Path, path: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read(tmp_path, path)


def test_a_data_set_as_the_hub_lays_it_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    folder = tmp_path / "sets" / "tickets"
    folder.mkdir(parents=True)
    (folder / "train.csv").write_text(CSV)
    (folder / "test.csv").write_text(CSV.splitlines()[0] + "\nHello,other\n")
    found = read(tmp_path, "hub:sets/tickets?split=train", prompt="message", target="queue")
    assert [row.values["queue"] for row in found if isinstance(row, Row)] == ["parcels", "repairs"]
    assert found[0].place == "hub:sets/tickets?split=train:1"
    with pytest.raises(InputError, match="it has"):
        read(tmp_path, "hub:sets/tickets")
    with pytest.raises(InputError, match="split, subset, revision"):
        read(tmp_path, "hub:sets/tickets?splt=train")
    (folder / "tickets.py").write_text("raise SystemExit('this code must never run')")
    with pytest.raises(InputError, match="scripts are no longer supported"):
        read(tmp_path, "hub:sets/tickets?split=train")


def test_the_hub_offline_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="data set of the hub"):
        read(tmp_path, "hub:nobody/nothing?split=train")
