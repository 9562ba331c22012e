"""Egress: the one check that every text passes before it leaves the machine.

Endpoints, judges and exporters call ``check`` before each request; without a matching
``[[privacy.egress]]`` entry it raises. Loopback addresses count as outgoing too: what listens
there may be a tunnel. A client must not follow redirects, or check each hop.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any, Protocol
from urllib.parse import SplitResult, urlsplit

from metier.core.errors import EgressRefused, InputError
from metier.privacy.config import EgressEntry, PrivacyConfig

_PORTS = {"http": 80, "https": 443}
# Browsers and HTTP clients disagree on which host such a URL names.
_AMBIGUOUS = re.compile(r"[\s\\\x00-\x1f\x7f]")


class AuditSink(Protocol):
    """What the check writes to; ``metier.core.audit.Audit`` is one."""

    def append(self, actor: str | None, action: str, subject: str, detail: Any) -> Any:
        """Append one entry."""
        ...


class Egress:
    """Decides, counts and audits. ``counts[host, purpose]`` is the number of texts let out."""

    def __init__(self, config: PrivacyConfig, audit: AuditSink | None = None) -> None:
        self._entries, self._audit = config.egress, audit
        self.counts: Counter[tuple[str, str]] = Counter()

    def check(self, url: str, purpose: str, texts: int = 1) -> EgressEntry:
        """Return the entry that lets ``texts`` texts go to ``url`` for ``purpose``.

        The audit log gets host, purpose and count; never the text, path or query.
        Raises EgressRefused naming host, purpose and the lines that would permit it.
        """
        host, port = _host_port(url)
        entry = next((e for e in self._entries if _permits(e, host, port, purpose)), None)
        detail = {"purpose": purpose, "texts": texts}
        if entry is None:
            self._record("egress.refused", host, detail)
            raise _refusal(host, purpose, self._entries)
        self.counts[host, purpose] += texts
        self._record("egress.allowed", host, {**detail, "agreement": entry.agreement})
        return entry

    def _record(self, action: str, host: str, detail: dict[str, Any]) -> None:
        if self._audit is not None:
            self._audit.append(None, action, host, detail)


def _host_port(url: str) -> tuple[str, int | None]:
    parts: SplitResult | None
    try:
        parts = None if _AMBIGUOUS.search(url) else urlsplit(url)
        host = parts.hostname if parts else None
        port = parts.port if parts else None
    except ValueError:
        parts, host, port = None, None, None
    if parts is None or not host or parts.scheme not in _PORTS:
        raise InputError(
            "a URL such as https://api.example.com/v1",
            got=repr(url.split("?")[0][:200]),
            remedy="write scheme and host",
        )
    return _normal(host), port or _PORTS[parts.scheme]


def _normal(host: str) -> str:
    return host.strip("[]").rstrip(".").lower()


def _permits(entry: EgressEntry, host: str, port: int | None, purpose: str) -> bool:
    if entry.purpose != purpose:
        return False
    allowed = entry.host.lower()
    if _normal(allowed) == host:
        return True
    name, colon, number = allowed.rpartition(":")
    return bool(colon) and number == str(port) and _normal(name) == host


def _refusal(host: str, purpose: str, entries: list[EgressEntry]) -> EgressRefused:
    others = sorted({entry.purpose for entry in entries if _normal(entry.host) == host})
    permitted = f"; it is permitted for {', '.join(others)} only" if others else ""
    return EgressRefused(
        f"a permission to send text to {host} for {purpose}",
        got=f"no [privacy.egress] entry with this host and purpose{permitted}",
        remedy=(
            "if an agreement covers it, add to metier.toml:\n"
            f'[[privacy.egress]]\nhost = "{host}"\npurpose = "{purpose}"\n'
            'agreement = "<reference of the agreement>"'
        ),
    )
