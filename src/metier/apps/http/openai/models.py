"""GET /v1/models: every name that a question may go to."""

from __future__ import annotations

from fastapi import APIRouter

from metier.apps.http.openai.chat_shapes import ModelList, ModelOut
from metier.apps.http.served import Here
from metier.core.errors import NotFound, nearest

router = APIRouter(tags=["models"])


@router.get("/models")
def list_models(served: Here) -> ModelList:
    """List aliases, releases and upstreams."""
    return ModelList(data=[ModelOut.of(card) for card in served.answering.models()])


@router.get("/models/{model:path}")
def get_model(model: str, served: Here) -> ModelOut:
    """Show one of them."""
    cards = {card.id: card for card in served.answering.models()}
    if model not in cards:
        raise NotFound("a model that is served here", remedy=nearest(model, cards))
    return ModelOut.of(cards[model])
