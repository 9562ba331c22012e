"""Builds of more rows than memory holds: the same version, bounded memory, nothing left behind."""

import base64
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from random import Random
from string import ascii_letters

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_examples import CLASSIFY, GOOD, MESSY, settings_of, write
from metier.core import ledger
from metier.core.errors import OutOfSpace
from metier.core.progress import Progress
from metier.core.workspace import Workspace
from metier.data.build import build
from metier.data.preview import preview

TESTS = Path(__file__).parents[1]
ONE_THREAD = {"OMP_NUM_THREADS": "1"}


@pytest.fixture
def messy(tmp_path: Path) -> Path:
    return write(tmp_path / "data", GOOD + MESSY)


@pytest.fixture(autouse=True)
def one_key(monkeypatch):
    """Groups are keyed by the workspace's key, and with them the hash of a version."""
    monkeypatch.setenv("METIER_KEY", base64.b64encode(bytes(32)).decode())


def files_in(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(order=st.randoms(use_true_random=False), memory_rows=st.integers(0, 60))
def test_the_version_depends_on_neither_row_order_nor_spooling(tmp_path, order, memory_rows):
    rows = GOOD + MESSY
    found = set()
    folders = (
        write(tmp_path / "plain", rows),
        write(tmp_path / "mixed", order.sample(rows, len(rows))),
    )
    for name, folder, limit in (("a", folders[0], 50_000), ("b", folders[1], memory_rows)):
        with Workspace.create(tmp_path / name) as ws:
            settings_here = settings_of(memory_rows=limit)
            result = build(settings_here, CLASSIFY, ws, folder, Progress())
            found.add(result.version.hash)
            assert sum(result.counts.values()) + len(result.drops) == len(rows)
    assert len(found) == 1


def test_a_spooled_build_is_the_same_build(messy, tmp_path):
    seen = []
    for name, limit in (("memory", 50_000), ("disk", 0)):
        with Workspace.create(tmp_path / name) as ws:
            result = build(settings_of(memory_rows=limit), CLASSIFY, ws, messy, Progress())
            version = result.version
            seen.append(
                (
                    *(version.hash, version.splits, version.counts, version.card),
                    *({name: list(rows) for name, rows in result.splits.items()}, result.warnings),
                    [(one.step, one.reason, one.example) for one in result.drops],
                    [(one.step, one.change) for one in result.changes],
                    [(one.step, one.reason, one.evidence) for one in result.suspects],
                    [(one.step, one.what, one.shown) for one in preview(result)],
                )
            )
            assert files_in(ws.work_dir) == set(), "a spool has no name"
    assert seen[0] == seen[1]


def test_a_spooled_build_is_built_again_as_the_same_version(messy, workspace):
    config = settings_of(memory_rows=3)
    first = build(config, CLASSIFY, workspace, messy, Progress())
    again = build(config, CLASSIFY, workspace, messy, Progress())
    assert again.version == first.version
    assert len(ledger.list_changes(workspace)) == len(first.changes)
    assert len(ledger.list_suspects(workspace)) == len(first.suspects)
    members = {one.example_id for one in ledger.list_members(workspace, first.version)}
    frozen = [one for name in first.version.splits for one in
              ledger.iter_split(workspace, first.version, name)]  # fmt: skip
    assert {one.id for one in frozen} == members
    assert frozen == [
        one
        for name in first.version.splits
        for one in ledger.load_split(workspace, first.version, name)
    ]


def test_a_row_that_comes_twice_is_found_among_spooled_rows(tmp_path, workspace):
    folder = write(tmp_path, GOOD)
    config = settings_of(memory_rows=5)
    twice = config.model_copy(update={"sources": config.sources * 2})
    with pytest.raises(Exception, match="48 rows, none of them usable; 48 for repeated_row"):
        build(twice, CLASSIFY, workspace, folder, Progress())


def test_every_pass_shows_how_far_it_is(messy, workspace):
    events = []
    build(settings_of(memory_rows=5), CLASSIFY, workspace, messy, Progress(events.append))
    last = {event.task: event for event in events if event.kind == "end"}
    for name in ("data: labels, first look", "data: exact_duplicates, first look", "data: split",
                 "data: leakage", "data: records", "data: freeze"):  # fmt: skip
        assert last[name].done == last[name].total > 0, name


BUILD = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = [sys.argv[3]]
from data_examples import CLASSIFY, settings_of
from metier.core.errors import OutOfSpace
from metier.core.progress import Progress
from metier.core.workspace import Workspace
from metier.data.build import build

def watch(event):
    if event.task == sys.argv[4] and event.kind == "end":
        os.kill(os.getpid(), signal.SIGKILL)

with Workspace.open(Path(sys.argv[1])) as ws:
    try:
        limits = {"memory_rows": int(sys.argv[5]), "deidentify": "none", "near_leakage": 1.0}
        config = settings_of(duplicates="keep", **limits)
        build(config, CLASSIFY, ws, Path(sys.argv[2]), Progress(watch))
    except OutOfSpace as error:
        print(error)
"""


def run_build(root, folder, kill_after="", memory_rows=5, **options):
    return subprocess.run(
        [sys.executable, "-c", BUILD, root, folder, TESTS, kill_after, str(memory_rows)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **ONE_THREAD},
        **options,
    )


def test_a_spooled_build_that_is_killed_leaves_nothing_and_is_built_again(messy, tmp_path):
    root = tmp_path / "project"
    with Workspace.create(root) as ws:
        before = files_in(ws.work_dir)
    done = run_build(root, messy, "data: split")
    assert done.returncode == -signal.SIGKILL, done.stderr
    with Workspace.open(root) as ws:
        assert files_in(ws.work_dir) == before
        assert ledger.list_versions(ws) == []
        assert build(settings_of(), CLASSIFY, ws, messy, Progress()).version is not None


@pytest.mark.parametrize("where", ["artifact", "parquet"])
def test_a_disk_that_is_full_while_freezing_loses_nothing(messy, workspace, monkeypatch, where):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    place = {
        "artifact": "metier.core.artifacts.os.fsync",
        "parquet": "metier.core.ledger.versions.write_examples",
    }[where]
    with monkeypatch.context() as patch:
        patch.setattr(place, full)
        with pytest.raises(OutOfSpace) as caught:
            build(settings_of(), CLASSIFY, workspace, messy, Progress())
    assert caught.value.expected.startswith("room on the disk while")
    assert "what was acknowledged is kept" in caught.value.remedy
    assert ledger.list_versions(workspace) == []
    kept = len(ledger.list_changes(workspace))
    assert kept > 0, "what was written before stays"
    result = build(settings_of(), CLASSIFY, workspace, messy, Progress())
    assert ledger.list_versions(workspace) == [result.version]
    assert len(ledger.list_changes(workspace)) == kept == len(result.changes)


@pytest.mark.parametrize(
    ("memory_rows", "doing"), [(5, "spooling rows"), (50_000, "freezing a version")]
)
def test_a_file_that_may_not_grow_stops_the_build_and_nothing_else(tmp_path, memory_rows, doing):
    draw = Random(1)
    texts = ("".join(draw.choices(ascii_letters, k=20_000)) for _ in range(200))
    rows = [(f"{text} number {n}", "ab"[n % 2], f"c{n}") for n, text in enumerate(texts)]
    folder = write(tmp_path / "data", rows)
    root = tmp_path / "project"
    Workspace.create(root).close()
    limit = 3 << 19  # 1.5 MB: more than the database needs, less than the rows
    done = run_build(
        root,
        folder,
        memory_rows=memory_rows,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert done.stdout.startswith(f"expected room on the disk while {doing}"), done.stderr
    assert "to fix: free some space" in done.stdout
    with Workspace.open(root) as ws:
        assert ledger.list_versions(ws) == []
        assert files_in(ws.work_dir) == set()
        config = settings_of(duplicates="keep", deidentify="none", near_leakage=1.0)
        assert build(config, CLASSIFY, ws, folder, Progress()).version is not None


MEASURED = """
import sys
from pathlib import Path
sys.path[:0] = [sys.argv[3]]
import numpy, pyarrow.parquet, rensa, scipy.sparse.csgraph
from data_examples import CLASSIFY, settings_of
from metier.core.progress import Progress
from metier.core.workspace import Workspace
from metier.data.build import build

def peak_mb():
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024

peaks = {}
def watch(event):
    if event.kind == "end":
        peaks[event.task] = peak_mb()

with Workspace.create(Path(sys.argv[1])) as ws:
    before = peak_mb()
    limits = {"memory_rows": int(sys.argv[4]), "near_leakage": 1.0, "workers": 1}
    config = settings_of(duplicates="keep", deidentify="none", **limits)
    result = build(config, CLASSIFY, ws, Path(sys.argv[2]), Progress(watch), dry_run=True)
    print(sum(result.counts.values()), round(peaks["data: split"] - before, 1))
"""
WORDS = ("late", "parcel", "refund", "card", "asked", "twice", "waiting", "since", "monday")


def peak_of(tmp_path: Path, rows: int, memory_rows: int) -> float:
    """Return the peak in MB from the import to the split; comparing rows has needs of its own."""
    folder = tmp_path / f"rows{rows}"
    if not folder.exists():
        body = " ".join(WORDS * 12)
        write(folder, ((f"{n} {body} {n}", "ab"[n % 2], f"c{n}") for n in range(rows)))
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, tmp_path / f"p{memory_rows}", folder, TESTS,
         str(memory_rows)],
        capture_output=True, text=True, check=True, env={**os.environ, **ONE_THREAD},
    )  # fmt: skip
    count, peak = done.stdout.split()
    assert int(count) == rows
    return float(peak)


ON_LINUX = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's /proc")


@ON_LINUX
def test_few_rows_grow_memory_by_columns_and_not_by_texts(tmp_path):
    assert peak_of(tmp_path, 8000, 500) < 25  # above 5 MB of text, some 20 MB of objects


@pytest.mark.slow
@ON_LINUX
def test_memory_grows_with_columns_and_not_with_texts(tmp_path):
    # 60,000 rows of some 700 characters: above 42 MB of text alone.
    spooled, held = peak_of(tmp_path, 60_000, 1000), peak_of(tmp_path, 60_000, 10**9)
    assert spooled < 45
    assert spooled < held / 3
