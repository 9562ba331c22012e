"""Builds of real files, as they are handed over, each with a few lines of [data]."""

import tomllib

import pytest

from metier.core.objective import Objective
from metier.core.progress import Progress
from metier.data.build import build
from metier.data.config import DataConfig

QUERIES = """
sources = [{ path = "train.csv", prompt = "text", target = "category" }]
test = 1000
"""
DIALOGUES = """
sources = [
  { path = "TrainingSet.csv", prompt = "dialogue", target = "section_header" },
  { path = "ValidationSet.csv", prompt = "dialogue", target = "section_header", split = "test" },
]
"""
NOTES = DIALOGUES.replace("section_header", "section_text")
ABSTRACTS = """
sources = [{ path = "train.json", prompt = "{QUESTION}\\n{CONTEXTS}", target = "final_decision" }]
test = 0.3
"""
CLAUSES = """
[[sources]]
path = "master_clauses.csv"
prompt = "{value}"
target = "{name}"
group = "Filename"
unpivot = { skip = ["Filename", "*-Answer", "*Date", "Document Name", "Parties"], lists = true }
"""

SLOW = pytest.mark.slow
BUILDS = [
    pytest.param("banking77", "classify", QUERIES, 77, id="queries", marks=SLOW),
    pytest.param("mts_dialog", "classify", DIALOGUES, 20, id="dialogues"),
    pytest.param("mts_dialog", "summarize", NOTES, 0, id="notes", marks=SLOW),
    pytest.param("pubmedqa", "classify", ABSTRACTS, 3, id="abstracts"),
    pytest.param("cuad", "classify", CLAUSES, 36, id="clauses", marks=SLOW),
]


@pytest.mark.parametrize(("name", "task", "toml", "labels"), BUILDS)
def test_a_real_file_builds(shared_data, workspace, name, task, toml, labels):
    folder = shared_data(name)
    assert toml.strip().count("\n") < 12
    config = DataConfig(**tomllib.loads(toml))
    result = build(config, Objective(task=task), workspace, folder, Progress())
    read = sum(source.rows for source in result.sources)
    assert sum(result.counts.values()) + len(result.drops) == read
    assert len(result.labels) == labels
    assert all(result.counts.values())
    if isinstance(config.test, int):
        assert result.counts["test"] == config.test
    groups = [{row.group for row in rows if row.group} for rows in result.splits.values()]
    assert sum(len(found) for found in groups) == len(set().union(*groups))
    again = build(config, Objective(task=task), workspace, folder, Progress())
    assert again.version == result.version
