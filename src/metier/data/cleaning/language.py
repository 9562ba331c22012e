"""Language filter: prompts that are clearly in another language go to quarantine.

Identified by py3langid (naive Bayes over byte n-grams; Lui and Baldwin, 2011). Short texts pass,
and so does what is not clear: a wrong drop costs more than a foreign row.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from metier.core.errors import ConfigError
from metier.core.steps import Drop, Keep, Outcome
from metier.core.types import Example, Json
from metier.data.cleaning.undone import NOTHING, Undone
from metier.sources.languages import language_identifier

LANGUAGE = "language"
# Below this many letters the identifier errs too often to be asked.
LEAST_LETTERS = 40
# A prompt goes when all wanted languages together are less likely than this, and one other language
# is likelier than that (without features every language is equally likely).
MOST_WANTED = 0.05
LEAST_OTHER = 0.3
READ_CHARS = 2_000

_NOT_LETTERS = re.compile(r"https?://\S+|\S+@\S+|[\W\d_]+")


@dataclass(frozen=True, slots=True)
class LanguageFilter:
    """The step that drops prompts in other languages than ``languages`` (ISO 639-1)."""

    languages: tuple[str, ...]
    undone: Undone = NOTHING
    name: str = LANGUAGE

    def __post_init__(self) -> None:
        """Raise ConfigError for a language that cannot be identified."""
        unknown = sorted(set(self.languages) - set(language_identifier().labels))
        if unknown:
            raise ConfigError(
                "languages that can be identified (ISO 639-1)",
                got=", ".join(unknown),
                remedy=f"known are {', '.join(sorted(language_identifier().labels))}",
            )

    def apply(self, batch: Sequence[Example], state: Json) -> Iterator[Outcome]:
        """Drop each example whose prompt is clearly in none of the languages."""
        for example in batch:
            text = example.conversation.text
            shares = [] if self.undone.off(LANGUAGE, example.id, text) else identify(text)
            wanted = sum(share for name, share in shares if name in self.languages)
            if not shares or wanted >= MOST_WANTED or shares[0][1] < LEAST_OTHER:
                yield Keep(example)
                continue
            evidence: dict[str, Json] = {
                "language": shares[0][0],
                "probability": round(shares[0][1], 3),
                "wanted_probability": round(wanted, 6),
            }
            yield Drop(example, LANGUAGE, evidence)


def identify(text: str) -> list[tuple[str, float]]:
    """Return all languages with their probabilities, likeliest first; [] for too few letters."""
    letters = _letters(text)
    if len(letters) < LEAST_LETTERS:
        return []
    return [(str(name), float(share)) for name, share in language_identifier().rank(letters)]


def _letters(text: str) -> str:
    """The words alone, in lower case: shouting, numbers and addresses mislead the identifier."""
    return _NOT_LETTERS.sub(" ", text[:READ_CHARS]).strip().lower()
