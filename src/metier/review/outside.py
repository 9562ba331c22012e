"""What people from outside see of a case: texts without identifiers, and nothing else.

The turns went through the profile of their data version. What stands beside them did not, or not
all of it: a reply may name somebody whom no turn names, and so may a passage of a document. There
the profile's recognisers look once more; what they find stays only where the turns say it too, as
surrogates and years do. Last, whatever has the sure form of an identifier is taken out everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from metier.core.errors import InputError
from metier.core.types import Json
from metier.privacy.profiles import profile
from metier.privacy.recognise import find_identifiers, redact
from metier.queue.clear import clear_text

PROFILE = "safe-harbor"
"""Whose recognisers look; the other profile for people from outside looks for the same kinds."""
_NO_TEXTS = ("images", "key")


def for_outside(shown: Mapping[str, Any]) -> dict[str, Json]:
    """Return what an item shows with its texts cleared; ``turns`` is taken as de-identified."""
    turns = " ".join(str(one["text"]) for one in shown["turns"])
    clear = _clearer(turns)
    return {
        name: _each(value, clear_text if name == "turns" else clear)
        for name, value in shown.items()
    }


def refuse_images(turns: Sequence[Sequence[Json]]) -> None:
    """Raise InputError where a case shows an image: nobody looks for identifiers in those."""
    count = sum(any(one.get("images") for one in own) for own in turns)
    if count:
        raise InputError(
            "cases of text alone, for people from outside",
            got=f"{count} of {len(turns)} with images, which are not de-identified",
            remedy="make the panel without guests",
        )


def _clearer(turns: str) -> Callable[[str], str]:
    recognisers = profile(PROFILE).recognisers()

    def clear(text: str) -> str:
        found = find_identifiers(text, recognisers)
        unknown = [one for one in found if text[one.start : one.end] not in turns]
        return clear_text(redact(text, unknown)[0])

    return clear


def _each(value: Json, clear: Callable[[str], str]) -> Json:
    if isinstance(value, str):
        return clear(value)
    if isinstance(value, Mapping):
        return {key: one if key in _NO_TEXTS else _each(one, clear) for key, one in value.items()}
    return [_each(one, clear) for one in value] if isinstance(value, list) else value
