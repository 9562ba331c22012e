"""Sources that are no files of this machine: what counts as an address, and its secrets.

A secret is never written into metier.toml, where it would travel into records and version control;
the address names an environment variable instead, which is looked up only when it is opened:

    path = "postgresql+psycopg://reader:$DB_PASSWORD@db.example.com/tickets"
"""

from __future__ import annotations

import os
import re
from urllib.parse import quote, urlsplit

from metier.core.errors import InputError

HUB = "hub:"
HIDDEN = "***"
_VARIABLE = re.compile(r"\$\{?([A-Z_][A-Z0-9_]*)\}?")
_USER = re.compile(r"(?<=://)(?P<user>[^/@]*?)(?P<secret>:[^/]*)?@(?=[^/@]*(?:/|$))")
_KEYS = re.compile(
    r"(?P<key>[?&][^=&]*(?:pass|pwd|token|secret|sig|cred|key)[^=&]*)=(?P<secret>[^&]*)",
    re.IGNORECASE,
)


def is_address(path: str) -> bool:
    """Whether a source's path is a URL or a data set of the hub, not a file."""
    return "://" in path or path.startswith(HUB)


def scheme(path: str) -> str:
    """Return the scheme of a URL without driver: postgresql of postgresql+psycopg://…."""
    return path.partition("://")[0].partition("+")[0].lower()


def shown(path: str) -> str:
    """Return the address as it may stand in messages and records: without secrets."""
    if not is_address(path):
        return path
    hidden = _USER.sub(lambda m: m["user"] + (f":{HIDDEN}" if m["secret"] else "") + "@", path)
    return _KEYS.sub(lambda m: f"{m['key']}={HIDDEN}", hidden)


def refuse_secrets(path: str) -> None:
    """Raise InputError when a secret is written out in an address."""
    if not is_address(path):
        return
    found = [m["secret"].removeprefix(":") for m in _USER.finditer(path) if m["secret"]]
    found += [m["secret"] for m in _KEYS.finditer(path)]
    if all(not secret or _VARIABLE.fullmatch(secret) for secret in found):
        return
    raise InputError(
        "an address that names its secrets",
        got=f"{shown(path)}, with one written out",
        remedy="write the name of an environment variable in its place, e.g. "
        "user:$DB_PASSWORD@host, and set it where metier runs",
    )


def opened_address(path: str) -> str:
    """Return the address with its variables filled in; only for whoever connects.

    Raises InputError for a variable that is not set.
    """
    refuse_secrets(path)
    start, end = m.span() if (m := _USER.search(path)) else (0, 0)

    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match[1])
        if found is None:
            raise InputError(
                f"the environment variable {match[1]}",
                got=f"{shown(path)}, which names it; it is not set",
                remedy=f"set {match[1]} where metier runs",
            )
        return quote(found, safe="") if start <= match.start() < end else found

    return _VARIABLE.sub(value, path)


def last_part(path: str) -> str:
    """Return the file name at the end of a URL's path."""
    return urlsplit(path).path.rstrip("/").rpartition("/")[2]
