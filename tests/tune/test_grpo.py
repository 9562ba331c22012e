"""GRPO: advantages as published, the loss as TRL's, learning from a programmatic reward."""

from __future__ import annotations

from typing import Any

import preference_cases
import pytest
import torch
from cases import LABELS, examples, settings, version

from metier.core import ledger
from metier.core.errors import ConfigError, InputError, NotFound
from metier.core.objective import Objective
from metier.core.progress import Progress
from metier.core.workspace import Workspace
from metier.tune.algorithms.base import Ground
from metier.tune.algorithms.grpo import OwnReplies, advantages_of, make
from metier.tune.packing import passes
from metier.tune.run import tune
from tiny_models import tiny_base

SHORT = Objective.model_validate(
    {
        "task": "chat",
        "check": [{"name": "has_e", "type": "pattern", "must_match": "e"}],
    }
)


def grpo(**changes: Any) -> dict[str, Any]:
    reward = [{"type": "scorer", "name": "has_e"}]
    return {"type": "grpo", "reward": reward, "group": 4, "max_new_tokens": 8} | changes


def ground(workspace: Workspace, **changes: Any) -> Ground:
    config = settings(algorithm=grpo(**changes))
    rows, held_out = examples(6), examples(3, start=50)
    found = version(workspace, {"train": rows, "validation": held_out})
    task = Progress().task("encode", total=9, unit="example").__enter__()
    return Ground(config, found, workspace, tiny_base(), SHORT, "", rows, held_out, task)


def ready(made: Ground) -> tuple[OwnReplies, Any]:
    algorithm = make(made)
    passes.use(made.base.model, "padded", "sdpa")
    algorithm.prepare(made.base.model, "blocks", made.ws.work_dir)
    return algorithm, made.base.model


def test_advantages_are_rewards_in_spreads_of_their_group() -> None:
    # Sample standard deviation of 0, 1, 2, 3 is sqrt(5/3).
    spread = (5 / 3) ** 0.5 + 1e-4
    expected = [-1.5 / spread, -0.5 / spread, 0.5 / spread, 1.5 / spread]
    assert advantages_of([0, 1, 2, 3], "group") == pytest.approx(expected)
    assert advantages_of([0, 1, 2, 3], "none") == [-1.5, -0.5, 0.5, 1.5]
    assert advantages_of([0.3, 0.3], "group") == [0.0, 0.0]


def test_the_gradient_is_that_of_the_written_out_sum(workspace: Workspace) -> None:
    """Sum over replies, one at a time and unpacked, of advantage x log-probability."""
    algorithm, model = ready(ground(workspace))
    step = algorithm.step(model, (0, 1, 2), 0)
    for one in step.passes:
        algorithm.loss(model, one, step).loss.backward()
    packed = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()

    total = torch.zeros(())
    for one in step.passes:
        row = torch.cat([one.inputs["input_ids"][0], torch.zeros(1, dtype=torch.long)])
        starts = [at for at, place in enumerate(one.inputs["position_ids"][0]) if place == 0]
        for owner, begin in enumerate(starts):
            end = [*starts, len(row) - 1][owner + 1]
            ids = row[begin:end]
            logprobs = model(input_ids=ids[None], use_cache=False).logits[0].log_softmax(-1)
            mine = one.owners[0] == owner
            for place, target, weight in zip(
                one.positions[mine], one.targets[0][mine], one.weights[0][mine], strict=True
            ):
                total = total - weight * logprobs[place - begin, target] / step.weight
    total.backward()
    for mine, parameter in zip(packed, model.parameters(), strict=True):
        torch.testing.assert_close(mine, parameter.grad, atol=1e-5, rtol=1e-4)


def test_a_step_draws_the_same_under_its_number_and_others_under_another(
    workspace: Workspace,
) -> None:
    algorithm, model = ready(ground(workspace, beta=0.1))

    def drawn(number: int) -> list[int]:
        step = algorithm.step(model, (0, 1), number)
        return [int(i) for one in step.passes for i in one.inputs["input_ids"][0]]

    assert drawn(3) == drawn(3)
    assert drawn(3) != drawn(4)


def test_the_kl_term_is_nothing_at_the_start_and_holds_back_later(workspace: Workspace) -> None:
    made = ground(workspace, beta=0.5)
    algorithm, model = ready(made)
    one = algorithm.step(model, (0,), 0)
    assert algorithm.loss(model, one.passes[0], one).series["kl"] == pytest.approx(0, abs=1e-6)


def test_replies_that_are_all_alike_teach_nothing_and_do_no_harm(workspace: Workspace) -> None:
    reward = [{"type": "scorer", "name": "has_e", "weight": 0.0}]
    algorithm, model = ready(ground(workspace, reward=reward))
    step = algorithm.step(model, (0, 1), 0)
    assert step.series["groups_alike"] == 1
    assert len(step.passes) == 1
    algorithm.loss(model, step.passes[0], step).loss.backward()
    assert all(float(p.grad.abs().max()) == 0 for p in model.parameters() if p.grad is not None)


def test_a_run_raises_its_reward_and_resumes_from_its_checkpoint(workspace: Workspace) -> None:
    config = settings(algorithm=grpo(), epochs=3, lr=2e-2, batch_tokens=1024)
    rows = {"train": examples(24), "validation": examples(12, start=100)}
    run = tune(config, version(workspace, rows), workspace, tiny_base(), SHORT)
    series: dict[str, list[float]] = {}
    for point in ledger.metric_points(workspace, run.id):
        series.setdefault(point.name, []).append(point.value)
    assert run.state == "done"
    assert {"reward", "reward_spread", "groups_alike", "reply_tokens"} <= series.keys()
    assert series["validation_reward"][-1] > series["validation_reward"][0]
    assert series["validation_reward_low"][-1] <= series["validation_reward"][-1]
    steps = run.summary["steps"]
    assert len(series["reward"]) == steps


def test_what_cannot_be_rewarded_is_refused(workspace: Workspace) -> None:
    with pytest.raises(ConfigError, match="has_e"):
        make(ground(workspace, reward=[{"type": "scorer", "name": "has_ee"}]))
    with pytest.raises(InputError, match="room for 2000 tokens"):
        make(ground(workspace, max_new_tokens=2000))
    assert LABELS


def test_a_reward_model_rewards_what_its_people_preferred(workspace: Workspace) -> None:
    judged = tune(
        preference_cases.preferring("reward"),
        preference_cases.version(workspace),
        workspace,
        tiny_base(),
        preference_cases.CHAT,
    )
    made = ground(workspace, reward=[{"type": "model", "run": judged.id, "weight": 2.0}])
    algorithm, model = ready(made)
    step = algorithm.step(model, (0, 1), 0)
    assert step.series["reward_spread"] > 0
    with pytest.raises(NotFound, match="run_unknown"):
        make(ground(workspace, reward=[{"type": "model", "run": "run_unknown"}]))
