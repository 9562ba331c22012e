"""The fine-tuning API that OpenAI began and others speak: files, jobs, events, checkpoints.

Shapes: platform.openai.com/docs/api-reference/fine-tuning. A refusal that passes (429, 503) is
waited out; a lost answer to something that must not be done twice raises ``Unsure``, and the
caller looks whether it was done. Redirects are not followed: each would be another host.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from metier.core.errors import ModelUnavailable
from metier.core.types import Json

PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
REFUSED = frozenset({425, 429, 503})
"""Of those, the ones that say that nothing was done."""
PAGE = 100
MOST_PAGES = 1000
_QUOTED = re.compile(r"(\"[^\"]*\"|'[^']*'|`[^`]*`)")


class Unsure(Exception):
    """The answer to a request was lost: it may have been carried out."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds: between questions at first and at most, for an answer, and in
    all for a server that does not answer."""

    first_s: float = 2.0
    most_s: float = 60.0
    answer_s: float = 120.0
    give_up_s: float = 1800.0


class HostedApi:
    """One host. ``key_env`` names the environment variable that holds the key."""

    def __init__(
        self,
        url: str,
        key_env: str,
        patience: Patience | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url, self._key_env = url.rstrip("/"), key_env
        self.patience, self._sleep = patience or Patience(), sleep
        key = os.environ.get(key_env, "")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client = httpx.Client(
            headers=headers, timeout=self.patience.answer_s, follow_redirects=False
        )

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def upload(self, name: str, lines: bytes) -> str:
        """Upload a file to train on; return its id. Raises Unsure."""
        files = {"file": (name, lines, "application/jsonl")}
        found = self._once("/files", data={"purpose": "fine-tune"}, files=files)
        return str(found["id"])

    def find_file(self, name: str, size: int) -> str | None:
        """Return the id of a file that was uploaded under a name, with that many bytes."""
        for one in self._pages("/files", {"purpose": "fine-tune"}):
            if one.get("filename") == name and one.get("bytes") == size:
                return str(one["id"])
        return None

    def create(self, body: Mapping[str, Json]) -> dict[str, Json]:
        """Create a job. Raises Unsure."""
        return self._once("/fine_tuning/jobs", json=dict(body))

    def find_job(self, training_file: str) -> dict[str, Json] | None:
        """Return the newest job that trains on a file."""
        for one in self._pages("/fine_tuning/jobs", {}):
            if one.get("training_file") == training_file:
                return one
        return None

    def job(self, job_id: str) -> dict[str, Json]:
        """Return how a job stands."""
        return self._get(f"/fine_tuning/jobs/{job_id}", {})

    def cancel(self, job_id: str) -> dict[str, Json]:
        """Cancel a job; a second time changes nothing."""
        return self._patiently(
            lambda: self._client.post(self._at(f"/fine_tuning/jobs/{job_id}/cancel"))
        )

    def events(self, job_id: str) -> Iterator[dict[str, Json]]:
        """Yield a job's events, newest first."""
        return self._pages(f"/fine_tuning/jobs/{job_id}/events", {})

    def checkpoints(self, job_id: str) -> Iterator[dict[str, Json]]:
        """Yield a job's checkpoints, newest first; none where the host keeps none."""
        return self._pages(f"/fine_tuning/jobs/{job_id}/checkpoints", {}, needed=False)

    def _at(self, path: str) -> str:
        return f"{self.url}{path}"

    def _pages(
        self, path: str, query: Mapping[str, str], *, needed: bool = True
    ) -> Iterator[dict[str, Json]]:
        after: dict[str, str] = {}
        for _ in range(MOST_PAGES):
            try:
                page = self._get(path, {**query, **after, "limit": str(PAGE)})
            except ModelUnavailable:
                if needed:
                    raise
                return
            rows = page.get("data") or []
            yield from rows
            if not page.get("has_more") or not rows:
                return
            after = {"after": str(rows[-1]["id"])}

    def _get(self, path: str, query: Mapping[str, str]) -> dict[str, Json]:
        return self._patiently(lambda: self._client.get(self._at(path), params=dict(query)))

    def _once(self, path: str, **body: Any) -> dict[str, Json]:
        """Send what must not be carried out twice: again only after a plain refusal."""
        waits = self._waits()
        while True:
            try:
                reply = self._client.post(self._at(path), **body)
            except httpx.ConnectError as error:  # nothing was sent
                self._wait(waits, f"no connection ({error})")
                continue
            except httpx.HTTPError as error:
                raise Unsure(type(error).__name__) from error
            if reply.status_code in REFUSED:
                self._wait(waits, _problem(reply), reply)
            elif reply.status_code in PASSING:
                raise Unsure(_problem(reply))
            else:
                return self._read(reply)

    def _patiently(self, send: Callable[[], httpx.Response]) -> dict[str, Json]:
        """Send what may be repeated, until there is an answer."""
        waits = self._waits()
        while True:
            try:
                reply = send()
            except httpx.HTTPError as error:
                self._wait(waits, f"{type(error).__name__}: {error}")
                continue
            if reply.status_code not in PASSING:
                return self._read(reply)
            self._wait(waits, _problem(reply), reply)

    def _read(self, reply: httpx.Response) -> dict[str, Json]:
        if not reply.is_success:
            raise self._unavailable(_problem(reply))
        try:
            found = reply.json()
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise self._unavailable("an answer that is no JSON object")
        return found

    def _waits(self) -> Iterator[float]:
        """Seconds to wait, doubling; it ends when ``give_up_s`` have been waited."""
        waited, wait = 0.0, self.patience.first_s
        while waited < self.patience.give_up_s:
            yield wait
            waited, wait = waited + wait, min(2 * wait, self.patience.most_s)

    def _wait(self, waits: Iterator[float], why: str, reply: httpx.Response | None = None) -> None:
        wait = next(waits, None)
        if wait is None:
            raise self._unavailable(why)
        told = "" if reply is None else reply.headers.get("retry-after", "")
        asked = float(told) if re.fullmatch(r"\d{1,5}(\.\d+)?", told) else 0.0
        self._sleep(max(wait, min(asked, self.patience.most_s)))

    def _unavailable(self, why: str) -> ModelUnavailable:
        return ModelUnavailable(
            f"an answer from the fine-tuning API at {self.url}",
            got=why,
            remedy=f"check the address and the key in {self._key_env}, and run the same command "
            "again: a job that was created goes on meanwhile, and is found again",
        )


def unquoted(text: str) -> str:
    """Return a host's words without what they quote: that may be text of a row."""
    return _QUOTED.sub("…", text)[:200].strip()


def _problem(reply: httpx.Response) -> str:
    """Status and the error's code; the words of a host may repeat a row."""
    try:
        error = reply.json().get("error") or {}
        told = error if isinstance(error, str) else error.get("message") or error.get("code") or ""
    except (ValueError, AttributeError):
        told = ""
    return f"HTTP {reply.status_code} {unquoted(str(told)) or reply.reason_phrase}".strip()
