"""The ``[data.clean]`` section: which rules are on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from metier.core.section import Section

Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]


class BoilerplateConfig(Section):
    """When a line at the edge of many texts counts as a header, footer or disclaimer."""

    least: Annotated[int, Field(ge=3)] = 10
    """Fewest different texts that begin or end with the line."""
    share: Annotated[float, Field(gt=0, le=1)] = 0.02
    """Smallest share of the texts of more than one line that begin or end with it."""


class TyposConfig(Section):
    """What is never taken for a typo."""

    protect_from: Annotated[int, Field(ge=2)] = 3
    """Words found in this many rows are never corrected."""
    vocabulary: list[str] = Field(default_factory=list)
    """More words that are never corrected."""


class IrrelevantConfig(Section):
    """Examples of rows to keep and to drop, from which a filter is learned."""

    examples: Path
    """CSV or JSON lines with the columns text (or id, an example's) and keep (true or false);
    relative to metier.toml."""
    least: Annotated[int, Field(ge=10)] = 20
    """Fewest examples of each kind; with fewer, the build is refused."""
    precision: Annotated[float, Field(ge=0.5, lt=1)] = 0.8
    """Nothing is dropped unless the lower end of the 95% interval of the cross-validated precision
    reaches this."""


class CleanConfig(Section):
    """Which repairs are made to every text (prompts, replies, text fields)."""

    mojibake: bool = True
    """Repair text that was decoded with the wrong encoding."""
    html: bool = True
    """Unescape HTML entities and remove tags, where the text clearly is markup."""
    control_characters: bool = True
    """Remove control and zero-width characters; line ends become newlines."""
    white_space: bool = True
    """Collapse runs of spaces and blank lines; exotic spaces become plain ones."""
    fullwidth: bool = False
    """Turn fullwidth letters, digits and signs into plain ones."""
    quoted_replies: bool = False
    """Cut the quoted part of e-mails: lines after ">", and forwarded messages at the end."""
    signatures: bool = False
    """Cut e-mail signatures at the end: after "--", or a closing and a few short lines."""
    units: bool = False
    """Write quantities one way: 5mg is 5 mg, a micro sign is a Greek mu, mm Hg is mmHg."""
    dates: bool = False
    """Write dates as 2021-03-12, where day and month cannot be mistaken."""
    rules: list[str] = Field(default_factory=list)
    """More rules by name, of plug-ins (entry points in metier.cleaning_rules), in this order."""
    boilerplate: BoilerplateConfig | bool = False
    """Cut lines that many texts begin or end with, learned from the data."""
    typos: TyposConfig | bool = False
    """Correct rare unknown English words to frequent ones that are one slip away."""
    languages: list[Language] = Field(default_factory=list)
    """Languages to keep (ISO 639-1); prompts clearly in another go to quarantine. Empty: all."""
    irrelevant: IrrelevantConfig | None = None
    """Drop prompts like those that a person marked as irrelevant."""

    @property
    def boilerplate_rule(self) -> BoilerplateConfig | None:
        """When a line is boilerplate; None: the rule is off."""
        if isinstance(self.boilerplate, bool):
            return BoilerplateConfig() if self.boilerplate else None
        return self.boilerplate

    @property
    def typos_rule(self) -> TyposConfig | None:
        """What is never taken for a typo; None: the rule is off."""
        if isinstance(self.typos, bool):
            return TyposConfig() if self.typos else None
        return self.typos
