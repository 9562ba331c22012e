"""The paths of the way in, and what a post's token is made from where nobody logs in."""

from __future__ import annotations

HOME, START, LOGIN, ACCOUNT = "/", "/start", "/login", "/account"
STATIC = "/static/"
OPEN_PAGES = (LOGIN, "/join", START, "/oidc")
MACHINE = "this machine"


def is_open(path: str) -> bool:
    """Whether a page may be seen before one has logged in."""
    return any(path == one or path.startswith(f"{one}/") for one in OPEN_PAGES)


def local_path(wanted: str) -> str:
    """Return ``wanted`` where it is a path of this server, else the start page: a link to the
    login cannot lead on to another site."""
    plain = wanted.isprintable() and "\\" not in wanted
    local = wanted.startswith("/") and not wanted.startswith("//") and plain
    return wanted if local and not is_open(wanted.partition("?")[0]) else HOME
