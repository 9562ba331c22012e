"""A workspace is made once, opened often, and refuses what would lose something."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from metier.core.errors import Busy, IntegrityError, NotFound
from metier.core.workspace import Workspace


def test_the_layout(tmp_path: Path) -> None:
    with Workspace.create(tmp_path) as made:
        made.artifacts.put_bytes(b"x")
        assert made.root == tmp_path
        assert made.work_dir.is_dir()
        found = {path.name for path in (tmp_path / ".metier").iterdir()}
    assert {"metier.db", "artifacts", "key", "work", "logs", ".gitignore"} <= found
    assert (tmp_path / ".metier" / ".gitignore").read_text() == "*\n"


def test_what_is_stored_is_there_when_opened_again(database_url: str, tmp_path: Path) -> None:
    with Workspace.create(tmp_path, store_url=database_url) as made:
        row, digest = made.sealed.seal("Ann", b"x"), made.artifacts.put_bytes(b"y")
    with Workspace.open(tmp_path, store_url=database_url) as opened:
        assert opened.sealed.open(row, actor="mara", purpose="p") == b"x"
        assert opened.artifacts.get_bytes(digest) == b"y"


def test_making_it_twice_completes_and_keeps(tmp_path: Path) -> None:
    with Workspace.create(tmp_path) as made:
        made.audit.append("mara", "x", "y")
    key = (tmp_path / ".metier" / "key").read_bytes()
    with Workspace.create(tmp_path) as again:
        assert len(again.audit.entries()) == 1
    with Workspace.open_or_create(tmp_path) as third:
        assert len(third.audit.entries()) == 1
    assert (tmp_path / ".metier" / "key").read_bytes() == key


def test_several_may_make_it_at_once(tmp_path: Path) -> None:
    failed: list[BaseException] = []

    def make() -> None:
        try:
            Workspace.open_or_create(tmp_path).close()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def test_no_workspace_names_the_remedy(tmp_path: Path, database_url: str) -> None:
    for url in (None, database_url):
        with pytest.raises(NotFound, match="run metier init there"):
            Workspace.open(tmp_path, store_url=url)
    assert list(tmp_path.glob(".metier")) == []


def test_a_half_made_workspace_is_completed(tmp_path: Path) -> None:
    Workspace.create(tmp_path).close()
    for path in (tmp_path / ".metier").glob("metier.db*"):
        path.unlink()
    (tmp_path / ".metier" / "metier.db").touch()
    (tmp_path / ".metier" / "key").unlink()
    with pytest.raises(NotFound, match="not made to its end"):
        Workspace.open(tmp_path)
    with Workspace.open_or_create(tmp_path) as made:
        assert made.audit.verify().ok


def test_a_lost_or_foreign_key_is_refused(database_url: str, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    Workspace.create(first, store_url=database_url).close()
    with pytest.raises(IntegrityError, match="copy it from where the workspace was made"):
        Workspace.create(second, store_url=database_url)
    assert not (second / ".metier" / "key").exists()
    (first / ".metier" / "key").rename(second / ".metier" / "key")
    Workspace.open(second, store_url=database_url).close()
    with pytest.raises(IntegrityError, match="the workspace's key"):
        Workspace.open(first, store_url=database_url)


def test_artifacts_may_lie_elsewhere(tmp_path: Path) -> None:
    with Workspace.create(tmp_path, artifacts_url="memory://elsewhere") as made:
        digest = made.artifacts.put_bytes(b"x", "text/plain")
        assert made.artifacts.get_bytes(digest) == b"x"
    assert not (tmp_path / ".metier" / "artifacts").exists()


def test_two_commands_at_once_the_second_is_told_who_holds_it(workspace: Workspace) -> None:
    code = (
        "import sys, time\n"
        "from metier.core.workspace import Workspace\n"
        "def work(context):\n    print('held', flush=True)\n    time.sleep(60)\n"
        "Workspace.open(sys.argv[1]).jobs.run_inline('data build', {}, work, exclusive='data')\n"
    )
    command = [sys.executable, "-c", code, str(workspace.root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == "held\n"
            with pytest.raises(Busy, match=rf"data build .* process {other.pid} on .* since"):
                workspace.jobs.run_inline("data build", {}, lambda _: 1, exclusive="data")
            workspace.audit.append("mara", "note", "others may still write")
        finally:
            other.kill()
    assert workspace.jobs.run_inline("data build", {}, lambda _: 1, exclusive="data") == 1


@pytest.mark.parametrize("module", ["workspace", "ledger", "config", "jobs", "progress"])
def test_core_loads_nothing_heavy(module: str) -> None:
    code = (
        f"import sys, metier.core.{module}\n"
        "heavy = {'torch', 'transformers', 'pandas', 'sklearn', 'scipy', 'numpy', 'pyarrow',"
        " 'alembic', 'fsspec'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
