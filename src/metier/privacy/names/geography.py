"""How wide a place is: what Safe Harbor lets stand and what it does not.

45 CFR 164.514(b)(2)(i)(B) names "all geographic subdivisions smaller than a State"; a state or
country may stay. A name that is a state and a town (Washington, New York) counts as a town.
"""

from __future__ import annotations

from typing import Literal

from metier.privacy.names import lexicon

Level = Literal["country", "state", "below_state"]
_BOTH = frozenset({"washington", "new york"})


def level(place: str) -> Level:
    """Return the level of a place as found in text, in any case; unknown ones are below state."""
    if lexicon.matches(lexicon.phrases("country"), place.removeprefix("the ")):
        return "country"
    if lexicon.matches(lexicon.phrases("state") - _BOTH, place):
        return "state"
    return "below_state"
