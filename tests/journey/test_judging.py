"""Judges of a project: verdicts kept, agreement before they may gate, egress asked first."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from desk import run
from evaluate_fakes import FakeCompleter, paired, row
from metier.core import ledger
from metier.core.completer import Capabilities, Sampling
from metier.core.errors import ConfigError, EgressRefused, InputError, NotFound
from metier.core.objective import Objective
from metier.core.types import Completion, CompletionTarget, Conversation
from metier.evaluate.bench import Contender
from metier.evaluate.evaluate import evaluate
from metier.evaluate.judge.prompts import nonce_of
from metier.journey import judging
from metier.journey.probed import with_probes
from metier.journey.session import Session, make_bench, open_session
from metier.journey.trust import trust_of
from metier.journey.verbs import newest_per_rung
from metier.scoring.goals.targets import judge as judge_targets
from metier.scoring.tasks import check_targets

HEAD = '[project]\nname = "desk"\n[objective]\ntask = "answer"\n'
LOCAL = '[[evaluate.judge.model]]\ntype = "local"\nname = "strict"\nbase = "metier/tiny"\n'
REMOTE = (
    '[[evaluate.judge.model]]\ntype = "endpoint"\nname = "far"\nurl = "http://127.0.0.1:9/v1"\n'
    'model = "m"\n'
)
ONE = '[[evaluate.judge.dimension]]\nname = "helpful"\ndescription = "It helps."\n'


class Rater:
    """Rates by the number that stands in the reply; prefers the reply that stands first."""

    name = fingerprint = "rater"
    capabilities = Capabilities()

    def __init__(self) -> None:
        self.asked: list[Conversation] = []

    def complete(
        self, conversations: Sequence[Conversation], sampling: Sampling
    ) -> list[Completion]:
        self.asked += conversations
        return [Completion(self._verdict(conversation)) for conversation in conversations]

    def _verdict(self, asked: Conversation) -> str:
        body: dict[str, object] = {"winner": "first"}
        if "first reply" not in asked.text:
            body = {"helpful": int(asked.text.partition(" points")[0][-1])}
        return f"VERDICT {nonce_of(asked)} {json.dumps(body)}"

    def score(
        self, conversations: Sequence[Conversation], choices: Sequence[str]
    ) -> list[list[float]]:
        raise NotImplementedError


@pytest.fixture
def rater(monkeypatch: pytest.MonkeyPatch) -> Rater:
    made = Rater()
    monkeypatch.setattr(judging, "_completer", lambda session, model: made)
    return made


@contextmanager
def desk(folder: Path, text: str) -> Iterator[Session]:
    folder.mkdir(exist_ok=True)
    (folder / "metier.toml").write_text(text)
    with open_session(folder / "metier.toml") as session:
        yield session


def points(text: str) -> int:
    return int(text.split()[1]) % 5 + 1


def measured(session: Session) -> list[str]:
    """Thirty replies of two rungs; the ids of the examples."""
    test = [row(i, f"question {i}", CompletionTarget("fine")) for i in range(30)]
    splits = {"train": [], "validation": [], "test": test}
    ledger.save_version(session.workspace, splits, labels=[], config={}, card={}, sources=[])
    bench = make_bench(session)
    for rung in ("tuned", "zero_shot"):
        model = FakeCompleter(lambda text: f"worth {points(text)} points", rung)
        evaluate(bench, Contender(rung, model))
    return [example.id for example in test]


def test_ratings_are_kept_and_not_asked_for_twice(tmp_path: Path, rater: Rater) -> None:
    with desk(tmp_path, HEAD + LOCAL + ONE) as session:
        measured(session)
        probe = judging.judge_replies(session)
        assert probe.metrics["judge.helpful"].value == pytest.approx(3)
        assert probe.metrics["judge.helpful"].n == 30
        assert probe.kind == "judge"
        assert "nobody has held it" in probe.detail["untrusted"]["judge.helpful"]
        assert judging.judge_replies(session).id == probe.id
        assert len(rater.asked) == 30
        assert ledger.latest_probe(session.workspace, "judge", probe.subject) == probe


def test_two_rungs_are_compared_in_both_orders(tmp_path: Path, rater: Rater) -> None:
    with desk(tmp_path, HEAD + LOCAL + ONE) as session:
        measured(session)
        plan = judging.plan_judging(session, against="zero_shot")
        assert (plan.items, plan.questions) == (30, 60)
        probe = judging.judge_replies(session, against="zero_shot")
        assert len(rater.asked) == 60
        assert probe.metrics["judge.flips"].value == 1
        assert probe.metrics["judge.win_rate"].value == 0.5


def ratings(folder: Path, ids: Sequence[str], off: int = 0) -> Path:
    lines = [f"{id},{(i + off) % 5 + 1}" for i, id in enumerate(ids)]
    path = folder / "people.csv"
    path.write_text("\n".join(["id,rating", *lines]))
    return path


def doubts(session: Session) -> dict[str, str]:
    project = session.project
    return trust_of(session.workspace, project.objective, project.evaluate.judge)


def state(session: Session) -> str:
    """How the gate judges the target on what the judge says."""
    (report,) = [
        one
        for one in newest_per_rung(session, make_bench(session).version.id)
        if one.rung == "tuned"
    ]
    report = with_probes(session.workspace, report)
    objective = session.project.objective
    (result,) = judge_targets(objective, report, [report], paired(0, 0, 0), doubts(session))
    return result.state


def test_a_judge_gates_only_after_it_agreed(tmp_path: Path, rater: Rater) -> None:
    target = '[[objective.target]]\nmetric = "judge.helpful"\nat_least = 2.0\n'
    with desk(tmp_path, HEAD + target + LOCAL + ONE) as session:
        check_targets(session.project.objective)
        ids = measured(session)
        assert "nobody" in doubts(session)["judge.helpful"]
        assert state(session) == "open", "nothing has judged it yet"
        judging.judge_replies(session)
        assert state(session) == "untrusted"
        judging.judge_agreement(session, ratings(tmp_path, ids, off=2))
        assert "lower bound below 0.4" in doubts(session)["judge.helpful"]
        probe = judging.judge_agreement(session, ratings(tmp_path, ids))
        assert probe.metrics["judge.helpful.agreement"].value == pytest.approx(1)
        assert doubts(session) == {}
        assert state(session) == "passed"
    changed = HEAD + target + LOCAL + ONE.replace("It helps.", "It helps a lot.")
    with desk(tmp_path, changed) as session:
        assert "nobody" in doubts(session)["judge.helpful"]


@pytest.mark.parametrize("metric", ["judge.parse_failures", "judge.helpful.agreement", "judge."])
def test_numbers_about_the_judge_are_no_targets(metric: str) -> None:
    objective = Objective.model_validate(
        {"task": "answer", "target": [{"metric": metric, "at_least": 2}]}
    )
    with pytest.raises(ConfigError, match="there is no metric"):
        check_targets(objective)


def test_an_endpoint_needs_permission_for_the_purpose(tmp_path: Path) -> None:
    with desk(tmp_path, HEAD + REMOTE + ONE) as session:
        measured(session)
        with pytest.raises(EgressRefused, match='purpose = "judge"'):
            judging.judge_replies(session)
        assert judging.plan_judging(session).hosts == ("http://127.0.0.1:9/v1",)


def test_what_is_not_there_is_named(tmp_path: Path, rater: Rater) -> None:
    with desk(tmp_path, HEAD + LOCAL + ONE) as session:
        measured(session)
        with pytest.raises(InputError, match="did you mean 'helpful'"):
            judging.judge_replies(session, dimensions=["helpfull"])
        with pytest.raises(NotFound, match="did you mean 'tuned'"):
            judging.judge_replies(session, "tune")
    with desk(tmp_path, HEAD) as session, pytest.raises(InputError, match="a judge"):
        judging.judge_replies(session)


def test_truth_is_measured_and_kept(tmp_path: Path, rater: Rater) -> None:
    with desk(tmp_path, HEAD + LOCAL + ONE) as session:
        measured(session)
        found = judging.measure_truth(session)
        assert found.metrics["unsupported_numbers_rate"].n == 30
        kept = ledger.list_probes(session.workspace, "truth")[-1]
        assert kept.metrics["groundedness"].value == found.metrics["groundedness"].value


def test_the_commands(tmp_path: Path, rater: Rater, capsys: pytest.CaptureFixture[str]) -> None:
    with desk(tmp_path, HEAD + LOCAL + ONE) as session:
        ids = measured(session)
    here = ("--project", str(tmp_path), "--json")
    code, out, _ = run(capsys, "judge", "run", "--dry-run", *here)
    assert (code, json.loads(out)["questions"]) == (0, 30)
    code, out, _ = run(capsys, "judge", "run", "--project", str(tmp_path))
    assert code == 0
    assert "judge.helpful" in out
    assert "judge not validated" in out
    people = str(ratings(tmp_path, ids))
    code, out, _ = run(capsys, "judge", "agreement", "--ratings", people, *here)
    assert (code, json.loads(out)["kind"]) == (0, "judge_agreement")
    code, out, _ = run(capsys, "judge", "truth", "--project", str(tmp_path))
    assert code == 0
    assert "groundedness" in out


def test_checking_our_own_judges_needs_no_project(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "judge", "check", "--json")
    assert code == 0
    assert json.loads(out) == {"ratings": [], "faithfulness": [], "context recall": []}
