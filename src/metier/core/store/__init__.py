"""Store: typed tables in SQLite or PostgreSQL, and the migrations that make them."""

from metier.core.store.database import Database

__all__ = ["Database"]
