"""The steps of cleaning, in the order of a build, and what they have to say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from metier.core.steps import Step
from metier.core.types import Json
from metier.data.cleaning.boilerplate import Boilerplate
from metier.data.cleaning.clean import Clean
from metier.data.cleaning.irrelevant import IRRELEVANT, IrrelevantFilter
from metier.data.cleaning.language import LanguageFilter
from metier.data.cleaning.typos import Typos
from metier.data.cleaning.undone import NOTHING, Undone
from metier.data.config import DataConfig


def cleaning_steps(
    config: DataConfig,
    closed: frozenset[str],
    root: Path = Path(),
    undone: Undone = NOTHING,
) -> list[Step]:
    """Return the steps: repairs, what is learned from the data, filters.

    ``root`` is the folder of metier.toml; ``undone`` what people took back. Raises ConfigError for
    a language that cannot be told.
    """
    rules = config.cleaning
    steps: list[Step] = [Clean(config, closed, undone)]
    if rules.boilerplate_rule is not None:
        steps.append(Boilerplate(rules.boilerplate_rule, closed, undone))
    if rules.typos_rule is not None:
        steps.append(Typos(rules.typos_rule, closed, undone))
    if rules.languages:
        steps.append(LanguageFilter(tuple(rules.languages), undone))
    if rules.irrelevant is not None:
        steps.append(IrrelevantFilter(rules.irrelevant, root, undone))
    return steps


def cleaning_notes(states: Mapping[str, Json]) -> tuple[str, ...]:
    """Return what a person should know of what the steps learned."""
    learned = states.get(IRRELEVANT)
    return () if learned is None else (str(learned),)
