"""Operators: what stands in place of an identifier, chosen kind by kind.

    redact      [EMAIL]
    mask        *** or ***1234: keeps the last characters
    hash        [EMAIL:9f31c2aa]: equal values stay equal; keyed, so that nobody can try values out
    keep        the identifier itself
    surrogate   another value of the same shape, the same one for the same person (``surrogates``)
    shift       a date, moved by its group's number of days: intervals stay (``surrogates``)
    year, birth_year, over_89, zip3    what Safe Harbor lets stand (``generalise``)

    operators = { person = "surrogate", ssn = { type = "mask", keep_last = 4 } }

Each profile allows some of them: under ``safe-harbor`` nothing may be derived from the identifier,
so neither a hash nor the last characters, and surrogates are assigned at random.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from metier.core.errors import ConfigError, nearest
from metier.core.section import Section
from metier.privacy.generalise import GENERALISATIONS
from metier.privacy.kinds import kinds
from metier.privacy.profiles import Profile

HASH_CHARACTERS = 8
ASSIGNED = frozenset({"surrogate", "shift"})
"""Operators whose result is held in the vault."""
DATED = frozenset({"date", "birth_date"})
"""Kinds that can be shifted."""


class Redact(Section):
    """The kind's placeholder."""

    type: Literal["redact"] = "redact"
    """Operator."""


class Mask(Section):
    """Letters and digits are covered, blanks and punctuation stay."""

    type: Literal["mask"] = "mask"
    """Operator."""
    keep_last: Annotated[int, Field(ge=0, le=6)] = 0
    """Letters and digits at the end that stay; at most half of them."""
    character: Annotated[str, Field(min_length=1, max_length=1, pattern=r"^[^\w\s]$")] = "*"
    """What covers each letter or digit."""


class Hash(Section):
    """The kind and a keyed hash: equal values get equal marks."""

    type: Literal["hash"] = "hash"
    """Operator."""


class Keep(Section):
    """The identifier stays."""

    type: Literal["keep"] = "keep"
    """Operator."""


class Surrogate(Section):
    """Another value of the same shape."""

    type: Literal["surrogate"] = "surrogate"
    """Operator."""


class Shift(Section):
    """A date moved by as many days as all dates of its group."""

    type: Literal["shift"] = "shift"
    """Operator."""


class Generalise(Section):
    """The part that Safe Harbor lets stand."""

    type: Literal["year", "birth_year", "over_89", "zip3"]
    """year: of a date; birth_year: unless it tells of an age over 89; over_89: ages up to 89 stay;
    zip3: three digits of a US ZIP code."""


Operator = Redact | Mask | Hash | Keep | Surrogate | Shift | Generalise
NAMES = ("redact", "mask", "hash", "keep", "surrogate", "shift", *GENERALISATIONS)


def _spelt_out(value: Any) -> Any:
    """Turn ``"mask"`` into ``{"type": "mask"}``."""
    return {"type": value} if isinstance(value, str) else value


OperatorSetting = Annotated[
    Annotated[Operator, Field(discriminator="type")], BeforeValidator(_spelt_out)
]
"""An operator as written in metier.toml: its name, or a table with ``type``."""


def operator_table(found: Profile, chosen: Mapping[str, Operator]) -> dict[str, Operator]:
    """Return the operator of every kind the profile looks for, with the project's choices.

    Raises ConfigError for a kind the profile does not look for, or an operator it does not allow.
    """
    table = {kind: make_operator(name) for kind, name in found.operators.items()}
    for kind, operator in chosen.items():
        if kind not in table:
            raise ConfigError(
                f"a kind that the profile {found.name} looks for",
                got=f"operators.{kind}",
                remedy=nearest(kind, table),
            )
        why = refusal(found, kind, operator)
        if why:
            raise ConfigError(
                f"an operator that the profile {found.name} allows for {kind}",
                got=f"{operator.type}: {why}",
                remedy=f"choose one of {', '.join(allowed(found, kind))}",
            )
        table[kind] = operator
    return table


def make_operator(name: str) -> Operator:
    """Return the operator of this name with its defaults."""
    if name in GENERALISATIONS:
        return Generalise.model_validate({"type": name})
    plain = {"redact": Redact, "mask": Mask, "hash": Hash, "keep": Keep, "surrogate": Surrogate}
    return Shift() if name == "shift" else plain[name]()


def allowed(found: Profile, kind: str) -> list[str]:
    """Return the names of the operators a profile allows for a kind."""
    return [name for name in NAMES if not refusal(found, kind, make_operator(name))]


def refusal(found: Profile, kind: str, operator: Operator) -> str:
    """Return why a profile does not allow an operator for a kind; empty: it does."""
    name = operator.type
    if name == "surrogate" and found.surrogates == "none":
        return "this profile holds no vault"
    if name == "shift" and (found.surrogates != "keyed" or kind not in DATED):
        return "only dates are shifted, and only under expert-determination"
    if name in GENERALISATIONS and name != found.operators.get(kind):
        return "it belongs to another kind or profile"
    if found.name != "safe-harbor" or not _category(kind):
        return ""
    if name == "hash":
        return "a code derived from the identifier is one itself"
    if name == "keep":
        return f"the identifier is in category {_category(kind)}"
    if isinstance(operator, Mask) and operator.keep_last:
        return "the last characters are a part of the identifier"
    return ""


def _category(kind: str) -> str:
    entry = kinds().get(kind)
    return entry.category if entry else ""


def replace(operator: Operator, kind: str, text: str, key: bytes = b"") -> str:
    """Return what stands in place of ``text``, for operators that need no vault.

    ``key`` is what hashes are made with. Raises ValueError for the others.
    """
    match operator:
        case Keep():
            return text
        case Redact():
            return placeholder(kind)
        case Mask(keep_last=keep, character=character):
            return _masked(text, keep, character)
        case Hash():
            return f"[{kind.upper()}:{_hashed(key, kind, text)}]"
        case Generalise(type=name):
            found = GENERALISATIONS[name](text)
            return placeholder(kind) if found is None else found
        case _:
            raise ValueError(f"{operator.type} needs a vault")


def placeholder(kind: str) -> str:
    """Return what stands in place of an identifier that is redacted: ``[EMAIL]``."""
    return f"[{kind.upper()}]"


def canonical(text: str) -> str:
    """Return the letters and digits of a value in one case: what tells values apart."""
    return "".join(char for char in text.casefold() if char.isalnum()) or text


def _masked(text: str, keep_last: int, character: str) -> str:
    places = [at for at, char in enumerate(text) if char.isalnum()]
    keep = min(keep_last, len(places) // 2)
    covered = set(places[: len(places) - keep])
    return "".join(character if at in covered else char for at, char in enumerate(text))


def _hashed(key: bytes, kind: str, text: str) -> str:
    value = f"{kind}\0{canonical(text)}".encode("utf-8", "surrogatepass")
    return hmac.digest(key, value, "sha256").hex()[:HASH_CHARACTERS]
