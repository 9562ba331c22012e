"""Read anything people have into rows, and rows into Examples."""

from metier.sources.config import SourceConfig, Unpivot
from metier.sources.examples import to_example
from metier.sources.files import source_digest
from metier.sources.guess import Guess, guess
from metier.sources.profile import Profile
from metier.sources.read import Source, open_source, read_rows
from metier.sources.types import BadRow, Row

__all__ = [
    "BadRow",
    "Guess",
    "Profile",
    "Row",
    "Source",
    "SourceConfig",
    "Unpivot",
    "guess",
    "open_source",
    "read_rows",
    "source_digest",
    "to_example",
]
