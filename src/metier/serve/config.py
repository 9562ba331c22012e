"""The section ``[serve]``: how replies are given."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import Field, model_validator

from metier.core.objective import Section

_TAKEN = re.compile(r"champion|challenger|previous|latest|v\d+|rel_.*")


class Upstream(Section):
    """One OpenAI-compatible server that answers in place of a model of this machine."""

    name: str = Field(min_length=1, pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$")
    """Name under which clients ask for it."""
    url: str
    """Address up to and including /v1, e.g. http://127.0.0.1:11434/v1; [privacy.egress] must permit
    its host for the purpose "serve"."""
    model: str
    """The model's name at that server."""
    api_key_env: str = "OPENAI_API_KEY"
    """Environment variable that holds the key for it."""


class ServeConfig(Section):
    """How replies are given, and to whom."""

    host: str = "127.0.0.1"
    """Address to bind; any but a loopback address demands an owner's account and API keys."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8421
    """Port to bind; 0: any free one, which is printed."""
    public_url: Annotated[str, Field(pattern=r"^https?://[^/\s?#@]+$")] | None = None
    """Address that browsers reach it under where a proxy stands in front, e.g.
    https://metier.example.com; the proxy sets X-Forwarded-For, and there must be an owner."""
    require_key: bool = False
    """Ask for an API key on loopback too."""
    max_body_bytes: Annotated[int, Field(ge=1024)] = 1_000_000
    """Largest request body, in bytes; a larger one gets 413."""
    max_waiting: Annotated[int, Field(ge=1)] = 256
    """Requests that may wait for an answer; one more gets 429 with Retry-After."""
    max_batch: Annotated[int, Field(ge=1)] = 32
    """Most requests answered in one batch."""
    batch_wait_ms: Annotated[float, Field(ge=0, le=1000)] = 5.0
    """How long the first request of a batch waits for others, in milliseconds."""
    max_choices: Annotated[int, Field(ge=1)] = 8
    """Largest n of one request."""
    max_new_tokens: Annotated[int, Field(ge=1)] = 512
    """Most tokens of one reply; also the default where a request names none and the release has
    no limit of its own."""
    timeout_s: Annotated[float, Field(gt=0)] = 60.0
    """Seconds until a request that has not been answered gets 504."""
    drain_s: Annotated[float, Field(ge=0)] = 30.0
    """Seconds that running requests have to end once the server is asked to stop."""
    keep_loaded: Annotated[int, Field(ge=1)] = 3
    """Releases kept in memory; the one that was asked for longest ago goes first."""
    upstream: list[Upstream] = Field(default_factory=list)
    """Servers that answer in place of a model of this machine, each an [[serve.upstream]] table."""

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [one.name for one in self.upstream]
        if any(_TAKEN.fullmatch(name) for name in names) or len(set(names)) != len(names):
            raise ValueError("each upstream needs a name of its own, not one that releases have")
        return self
