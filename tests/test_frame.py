"""The frame of the house: direction of imports, public names, a light CLI, true documents."""

import ast
import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import metier

ROOT = Path(__file__).resolve().parents[1]
SRC = ROOT / "src" / "metier"
FOUNDATIONS = [
    "sources",
    "models",
    "privacy",
    "similarity",
    "scoring",
    "retrieval",
    "people",
    "queue",
    "registry",
]
STAGES = [
    "data",
    "annotate",
    "tune",
    "evaluate",
    "review",
    "release",
    "serve",
    "monitor",
    "feedback",
]
ABOVE = ["config", "journey", "apps", "__main__"]


def unit_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def may_import(importer: str, imported: str) -> bool:
    """Say whether unit ``importer`` may import unit ``imported``."""
    if importer == imported or imported in ("core", ""):
        return True
    if importer in FOUNDATIONS:
        return imported in FOUNDATIONS and FOUNDATIONS.index(imported) < FOUNDATIONS.index(importer)
    if importer in STAGES:
        return imported in FOUNDATIONS
    if importer in ABOVE:
        lower = FOUNDATIONS + STAGES + ABOVE[: ABOVE.index(importer)]
        return imported in lower
    return False


def modules() -> list[tuple[str, Path]]:
    found = []
    for path in sorted(SRC.rglob("*.py")):
        name = ".".join(["metier", *path.relative_to(SRC).with_suffix("").parts])
        found.append((name.removesuffix(".__init__"), path))
    return found


KNOWN = {name for name, _ in modules()}


def imports_of(path: Path) -> set[str]:
    """The modules of metier that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            full = {f"{node.module}.{alias.name}" for alias in node.names}
            names.update(full & KNOWN)
            if full - KNOWN:
                names.add(node.module)
    return names & KNOWN


def test_imports_go_down_only() -> None:
    wrong = [
        f"{module} imports {imported}"
        for module, path in modules()
        for imported in imports_of(path)
        if module != "metier" and not may_import(unit_of(module), unit_of(imported))
    ]
    assert wrong == []


def test_no_two_modules_import_each_other() -> None:
    graph = {name: imports_of(path) - {name} for name, path in modules()}
    mutual = [(a, b) for a, targets in graph.items() for b in targets if a in graph[b] and a < b]
    assert mutual == []


@pytest.mark.parametrize("name", [n for n, p in modules() if p.name == "__init__.py"])
def test_public_names_equal_all(name: str) -> None:
    package = importlib.import_module(name)
    if not hasattr(package, "__all__"):
        return
    assert len(set(package.__all__)) == len(package.__all__)
    for public in package.__all__:
        assert hasattr(package, public), f"{name}.__all__ names {public}, which is not there"
    submodules = {m.name for m in pkgutil.iter_modules(package.__path__)}
    stray = {
        key
        for key, value in vars(package).items()
        if not key.startswith("_")
        and key not in package.__all__
        and key not in submodules
        and getattr(value, "__module__", "").startswith("metier")
    }
    assert stray == set(), f"{name} shows {stray} without naming them in __all__"


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_the_cli_front_imports_no_torch(argument: str) -> None:
    code = (
        "import sys\n"
        "from metier.apps.cli import main\n"
        f"sys.argv = ['metier', {argument!r}]\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code, stop.code\n"
        "heavy = {'torch', 'transformers', 'sklearn', 'scipy', 'pandas', 'pyarrow', 'numpy'}\n"
        "print('HEAVY', sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "HEAVY []" in done.stdout, done.stdout[-300:]


def test_no_source_names_a_data_set() -> None:
    names = re.compile(
        r"banking77|bitext|medquad|pubmedqa|mts_dialog|codiesp|cuad\b|german_credit|pandalm|bccd",
        re.IGNORECASE,
    )
    sources = {str(path.relative_to(ROOT)): path.read_text() for _, path in modules()}
    guilty = [path for path, text in sources.items() if names.search(text)]
    assert guilty == []


def documents() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_config_examples_in_the_documents_parse(tmp_path: Path) -> None:
    from metier.config import load_project

    examples = [
        (path, block)
        for path in [*documents(), *sorted((ROOT / "recipes").rglob("*.md"))]
        for block in re.findall(r"```toml\n(.*?)```", path.read_text(), re.DOTALL)
        if "[project]" in block
    ]
    assert examples, "the documents show no metier.toml"
    for number, (path, block) in enumerate(examples):
        file = tmp_path / f"{number}.toml"
        file.write_text(block)
        assert load_project(file).project.name, path


def test_recipes_parse() -> None:
    from metier.config import load_project

    recipes = sorted((ROOT / "recipes").glob("*/metier.toml"))
    assert recipes
    for path in recipes:
        load_project(path)


def test_generated_reference_is_current() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_version_is_the_packages() -> None:
    assert f'version = "{metier.__version__}"' in (ROOT / "pyproject.toml").read_text()
