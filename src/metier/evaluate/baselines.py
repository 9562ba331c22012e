"""The baselines a tuned model has to beat, each helped as much as is fair.

    closed sets   keyword rules, TF-IDF + logistic regression
    texts         the nearest training example's reply; first sentences (summarize)
    any task      the untuned model: zero-shot, few-shot

Language-model rungs are asked in every variant of ``models/prompts.toml``; variant, number and
choice of examples, and prior correction are chosen on validation, never on test.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from itertools import product
from typing import TYPE_CHECKING

from metier.core.completer import Completer
from metier.core.errors import InputError
from metier.core.ledger import load_split
from metier.core.objective import TaskKind
from metier.core.records import EvaluationReport, TuneRun
from metier.core.types import Conversation
from metier.evaluate.bench import Bench, Contender
from metier.evaluate.choose import ChoiceRows, choice_rows, choose
from metier.evaluate.config import PROMPTED_RUNGS, Rung
from metier.evaluate.evaluation import evaluate
from metier.evaluate.targets import TUNED
from metier.models import prompt

if TYPE_CHECKING:
    from metier.models.base import Base

CLOSED: tuple[Rung, ...] = ("keyword", "tfidf", "zero_shot", "few_shot")
WRITTEN: tuple[Rung, ...] = ("nearest", "zero_shot", "few_shot")
RUNGS: dict[TaskKind, tuple[Rung, ...]] = {
    "classify": CLOSED,
    "multilabel": CLOSED,
    "structured": CLOSED,
    "extract": ("keyword", "nearest", "zero_shot", "few_shot"),
    "summarize": ("nearest", "lead", "zero_shot", "few_shot"),
    "answer": WRITTEN,
    "compose": WRITTEN,
    "chat": WRITTEN,
}
LEAD_SENTENCES = (1, 2, 3, 5, 8)


def rungs_of(bench: Bench) -> tuple[Rung, ...]:
    """Return the baselines to measure: those configured, or all that fit the task."""
    if bench.config.rungs == "auto":
        return RUNGS[bench.objective.task]
    return tuple(bench.config.rungs)


def run_baselines(
    bench: Bench,
    base: Completer | None,
    *,
    system: str = "",
    rungs: Iterable[Rung] | None = None,
    force: bool = False,
    device: str = "cpu",
) -> list[EvaluationReport]:
    """Measure the baselines on the test split, in the order of their cost.

    ``base`` is the untuned language model (None: its rungs are left out); ``system`` the project's
    system prompt; ``device`` where ``base`` runs. Stored reports that fit are returned as they
    are unless ``force``.
    """
    found = []
    for rung in rungs if rungs is not None else rungs_of(bench):
        if rung in PROMPTED_RUNGS and base is None:
            bench.progress.note(f"{rung} left out: there is no language model to ask")
            continue
        contender = baseline(bench, rung, base, system, device)
        found.append(evaluate(bench, contender, force=force))
    return found


def baseline(
    bench: Bench, rung: Rung, base: Completer | None, system: str = "", device: str = "cpu"
) -> Contender:
    """Build one baseline: fitted on training rows, or its prompt chosen on validation."""
    if rung in PROMPTED_RUNGS:
        if base is None:
            raise InputError(f"a language model for the rung {rung!r}", got="none")
        rows = choice_rows(bench)
        made = _zero_shot(bench, base, system, device)
        if rung == "few_shot":
            made = _few_shot(bench, base, system, rows, device)
        return choose(bench, made, rows)
    return _classical(bench, rung)


def tuned_contender(bench: Bench, run: TuneRun, base: Base, system: str = "") -> Contender:
    """Build the tuned rung from the adapter a run left, asked the way it was trained.

    Raises InputError when the run left no adapter, or was trained on rows of the test split.
    """
    from metier.models.engines.local import LocalCompleter

    if run.adapter is None:
        raise InputError(
            f"a tuning run with an adapter, as {run.id}",
            got=f"state {run.state}, no adapter",
            remedy="let `metier tune` finish, or name another run",
        )
    _refuse_seen(bench, run)
    adapter = bench.workspace.artifacts.checkout(run.adapter)
    completer = LocalCompleter(base, adapter, f"{base.name} + {run.id}")
    gpu = bool(next(completer.model.parameters()).is_cuda)
    return Contender(
        TUNED,
        completer,
        variant=prompt.TUNED,
        system=system,
        run_id=run.id,
        device="gpu" if gpu else "cpu",
    )


def _refuse_seen(bench: Bench, run: TuneRun) -> None:
    if run.version_id == bench.version.id:
        return
    trained = {example.id for example in load_split(bench.workspace, run.version_id, "train")}
    seen = sorted(trained & {example.id for example in bench.examples("test")})
    if seen:
        raise InputError(
            f"a test split that {run.id} was not trained on",
            got=f"{len(seen)} of its rows in the run's version {run.version_id}, e.g. {seen[0]}",
            remedy=f"evaluate it on {run.version_id}, or tune again on {bench.version.id}",
        )


def _classical(bench: Bench, rung: Rung) -> Contender:
    from metier.models import classical

    train = bench.examples("train")
    if rung == "lead":
        options = [Contender(rung, classical.lead(count)) for count in LEAD_SENTENCES]
        return choose(bench, options, choice_rows(bench))
    fit = {"keyword": classical.keyword, "tfidf": classical.tfidf, "nearest": classical.nearest}
    with bench.progress.task(f"fit {rung}", len(train), "row"):
        return Contender(rung, fit[rung](train, bench.objective))


def _zero_shot(bench: Bench, base: Completer, system: str, device: str) -> list[Contender]:
    return [
        Contender(
            "zero_shot",
            base,
            variant=variant,
            system=system,
            chosen={"prompt": variant.name},
            device=device,
        )
        for variant in prompt.untuned_variants(bench.objective.task)
    ]


def _few_shot(
    bench: Bench, base: Completer, system: str, rows: ChoiceRows, device: str
) -> list[Contender]:
    from metier.models.few_shot import few_shot

    options = []
    for variant in prompt.untuned_variants(bench.objective.task):
        frame = partial(_frame, bench=bench, variant=variant, system=system)
        for k, selection in product(bench.config.few_shot_k, bench.config.few_shot_examples):
            shown = few_shot(
                base,
                rows.shown,
                k,
                bench.objective,
                frame,
                selection=selection,
                seed=bench.config.seed,
            )
            options.append(
                Contender(
                    "few_shot",
                    shown,
                    variant=variant,
                    system=system,
                    chosen={"prompt": variant.name, "k": k, "examples": selection},
                    device=device,
                )
            )
    return options


def _frame(
    conversation: Conversation, *, bench: Bench, variant: prompt.PromptVariant, system: str
) -> Conversation:
    return prompt.render_prompt(conversation, bench.objective, bench.labels, variant, system)
