"""De-identification: identifiers in prompts and replies become placeholders.

Patterns only, so names and places stay. Groups and slices are not touched: they are keys, and the
store hashes groups. Every replacement is a change, its before-value sealed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from metier.core.steps import Keep, Outcome
from metier.core.types import Example, Json
from metier.data.rewrite import rewrite
from metier.privacy import redact


def redact_text(text: str) -> tuple[str, tuple[str, ...]]:
    """Replace identifiers; return the text and the kinds that were found in it."""
    after, findings = redact(text)
    return after, tuple(dict.fromkeys(finding.kind for finding in findings))


@dataclass(frozen=True, slots=True)
class Deidentify:
    """The de-identification step; ``closed`` names fields that hold one of a closed set."""

    closed: frozenset[str] = frozenset()
    name: str = "deidentify"

    def apply(self, batch: Sequence[Example], state: Json) -> Iterator[Outcome]:
        """Redact each example; nothing is dropped."""
        for example in batch:
            redacted, changes = rewrite(example, self.name, redact_text, self.closed)
            yield Keep(redacted, changes)
