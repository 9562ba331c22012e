"""/preferences: what panels said, previewed, frozen as data, and tuned on."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Query, Request, Response
from pydantic import BaseModel, Field

from metier.apps.http.pages.allowed import Who, may
from metier.apps.http.pages.frame import Here, PageRoute, Row, Site, go, is_partial, show
from metier.core import ledger
from metier.core.errors import UserError
from metier.core.records import DataVersion
from metier.core.types import Json
from metier.journey.preferred import Wanted, preference_panels
from metier.journey.preferring import Preview, Start, freeze, preview, start_tune
from metier.review.pairs import Terms

router = APIRouter(route_class=PageRoute, dependencies=[may("build")])
SHOWN = 5
RUNS = 20


class Asked(BaseModel):
    """What the form of the page holds."""

    panel: list[str] = []
    kind: Literal["dpo", "kto"] = "dpo"
    least_margin: float = Field(0.5, ge=0, le=4, allow_inf_nan=False)
    least_raters: int = Field(2, ge=1, le=100)
    most_disagreement: float = Field(0.5, ge=0, le=1, allow_inf_nan=False)
    wanted_at: float = Field(4.0, ge=1, le=5, allow_inf_nan=False)
    unwanted_at: float = Field(2.5, ge=1, le=5, allow_inf_nan=False)
    severity: bool = False
    written: bool = False
    allow_test: bool = False
    sent: bool = False
    """Whether somebody filled the form in: a box that is not ticked is not sent."""

    def wanted(self) -> Wanted:
        """What is asked for."""
        terms = Terms(
            self.least_margin,
            self.least_raters,
            self.most_disagreement,
            self.wanted_at,
            self.unwanted_at,
            self.severity or not self.sent,
            self.written or not self.sent,
        )
        return Wanted(tuple(self.panel), self.kind, terms, self.allow_test)


class StartForm(BaseModel):
    """How the tune begins."""

    kind: Literal["dpo", "kto"]
    start_from: str = Field("", max_length=100)
    lr: float | None = Field(None, gt=0, lt=1, allow_inf_nan=False)
    csrf: str = ""


@router.get("/preferences")
def preferences_page(request: Request, site: Here, asked: Annotated[Asked, Query()]) -> Response:
    """Show what the panels' answers come to on these terms."""
    name = "prefer/found.html.j2" if is_partial(request) else "prefer/page.html.j2"
    return show(request, name, **page_view(site, asked))


@router.post("/preferences/freeze")
def freeze_preferences(
    request: Request, site: Here, who: Who, asked: Annotated[Asked, Form()]
) -> Response:
    """Freeze what is shown as a data version."""
    made = freeze(site.session, asked.wanted(), who.id).version
    assert made is not None
    return go(f"/preferences/{made.id}")


@router.get("/preferences/{version}")
def frozen_page(request: Request, site: Here, version: str) -> Response:
    """Show a frozen version and offer to tune on it."""
    found = ledger.get_version(site.session.workspace, version)
    return show(request, "prefer/frozen.html.j2", **frozen_view(site, found))


@router.get("/preferences/{version}/forecast")
def forecast_part(request: Request, site: Here, version: str, kind: str = "dpo") -> Response:
    """Say what the tune would take; counted from shapes, as nobody waits for a page."""
    found = ledger.get_version(site.session.workspace, version)
    return show(request, "prefer/forecast.html.j2", **forecast_view(site, found, kind))


@router.post("/preferences/{version}/tune")
def tune_preferences(
    request: Request, site: Here, version: str, form: Annotated[StartForm, Form()]
) -> Response:
    """Queue the tune; a worker runs it, and the runs page shows it."""
    start_tune(site.session, version, Start(form.kind, form.start_from, form.lr))
    return go("/runs")


def page_view(site: Site, asked: Asked) -> Row:
    """All that the page shows."""
    ws = site.session.workspace
    panels = preference_panels(ws)
    found: Preview | None = None
    problem: UserError | None = None
    if panels:
        try:
            found = preview(site.session, asked.wanted(), SHOWN)
        except UserError as error:
            problem = error
    chosen = set(asked.panel) or {one.name for one in panels}
    wanted = asked.wanted()
    return {
        "panels": [{"name": p.name, "title": p.title, "chosen": p.name in chosen} for p in panels],
        "asked": asked,
        "terms": wanted.terms,
        "found": found,
        "problem": problem,
        "frozen": frozen_rows(site),
    }


def frozen_rows(site: Site) -> list[Row]:
    """Versions of preferences, the newest first."""
    versions = ledger.list_versions(site.session.workspace)
    return [
        {"version": one, "about": one.card["preferences"]}
        for one in reversed(versions)
        if "preferences" in one.card
    ][:RUNS]


def frozen_view(site: Site, version: DataVersion) -> Row:
    """A frozen version, the runs that it can start from, and those that learned from it."""
    ws, tune = site.session.workspace, site.session.project.tune
    runs = [one for one in ledger.list_runs(ws) if one.adapter is not None]
    own = [one for one in ledger.list_runs(ws) if one.version_id == version.id]
    about: Json = version.card.get("preferences", {})
    waiting = [
        job
        for job in ws.jobs.list()
        if job.name == "tune"
        and job.config.get("version") == version.id
        and job.state in ("queued", "running")
    ]
    return {
        "version": version,
        "about": about,
        "runs": runs[-RUNS:][::-1],
        "own": own[::-1],
        "waiting": waiting,
        "lr": None if tune.lr == "auto" else tune.lr,
        "kind": about.get("kind", "dpo"),
    }


def forecast_view(site: Site, version: DataVersion, kind: str) -> Row:
    """Time and memory of the tune in words, or why they cannot be told."""
    from metier.apps.http.pages.prefer.forecast import told_forecast

    key: Any = ("forecast", version.id, kind, site.session.project.tune.model_dump_json())
    return site.keep(key, lambda: told_forecast(site.session, version, kind))
