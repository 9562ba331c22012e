"""What a user can get wrong, through the command line: clear words, exit code 2, nothing lost."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from desk import DATA, HEAD, OBJECTIVE, build, project, rows, run, write_rows
from metier.core.workspace import Workspace


def test_no_project_here(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = build(capsys, tmp_path)
    assert code == 2
    assert "metier init" in err


def test_missing_file_names_the_nearest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "row.jsonl").write_text("{}")
    code, _, err = build(capsys, project(tmp_path))
    assert code == 2
    assert "rows.jsonl" in err
    assert "row.jsonl" in err


def test_empty_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rows.jsonl").write_text("")
    code, _, err = build(capsys, project(tmp_path))
    assert code == 2
    assert "rows.jsonl" in err
    assert "empty" in err


def test_unknown_column_names_the_nearest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_rows(tmp_path)
    text = HEAD + OBJECTIVE + DATA.replace('"queue"', '"queu"')
    code, _, err = build(capsys, project(tmp_path, text))
    assert code == 2
    assert "queu" in err
    assert "did you mean 'queue'" in err


def test_wrong_encoding_says_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rows.csv").write_bytes("message,queue\nCafé order late,parcels\n".encode("cp1252"))
    data = (
        '[data]\nsources = [{ path = "rows.csv", encoding = "utf-8", '
        'prompt = "message", target = "queue" }]\n'
    )
    code, _, err = build(capsys, project(tmp_path, HEAD + OBJECTIVE + data))
    assert code == 2
    assert "rows.csv:2" in err
    assert "encoding" in err


def test_a_broken_line_is_quarantined_and_the_rest_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [json.dumps(row) for row in rows(1000)]
    lines[2] = '{"message": "cut off'
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    code, _, err = build(capsys, project(tmp_path))
    assert code == 0, err
    code, out, _ = run(capsys, "data", "quarantine", "--project", str(tmp_path), "--json")
    assert code == 0
    broken = [row for row in json.loads(out) if row["locator"] == "3"]
    assert len(broken) == 1
    assert "JSON" in broken[0]["reason"] or "json" in broken[0]["reason"]


def test_a_line_of_200_mb_is_refused_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_rows(tmp_path)
    with (tmp_path / "rows.jsonl").open("a") as file:
        file.write('{"queue": "parcels", "message": "')
        for _ in range(200):
            file.write("x" * 1_000_000)
        file.write('"}\n')
    code, _, err = build(capsys, project(tmp_path))
    assert code == 0, err
    _, out, _ = run(capsys, "data", "quarantine", "--project", str(tmp_path), "--json")
    assert any("long" in row["reason"] and row["locator"] == "61" for row in json.loads(out))


def test_unknown_key_names_line_and_nearest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_rows(tmp_path)
    code, _, err = build(capsys, project(tmp_path, HEAD + OBJECTIVE + DATA + "[tune]\nepoch = 3\n"))
    assert code == 2
    assert "metier.toml:9" in err
    assert "epochs" in err


def test_labels_outside_the_objective_are_quarantined(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_rows(tmp_path)
    text = HEAD + OBJECTIVE + 'labels = ["parcels", "mashines"]\n' + DATA
    code, _, err = build(capsys, project(tmp_path, text))
    assert code == 2, "one of two labels has no row at all"
    assert "machines" in err


def test_a_target_that_cannot_be_computed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_rows(tmp_path)
    text = HEAD + OBJECTIVE + '[[objective.target]]\nmetric = "rouge1"\nat_least = 0.5\n' + DATA
    code, _, err = run(capsys, "objective", "check", "--project", str(project(tmp_path, text)))
    assert code == 2
    assert "rouge1" in err
    assert "f1_macro" in err


def test_zero_rows_left_says_which_step_took_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_rows(tmp_path)
    text = HEAD + OBJECTIVE + DATA + "min_chars = 5000\n"
    code, _, err = build(capsys, project(tmp_path, text))
    assert code == 2
    assert "60" in err
    assert "short" in err


def test_a_base_that_does_not_exist(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_rows(tmp_path)
    folder = project(tmp_path, (HEAD + OBJECTIVE + DATA).replace("metier/tiny", "./no-such-base"))
    assert build(capsys, folder)[0] == 0
    code, _, err = run(capsys, "tune", "--project", str(folder))
    assert code == 2
    assert "no-such-base" in err


def test_a_full_disk_loses_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_rows(tmp_path)
    folder = project(tmp_path)
    assert build(capsys, folder)[0] == 0
    before = json.loads(run(capsys, "data", "versions", "--project", str(folder), "--json")[1])
    write_rows(tmp_path, 80)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    code, _, err = build(capsys, folder)
    monkeypatch.undo()
    assert code == 2
    assert "room on the disk" in err
    after = json.loads(run(capsys, "data", "versions", "--project", str(folder), "--json")[1])
    assert after == before
    assert build(capsys, folder)[0] == 0


def test_two_commands_on_one_workspace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_rows(tmp_path)
    folder = project(tmp_path)
    assert build(capsys, folder)[0] == 0
    hold = (
        "import sys, time\nfrom pathlib import Path\n"
        "from metier.core.workspace import Workspace\n"
        "with Workspace.open(Path(sys.argv[1])) as ws:\n"
        "    def work(_):\n        print('held', flush=True)\n        time.sleep(60)\n"
        "    ws.jobs.run_inline('tune', {}, work, exclusive='tune')\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", hold, str(folder)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout is not None
        assert other.stdout.readline().strip() == "held"
        code, _, err = run(capsys, "tune", "--project", str(folder))
        assert code == 2
        assert str(other.pid) in err
    finally:
        other.send_signal(signal.SIGKILL)
        other.wait()
        assert other.stdout is not None
        other.stdout.close()


TUNE = (
    '[tune]\nmethod = { type = "lora", r = 4, alpha = 8 }\nlr = 4e-3\nepochs = 4\n'
    "batch_tokens = 256\n"
)


def test_a_killed_tune_goes_on_to_the_same_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    losses = {}
    for name in ("whole", "killed"):
        folder = tmp_path / name
        folder.mkdir()
        write_rows(folder, 120)
        project(folder, HEAD + OBJECTIVE + DATA + TUNE)
        assert build(capsys, folder)[0] == 0
        if name == "killed":
            kill_while_tuning(folder)
        losses[name] = tuned_loss(folder)
    # Processes differ by float noise; a step lost or done twice shows in the third digit.
    assert losses["killed"] == pytest.approx(losses["whole"], rel=1e-5)


# One thread, and processes of their own: sums over threads differ from process to process.
ALONE = {**os.environ, "OMP_NUM_THREADS": "1"}
TUNING = [sys.executable, "-c", "from metier.apps.cli import main; main()", "tune", "--project"]


def tuned_loss(folder: Path) -> float:
    """Tune to the end in a process of its own; the last training loss."""
    done = subprocess.run(
        [*TUNING, str(folder), "--json"], env=ALONE, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return float(json.loads(done.stdout)["summary"]["final_train_loss"])


def kill_while_tuning(folder: Path) -> None:
    """Start a tune in a process of its own and ``kill -9`` it once a checkpoint is there."""
    tuning = subprocess.Popen([*TUNING, str(folder)], env=ALONE, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and tuning.poll() is None:
        if list((folder / ".metier" / "work").rglob("checkpoint-*")):
            break
        time.sleep(0.02)
    assert tuning.poll() is None, "the tune ended before it could be killed"
    tuning.kill()
    tuning.wait()
    with Workspace.open(folder) as workspace:
        assert workspace.audit.verify().ok
