"""Each of the twelve real sets, from a metier.toml of at most twelve lines to a data card.

At reduced size: the files are cut to their first rows. benchmarks/real_import.py does it in full.
"""

import csv
import importlib.util
import json
import lzma
import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from types import ModuleType

import pytest

from metier.core.section import Section

ROWS = 60
BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
SETS = (
    *("banking77", "bitext_customer", "medquad", "pubmedqa", "mts_dialog", "codiesp", "cuad"),
    *("german_credit", "presidio_research", "pandalm", "instruct_general", "bccd"),
)


@pytest.fixture(scope="module")
def real_import() -> ModuleType:
    """The benchmark as a module."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        spec = importlib.util.spec_from_file_location("real_import", BENCHMARKS / "real_import.py")
        assert spec is not None and spec.loader is not None
        made = importlib.util.module_from_spec(spec)
        sys.modules["real_import"] = made
        spec.loader.exec_module(made)
        return made
    finally:
        sys.path.remove(str(BENCHMARKS))


def cut_csv(source: Path, target: Path) -> None:
    with source.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        rows = list(csv.reader(file))
    step = max(1, (len(rows) - 1) // ROWS)  # spread out: sets are often sorted by label
    with target.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        csv.writer(file).writerows([rows[0], *rows[1::step]])


def cut_json(source: Path, target: Path) -> None:
    found = json.loads(source.read_text(encoding="utf-8"))
    pairs = islice(found.items() if isinstance(found, dict) else enumerate(found), ROWS)
    kept = dict(pairs) if isinstance(found, dict) else [row for _, row in pairs]
    target.write_text(json.dumps(kept), encoding="utf-8")


def cut_lines(source: Path, target: Path) -> None:
    opener = lzma.open if source.suffix == ".xz" else open
    with opener(source, "rb") as file, opener(target, "wb") as out:
        out.writelines(islice(file, ROWS))


CUTS: dict[str, Callable[[Path, Path], None]] = {
    ".csv": cut_csv,
    ".json": cut_json,
    ".jsonl": cut_lines,
    ".xz": cut_lines,
}


def cut_set(source: Path, target: Path) -> None:
    for file in source.iterdir():
        if file.suffix in CUTS:
            target.mkdir(parents=True, exist_ok=True)
            CUTS[file.suffix](file, target / file.name)
    annotations = sorted(source.glob("annotations/*.xml"))[:10]
    for file in annotations:
        (target / "annotations").mkdir(parents=True, exist_ok=True)
        (target / "annotations" / file.name).write_bytes(file.read_bytes())


@pytest.mark.parametrize("name", SETS)
def test_a_real_set_imports_and_gets_a_data_card(
    name: str,
    shared_data: Callable[[str], Path],
    real_import: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cut_set(shared_data(name), tmp_path / "shared" / name)
    _shrink_test_splits(monkeypatch)
    found = real_import.import_set(name, tmp_path / "work", tmp_path / "shared", workers=1)
    assert found.lines <= real_import.LINES
    assert found.usable > 0.5 * found.rows
    assert min(found.splits.values()) > 0
    assert sum(found.splits.values()) + found.quarantined >= found.rows
    assert found.card.startswith("# Data card of ")
    assert found.licences[0] and found.licences[0] in found.card


def _shrink_test_splits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let projects that ask for a number of test rows ask for a fifth: the files are cut."""
    from metier.journey import session as sessions

    load = sessions.load_project

    def load_small(file: Path) -> Section:
        project = load(file)
        small = {"test": 0.2} if isinstance(project.data.test, int) else {}
        return project.model_copy(update={"data": project.data.model_copy(update=small)})

    monkeypatch.setattr(sessions, "load_project", load_small)
