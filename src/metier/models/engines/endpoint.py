"""EndpointCompleter: a model behind an OpenAI-compatible server (``POST {url}/chat/completions``).

Text leaves this machine here, so every request first passes ``check`` (``privacy.Egress.check``),
which refuses by raising. A request that fails after its retries becomes a Completion with
``error``; what cannot get better by asking again (address, key, model) raises ModelUnavailable.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import httpx

from metier.core.completer import Capabilities, Sampling
from metier.core.errors import ModelUnavailable
from metier.core.types import Completion, Conversation, Json, Timing, Usage, digest

Check = Callable[[str, str, int], None]
"""(url, purpose, number of texts) -> None, or raises EgressRefused."""

RETRIED = frozenset({408, 409, 429, 500, 502, 503, 504})
FATAL = frozenset({400, 401, 403, 404, 405, 422})


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """How to call. ``api_key_env`` names the environment variable that holds the key."""

    purpose: str = "complete"
    api_key_env: str = "OPENAI_API_KEY"
    parallel: int = 4
    attempts: int = 3
    wait_s: float = 1.0
    timeout_s: float = 60.0


class EndpointCompleter:
    """A remote model as a Completer; it generates and streams, and cannot score."""

    def __init__(
        self, url: str, model: str, check: Check, settings: EndpointSettings | None = None
    ) -> None:
        self.url = url.rstrip("/")
        self.model, self._check = model, check
        self.settings = settings or EndpointSettings()

    @property
    def name(self) -> str:
        """The model's name at the endpoint."""
        return self.model

    @property
    def fingerprint(self) -> str:
        """Hash over address and model name; what stands behind them may change unseen."""
        return digest(["endpoint", self.url, self.model])

    @property
    def capabilities(self) -> Capabilities:
        """Streams; neither scores nor continues."""
        return Capabilities(streams=True)

    def complete(
        self, conversations: Sequence[Conversation], sampling: Sampling
    ) -> list[Completion]:
        """Answer each conversation, several at a time, in order."""
        if not conversations:
            return []
        self._check(self.url, self.settings.purpose, len(conversations))
        with self._client() as client:
            # Python waits for a pool's threads before it ends: none where there is no need.
            if len(conversations) == 1 or self.settings.parallel == 1:
                return [self._one(client, asked, sampling) for asked in conversations]
            with ThreadPoolExecutor(self.settings.parallel) as pool:
                return list(pool.map(lambda one: self._one(client, one, sampling), conversations))

    def score(
        self, conversations: Sequence[Conversation], choices: Sequence[str]
    ) -> list[list[float]]:
        """Not possible through this interface."""
        raise NotImplementedError("an endpoint does not give log-probabilities of given texts")

    def stream(
        self, conversation: Conversation, sampling: Sampling
    ) -> Generator[str, None, Completion]:
        """Yield pieces of the reply as the server sends them.

        The generator returns a Completion whose text is left empty: what was yielded is the text.
        """
        self._check(self.url, self.settings.purpose, 1)
        body = {**self._body(conversation, sampling), "stream": True}
        try:
            with (
                self._client() as client,
                client.stream("POST", f"{self.url}/chat/completions", json=body) as reply,
            ):
                if reply.status_code >= 400:
                    reply.read()
                    raise self._unavailable(_problem(reply))
                return (yield from _pieces(_lines(reply.iter_text())))
        except _Unreadable as error:
            raise self._unavailable(str(error)) from None
        except httpx.HTTPError as error:
            raise self._unavailable(f"{type(error).__name__}: {error}") from error

    def _client(self) -> httpx.Client:
        key = os.environ.get(self.settings.api_key_env, "")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return httpx.Client(headers=headers, timeout=self.settings.timeout_s)

    def _body(self, conversation: Conversation, sampling: Sampling) -> dict[str, Json]:
        body: dict[str, Json] = {
            "model": self.model,
            "messages": [{"role": m.role, "content": m.text} for m in conversation.messages],
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
        }
        if sampling.stop:
            body["stop"] = list(sampling.stop)
        if sampling.seed is not None:
            body["seed"] = sampling.seed
        return body

    def _one(self, client: httpx.Client, asked: Conversation, sampling: Sampling) -> Completion:
        start, why = time.perf_counter(), ""
        for attempt in range(self.settings.attempts):
            if attempt:
                time.sleep(self.settings.wait_s * 2 ** (attempt - 1))
            try:
                reply = client.post(
                    f"{self.url}/chat/completions", json=self._body(asked, sampling)
                )
            except httpx.ConnectError as error:
                raise self._unavailable(f"no connection ({error})") from error
            except httpx.HTTPError as error:
                why = f"{type(error).__name__}: {error}"
                continue
            if reply.status_code in FATAL:
                raise self._unavailable(_problem(reply))
            if reply.is_success:
                return _completion(reply, time.perf_counter() - start)
            why = _problem(reply)
            if reply.status_code not in RETRIED:
                break
        return Completion("", "error", timing=Timing(time.perf_counter() - start), error=why)

    def _unavailable(self, why: str) -> ModelUnavailable:
        return ModelUnavailable(
            f"the model {self.model!r} at {self.url}",
            got=why,
            remedy=f"check the address, the model's name and the key in "
            f"{self.settings.api_key_env}",
        )


