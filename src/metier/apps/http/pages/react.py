"""What people say of a reply on a page: votes, numbers, a comment, the better answer."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import FormData

from metier.apps.http.pages.allowed import Who, may
from metier.apps.http.pages.forms import form_fields, read_form
from metier.apps.http.pages.frame import Here, PageRoute, Row, Site, go, is_partial, link_of, show
from metier.core import ledger
from metier.core.errors import InputError
from metier.core.objective import Objective
from metier.core.records import Feedback
from metier.core.types import Json
from metier.feedback.config import FeedbackConfig
from metier.feedback.labels import current_labels
from metier.feedback.record import record_feedback
from metier.feedback.types import COMMENT, DEMONSTRATION
from metier.models.prompt import parse_reply

router = APIRouter(route_class=PageRoute, dependencies=[may("look")])


@router.post("/interactions/{key}/feedback")
async def give_feedback(request: Request, site: Here, who: Who, key: str) -> Response:
    """Store what the form says of a reply; show what is known of it now."""
    form = await request.form()
    await run_in_threadpool(say, site, who.id, key, form)
    if not is_partial(request):
        return go(link_of(key))
    return show(request, "react.html.j2", react=await run_in_threadpool(react_view, site, key))


def say(site: Site, actor: str, key: str, form: FormData) -> Feedback:
    """Store one thing said of a reply. Raises InputError and NotFound as the API does."""
    session = site.session
    ws, config, objective = session.workspace, session.project.feedback, session.project.objective
    metric = str(form.get("metric", ""))
    value = said_value(config, objective, metric, form)
    labels = current_labels(ws, objective)
    return record_feedback(ws, config, objective, labels, key, metric, value, actor=actor)


def said_value(config: FeedbackConfig, objective: Objective, metric: str, form: FormData) -> Json:
    """Return the value that a form gives for a metric, as the API would take it."""
    if metric == DEMONSTRATION:
        return read_form(objective, form)
    text = str(form.get("value", ""))
    kind = config.metrics.get(metric)
    if kind == "boolean":
        return {"true": True, "false": False}.get(text, text)
    if kind == "float":
        try:
            return float(text)
        except ValueError:
            raise InputError(f"a number for {metric}", got=repr(text[:40])) from None
    return text


def react_view(site: Site, key: str) -> Row:
    """Return what may be said of a reply, and what was. Raises NotFound."""
    session = site.session
    ws, objective = session.workspace, session.project.objective
    reply = ledger.get_interaction(ws, key)
    said = {one.metric: one.value for one in ledger.list_feedback(ws, [key])}
    return react_rows(
        session.project.feedback,
        objective,
        current_labels(ws, objective),
        key,
        reply.replies[0] if reply.replies else "",
        said,
    )


def react_rows(
    config: FeedbackConfig,
    objective: Objective,
    labels: Sequence[str],
    key: str,
    reply: str,
    said: dict[str, Json],
) -> Row:
    """Return the buttons and boxes of one reply, with what was said so far."""
    better = said.get(DEMONSTRATION)
    begin = better if better is not None else parse_reply(reply, objective, labels)
    return {
        "id": key,
        "votes": [
            {"metric": name, "value": said.get(name)}
            for name, kind in config.metrics.items()
            if kind == "boolean"
        ],
        "ratings": [
            {"metric": name, "value": said.get(name)}
            for name, kind in config.metrics.items()
            if kind == "float"
        ],
        "comment": said.get(COMMENT),
        "better": better,
        "fields": [] if objective.task == "extract" else form_fields(
            objective, labels, begin, reply
        ),
    }  # fmt: skip
