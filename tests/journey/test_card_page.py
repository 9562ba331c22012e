"""The data card as a page: sources, fates and labels stand in it, and no text of a row."""

from __future__ import annotations

from pathlib import Path

from data_examples import CLASSIFY, GOOD, MESSY, settings_of, write
from metier.config import Project
from metier.core.progress import Progress
from metier.core.workspace import Workspace
from metier.data.build import build
from metier.journey.report.card import card_page


def project() -> Project:
    return Project.model_validate(
        {"project": {"name": "desk"}, "objective": {"task": "classify"}, "data": {"sources": []}}
    )


def test_sources_fates_and_labels_are_shown(tmp_path: Path) -> None:
    with Workspace.create(tmp_path / "project") as ws:
        write(tmp_path, [*GOOD, *MESSY])
        settings = settings_of(near_leakage=1.0, leakage="quarantine")
        source = settings.sources[0].model_copy(update={"licence": "CC BY 4.0"})
        settings = settings.model_copy(update={"sources": [source]})
        version = build(settings, CLASSIFY, ws, tmp_path, Progress()).version
        assert version is not None
        page = card_page(version, project())
    assert "CC BY 4.0" in page and "rows.csv" in page and version.id in page
    assert "delivery" in page and "kept" in page and 'class="share"' in page
    assert "parcel that customer" not in page and "ann.lee" not in page
    assert "http" not in page.replace("http-equiv", ""), "it loads nothing"


def test_lengths_are_counted_by_powers_of_two() -> None:
    from metier.data.card import lengths

    assert lengths([1, 2, 3, 4, 5, 64, 65])["bins"] == {
        "1": 1, "2": 1, "4": 2, "8": 1, "64": 1, "128": 1,
    }  # fmt: skip
    assert lengths([]) == {}
