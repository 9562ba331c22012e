"""Which parts are served."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from http_desk import HERE, gateway_of, opened
from metier.apps.http.app import Part, api_schema, load_base_of, make_app
from metier.apps.http.server import bind, server_config, url_of
from serve_fakes import FakeModel


@pytest.mark.parametrize(
    ("only", "pages", "api"), [(None, 200, 200), ("web", 200, 404), ("api", 404, 200)]
)
def test_the_parts(tmp_path: Path, only: Part | None, pages: int, api: int) -> None:
    with opened(tmp_path) as session:
        gateway = gateway_of(session, FakeModel())
        with TestClient(make_app(session, only, gateway=gateway), base_url=HERE) as client:
            assert client.get("/").status_code == pages
            assert client.get("/static/app.css").status_code == pages
            assert client.get("/v1/models").status_code == api
            assert client.get("/ready").status_code == client.get("/health").status_code == 200


def test_the_schema_names_every_error_and_the_key() -> None:
    schema = api_schema()
    for path, operations in schema["paths"].items():
        for operation in operations.values():
            if path.startswith("/v1"):
                declared = set(operation["responses"])
                assert declared >= {"401", "403", "404", "413", "422", "429", "503", "504"}
                assert operation["security"] == [{"HTTPBearer": []}]
    assert not any(path.startswith("/runs") for path in schema["paths"])


def test_a_base_beside_the_project_is_found_by_its_relative_path(tmp_path: Path) -> None:
    from metier.core.errors import ModelUnavailable

    with opened(tmp_path) as session:
        (tmp_path / "bases" / "mine").mkdir(parents=True)
        with pytest.raises(ModelUnavailable, match=str(tmp_path / "bases" / "mine")):
            load_base_of(session, "bases/mine")


def test_addresses() -> None:
    for host in ("127.0.0.1", "localhost"):
        with bind(host, 0) as taken:
            assert url_of(taken).startswith("http://127.0.0.1:")


def test_the_server_speaks_plain_http_and_logs_nothing_itself(tmp_path: Path) -> None:
    with opened(tmp_path) as session:
        config = server_config(make_app(session, "api"))
    assert (config.http, config.ws, config.proxy_headers) == ("h11", "none", False)
    assert config.log_config is None and not config.access_log


ONLY_THE_API = """
import sys
from pathlib import Path
from fastapi.testclient import TestClient
from http_desk import HERE, IdleGateway, opened
import metier.apps.cli, metier.apps.http.server
from metier.apps.http.app import make_app

with opened(Path(sys.argv[1])) as session:
    with TestClient(make_app(session, "api", gateway=IdleGateway()), base_url=HERE) as client:
        codes = [client.get(path).status_code for path in ("/health", "/", "/login", "/queues")]
        codes.append(client.get("/v1/annotation/queues").status_code)
print(codes, [name for name in sys.modules if name.startswith("metier.apps.http.pages")])
"""


def test_the_api_alone_loads_no_page(tmp_path: Path) -> None:
    tests = Path(__file__).parents[2]
    found = subprocess.run(
        [sys.executable, "-c", ONLY_THE_API, str(tmp_path)],
        capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": _path(tests)},
    )  # fmt: skip
    assert found.stdout.strip() == "[200, 404, 404, 404, 401] []"


def _path(tests: Path) -> str:
    return os.pathsep.join([str(tests), *filter(None, [os.environ.get("PYTHONPATH")])])
