"""Migration v0004: a workspace of before takes the new tables and keeps what it holds."""

from alembic import command
from alembic.config import Config
from sqlalchemy import inspect, text

from metier.core.store.database import HEAD, MIGRATIONS, Database

TABLES = {"vault_pages", "sign_off_samples", "sign_off_readings", "signatures", "incidents"}


def test_a_database_of_v0003_is_upgraded_and_keeps_its_rows(database_url: str) -> None:
    database = Database(database_url)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    with database.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "v0003")
    with database.engine.begin() as connection:
        connection.execute(text("INSERT INTO settings (name, value) VALUES ('kept', 'yes')"))
        assert not TABLES & set(inspect(connection).get_table_names())
    assert database.revision() == "v0003"
    database.migrate()
    assert database.revision() == HEAD
    with database.engine.connect() as connection:
        assert set(inspect(connection).get_table_names()) >= TABLES
        found = connection.execute(text("SELECT value FROM settings WHERE name = 'kept'")).scalar()
    assert found == "yes"
    database.close()
