"""Serve releases: answer requests in batches and keep every reply."""

from metier.serve.config import ServeConfig, Upstream
from metier.serve.engines import OpenRelease
from metier.serve.gateway import Gateway
from metier.serve.keys import ApiKey, check_key, create_key, list_keys, revoke_key
from metier.serve.streams import ReplyStream
from metier.serve.types import ChatReply, ChatRequest, Choice, ModelCard, Piece

__all__ = [
    "ApiKey",
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
    "check_key",
    "create_key",
    "list_keys",
    "revoke_key",
]
