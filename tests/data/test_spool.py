"""Spools: the same rows in memory and on disk, and nothing left behind."""

import gc
import os
import pickle
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_examples import labelled
from metier.core.errors import OutOfSpace
from metier.data import spool as spool_module
from metier.data.spool import Chained, Picked, Room, Spool, filtered

ROWS = [labelled(number, f"the secret of row {number}") for number in range(3000)]


@pytest.fixture
def on_disk(tmp_path):
    made = Spool(Room(tmp_path, memory_rows=100), ROWS)
    assert made.on_disk
    return made


def test_rows_come_back_in_order_however_they_are_asked_for(on_disk):
    assert len(on_disk) == 3000
    assert list(on_disk) == ROWS
    assert list(on_disk) == ROWS, "a second reading is like the first"
    assert on_disk[0] == ROWS[0]
    assert on_disk[-1] == ROWS[-1]
    assert on_disk[1020:1030] == ROWS[1020:1030], "a slice may lie on two blocks"
    assert on_disk[::-700] == ROWS[::-700]
    plain = list(ROWS)
    assert on_disk == plain
    assert plain == on_disk
    assert on_disk != ROWS[1:]
    with pytest.raises(IndexError, match="row 3000 of 3000"):
        on_disk[3000]


def test_few_rows_and_rows_without_a_room_stay_in_memory(tmp_path):
    assert not Spool(Room(tmp_path, memory_rows=3000), ROWS).on_disk
    assert not Spool(None, ROWS).on_disk


def test_few_large_rows_go_to_disk_too(tmp_path):
    large = Spool(Room(tmp_path, memory_rows=1000, memory_bytes=1 << 20))
    large.extend("x" * 10_000 for _ in range(150))
    assert large.on_disk
    assert len(large) == 150
    assert set(large) == {"x" * 10_000}


def test_reading_holds_one_block(tmp_path, monkeypatch):
    monkeypatch.setattr(spool_module, "BLOCK_BYTES", 100_000)
    rows = Spool(Room(tmp_path, memory_rows=0))
    rows.extend("x" * 10_000 for _ in range(100))
    assert rows._file.blocks >= 5, "large rows make blocks of few rows"


def test_the_file_has_no_name_and_no_text_in_clear(tmp_path):
    made = Spool(Room(tmp_path, memory_rows=0), ROWS)
    assert list(tmp_path.iterdir()) == []
    data = os.pread(made._file._file.fileno(), 1 << 24, 0)
    assert len(data) > 1000
    assert b"secret" not in data
    assert pickle.dumps("secret of row")[4:-2] not in data


def test_the_file_goes_with_the_spool(tmp_path):
    made = Spool(Room(tmp_path, memory_rows=0), ROWS)
    descriptor = made._file._file.fileno()
    os.fstat(descriptor)
    del made
    gc.collect()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_rows_may_be_added_after_reading(on_disk):
    assert on_disk[2999] == ROWS[2999]
    on_disk += ROWS[:2000]
    assert len(on_disk) == 5000
    assert on_disk[4999] == ROWS[1999]


def test_what_is_shown_of_rows_is_their_number(on_disk):
    assert repr(on_disk) == "<Spool of 3000 rows>"
    assert repr(Picked(on_disk, [1])) == "<Picked of 1 rows>"


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_views_are_like_lists(data):
    rows = list(range(data.draw(st.integers(0, 60))))
    base = Spool(None, rows)
    places = data.draw(st.lists(st.sampled_from(rows))) if rows else []
    picked = Picked(base, places)
    assert list(picked) == places
    assert [picked[at] for at in range(len(picked))] == places
    again = data.draw(st.lists(st.integers(0, len(places) - 1))) if places else []
    assert Picked(picked, again) == [places[at] for at in again]
    chained = Chained(base, picked, rows)
    assert list(chained) == [*rows, *places, *rows]
    assert chained[:] == list(chained)
    assert filtered(chained, lambda row: row % 2 == 0) == [one for one in chained if one % 2 == 0]


def test_a_full_disk_is_said_plainly(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    made = Spool(Room(tmp_path, memory_rows=10))
    monkeypatch.setattr(spool_module._BlockFile, "_put", full)
    with pytest.raises(OutOfSpace, match=r"room on the disk while spooling .*\n.*\n.*free some"):
        made.extend(ROWS)


LIMITED = """
import os, resource, sys
from pathlib import Path
from metier.core.errors import OutOfSpace
from metier.data.spool import Room, Spool
made = Spool(Room(Path(sys.argv[1]), memory_rows=0))
try:
    for number in range(5000):
        made.append(os.urandom(1000))
except OutOfSpace as error:
    print(error)
"""


def test_a_file_that_may_not_grow_is_a_full_disk(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, tmp_path],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)),
    )
    assert done.stdout.startswith("expected room on the disk while spooling"), done.stderr
    assert list(Path(tmp_path).iterdir()) == []
