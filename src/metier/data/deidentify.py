"""De-identification: identifiers in prompts and replies become placeholders.

Patterns only, so names and places stay. Groups and slices are not touched: they are keys, and the
store hashes groups. Every replacement is a change, its before-value sealed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from metier.core.steps import Keep, Outcome
from metier.core.types import Example, Json
from metier.data.cleaning.rewrite import rewrite
from metier.privacy import find_identifiers, redact


def redact_text(text: str) -> list[tuple[str, str]]:
    """Replace identifiers kind by kind; return (kind, text after it) in order of appearance."""
    findings = find_identifiers(text)
    stages: list[tuple[str, str]] = []
    done: set[str] = set()
    for kind in dict.fromkeys(finding.kind for finding in findings):
        done.add(kind)
        stages.append((kind, redact(text, [one for one in findings if one.kind in done])[0]))
    return stages


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
