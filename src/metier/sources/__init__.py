"""Read anything people have into rows, and rows into Examples."""

from metier.sources.config import SourceConfig, Unpivot
from metier.sources.examples import to_example
from metier.sources.files import source_digest
from metier.sources.guess import Guess, guess
from metier.sources.read import read_rows
from metier.sources.types import BadRow, Row

__all__ = [
    "BadRow",
    "Guess",
    "Row",
    "SourceConfig",
    "Unpivot",
    "guess",
    "read_rows",
    "source_digest",
    "to_example",
]
