"""Guidelines: read by whoever annotates, written by whoever may build."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Form, Request, Response

from metier.annotate.guidelines import (
    LONGEST,
    get_guideline,
    guideline_versions,
    list_guidelines,
    write_guideline,
)
from metier.apps.http.pages.allowed import Who, may
from metier.apps.http.pages.frame import Here, PageRoute, Row, go, show
from metier.apps.http.pages.work.draw import value_words
from metier.apps.http.pages.work.prose import prose
from metier.core.errors import InputError
from metier.core.types import Json
from metier.queue import forms

router = APIRouter(route_class=PageRoute, dependencies=[may("annotate")])
START = """## What this label means

## When it is this one
- …

## When it is another
- …
"""


@router.get("/guidelines")
def guidelines_page(request: Request, site: Here, who: Who) -> Response:
    """Show all guidelines."""
    found = list_guidelines(site.session.workspace)
    view: Row = {"found": found, "may_write": who.may("build"), "start": START}
    return show(request, "work/guidelines.html.j2", **view)


@router.post("/guidelines", dependencies=[may("build")])
def write_page(
    site: Here,
    who: Who,
    name: Annotated[str, Form(max_length=100)],
    text: Annotated[str, Form(max_length=LONGEST)],
    after: Annotated[int | None, Form(ge=0)] = None,
) -> Response:
    """Store the next version of a guideline, which comes ``after`` the one its writer read."""
    ws = site.session.workspace
    known = guideline_versions(ws, name.strip())
    if after is not None and after != (known[0].number if known else 0):
        raise InputError(
            f"a text written after version {known[0].number}" if after else "a name not in use",
            got=f"one after version {after}" if after else repr(name.strip()[:60]),
            remedy="open the guideline in another tab, and change the version that is newest",
        )
    made = write_guideline(ws, name.strip(), text, who.id)
    return go(f"/guidelines/{quote(made.name)}")


@router.get("/guidelines/{name}")
def guideline_page(
    request: Request, site: Here, who: Who, name: str, number: int | None = None
) -> Response:
    """Show one version of a guideline, and which others there are."""
    ws = site.session.workspace
    found, versions = get_guideline(ws, name, number), guideline_versions(ws, name)
    before = next((one for one in versions if one.number == found.number - 1), None)
    return show(
        request,
        "work/guideline.html.j2",
        one=found,
        html=prose(found.text),
        versions=versions,
        changed=None if before is None else list(changed_lines(before.text, found.text)),
        examples_more=len(found.examples) - (len(before.examples) if before else 0),
        may_write=who.may("build"),
        answers=[answer_words(example.answer) for example in found.examples],
    )


def changed_lines(before: str, after: str) -> Iterator[tuple[str, str]]:
    """The lines that differ: ("gone" or "new", text); ("cut", "…") where equal ones lie between."""
    old, new = before.splitlines(), after.splitlines()
    for kind, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            yield "cut", "…"
            continue
        yield from (("gone", line) for line in old[a:b] if line.strip())
        yield from (("new", line) for line in new[c:d] if line.strip())


def answer_words(answer: Json) -> str:
    """An example's answer in words."""
    names = list(answer) if isinstance(answer, dict) else [forms.ANSWER]
    form = forms.Form(tuple(forms.FormField(name, "text", name) for name in names))
    return value_words(form, answer, 400)
