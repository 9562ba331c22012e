from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest
from safetensors import SafetensorError

from metier.core.errors import ConfigError, OutOfSpace
from metier.tune.loop import checkpoints
from metier.tune.loop.checkpoints import (
    MANIFEST,
    Room,
    check_budget,
    damage,
    make_room,
    newest,
    prune,
    save,
    step_of,
)


def fill(folder: Path) -> None:
    (folder / "weights").write_bytes(b"12345")
    (folder / "state.json").write_text("{}")


def test_a_checkpoint_is_found_whole_with_every_file_listed(tmp_path: Path) -> None:
    path = save(tmp_path, 7, fill)
    assert newest(tmp_path).path == path
    assert step_of(path) == 7
    assert set(json.loads((path / MANIFEST).read_text())) == {"weights", "state.json"}


def test_the_newest_of_several_is_found(tmp_path: Path) -> None:
    for step in (2, 10, 9):
        save(tmp_path, step, fill)
    found = newest(tmp_path).path
    assert found is not None
    assert step_of(found) == 10


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda path: (path / "weights").write_bytes(b"12340"), "weights has changed"),
        (lambda path: (path / "weights").write_bytes(b"123"), "weights has changed"),
        (lambda path: (path / "weights").unlink(), "weights is missing"),
        (lambda path: (path / MANIFEST).unlink(), "has no manifest"),
        (lambda path: (path / MANIFEST).write_text("{"), "manifest cannot be read"),
    ],
)
def test_a_damaged_one_is_passed_over_with_the_reason(tmp_path: Path, harm, words) -> None:
    whole = save(tmp_path, 1, fill)
    harm(save(tmp_path, 2, fill))
    found = newest(tmp_path)
    assert found.path == whole
    assert len(found.passed_over) == 1
    assert words in found.passed_over[0]


def test_nothing_saved_nothing_found(tmp_path: Path) -> None:
    assert newest(tmp_path).path is None


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        SafetensorError(
            "Error while serializing: I/O error: No space left on device (os error 28)"
        ),
        SafetensorError("Error while serializing: I/O error: File too large (os error 27)"),
    ],
)
def test_a_full_disk_is_said_and_leaves_the_one_before(tmp_path: Path, error: Exception) -> None:
    before = save(tmp_path, 1, fill)

    def runs_full(folder: Path) -> None:
        fill(folder)
        raise error

    with pytest.raises(OutOfSpace, match="saving the checkpoint of step 2"):
        save(tmp_path, 2, runs_full)
    assert list(tmp_path.iterdir()) == [before]
    assert damage(before) is None


def test_other_errors_pass_as_they_are(tmp_path: Path) -> None:
    def broken(folder: Path) -> None:
        raise PermissionError(errno.EACCES, "no")

    with pytest.raises(PermissionError):
        save(tmp_path, 1, broken)


def test_what_a_killed_save_left_is_not_taken_for_a_checkpoint(tmp_path: Path) -> None:
    (tmp_path / ".checkpoint-00000003.partial").mkdir()
    assert newest(tmp_path).path is None
    assert newest(tmp_path).passed_over == ()
    assert save(tmp_path, 3, fill).is_dir()


def test_the_newest_and_the_best_are_kept(tmp_path: Path) -> None:
    for step in range(1, 7):
        save(tmp_path, step, fill)
    prune(tmp_path, Room(keep=2, best_step=3))
    assert sorted(step_of(path) for path in tmp_path.iterdir()) == [3, 5, 6]


# -- a budget ------------------------------------------------------------------------------------


def saved(root: Path, steps: range) -> int:
    for step in steps:
        save(root, step, fill)
    return sum(file.stat().st_size for file in (root / "checkpoint-00000001").iterdir())


def steps_in(root: Path) -> list[int]:
    return sorted(step_of(path) for path in root.iterdir())


def test_older_ones_go_first_for_a_budget_never_the_newest_nor_the_best(tmp_path: Path) -> None:
    size = saved(tmp_path, range(1, 7))
    prune(tmp_path, Room(keep=5, best_step=2, most_bytes=4 * size))
    assert steps_in(tmp_path) == [2, 4, 5, 6]
    make_room(tmp_path, size, Room(keep=5, best_step=2, most_bytes=4 * size))
    assert steps_in(tmp_path) == [2, 5, 6]
    make_room(tmp_path, size, Room(keep=5, best_step=2, most_bytes=3 * size))
    assert steps_in(tmp_path) == [2, 6]


def test_what_does_not_fit_beside_the_newest_and_the_best_is_not_begun(tmp_path: Path) -> None:
    size = saved(tmp_path, range(1, 4))
    with pytest.raises(OutOfSpace, match="disk_gb") as caught:
        make_room(tmp_path, size, Room(keep=5, best_step=1, most_bytes=2 * size))
    assert "goes on from the newest" in caught.value.remedy
    assert steps_in(tmp_path) == [1, 3]


def test_the_newest_whole_one_stays_where_a_newer_one_is_damaged(tmp_path: Path) -> None:
    size = saved(tmp_path, range(1, 4))
    (tmp_path / "checkpoint-00000003" / "weights").write_bytes(b"?????")
    make_room(tmp_path, size, Room(keep=5, most_bytes=2 * size))
    assert steps_in(tmp_path) == [2]


def test_a_disk_that_cannot_hold_the_next_one_is_said_before_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = saved(tmp_path, range(1, 4))
    monkeypatch.setattr(checkpoints, "_free", lambda root: (3 - len(list(root.iterdir()))) * size)
    make_room(tmp_path, 2 * size, Room(keep=5))
    assert steps_in(tmp_path) == [3]
    with pytest.raises(OutOfSpace, match="older checkpoints are gone already"):
        make_room(tmp_path, 3 * size, Room(keep=5))
    assert damage(tmp_path / "checkpoint-00000003") is None


def test_a_budget_that_can_never_do_is_refused_at_the_start() -> None:
    check_budget(100, True, 300)
    check_budget(100, False, 200)
    check_budget(100, True, None)
    with pytest.raises(ConfigError, match="3 checkpoints"):
        check_budget(100, True, 299)
