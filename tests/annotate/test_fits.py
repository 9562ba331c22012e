"""Answers that are no targets of the objective are not frozen, and the page says so before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from browser.desk_site import client_of
from browser.work_site import LABELS, make_project, make_round
from metier.annotate.fits import misfit
from metier.core import ledger
from metier.core.errors import InputError
from metier.core.objective import Objective
from metier.journey.labelled import freeze_queue, status_of
from metier.journey.session import Session
from metier.queue import NewItem, NewQueue, make_queue
from metier.queue.forms import Form, FormField, form_json, form_of, rubric_form

FIELDS = {
    "type": "object",
    "required": ["route", "days"],
    "properties": {
        "route": {"type": "string", "enum": LABELS},
        "days": {"type": "integer"},
        "note": {"type": "string"},
    },
}


def bare(kind: Any, *options: str) -> Form:
    return Form((FormField("answer", kind, "Topic", options=options),))


def objective(task: str) -> Objective:
    more = {"fields": FIELDS} if task == "structured" else {}
    return Objective(task=task, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("task", ["classify", "multilabel", "extract", "structured", "compose"])
def test_what_the_objective_asks_for_fits(task: str) -> None:
    known = () if task in ("structured", "compose") else tuple(LABELS)
    asked = objective(task)
    assert misfit(asked, form_of(asked, known), known) is None


@pytest.mark.parametrize(
    ("task", "form", "words"),
    [
        ("classify", bare("label", "billing", "weather"), "weather"),
        ("classify", bare("text"), "one label"),
        ("multilabel", bare("label", *LABELS), "any number of labels"),
        ("extract", bare("label", *LABELS), "marked stretches"),
        ("compose", bare("label", *LABELS), "a text"),
        ("classify", rubric_form([{"name": "accuracy"}]), "Accuracy (a rating)"),
        ("structured", bare("label", *LABELS), "route (one choice)"),
        ("structured", Form((FormField("route", "text", "Route"),)), "days (a number)"),
    ],
)
def test_anything_else_does_not(task: str, form: Form, words: str) -> None:
    found = misfit(objective(task), form, tuple(LABELS))
    assert found is not None and words in str(found) and "make a queue" in found.remedy


def test_optional_fields_may_be_missing_and_words_do_while_no_label_is_known() -> None:
    some = Form((FormField("route", "label", "Route"), FormField("days", "number", "Days")))
    assert misfit(objective("structured"), some) is None
    assert misfit(objective("classify"), bare("text")) is None


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    made = make_project(tmp_path / "p")
    make_round(made)
    version = ledger.get_version(made.workspace).id
    form = form_json(rubric_form([{"name": "accuracy"}]))
    new = NewQueue("rated", "label", wanted=1, form=form, version_id=version)
    make_queue(made.workspace, new, [NewItem("example", "ex1", shown={"turns": []})], "owner")
    yield made
    made.workspace.close()


def test_the_page_says_so_before_the_button_is_pressed(session: Session) -> None:
    with client_of(session) as client:
        page = client.get("/queues/rated").text
        assert "cannot become targets" in page and "Accuracy (a rating)" in page
        assert "What to do: make a queue" in page
        assert "<button disabled" in page and "/queues/rated/freeze" not in page
        fits = client.get("/queues/round-1").text
        assert "<button disabled" not in fits and "/queues/round-1/freeze" in fits
        for refused in (client.get("/queues/rated/freeze"), client.post("/queues/rated/freeze")):
            assert refused.status_code == 422 and "one label each" in refused.text


def test_status_says_so_too(session: Session) -> None:
    found = status_of(session, "rated", "owner")
    assert found.freeze is None and "one label each" in found.unfit
    assert status_of(session, "round-1", "owner").freeze is not None
    with pytest.raises(InputError, match="one label each"):
        freeze_queue(session, "rated", "owner", dry_run=True)
