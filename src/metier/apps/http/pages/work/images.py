"""Images of items: those that are on the person's own screen, and nothing else that is stored."""

from __future__ import annotations

from typing import Protocol

from fastapi import Response

from metier.core.errors import NotFound
from metier.core.types import Json
from metier.core.workspace import Workspace

MOST_BYTES = 30_000_000
_KINDS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"RIFF", "image/webp"),
)


class Screen(Protocol):
    """Something with a screen: an item, or a person's work on one."""

    @property
    def shown(self) -> Json | None:
        """What is on it."""


def image_of(ws: Workspace, screen: Screen, digest: str) -> Response:
    """The bytes of an image that an item shows. Raises NotFound for any other.

    What is no image of a known kind is not sent, whatever it is called: an SVG could run scripts.
    """
    if digest not in images_of(screen):
        raise NotFound("an image of this item", got="another")
    data = ws.artifacts.get_bytes(digest)
    kind = next((name for mark, name in _KINDS if data.startswith(mark)), None)
    if kind is None or len(data) > MOST_BYTES:
        raise NotFound("an image that can be shown", got=f"{len(data):,} bytes of another kind")
    return Response(data, media_type=kind)


def images_of(screen: Screen) -> set[str]:
    """The artifact ids of an item's images."""
    turns = (screen.shown or {}).get("turns") or []
    return {str(one) for turn in turns for one in turn.get("images") or []}
