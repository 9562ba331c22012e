"""Progress as plain lines and as bars."""

import io

from metier.apps.cli.bars import Bars, plain_lines
from metier.core.progress import Progress


def test_plain_lines_tell_start_end_and_notes() -> None:
    out = io.StringIO()
    with Progress(plain_lines(out)).task("tune", total=3) as task:
        task.advance()
        task.metric(1, train_loss=2.5)
        task.note("going on from step 1")
        task.advance(2)
    lines = out.getvalue().splitlines()
    assert lines[:2] == ["[tune] starts of 3", "[tune] going on from step 1"]
    assert lines[2].startswith("[tune] 3/3 done in ")
    assert lines[2].endswith("train_loss 2.5")
    assert len(lines) == 3, "advances within ten seconds are not worth a line"


def test_a_failed_task_is_not_called_done() -> None:
    out = io.StringIO()
    try:
        with Progress(plain_lines(out)).task("tune", total=3) as task:
            task.advance()
            raise ValueError
    except ValueError:
        pass
    assert "[tune] 1/3 ValueError in" in out.getvalue()


def test_bars_follow_their_tasks() -> None:
    with Bars() as bars:
        progress = Progress(bars)
        with progress.task("encode", total=2) as task:
            task.advance(2)
            task.metric(1, loss=0.5)
            task.note("a note")
        progress.note("of no task")
        encode = bars._rich.tasks[0]
        assert [task.description for task in bars._rich.tasks] == ["encode"]
    assert (encode.completed, encode.total) == (2, 2)
    assert encode.fields["latest"] == "loss 0.5"
