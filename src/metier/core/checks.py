r"""Checks: rules of a project's own that every reply must keep. Types only.

[[objective.check]]
type = "pattern"
name = "no_phone_numbers"
must_not_match = '\b0\d{3,}'

A check is a metric under its name: the share of replies that pass. What each type does is in
``metier.scoring.checks``, ``style`` and ``voice``.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from metier.core.section import Section

Pattern = Annotated[str, Field(max_length=1000)]
Phrase = Annotated[str, Field(min_length=1)]
Positive = Annotated[int, Field(ge=1)]
Language = Literal["de", "es", "fr", "it", "nl", "pt"]


class _Check(Section):
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
    """Name under which targets find it: small letters, digits and underscores."""
    field: str = ""
    """structured only: the field it reads (empty: the whole reply)."""

    @property
    def needs_question(self) -> bool:
        """Whether the check reads the question beside the reply."""
        return False

    @property
    def files(self) -> tuple[str, ...]:
        """The files it reads, relative to metier.toml; their content decides the result too."""
        return ()


class PatternCheck(_Check):
    """A regular expression that replies must, or must not, match somewhere."""

    type: Literal["pattern"]
    """A regular expression that replies must match, or must not."""
    """Kind of check: pattern."""
    must_match: Pattern = ""
    """Regular expression that must be found in every reply (empty: none)."""
    must_not_match: Pattern = ""
    """Regular expression that may be found in no reply (empty: none)."""
    ignore_case: bool = False
    """Whether capitals and small letters count as the same."""

    @field_validator("must_match", "must_not_match")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        return checked_pattern(pattern)

    @model_validator(mode="after")
    def _asks_something(self) -> Self:
        if not (self.must_match or self.must_not_match):
            raise ValueError("give must_match, must_not_match or both")
        return self


class CatalogueCheck(_Check):
    """Whatever looks like a code or name must stand in a list."""

    type: Literal["catalogue"]
    """Codes or names that must stand in a list."""
    """Kind of check: catalogue."""
    pattern: Annotated[Pattern, Field(min_length=1)]
    """Regular expression of what counts as one; its first group, where it has one, is the code."""
    file: Annotated[str, Field(min_length=1)]
    """The list: a text file with one entry a line, or a CSV; relative to metier.toml."""
    column: str = ""
    """CSV only: the column that holds the entries (empty: the first)."""
    ignore_case: bool = True
    """Whether capitals and small letters count as the same."""
    required: bool = False
    """Whether a reply that names none at all fails."""

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        return checked_pattern(pattern)

    @property
    def files(self) -> tuple[str, ...]:
        """The list."""
        return (self.file,)


class NumbersCheck(_Check):
    """Every amount in the reply must stand in the reference or in the question."""

    type: Literal["numbers"]
    """Amounts that must stand in the reference or the question."""
    """Kind of check: numbers."""
    against: Literal["reference", "question", "both"] = "both"
    """Where the amounts may come from; both: from either."""
    plain: bool = False
    """Whether numbers without a unit are checked too."""
    complete: bool = False
    """Whether every amount of the reference must also stand in the reply."""

    @property
    def needs_question(self) -> bool:
        """Where amounts may come from the question."""
        return self.against != "reference"


class PartsCheck(_Check):
    """Every part of a multi-part question must be taken up in the reply."""

    type: Literal["parts"]
    """Parts of a question that must all be taken up."""
    """Kind of check: parts."""
    share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of a part's content words that the reply must hold for the part to be covered."""

    @property
    def needs_question(self) -> bool:
        """It is about the question."""
        return True


class LengthCheck(_Check):
    """How long replies may be."""

    type: Literal["length"]
    """Bounds on the length."""
    """Kind of check: length."""
    min_words: Positive | None = None
    """Fewest words."""
    max_words: Positive | None = None
    """Most words."""
    max_characters: Positive | None = None
    """Most characters."""
    max_sentences: Positive | None = None
    """Most sentences."""

    @model_validator(mode="after")
    def _asks_something(self) -> Self:
        limits = (self.min_words, self.max_words, self.max_characters, self.max_sentences)
        if all(limit is None for limit in limits):
            raise ValueError("give min_words, max_words, max_characters or max_sentences")
        if self.min_words and self.max_words and self.min_words > self.max_words:
            raise ValueError("min_words is more than max_words")
        return self


