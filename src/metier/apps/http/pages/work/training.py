"""Training rounds of queues: who passed, and letting in who did not."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Form, Response

from metier.apps.http.pages.allowed import Who, may
from metier.apps.http.pages.frame import Here, PageRoute, Row, Site, go
from metier.queue import Queue
from metier.queue.training import admit, training_states

router = APIRouter(route_class=PageRoute, dependencies=[may("build")])


@router.post("/queues/{name}/admit")
def let_in(
    site: Here, who: Who, name: str, person: Annotated[str, Form(max_length=100)]
) -> Response:
    """Let somebody into the work who did not pass."""
    admit(site.session.workspace, name, person, who.id)
    return go(f"/queues/{quote(name)}")


def trained_rows(site: Site, queue: Queue) -> list[Row]:
    """How everybody does in the training round, those who are stuck first."""
    if not (queue.settings or {}).get("training"):
        return []
    rows: list[Row] = []
    for who, state in training_states(site.session.workspace, queue.name).items():
        stuck = not state.passed and not state.left
        words = "let in" if state.passed else "not passed" if stuck else "under way"
        if state.passed and state.right >= state.bar * state.asked:
            words = "passed"
        rows.append(
            {
                "who": who,
                "right": state.right,
                "given": state.asked,
                "state": words,
                "stuck": stuck,
                "pill": "good" if state.passed else "bad" if stuck else "unsure",
            }
        )
    return sorted(rows, key=lambda row: not row["stuck"])
