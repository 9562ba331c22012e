"""Passwords: what is good enough, and argon2id hashes of them.

Cost as recommended by https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet
(19 MiB, 2 iterations, 1 thread); rules as in NIST SP 800-63B, section 5.1.1.2: length counts,
composition does not.
"""

from __future__ import annotations

import functools
from threading import BoundedSemaphore

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from metier.core.errors import InputError

FEWEST_CHARS = 12
MOST_CHARS = 256
_FEWEST_DIFFERENT = 5
_AT_ONCE = BoundedSemaphore(4)  # each takes 19 MiB


@functools.cache
def _hasher() -> PasswordHash:
    return PasswordHash((Argon2Hasher(time_cost=2, memory_cost=19_456, parallelism=1),))


@functools.cache
def _nobodys() -> str:
    return _hasher().hash("the password of nobody")


def check_new(password: str, *told: str | None) -> None:
    """Raise InputError for a password that is short, uniform, or what was ``told`` beside it."""
    if not FEWEST_CHARS <= len(password) <= MOST_CHARS:
        raise InputError(f"a password of {FEWEST_CHARS} to {MOST_CHARS} characters",
                         got=f"{len(password)}", remedy="several words are easiest")  # fmt: skip
    if len(set(password.casefold())) < _FEWEST_DIFFERENT:
        raise InputError("a password that is not the same few characters", got="one that is")
    names = {one.strip().casefold() for one in told if one}
    if password.strip().casefold() in names:
        raise InputError("a password that is not your name or e-mail", got="one of these")


def hash_password(password: str) -> str:
    """The argon2id hash, with its salt and cost."""
    with _AT_ONCE:
        return _hasher().hash(password)


def is_right(password: str, hashed: str | None) -> bool:
    """Whether the password belongs to the hash; where there is none it takes as long to say no."""
    if len(password) > MOST_CHARS:
        return False
    with _AT_ONCE:
        right = _hasher().verify(password, hashed or _nobodys())
    return right and hashed is not None
