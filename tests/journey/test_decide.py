"""``metier decide`` and ``metier curve`` on the bundled base, through the command line."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from desk import DATA, HEAD, OBJECTIVE, build, project, run, write_rows
from metier.core import ledger
from metier.journey.session import open_session

TUNE = (
    '[tune]\nmethod = { type = "lora", r = 8, alpha = 16 }\nlr = 4e-3\nepochs = 3\n'
    "batch_tokens = 512\n[evaluate]\nresamples = 200\nvalidation_sample = 20\n"
)
TODAY = "[decide]\ncurrent_usd_per_reply = 2.0\nreplies_per_month = 1000\n"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("desk")
    write_rows(folder, 200)
    split = DATA + "validation = 0.25\ntest = 0.15\n"
    return project(folder, HEAD + OBJECTIVE + split + TUNE + TODAY)


def say(capsys: pytest.CaptureFixture[str], folder: Path, *words: str) -> Any:
    code, out, err = run(capsys, *words, "--project", str(folder), "--json")
    assert code == 0, err
    return json.loads(out)


def test_options_stand_beside_one_another_on_one_page(
    desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build(capsys, desk)[0] == 0
    found = say(capsys, desk, "decide")
    options = {one["name"]: one for one in found["options"]}
    assert {"keyword", "tfidf", "zero_shot", "few_shot", "tuned"} - set(options) <= {"keyword"}
    assert {one["quality"]["n"] for one in options.values()} == {50}
    for one in options.values():
        quality = one["quality"]
        assert quality["low"] <= quality["value"] <= quality["high"]
        assert one["p95_s"]["value"] > 0 or one["kind"] == "classical"
        wrong, each = 1 - quality["value"], one["usd_per_reply"]["value"]
        assert each == pytest.approx(2.0 * wrong + one["usd_per_1000"] / 1000)
        saved = 2.0 - each
        even = one["usd_up_front"] / saved if saved > 0 else math.inf
        assert one["break_even"] == pytest.approx(even)
        assert one["payback_months"] == pytest.approx(even / 1000)
    assert options["tuned"]["usd_up_front"] > 40 * 80
    assert len(found["curve"]["points"]) == 4
    assert any("hosted" in one for one in found["left_out"])
    # Machines that classify these rows from their words cost nothing to set up.
    assert found["best"] == "tfidf" and found["words"][0].startswith("Don't tune")

    page = (desk / "decide.html").read_text()
    assert found["words"][0].replace("'", "&#39;") in page
    assert "http://" not in page.replace("http://www.w3.org", "") and "https://" not in page
    with open_session(desk / "metier.toml") as session:
        assert ledger.get_version(session.workspace).looks_used == 0


def test_the_small_tunes_are_found_again_and_are_not_the_latest_run(
    desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = say(capsys, desk, "curve", "--rung", "tuned")
    with open_session(desk / "metier.toml") as session:
        runs = ledger.list_runs(session.workspace)
        latest = ledger.get_run(session.workspace)
    assert [ledger.PART in one.config for one in runs] == [True, True, True, False]
    assert latest == runs[-1]
    assert say(capsys, desk, "curve", "--rung", "tuned") == first
    sizes = [point["rows"] for point in first["points"]]
    assert sizes == sorted(sizes) and len(set(sizes)) == 4


def test_a_curve_of_a_fitted_baseline_says_what_more_rows_bring(
    desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = say(capsys, desk, "curve", "--more", "50")
    (gain,) = found["gains"]
    assert gain["more"] == 50
    assert gain["estimate"]["low"] <= gain["estimate"]["value"] <= gain["estimate"]["high"]
    code, out, _ = run(capsys, "curve", "--more", "50", "--project", str(desk))
    assert code == 0 and "50 more rows: about" in out


def test_a_rung_that_learns_nothing_has_no_curve(
    desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, "curve", "--rung", "zero_shot", "--project", str(desk))
    assert code == 2 and "a rung that learns from rows" in err


def test_a_hosted_model_that_may_not_be_asked_is_left_out_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_rows(tmp_path, 120)
    hosted = (
        '[decide]\nhosted = "big"\n[[serve.upstream]]\nname = "big"\n'
        'url = "http://models.example/v1"\nmodel = "m"\n'
    )
    evaluate = '[evaluate]\nrungs = ["tfidf"]\nresamples = 200\n'
    project(tmp_path, HEAD + OBJECTIVE + DATA + "validation = 0.3\n" + evaluate + hosted)
    build(capsys, tmp_path)
    found = say(capsys, tmp_path, "decide", "--no-tune")
    assert [one["name"] for one in found["options"]] == ["tfidf"]
    assert any("big" in one and "privacy.egress" in one for one in found["left_out"])
    assert found["options"][0]["break_even"] is None
    assert any("current_usd_per_reply" in one for one in found["words"])
