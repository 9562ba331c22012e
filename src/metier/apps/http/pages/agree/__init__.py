"""Pages of agreement: how far people agree, and what holds where they do not."""

from fastapi import APIRouter

from metier.apps.http.pages.agree import adjudicate, agreement, automatic

router = APIRouter()
for _page in (agreement, automatic, adjudicate):
    router.include_router(_page.router)
