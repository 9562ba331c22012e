"""A whole cycle on the bundled base, from a messy file to the report, through the command line."""

import json
import re
import shutil
from pathlib import Path

import pytest

from desk import DATA, HEAD, OBJECTIVE, project, run, write_rows

TARGETS = (
    '[[objective.target]]\nmetric = "f1_macro"\nat_least = 0.9\n'
    '[[objective.target]]\nmetric = "error_rate"\nreduce_by = 0.5\nrelative_to = "zero_shot"\n'
    '[[objective.target]]\nmetric = "satisfaction"\nstage = "pilot"\nincrease_by = 0.1\n'
    'relative_to = "current_process"\ncurrent_value = 3.4\n'
)
TUNE = (
    '[tune]\nmethod = { type = "lora", r = 8, alpha = 16 }\nlr = 4e-3\nepochs = 3\n'
    "batch_tokens = 512\n[evaluate]\nresamples = 200\nvalidation_sample = 20\n"
)


@pytest.fixture(scope="module")
def cycle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose cycle was run once."""
    from metier.config import FILE_NAME
    from metier.journey.cycles import run_cycle
    from metier.journey.session import open_session

    folder = tmp_path_factory.mktemp("desk")
    write_rows(folder, 200)
    project(folder, HEAD + OBJECTIVE + TARGETS + DATA + TUNE)
    with open_session(folder / FILE_NAME) as session:
        run_cycle(session)
    return folder


def say(capsys: pytest.CaptureFixture[str], folder: Path, *words: str) -> object:
    """Run a command with --json and return what it printed."""
    code, out, err = run(capsys, *words, "--project", str(folder), "--json")
    assert code == 0, err
    return json.loads(out)


def test_the_tuned_model_beats_the_untuned_one(
    cycle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = say(capsys, cycle, "compare", "tuned", "zero_shot")
    assert isinstance(found, dict)
    f1 = next(d for d in found["differences"] if d["metric"] == "f1_macro")
    assert f1["estimate"]["low"] > 0
    assert f1["estimate"]["n"] == 40


def test_the_report_is_one_page_that_loads_nothing(cycle: Path) -> None:
    page = (cycle / "report.html").read_text()
    assert "f1_macro" in page
    for rung in ("keyword", "tfidf", "zero", "tuned"):
        assert rung in page.lower()
    assert not re.search(r'(src|href)="(https?:)?//', page)
    assert "satisfaction" in page, "a target of a later stage stays visible"


def test_the_adapter_is_in_pefts_layout(cycle: Path) -> None:
    names = {path.name for path in (cycle / "adapter").iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors"} <= names


def test_a_second_cycle_repeats_nothing(cycle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = say(capsys, cycle, "data", "versions")
    first = say(capsys, cycle, "cycle", "run")
    second = say(capsys, cycle, "cycle", "run")
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    assert first["run"]["id"] == second["run"]["id"]
    ids = [[report["id"] for report in one["reports"]] for one in (first, second)]
    assert ids[0] == ids[1]
    assert say(capsys, cycle, "data", "versions") == before, "no look at the test set was used"


def test_lineage_answers_both_ways(cycle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from metier.config import FILE_NAME
    from metier.core import ledger
    from metier.journey.session import open_session

    with open_session(cycle / FILE_NAME) as session:
        ws = session.workspace
        report = next(r for r in ledger.list_evaluations(ws) if r.rung == "tuned")
        prediction = ledger.load_predictions(ws, report)[0]
        version = ledger.get_version(ws)
    up = json.dumps(say(capsys, cycle, "lineage", prediction.id))
    ancestors = (report.id, str(report.run_id), version.id, prediction.example_id, "rows.jsonl")
    for ancestor in ancestors:
        assert ancestor in up
    down = json.dumps(say(capsys, cycle, "lineage", prediction.example_id, "--down"))
    for descendant in (version.id, report.id, prediction.id):
        assert descendant in down


def test_the_gate_for_ci_looks_at_the_lower_bound(
    cycle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", "--project", str(cycle), "--fail-under", "f1_macro=0.999"]
    code, _, err = run(capsys, *words)
    assert code == 1
    assert "f1_macro" in err


def test_status_names_every_stage_as_done(cycle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = say(capsys, cycle, "cycle", "status")
    assert isinstance(found, dict)
    assert {stage["name"]: stage["state"] for stage in found["stages"]} == dict.fromkeys(
        ["data", "baselines", "tune", "evaluate", "gate", "report"], "done"
    )
    assert [wait["who"] for wait in found["waits"]] == ["the owner"]


def test_who_did_what_is_on_record(cycle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check = say(capsys, cycle, "audit", "verify")
    assert isinstance(check, dict)
    assert check["ok"]
    entries = say(capsys, cycle, "audit", "show")
    assert isinstance(entries, list)
    assert {"data", "baseline", "tune", "evaluate", "cycle"} <= {e["action"] for e in entries}


def test_inspect_marks_the_answer_only(cycle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "inspect", "--project", str(cycle), "-n", "1")
    assert code == 0
    marked = re.findall(r"«(.*?)»", out, re.DOTALL)
    assert [text.split("<")[0] for text in marked] in (["parcels"], ["machines"])


def test_a_queued_tune_is_run_by_a_worker(cycle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    job = say(capsys, cycle, "tune", "--queue")
    assert isinstance(job, dict)
    assert job["state"] == "queued"
    code, _, err = run(capsys, "worker", "--once", "--project", str(cycle))
    assert code == 0, err
    jobs = say(capsys, cycle, "jobs", "list")
    assert isinstance(jobs, list)
    done = next(one for one in jobs if one["id"] == job["id"])
    assert done["state"] == "done"
    assert done["result"]["run"].startswith("run_")


def test_the_objective_says_what_it_needs(cycle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    needs = say(capsys, cycle, "objective", "check")
    assert isinstance(needs, list)
    f1 = needs[0]
    assert f1["items_now"] == 40
    assert f1["items_needed"] > 40
    assert set(f1["hours"]) == {"1", "2", "3"}
    assert "pilot" in needs[2]["words"]


def test_starting_from_a_data_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_rows(tmp_path, 60)
    code, out, err = run(
        capsys, "init", str(tmp_path), "--data", str(tmp_path / "rows.jsonl"), "--yes"
    )
    assert code == 0, err
    assert "'message'" in out
    assert 'target = "queue"' in (tmp_path / "metier.toml").read_text()
    plan = say(capsys, tmp_path, "data", "build", "--dry-run")
    assert isinstance(plan, dict)
    assert sum(plan["counts"].values()) == 60
    assert say(capsys, tmp_path, "data", "versions") == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_report_opens_in_a_browser(cycle: Path, scheme: str) -> None:
    """Nothing is fetched, nothing fails, and a telephone shows it without sideways scrolling."""
    browser_path = shutil.which("chromium")
    if browser_path is None:
        pytest.skip("no chromium: install Debian's package to run browser tests")
    from playwright.sync_api import sync_playwright

    problems: list[str] = []
    requests: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=browser_path, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(
            viewport={"width": 390, "height": 844},
            color_scheme="dark" if scheme == "dark" else "light",
        )
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto((cycle / "report.html").as_uri())
        width = page.evaluate("document.documentElement.scrollWidth")
        heading = page.inner_text("h1")
        browser.close()
    assert problems == []
    assert len(requests) == 1, "the page itself, and nothing else"
    assert width <= 390
    assert heading


HARNESS_TASK = """
task: capitals
dataset_path: json
dataset_kwargs: {{data_files: {{test: {items}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}}"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: "{{{{answer}}}}"
metric_list: [{{metric: acc, aggregation: mean, higher_is_better: true}}]
"""


def test_a_task_of_the_harness_runs_on_the_tuned_model(
    cycle: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("lm_eval", reason="the extra lm-eval is not installed")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    items = cycle / "items.jsonl"
    rows = [{"question": f"{n} and", "choices": [" a", " b"], "answer": n % 2} for n in range(12)]
    items.write_text("\n".join(map(json.dumps, rows)))
    (cycle / "capitals.yaml").write_text(HARNESS_TASK.format(items=items))
    code, out, err = run(
        capsys, "evaluate", "--lm-eval", "capitals", "--project", str(cycle), "--json"
    )
    assert code == 0, err
    found = json.loads(out[out.index("{") :])["tasks"]["capitals"]["acc"]
    assert found["n"] == 12 and 0 <= found["low"] < found["high"] <= 1
    code, _, err = run(capsys, "evaluate", "--lm-eval", "capitols", "--project", str(cycle))
    assert code == 2 and "capitols" in err
    (cycle / "mine.yaml").write_text("task: mine\nprocess_docs: !function mine.work\n")
    code, _, err = run(capsys, "evaluate", "--lm-eval", "capitals", "--project", str(cycle))
    (cycle / "mine.yaml").unlink()
    assert code == 2 and "!function in mine.yaml" in err
