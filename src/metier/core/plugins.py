"""Registry: name -> typed factory. The whole extension surface of metier.

    scorers: Registry[Scorer] = Registry("scorers")

    @scorers.register("exact_match")
    def exact_match() -> Scorer: ...

Third parties add theirs through the entry-point group ``metier.<registry name>``; built-ins
register the same way. A name and its arguments are saved in each run, so it can be rebuilt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

from metier.core.errors import UserError, boundary, nearest

T = TypeVar("T")


class Registry(Generic[T]):
    """Factories of one kind of thing, by name."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._factories: dict[str, Callable[..., T]] = {}
        self._loaded = False

    def register(self, name: str) -> Callable[[Callable[..., T]], Callable[..., T]]:
        """Register the decorated factory under ``name``; a name is taken once."""

        def add(factory: Callable[..., T]) -> Callable[..., T]:
            if name in self._factories:
                raise ValueError(f"{self.kind}: {name!r} is registered already")
            self._factories[name] = factory
            return factory

        return add

    def make(self, name: str, **arguments: Any) -> T:
        """Build the thing called ``name``. Raises UserError naming the nearest known name."""
        self._load_entry_points()
        if name not in self._factories:
            raise UserError(
                f"one of the {self.kind}", got=repr(name), remedy=nearest(name, self._factories)
            )
        with boundary(f"{self.kind}:{name}"):
            return self._factories[name](**arguments)

    def __contains__(self, name: object) -> bool:
        self._load_entry_points()
        return name in self._factories

    def __iter__(self) -> Iterator[str]:
        self._load_entry_points()
        return iter(sorted(self._factories))

    def _load_entry_points(self) -> None:
        if self._loaded:
            return
        self._loaded = True
        for point in entry_points(group=f"metier.{self.kind}"):
            if point.name not in self._factories:
                with boundary(f"entry point {point.value}"):
                    self._factories[point.name] = point.load()
