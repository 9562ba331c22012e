"""From an evaluated run to a release that holds all that shapes its answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from desk import DATA, HEAD, OBJECTIVE
from evaluate_fakes import PAIRS, FakeCompleter, labelled, right
from metier.core import ledger
from metier.core.errors import InputError
from metier.core.records import EvaluationReport, TuneRun
from metier.evaluate.bench import Contender
from metier.evaluate.evaluate import evaluate
from metier.journey.releases import make_release
from metier.journey.session import Session, make_bench, open_session
from metier.models.base import fingerprint_folder
from metier.models.prompt import TUNED
from metier.registry import aliases, load_manifest
from metier.release import read_decision
from tiny_releases import fake_adapter, fake_base

TARGETS = (
    '[[objective.target]]\nmetric = "accuracy"\nat_least = {bound}\n'
    '[[objective.target]]\nmetric = "error_rate"\nreduce_by = 0.5\nrelative_to = "keyword"\n'
)
EVALUATE = "[evaluate]\nresamples = 200\nmax_new_tokens = {tokens}\n"


def config(bound: float = 0.9, tokens: int = 16, instruction: str = "Route it.") -> str:
    said = f'instruction = "{instruction}"\n'
    targets = TARGETS.format(bound=bound)
    return HEAD + OBJECTIVE + said + targets + DATA + EVALUATE.format(tokens=tokens)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    path = tmp_path / "metier.toml"
    path.write_text(config())
    return path


@pytest.fixture
def session(project: Path) -> Iterator[Session]:
    with open_session(project) as opened:
        yield opened


def tuned_run(session: Session) -> TuneRun:
    ws = session.workspace
    version = ledger.save_version(
        ws,
        {"train": labelled(0, PAIRS, 2), "test": labelled(100, PAIRS, 15)},
        labels=["billing", "delivery"],
        config={"deidentify": {"profile": "patterns"}},
        card={},
        sources=[],
    )
    base = str(session.root / "base")
    if not Path(base).exists():
        fake_base(Path(base))
    run = ledger.start_run(ws, version, base, {"system": "You sort mail."})
    return ledger.finish_run(ws, run.id, "done", fake_adapter(ws, base), {})


def measure(session: Session, run: TuneRun, wrong: int = 0) -> EvaluationReport:
    """Measure a fake model as the run's, one that errs on ``wrong`` rows, and a poor baseline."""
    bench = make_bench(session, run.version_id)
    evaluate(bench, Contender("keyword", FakeCompleter(lambda _: "billing", "keyword")))
    spoilt = {one.conversation.last_user for one in bench.examples("test")[:wrong]}
    model = FakeCompleter(lambda text: "none" if text in spoilt else right(text), f"w{wrong}")
    return evaluate(bench, Contender("tuned", model, TUNED, "You sort mail.", run_id=run.id))


def test_a_release_holds_what_shapes_its_answers(session: Session) -> None:
    run = tuned_run(session)
    report = measure(session, run)
    release = make_release(session, run.id)
    held = load_manifest(session.workspace, release)
    version = ledger.get_version(session.workspace, run.version_id)
    assert (held.number, held.project, held.run_id) == (1, "desk", run.id)
    assert (held.evaluation_id, held.version_hash) == (report.id, version.hash)
    assert (held.system, held.prompt, held.deidentify) == ("You sort mail.", "tuned", "patterns")
    assert held.labels == ("billing", "delivery")
    assert held.max_new_tokens == 16
    assert held.task == session.project.objective
    assert held.base_fingerprint == fingerprint_folder(Path(run.base))
    assert set(held.files) == {"adapter_config.json", "adapter_model.safetensors", "metier.json"}
    assert held.metrics["accuracy"]["value"] == 1.0
    assert {"metier", "torch", "python"} <= set(held.software)
    assert aliases(session.workspace) == {"challenger": release}


def test_targets_are_judged_against_the_baselines(session: Session) -> None:
    run = tuned_run(session)
    measure(session, run)
    found = read_decision(make_release(session, run.id))
    assert found.state == "passed"
    assert [result.state for result in found.results] == ["passed", "passed"]
    assert found.results[1].reference == "keyword"
    assert found.results[1].deciding is not None


def test_a_good_mean_with_too_few_items_is_not_enough(session: Session) -> None:
    run = tuned_run(session)
    report = measure(session, run, wrong=4)
    accuracy = report.metrics["accuracy"]
    assert accuracy.value >= 0.9 > accuracy.low
    found = read_decision(make_release(session, run.id))
    assert found.state == "not_enough_data"
    assert found.more_items is not None and found.more_items > 0


def test_the_newest_evaluation_counts_and_the_same_again_is_the_same(session: Session) -> None:
    run = tuned_run(session)
    measure(session, run, wrong=30)
    first = make_release(session, run.id)
    assert make_release(session) == first
    report = measure(session, run)
    second = make_release(session, run.id)
    assert (second.number, second.evaluation_id) == (2, report.id)
    assert [first.gate["state"], second.gate["state"]] == ["failed", "passed"]


def test_a_run_that_was_not_evaluated_says_what_to_do(session: Session) -> None:
    run = tuned_run(session)
    with pytest.raises(InputError, match=f"metier evaluate --run {run.id}"):
        make_release(session, run.id)
    unfinished = ledger.start_run(session.workspace, run.version_id, run.base, {})
    with pytest.raises(InputError, match="run `metier tune` again"):
        make_release(session, unfinished.id)


@pytest.mark.parametrize("change", [{"instruction": "Sort it."}, {"tokens": 8}])
def test_what_was_not_measured_is_not_released(
    session: Session, project: Path, change: dict[str, str | int]
) -> None:
    run = tuned_run(session)
    measure(session, run)
    project.write_text(config(**change))  # type: ignore[arg-type]
    with (
        open_session(project) as changed,
        pytest.raises(InputError, match="would be served was not measured"),
    ):
        make_release(changed, run.id)
    project.write_text(config(bound=0.5))
    with open_session(project) as eased:
        assert make_release(eased, run.id).number == 1, "targets may change: they shape no reply"


@pytest.mark.parametrize(
    ("setting", "profile"),
    [({"profile": "none"}, "none"), ("none", "none"), ({"profile": "patterns"}, "patterns")],
)
def test_the_profile_of_the_data_goes_with_the_release(
    session: Session, setting: object, profile: str
) -> None:
    from metier.journey.releases import _deidentify

    version = ledger.save_version(
        session.workspace, {"train": labelled(0, PAIRS)}, labels=[], config={"deidentify": setting},
        card={}, sources=[],
    )  # fmt: skip
    assert _deidentify(version) == profile
