"""Pages of review panels: the list, a rater's desk, results."""

from fastapi import APIRouter

from metier.apps.http.pages.panel import listing, rating, results

router = APIRouter()
for _page in (listing, results, rating):
    router.include_router(_page.router)
