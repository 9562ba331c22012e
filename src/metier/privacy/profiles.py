"""Profiles: what is looked for, and what stands in its place.

    patterns               identifiers with a sure form; placeholders
    safe-harbor            the categories of 45 CFR 164.514(b)(2)(i): redaction, or surrogates
                           assigned at random; of dates the year, ages 90+, three digits of a ZIP
    expert-determination   the same kinds; shifted dates and keyed surrogates; a named expert must
                           state that the risk is very small (164.514(b)(1))
    none                   nothing

A profile says how, never that the result is lawful: see the coverage table for what stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args

from metier.core.errors import InputError
from metier.privacy.kinds import kinds
from metier.privacy.patterns import CLASSIC, WIDE
from metier.privacy.types import Recogniser

ProfileName = Literal["patterns", "safe-harbor", "expert-determination", "none"]
NAMES: tuple[ProfileName, ...] = get_args(ProfileName)


@dataclass(frozen=True, slots=True)
class Profile:
    """What is looked for and replaced."""

    name: ProfileName
    operators: Mapping[str, str]
    """Kind -> operator (see ``kinds.toml``); kinds that are absent are not looked for."""
    surrogates: Literal["none", "random", "keyed"] = "none"
    """How surrogates may be assigned, where the project asks for them."""
    quarantines: bool = False
    """Whether text in a language that no recogniser reads goes to quarantine."""
    needs: Literal["nothing", "signature", "expert"] = "nothing"
    """What freezing asks for: a signed check of the project's own sample, or an expert's
    statement."""

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds it looks for."""
        return frozenset(self.operators)

    def recognisers(self) -> tuple[Recogniser, ...]:
        """Return those it runs; loading name lists may take a moment the first time."""
        return _recognisers(self.name)


def profile(name: str) -> Profile:
    """Return the profile of this name. Raises InputError naming those there are."""
    if name not in NAMES:
        raise InputError(f"a profile: {', '.join(NAMES)}", got=repr(name), remedy="name one")
    return _profile(name)


@cache
def _profile(name: ProfileName) -> Profile:
    operators = {slug: kind.replace[name] for slug, kind in kinds().items() if name in kind.replace}
    if name == "safe-harbor":
        return Profile(name, operators, "random", quarantines=True, needs="signature")
    if name == "expert-determination":
        return Profile(name, operators, "keyed", quarantines=True, needs="expert")
    return Profile(name, operators)


@cache
def _recognisers(name: ProfileName) -> tuple[Recogniser, ...]:
    if name == "none":
        return ()
    if name == "patterns":
        return (CLASSIC,)
    from metier.privacy.names import NameRecogniser

    return (*WIDE, NameRecogniser())
