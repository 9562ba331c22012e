"""Models shared by the tests of this unit; read-only, so built once."""

from __future__ import annotations

import pytest

from metier.models.base import TINY, Base, load_base
from tiny_models import tiny_base


@pytest.fixture(scope="session")
def llama() -> Base:
    return tiny_base("llama")


@pytest.fixture(scope="session", params=["llama", "qwen2", "mistral"])
def random_base(request: pytest.FixtureRequest) -> Base:
    return tiny_base(request.param)


@pytest.fixture(scope="session")
def bundled() -> Base:
    return load_base(TINY)
