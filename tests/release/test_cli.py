"""``metier release``, as people and scripts use it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from desk import project, run
from metier.core.workspace import Workspace
from metier.registry import load_manifest
from tiny_releases import BAD, WIDE, judged, make

WHY = "The customer signed off on it."
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def ws(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.create(project(tmp_path)) as made:
        yield made


def release(capsys: Capture, ws: Workspace, *words: str) -> tuple[int, str, str]:
    return run(capsys, "release", *words, "--project", str(ws.root))


def read(capsys: Capture, ws: Workspace, *words: str) -> Any:
    code, out, err = release(capsys, ws, *words, "--json")
    assert code == 0, err
    return json.loads(out)


def test_without_releases_the_list_says_how_to_make_one(capsys: Capture, ws: Workspace) -> None:
    code, out, _ = release(capsys, ws, "list")
    assert code == 0
    assert "metier cycle run" in out
    assert read(capsys, ws, "list") == {"releases": [], "aliases": {}}


def test_list_and_show(capsys: Capture, ws: Workspace) -> None:
    made = make(ws)
    _, out, _ = release(capsys, ws, "list")
    assert "v1" in out and "challenger" in out and "passed" in out
    _, out, _ = release(capsys, ws, "show", "challenger")
    assert "You sort mail." in out and made.id in out
    assert read(capsys, ws, "show")["manifest"]["number"] == 1


def test_the_gate_shows_intervals_and_what_is_missing(capsys: Capture, ws: Workspace) -> None:
    make(ws, judged(WIDE))
    code, out, _ = release(capsys, ws, "gate")
    assert code == 0
    assert "v1: not enough data" in out
    assert "0.870 [0.830, 0.900]" in out
    assert "1,200" in out
    assert read(capsys, ws, "gate", "v1")["more_items"] == 1200


def test_a_refusal_is_told_with_code_two(capsys: Capture, ws: Workspace) -> None:
    make(ws, judged(WIDE))
    code, _, err = release(capsys, ws, "promote", "v1")
    assert code == 2
    assert "1,200 more test items" in err
    assert "--override" in err
    assert read(capsys, ws, "list")["aliases"].keys() == {"challenger"}


def test_promote_and_rollback(capsys: Capture, ws: Workspace) -> None:
    make(ws)
    make(ws)
    code, _, err = release(capsys, ws, "rollback")
    assert code == 2 and "a champion before this one" in err
    release(capsys, ws, "promote", "v1")
    code, out, err = release(capsys, ws, "promote", "v2")
    assert code == 0
    assert "v2 is now the champion" in out and "v1 is the previous one" in out
    assert "OVERRIDE" not in err
    _, out, _ = release(capsys, ws, "promote", "v2")
    assert "the champion already" in out
    _, out, _ = release(capsys, ws, "rollback", "--reason", "complaints")
    assert "v1 is the champion again" in out


def test_an_override_is_loud(capsys: Capture, ws: Workspace) -> None:
    make(ws, judged(BAD))
    for words in (["--override"], ["--override", "--reason", "because"], ["--reason", WHY]):
        code, _, err = release(capsys, ws, "promote", "v1", *words)
        assert code == 2, words
        assert "reason" in err
    code, out, err = release(capsys, ws, "promote", "v1", "--override", "--reason", WHY)
    assert code == 0
    assert "HAS NOT PASSED ITS GATE" in err
    assert "f1_macro at least 0.85" in err
    assert WHY in err
    assert "v1 is now the champion" in out


def test_a_dry_run_changes_nothing(capsys: Capture, ws: Workspace) -> None:
    make(ws)
    make(ws, judged(BAD))
    code, out, _ = release(capsys, ws, "promote", "v1", "--dry-run")
    assert (code, "v1 would become the champion" in out) == (0, True)
    code, out, _ = release(capsys, ws, "promote", "v2", "--dry-run")
    assert (code, "v2 would be refused" in out) == (0, True)
    words = ["promote", "v2", "--dry-run", "--override", "--reason", WHY]
    code, out, err = release(capsys, ws, *words)
    assert (code, "v2 would become the champion" in out) == (0, True)
    assert "HAS NOT PASSED" in err
    assert read(capsys, ws, "list")["aliases"].keys() == {"challenger"}


def test_an_unknown_release_is_told_the_nearest(capsys: Capture, ws: Workspace) -> None:
    make(ws)
    code, _, err = release(capsys, ws, "show", "challanger")
    assert code == 2
    assert "did you mean 'challenger'" in err


def test_verify_says_what_does_not_match(capsys: Capture, ws: Workspace) -> None:
    made = make(ws)
    code, out, err = release(capsys, ws, "verify")
    assert (code, err) == (0, "")
    assert "v1 is what was released" in out
    digest = load_manifest(ws, made).files["adapter_model.safetensors"]
    (ws.folder / "artifacts" / digest[:2] / digest).write_bytes(b"weightz")
    code, out, err = release(capsys, ws, "verify", "v1")
    assert code == 2
    assert "DOES NOT MATCH" in out
    assert "adapter/adapter_model.safetensors" in err
    code, out, _ = release(capsys, ws, "verify", "v1", "--json")
    assert code == 2
    assert [one["what"] for one in json.loads(out) if not one["ok"]] == [
        "adapter/adapter_model.safetensors"
    ]


def test_export_writes_a_folder_and_takes_no_other(
    capsys: Capture, ws: Workspace, tmp_path: Path
) -> None:
    make(ws)
    into = tmp_path / "out"
    code, out, _ = release(capsys, ws, "export", "v1", str(into))
    assert code == 0 and str(into) in out
    assert (into / "adapter_model.safetensors").read_bytes() == b"weights"
    code, _, err = release(capsys, ws, "export", "v1", str(into))
    assert code == 2
    assert "a folder that is empty or does not exist yet" in err


def test_create_needs_a_run(capsys: Capture, ws: Workspace) -> None:
    code, _, err = release(capsys, ws, "create")
    assert code == 2
    assert "metier tune" in err
