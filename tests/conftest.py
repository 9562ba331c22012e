"""Fixtures every unit shares."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from metier.core.store.database import Database
from metier.core.workspace import Workspace

POSTGRES_BIN = Path("/usr/lib/postgresql")


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    """An empty workspace on SQLite."""
    with Workspace.create(tmp_path / "project") as made:
        yield made


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """Path of a real data set by name; skips the test where it is not at hand."""
    beside = Path(__file__).resolve().parents[2] / "shared"
    root = Path(os.environ.get("METIER_SHARED", beside)) / "data"

    def find(name: str) -> Path:
        if not (root / name).exists():
            pytest.skip(f"data set {name} is not in {root}; set METIER_SHARED to have it")
        return root / name

    return find


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """URL of a PostgreSQL server made for this session, with no database name in it."""
    found = sorted(POSTGRES_BIN.glob("*/bin")) if POSTGRES_BIN.is_dir() else []
    if not found:
        pytest.skip(f"no PostgreSQL server under {POSTGRES_BIN}")
    folder = Path(tempfile.mkdtemp(prefix="metier-pg-"))
    cluster = _Cluster(found[-1], folder)
    try:
        yield cluster.start()
    finally:
        cluster.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of an empty database, once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'metier.db'}"
        return
    import psycopg

    server = request.getfixturevalue("postgres_server")
    name = f"t{uuid4().hex}"
    plain = server.replace("+psycopg", "")
    with psycopg.connect(f"{plain}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield f"{server}/{name}"
    with psycopg.connect(f"{plain}/postgres", autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A migrated database, once on SQLite and once on PostgreSQL."""
    made = Database(database_url)
    made.migrate()
    yield made
    made.close()


@pytest.fixture
def any_workspace(database_url: str, tmp_path: Path) -> Iterator[Workspace]:
    """An empty workspace, once on SQLite and once on PostgreSQL."""
    with Workspace.create(tmp_path / "project", store_url=database_url) as made:
        yield made


class _Cluster:
    """A throwaway PostgreSQL cluster; the server refuses to run as root, so root steps down."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        self._binaries, self._folder = binaries, folder
        self._as = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> str:
        if self._as:
            shutil.chown(self._folder, "postgres")
        data = self._folder / "data"
        self._run("initdb", "-D", str(data), "-U", "metier", "-A", "trust", "-N", "-E", "UTF8")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        options = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self._folder),
            "fsync": "off",
            "max_connections": "50",
        }
        program = [*self._as, str(self._binaries / "postgres"), "-D", str(data), "-p", str(port)]
        flags = [flag for key, value in options.items() for flag in ("-c", f"{key}={value}")]
        with (self._folder / "server.log").open("wb") as log:
            self._server = subprocess.Popen([*program, *flags], stdout=log, stderr=log)
        self._await(port)
        return f"postgresql+psycopg://metier@127.0.0.1:{port}"

    def stop(self) -> None:
        if self._server is not None:
            self._run("pg_ctl", "stop", "-D", str(self._folder / "data"), "-m", "immediate")
            self._server.wait(timeout=30)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as, str(self._binaries / program), *arguments]
        done = subprocess.run(command, capture_output=True, cwd="/", check=False)
        if done.returncode:
            pytest.skip(f"{program} failed: {done.stderr.decode(errors='replace').strip()}")

    def _await(self, port: int) -> None:
        ready = [str(self._binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
        for _ in range(300):
            if subprocess.run(ready, check=False).returncode == 0:
                return
            time.sleep(0.1)
        pytest.skip("the PostgreSQL server did not come up")
