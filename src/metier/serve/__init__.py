"""Serve releases: answer requests in batches and keep every reply."""

from metier.serve.config import ServeConfig, Upstream
from metier.serve.engines import OpenRelease
from metier.serve.gateway import Gateway
from metier.serve.streams import ReplyStream
from metier.serve.types import ChatReply, ChatRequest, Choice, ModelCard, Piece

__all__ = [
    "ChatReply",
    "ChatRequest",
    "Choice",
    "Gateway",
    "ModelCard",
    "OpenRelease",
    "Piece",
    "ReplyStream",
    "ServeConfig",
    "Upstream",
]
