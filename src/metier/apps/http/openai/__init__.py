"""The API under /v1: the shapes that clients of the OpenAI API speak, and what metier adds."""

from fastapi import APIRouter, Security

from metier.apps.http.auth import bearer
from metier.apps.http.openai import chat, feedback, models, queue
from metier.apps.http.openai.shapes import ERRORS
from metier.apps.http.served import API

router = APIRouter(prefix=API, dependencies=[Security(bearer)], responses=ERRORS)
for one in (chat, models, feedback, queue):
    router.include_router(one.router)

__all__ = ["router"]
