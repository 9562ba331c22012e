"""/v1/annotation: queues, items and answers of people, for programs and other people's pages.

The rules are those of the pages: a key acts as one person (its own), gets the items of the queues
that this person may work in, sees no answer of others in a blind queue before it is done there, and
cannot reach another person's place.
"""

from fastapi import APIRouter, Security

from metier.apps.http.annotation import items, queues
from metier.apps.http.auth import bearer
from metier.apps.http.openai.shapes import ERRORS
from metier.apps.http.served import API

router = APIRouter(
    prefix=f"{API}/annotation", tags=["annotation"], dependencies=[Security(bearer)],
    responses=ERRORS,
)  # fmt: skip
for one in (queues, items):
    router.include_router(one.router)

__all__ = ["router"]
