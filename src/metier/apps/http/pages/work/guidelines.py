"""Guidelines: read by whoever annotates, written by whoever may build."""

from __future__ import annotations

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
) -> Response:
    """Store the next version of a guideline."""
    made = write_guideline(site.session.workspace, name.strip(), text, who.id)
    return go(f"/guidelines/{quote(made.name)}")


@router.get("/guidelines/{name}")
def guideline_page(
    request: Request, site: Here, who: Who, name: str, number: int | None = None
) -> Response:
    """Show one version of a guideline, and which others there are."""
    ws = site.session.workspace
    found = get_guideline(ws, name, number)
    return show(
        request,
        "work/guideline.html.j2",
        one=found,
        html=prose(found.text),
        versions=guideline_versions(ws, name),
        may_write=who.may("build"),
        answers=[answer_words(example.answer) for example in found.examples],
    )


def answer_words(answer: Json) -> str:
    """An example's answer in words."""
    names = list(answer) if isinstance(answer, dict) else [forms.ANSWER]
    form = forms.Form(tuple(forms.FormField(name, "text", name) for name in names))
    return value_words(form, answer, 400)
