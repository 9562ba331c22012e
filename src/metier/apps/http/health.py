"""Whether the server lives, and whether it may take traffic."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from metier.apps.http.errors import ErrorBody, failure
from metier.apps.http.served import RETRY_WHEN_STOPPING_S, Here

router = APIRouter(tags=["health"])


class State(BaseModel):
    """How the server is."""

    status: Literal["ok"] = "ok"


@router.get("/health")
async def health() -> State:
    """Say that the process answers."""
    return State()


@router.get("/ready", response_model=State, responses={503: {"model": ErrorBody}})
async def ready(served: Here) -> State | JSONResponse:
    """Say whether requests should be sent here: 503 while a model loads and while it stops."""
    if served.ready:
        return State()
    wait = {"Retry-After": str(RETRY_WHEN_STOPPING_S)}
    reason = "stopping" if served.draining else "loading a model"
    return failure(503, f"not ready: {reason}", headers=wait)
