"""Addresses of the network: e-mail, URLs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from metier.privacy.types import Finding

_URL = re.compile(r"(?i:https?|ftp)://[^\s<>\"'\])}]+")
_USERINFO = re.compile(r"://[^/?#\s]*@")
# Names and words are matched apart: one pattern for both would take quadratic time.
_QUERY_NAME = re.compile(r"[?&#;]([\w.-]+)=(?=[^&#;\s])")
_USER_NAME = re.compile(
    r"user|mail|token|session|password|passwd|secret|apikey|api_key|auth|phone"
    r"|customer|account|patient|^(?:pwd|sid|uid|key|sig|name|ssn|dob|code)$",
    re.IGNORECASE,
)


def personal_urls(text: str) -> Iterator[Finding]:
    """Yield addresses that carry user data: a name before @, or a query field named so."""
    if "://" not in text:
        return
    for match in _URL.finditer(text):
        url = match.group().rstrip(".,;:!?")
        if _USERINFO.search(url) or _carries_user_data(url):
            yield Finding(match.start(), match.start() + len(url), "url")


def _carries_user_data(url: str) -> bool:
    return any(_USER_NAME.search(name) for name in _QUERY_NAME.findall(url))


_LOCAL = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}$")
_DOMAIN = re.compile(r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.)+[^\W\d_]{2,24}")
_SPELT_OUT = re.compile(
    r"\b[\w.+-]{2,40}\s?[\[(]\s?at\s?[\])]\s?[\w-]{2,40}(?:\s?[\[(]\s?dot\s?[\])]\s?|\.)[a-z]{2,24}\b",
    re.IGNORECASE,
)


def emails(text: str) -> Iterator[Finding]:
    """Yield e-mail addresses, also spelt out with (at) and (dot)."""
    at = text.find("@")
    while at >= 0:
        local = _LOCAL.search(text[max(0, at - 64) : at])
        domain = _DOMAIN.match(text, at + 1)
        if local and domain:
            name = local.group().lstrip("'*`{|~=/.")
            if name:
                yield Finding(at - len(name), domain.end(), "email")
        at = text.find("@", at + 1)
    if "at)" in text or "at]" in text or "AT)" in text or "at )" in text:
        for match in _SPELT_OUT.finditer(text):
            yield Finding(match.start(), match.end(), "email")


# Bare host names: only under domains that are not also endings of files or abbreviations.
_HOST_END = re.compile(
    r"\.(?:com|org|net|edu|gov|mil|int|info|biz|app|dev|online|shop|site|store|tech|xyz|io"
    r"|(?:co|org|ac|gov|nhs|com|net)\.[a-z]{2}|de|fr|es|it|nl|be|ch|at|dk|se|no|fi|pl|cz|pt|ie|eu|us|ca|uk)"
    r"(?![\w@-])(?:/[^\s<>\"'\])}]*)?",
    re.IGNORECASE,
)
_HOST_START = re.compile(
    r"(?<![\w@./-])(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.){0,4}[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$",
    re.IGNORECASE,
)
_WWW = re.compile(
    r"[wW](?<![\w@./-].)[wW][wW]\.(?:[\w-]{1,63}\.)+[A-Za-z]{2,24}(?:[/?#][^\s<>\"'\])}]*)?"
)
_ENDING_MARKS = ".,;:!?"


def urls(text: str) -> Iterator[Finding]:
    """Yield every address with a scheme."""
    if "://" in text:
        for match in _URL.finditer(text):
            yield Finding(
                match.start(), match.start() + len(match.group().rstrip(_ENDING_MARKS)), "url"
            )


def hosts(text: str) -> Iterator[Finding]:
    """Yield host names: www.…, and those under well-known domains."""
    for match in _WWW.finditer(text) if "ww." in text or "WW." in text else ():
        yield Finding(
            match.start(), match.start() + len(match.group().rstrip(_ENDING_MARKS)), "domain"
        )
    for match in _HOST_END.finditer(text):
        start = _HOST_START.search(text, max(0, match.start() - 80), match.start())
        if start:
            end = match.start() + len(match.group().rstrip(_ENDING_MARKS))
            yield Finding(start.start(), end, "domain")


_HANDLE = re.compile(r"(?<![\w@./])@[A-Za-z]\w{2,29}(?![\w@]|\.\w)")


def handles(text: str) -> Iterator[Finding]:
    """Yield user names with @ before them."""
    if "@" in text:
        for match in _HANDLE.finditer(text):
            yield Finding(match.start(), match.end(), "handle")
