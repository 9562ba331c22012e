"""Rows of data as the pages show them, and sealed texts without what identifies anyone.

Texts of a version were de-identified before they were frozen. What is sealed (quarantined rows,
texts before a change, evidence) was not: it passes the project's own de-identification on its way
to a page, so that a page never shows more than a version would.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from metier.apps.http.pages.frame import Row, Site
from metier.apps.http.pages.words import WHO
from metier.core.types import Example, ExampleTarget, FieldsTarget, Image, Json
from metier.data.quality.decide import target_words
from metier.journey.report import numbers
from metier.privacy.profiles import profile
from metier.privacy.recognise import find_identifiers, redact
from metier.queue import clear_text

CLIP = 4000
Clear = Callable[[str], str]


def clearer(site: Site) -> Clear:
    """Return what takes out of a text whatever the project's profile, or any pattern, finds."""
    recognisers = profile(site.session.project.data.deidentification.profile).recognisers()
    return partial(_cleared, recognisers)


def _cleared(recognisers: Json, text: str) -> str:
    return clear_text(redact(text, find_identifiers(text, recognisers))[0])


def turn_texts(example: Example) -> list[Row]:
    """Return the turns of an example, each with its text and how many images it has."""
    return [
        {
            "role": turn.role,
            "who": WHO[turn.role],
            "text": numbers.short(turn.text, CLIP),
            "fields": None,
            "images": sum(isinstance(part, Image) for part in turn.parts),
        }
        for turn in example.conversation.messages
    ]


def target_value(target: ExampleTarget | None) -> Json:
    """Return what should be answered: fields as a mapping, anything else in words."""
    if isinstance(target, FieldsTarget):
        return dict(target.fields)
    return target_words(target) or None


def example_row(example: Example, split: str = "", place: int | None = None) -> Row:
    """Return an example of a version, whose texts are de-identified."""
    return {
        "id": example.id,
        "split": split,
        "moved": None,
        "place": place,
        "turns": turn_texts(example),
        "target": target_value(example.target),
        "slices": dict(example.slices),
        "group": example.group,
        "steps": example.provenance.steps,
        "source": example.provenance.source,
        "locator": example.provenance.locator,
    }


def whole_text(example: Example) -> str:
    """Write prompt, target and slices as one text, to be compared."""
    turns = [f"{WHO[turn.role]}: {turn.text}" for turn in example.conversation.messages]
    slices = ", ".join(f"{key} {value}" for key, value in sorted(example.slices.items()))
    found = [*turns, f"→ {target_words(example.target)}", f"({slices})" if slices else ""]
    return "\n".join(part for part in found if part)


def evidence_rows(evidence: Mapping[str, Json], clear: Clear) -> list[Row]:
    """Return what speaks against a row, name by name, without identifiers."""
    return [
        {"name": str(name).replace("_", " "), "value": clear(_shown(value))}
        for name, value in evidence.items()
    ]


def _shown(value: Json) -> str:
    if isinstance(value, float):
        return numbers.number(value)
    return numbers.short(numbers.answer(value), CLIP)
