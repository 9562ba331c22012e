"""A browser for the tests of the pages; without one they are skipped, and say why."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from browser.desk_site import FakeGateway, client_of, make_session
from metier.journey.session import Session


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    """Closed after each module: its event loop and those of other tests do not mix."""
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    from browser.shots import CHROMIUM, chromium

    if not CHROMIUM.exists():
        pytest.skip(f"no browser at {CHROMIUM}")
    with chromium() as opened:
        yield opened


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Session]]:
    """Makes sessions of the desk, and closes them."""
    made: list[Session] = []

    def one(stage: str, **more: str) -> Session:
        made.append(make_session(tmp_path / f"desk{len(made)}", stage, **more))
        return made[-1]

    yield one
    for session in made:
        session.workspace.close()


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """The desk after two cycles, for tests that only look."""
    session = make_session(tmp_path_factory.mktemp("desk"), "cycles")
    yield session
    session.workspace.close()


@pytest.fixture
def client(desk: Session) -> Iterator[TestClient]:
    """A client of that desk's pages, with models that answer."""
    with client_of(desk, FakeGateway(desk.workspace)) as made:
        yield made