class StyleCheck(_Check):
    """House style: every rule that is given must hold."""

    type: Literal["style"]
    """Rules of house style."""
    """Kind of check: style."""
    banned: tuple[Phrase, ...] = ()
    """Words and phrases that may not occur, whatever their case; whole words only."""
    required: tuple[Phrase, ...] = ()
    """Words and phrases that must all occur."""
    opens_with: tuple[Phrase, ...] = ()
    """The reply must begin with one of these (none given: anything)."""
    closes_with: tuple[Phrase, ...] = ()
    """The reply must end with one of these (none given: anything)."""
    address: Literal["formal", "informal"] | None = None
    """How the reader is addressed; the other form may not occur. Needs ``language``."""
    language: Language | None = None
    """Language of the replies, for ``address``."""
    max_sentence_words: Positive | None = None
    """Most words in any sentence."""
    max_exclamation_marks: Annotated[int, Field(ge=0)] | None = None
    """Most exclamation marks in a reply."""
    max_capital_words: Annotated[int, Field(ge=0)] | None = None
    """Most words of four or more letters written all in capitals."""
    emoji: bool = True
    """Whether emoji may occur."""

    @model_validator(mode="after")
    def _asks_something(self) -> Self:
        if (self.address is None) != (self.language is None):
            raise ValueError("address and language go together")
        if not self.model_fields_set - {"type", "name", "field"}:
            raise ValueError("give at least one rule, e.g. banned or max_sentence_words")
        return self


class VoiceCheck(_Check):
    """A classifier trained on the team's own texts against others: does the reply sound like us?"""

    type: Literal["voice"]
    """A classifier of the team's own voice."""
    """Kind of check: voice."""
    ours: str = ""
    """The team's own texts: a text file (one a line) or CSV, relative to metier.toml (empty: the
    replies of the training split)."""
    theirs: Annotated[str, Field(min_length=1)]
    """Texts of others on the same subjects: a text file (one a line) or CSV."""
    column: str = ""
    """CSV only: the column that holds the texts (empty: the first)."""

    @property
    def files(self) -> tuple[str, ...]:
        """The texts of both sides."""
        return tuple(name for name in (self.ours, self.theirs) if name)


class FactsCheck(_Check):
    """Replies may not contradict a table of facts, nor give a value that has expired."""

    type: Literal["facts"]
    """A table of facts that must not be contradicted."""
    """Kind of check: facts."""
    file: Annotated[str, Field(min_length=1)]
    """The table: CSV, TSV or JSON lines with subject, attribute and value, and where wanted unit,
    pattern, valid_from and valid_until; relative to metier.toml. A bar parts other wordings."""
    as_of: date | None = None
    """The day that decides which facts hold; must be given where the table has dates."""
    required: bool = False
    """Whether a reply that leaves out a fact the question asked for fails."""

    @property
    def needs_question(self) -> bool:
        """Where what was asked for must be given."""
        return self.required

    @property
    def files(self) -> tuple[str, ...]:
        """The table."""
        return (self.file,)


Check = Annotated[
    FactsCheck
    | PatternCheck
    | CatalogueCheck
    | NumbersCheck
    | PartsCheck
    | LengthCheck
    | StyleCheck
    | VoiceCheck,
    Field(discriminator="type"),
]


def checked_pattern(pattern: str) -> str:
    """Return ``pattern``. Raises ValueError, saying where, when it is no regular expression."""
    try:
        re.compile(pattern)
    except re.error as error:
        place = "" if error.pos is None else f" at character {error.pos + 1}"
        raise ValueError(f"not a regular expression: {error.msg}{place}") from error
    return pattern
