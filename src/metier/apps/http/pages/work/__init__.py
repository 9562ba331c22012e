"""Pages of people who label: their queues, the desk, guidelines."""

from fastapi import APIRouter

from metier.apps.http.pages.work import desk, guidelines, queues, training

router = APIRouter()
for _page in (queues, training, desk, guidelines):
    router.include_router(_page.router)
