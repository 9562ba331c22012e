"""What people typed, without identifiers, before it is stored.

What was taken out is sealed beside the answer. What is kept of a record (``residue``) would hold
the texts as they were: of an item in which something was taken out only the keys that metier does
not know are kept, and of those, texts without identifiers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from metier.annotate.exchange.types import Answer, Asked, Exchanged
from metier.core.types import Json
from metier.queue.clear import clear_text
from metier.queue.forms import clear_answer
from metier.queue.originals import clear_panel_answer

Originals = dict[tuple[str, str], tuple[Json, str]]
"""Answers and comments as they were typed, by item and person."""


def clear_items(items: Sequence[Exchanged], asked: Asked) -> tuple[list[Exchanged], Originals]:
    """The items with texts that people typed de-identified, and what that changed."""
    originals: Originals = {}
    return [_item(one, asked, originals) for one in items], originals


def _item(item: Exchanged, asked: Asked, originals: Originals) -> Exchanged:
    answers = [_answer(one, asked) for one in item.answers]
    changed = {
        (item.id, before.person): (before.value, before.comment)
        for before, after in zip(item.answers, answers, strict=True)
        if (before.value, before.comment) != (after.value, after.comment)
    }
    if not changed:
        return item
    originals |= changed
    return replace(
        item,
        answers=tuple(replace(one, kept=_kept(one.kept)) for one in answers),
        kept=_kept(item.kept),
    )


def _answer(one: Answer, asked: Asked) -> Answer:
    comment = clear_text(one.comment) if one.comment else ""
    value = one.value
    if asked.kind == "review" and isinstance(value, Mapping):
        value = clear_panel_answer(value)
    elif value is not None and asked.kind != "review":
        value = clear_answer(asked.form, value, clear_text)
    return replace(one, value=value, comment=comment)


def _kept(kept: Json) -> Json:
    extra = kept.get("extra") if isinstance(kept, Mapping) else None
    return {"extra": _without(extra)} if extra else None


def _without(value: Json) -> Json:
    if isinstance(value, str):
        return clear_text(value)
    if isinstance(value, Mapping):
        return {key: _without(one) for key, one in value.items()}
    return [_without(one) for one in value] if isinstance(value, list) else value
