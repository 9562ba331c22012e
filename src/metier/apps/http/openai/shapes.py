"""What every body under /v1 must hold to, and the errors that every path may answer with."""

from __future__ import annotations

import math
from typing import Annotated, Any

from fastapi import Path
from pydantic import BaseModel, ConfigDict, model_validator

from metier.apps.http.errors import ErrorBody
from metier.core.types import Json

LARGEST_INTEGER = 2**63 - 1
DEEPEST = 64
_MEANINGS = {
    400: "The body is no JSON.",
    401: "No key, or one that is unknown, expired or revoked.",
    403: "A page of another site asked, or the text may not leave this machine.",
    404: "Unknown model, reply or item.",
    408: "The body did not arrive in time.",
    409: "Someone else holds what was asked for.",
    413: "The body is too large.",
    422: "A field is wrong; `param` names it.",
    429: "Too many requests wait; ask again after `Retry-After` seconds.",
    500: "A bug; the message holds the id under which the server logged it.",
    503: "The server is stopping, or the model cannot be reached.",
    504: "No answer within the time that was set.",
    507: "The server's disk is full.",
}
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorBody, "description": words} for status, words in _MEANINGS.items()
}
ItemId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]+$", max_length=100)]


class Body(BaseModel):
    """A request's body. Fields that are not known here are left aside."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _can_be_stored(cls, value: Json) -> Json:
        return storable(value)


def storable(value: Json) -> Json:
    """Return a JSON value that every store takes as it is.

    Raises ValueError for texts with NUL or half a character pair, numbers out of range, and
    values nested too deeply.
    """
    left = [(value, 0)]
    while left:
        one, depth = left.pop()
        if depth > DEEPEST:
            raise ValueError(f"values are nested more than {DEEPEST} deep")
        if isinstance(one, dict):
            left += [(inner, depth + 1) for pair in one.items() for inner in pair]
        elif isinstance(one, list):
            left += [(inner, depth + 1) for inner in one]
        else:
            _check_scalar(one)
    return value


def _check_scalar(value: Json) -> None:
    if isinstance(value, str) and not _is_plain_text(value):
        raise ValueError("a text holds NUL or half of a surrogate pair")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a number is not finite")
    if isinstance(value, int) and abs(value) > LARGEST_INTEGER:
        raise ValueError("an integer does not fit in 64 bits")


def _is_plain_text(text: str) -> bool:
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False
