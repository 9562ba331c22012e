"""The ``[review]`` section: what a panel rates, by whom, and what its design starts from.

[[review.dimension]]
name = "accuracy"
about = "Is it true of this case?"
rated_by = ["cardiology", "expert"]
anchors = ["wrong throughout", "a serious error", "one error", "a slip", "nothing wrong"]
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection
from functools import cache
from importlib.resources import files
from typing import Annotated, Self

from pydantic import Field, model_validator

from metier.core.section import Section

ANYONE, EXPERT, GUEST = "anyone", "expert", "guest"
PREFERENCE = "preference"
RESERVED = (PREFERENCE, "win_rate", "handling_time_ratio", "overall")
"""Names that a panel's results give a meaning of their own."""


class RubricDimension(Section):
    """One thing that people rate."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]
    """Name; targets of stage "review" name it as their metric."""
    about: Annotated[str, Field(min_length=1, max_length=500)]
    """The question that is put to the rater."""
    rated_by: tuple[Annotated[str, Field(min_length=1, max_length=60)], ...] = (ANYONE,)
    """Who rates it: anyone, expert (all but guests), guest, or fields of expertise."""
    anchors: Annotated[tuple[str, ...], Field(min_length=2, max_length=10)]
    """What each point means in words, from low to high; there is one for each point."""
    low: int = 1
    """The lowest point."""
    high: int = 5
    """The highest point."""

    @model_validator(mode="after")
    def _one_anchor_per_point(self) -> Self:
        points = self.high - self.low + 1
        if len(self.anchors) != points:
            raise ValueError(
                f"{self.name} runs from {self.low} to {self.high} and needs {points} anchors, "
                f"got {len(self.anchors)}"
            )
        if self.name in RESERVED:
            raise ValueError(f"{self.name!r} is taken by the results: choose another name")
        return self

    @property
    def title(self) -> str:
        """The name as people read it."""
        return self.name.replace("_", " ").capitalize()

    def rated_by_person(self, role: str, fields: Collection[str]) -> bool:
        """Whether someone with this role and these fields of expertise rates it."""
        guest = role == GUEST
        own = {field.casefold().strip() for field in fields}
        return any(
            who == ANYONE
            or (who == GUEST and guest)
            or (who == EXPERT and not guest)
            or who.casefold().strip() in own
            for who in self.rated_by
        )


@cache
def usual_dimensions() -> tuple[RubricDimension, ...]:
    """The dimensions of ``rubric.toml``."""
    text = files("metier.review").joinpath("rubric.toml").read_text(encoding="utf-8")
    return tuple(RubricDimension(**one) for one in tomllib.loads(text)["dimension"])


class ReviewConfig(Section):
    """How panels are made."""

    dimension: tuple[RubricDimension, ...] = Field(default_factory=usual_dimensions)
    """What is rated, each a [[review.dimension]] table."""
    raters_per_item: Annotated[int, Field(ge=1, le=20)] = 2
    """How many different people rate each reply."""
    duplicates: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    """Share of the items that come a second time, unannounced, to measure consistency."""
    seconds_per_item: Annotated[float, Field(gt=0)] = 90.0
    """Seconds that rating one reply takes; a plan starts from it until a panel was timed."""
    seed: int = 0
    """Seed of every random order of a panel."""

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [one.name for one in self.dimension]
        if not names or len(set(names)) != len(names):
            raise ValueError("dimension needs at least one entry, each with a name of its own")
        return self

    def named(self, names: Collection[str]) -> tuple[RubricDimension, ...]:
        """The dimensions of these names, all where none is named. Raises InputError."""
        from metier.core.errors import InputError, nearest

        known = {one.name: one for one in self.dimension}
        for name in names:
            if name not in known:
                raise InputError("a dimension of the rubric", got=repr(name),
                                 remedy=nearest(name, known))  # fmt: skip
        return tuple(one for one in self.dimension if not names or one.name in names)