class _Unreadable(Exception):
    """What came is not what such a server sends."""


def _completion(reply: httpx.Response, seconds: float) -> Completion:
    timing = Timing(seconds)
    try:
        body = reply.json()
        choice = body["choices"][0]
        text = _text(choice["message"]["content"])
        finish, usage = choice.get("finish_reason"), _usage(body.get("usage"))
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return Completion(
            "", "error", timing=timing, error=f"no choices in the reply: {reply.text[:200]}"
        )
    return Completion(text, "length" if finish == "length" else "stop", usage, timing)


def _problem(reply: httpx.Response) -> str:
    return f"HTTP {reply.status_code}: {reply.text[:200].strip() or reply.reason_phrase}"


def _lines(parts: Iterable[str]) -> Iterator[str]:
    """Cut at line feeds only; ``splitlines`` also cuts at characters that stand in texts."""
    rest = ""
    for part in parts:
        *whole, rest = (rest + part).split("\n")
        yield from whole
    yield rest


def _pieces(lines: Iterator[str]) -> Generator[str, None, Completion]:
    """Read server-sent events: ``data: {...}`` lines up to ``data: [DONE]``."""
    finish: Literal["stop", "length"] | None = None
    used: Any = None
    for line in lines:
        if not line.startswith("data:"):
            continue
        data = line[5:].strip()
        if data == "[DONE]":
            return Completion("", finish or "stop", _usage(used))
        try:
            event = json.loads(data)
            if event.get("error"):
                raise _Unreadable(f"an error in the stream: {event['error']}"[:200])
            used = event.get("usage") or used
            choices = event.get("choices") or []
            said = [_text((choice.get("delta") or {}).get("content")) for choice in choices]
            ends = [choice.get("finish_reason") for choice in choices]
        except (ValueError, TypeError, AttributeError):
            raise _Unreadable(f"no event: {data[:200]}") from None
        yield from filter(None, said)
        for end in filter(None, ends):
            finish = "length" if end == "length" else "stop"
    if finish is None:
        raise _Unreadable("a stream that broke off")
    return Completion("", finish, _usage(used))


def _text(content: Any) -> str:
    """The text of a reply, without halves of surrogate pairs: no answer could be encoded with
    them. Raises TypeError for what is no text."""
    if not isinstance(content, str | None):
        raise TypeError(type(content).__name__)
    return (content or "").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _usage(used: Any) -> Usage:
    counts = used if isinstance(used, dict) else {}
    asked, answered = counts.get("prompt_tokens"), counts.get("completion_tokens")
    return Usage(*(one if isinstance(one, int) else 0 for one in (asked, answered)))
