"""Alembic's entry: runs the migrations on the connection that ``Database.migrate`` opened."""

from alembic import context

from metier.core.store.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
