"""National identity and tax numbers: their written form, and check digits by python-stdnum."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from tomllib import loads

from metier.privacy.types import Finding

_FORMS = loads(Path(__file__).with_name("national.toml").read_text(encoding="utf-8"))["form"]
# One search for all forms: whatever begins and ends as they do is then held against each.
_CANDIDATE = re.compile(
    r"[A-Z0-9](?<![\w.,-].)(?=[A-Z]{0,5}[ -]?\d)(?:[A-Z0-9]|[-+ .](?=[A-Z0-9])){8,23}(?!\w)"
)
_COMPILED = tuple(
    (
        form["module"],
        re.compile(form["pattern"] + r"(?![\w-])"),
        re.compile(rf"\b(?:{form['cue']})\b[^\n]{{0,24}}$", re.IGNORECASE)
        if "cue" in form
        else None,
    )
    for form in _FORMS
)


def national_numbers(text: str) -> Iterator[Finding]:
    """Yield numbers of 23 countries' forms whose check digits are right."""
    for start in _starts(text):
        for module, form, cue in _COMPILED:
            match = form.match(text, start)
            if (
                match
                and (cue is None or cue.search(text, max(0, start - 45), start))
                and _checks(module, match.group())
            ):
                yield Finding(start, match.end(), "national_id")
                break


def _starts(text: str) -> Iterator[int]:
    """Yield where a number may begin: at each group of a candidate, words before it left out."""
    for match in _CANDIDATE.finditer(text):
        yield match.start()


@lru_cache(maxsize=4096)
def _checks(module: str, number: str) -> bool:
    if not module:
        return True
    return bool(import_module(f"stdnum.{module}").is_valid(number))
