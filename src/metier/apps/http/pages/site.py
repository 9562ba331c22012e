"""All pages as one router."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request

from metier.apps.http.pages import (
    agree,
    compare,
    data,
    interactions,
    lineage,
    overview,
    panel,
    people,
    prefer,
    react,
    reference,
    runs,
    talk,
    work,
)
from metier.apps.http.pages.csrf import check_token
from metier.apps.http.pages.frame import Site
from metier.journey.session import Session
from metier.serve.gateway import Gateway

PAGES = (
    overview,
    runs,
    compare,
    talk,
    react,
    interactions,
    lineage,
    data,
    people,
    work,
    panel,
    agree,
    prefer,
    reference,
)


def make_pages(session: Session, gateway: Gateway | None = None) -> APIRouter:
    """Return the pages of one project. ``gateway`` None: nothing can be tried here.

    The app mounts ``STATIC`` at ``/static`` beside it.
    """
    site = Site(session, gateway)

    def remember(request: Request) -> None:
        request.state.site = site

    async def check(request: Request) -> None:
        await check_token(request, session.workspace)

    own = [Depends(remember), Depends(check)]
    pages = APIRouter(dependencies=own, include_in_schema=False)
    for page in PAGES:
        pages.include_router(page.router)
    return pages
