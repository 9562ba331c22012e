"""The baselines a tuned model has to beat, each helped as much as is fair.

    closed sets   keyword rules, TF-IDF + logistic regression
    texts         the nearest training example's reply; first sentences (summarize)
    any task      the untuned model: zero-shot, few-shot; with retrieved passages (see passages);
                  other bases, as ``zero_shot:<base>``

Language-model rungs are asked in every variant of ``models/prompts.toml``; variant, number and
choice of examples, and prior correction are chosen on validation, never on test.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, get_args

from metier.core.completer import Completer
from metier.core.errors import InputError, nearest
from metier.core.ledger import load_split
from metier.core.objective import TaskKind
from metier.core.records import EvaluationReport, TuneRun
from metier.evaluate.asking import as_completer, device_of, frame_of
from metier.evaluate.bench import Bench, Contender
from metier.evaluate.choose import ChoiceRows, choice_rows, choose
from metier.evaluate.config import GROUNDED_RUNGS, PROMPTED_RUNGS, Rung
from metier.evaluate.evaluate import evaluate
from metier.evaluate.passages import GROUNDED_TASKS, Library, library, rag, rag_few_shot
from metier.models import prompt
from metier.scoring.goals.targets import TUNED

if TYPE_CHECKING:
    from metier.models.base import Base

LoadModel = Callable[[], "Base | Completer"]
LoadNamed = Callable[[str], "Base | Completer"]
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
OF_OTHER_BASES: tuple[Rung, ...] = ("zero_shot", "few_shot")


def rungs_of(bench: Bench) -> tuple[str, ...]:
    """Return the baselines to measure: those configured, or all that fit the task.

    With documents in ``[retrieval]`` those that are shown passages are among them; further bases
    come last.
    """
    asked, task = bench.config.rungs, bench.objective.task
    own: list[str] = [
        one for one in (RUNGS[task] if asked == "auto" else asked) if one != "tuned_rag"
    ]
    documents = bench.knowledge is not None and bench.knowledge.config.configured
    if asked == "auto" and documents and task in GROUNDED_TASKS:
        own.extend(GROUNDED_RUNGS)
    others = [f"{rung}:{base}" for base in bench.config.bases for rung in OF_OTHER_BASES]
    return (*own, *others)


def run_baselines(
    bench: Bench,
    load: LoadModel | None,
    system: str = "",
    rungs: Sequence[str] | None = None,
    *,
    named: LoadNamed | None = None,
    force: bool = False,
) -> list[EvaluationReport]:
    """Measure baselines on the test split, in the order given (None: those of the config).

    ``load`` gives the untuned model and is called when a rung needs it (None: those rungs are
    left out), ``named`` other bases by name; ``system`` is the project's system prompt. Stored
    reports that fit are returned as they are unless ``force``. Raises UserError naming the nearest
    rung for an unknown one.
    """
    wanted = [_known(rung) for rung in rungs] if rungs else rungs_of(bench)
    prompted = [rung for rung in wanted if _kind(rung) in PROMPTED_RUNGS]
    if prompted and load is None:
        bench.progress.note(f"left out for want of a language model: {', '.join(prompted)}")
        wanted = [rung for rung in wanted if rung not in prompted]
    models, shelf = _Models(load, named), library(bench)
    return [
        evaluate(bench, baseline(bench, rung, models.of(rung), system, shelf), force=force)
        for rung in wanted
    ]


def baseline(
    bench: Bench,
    rung: str,
    load: LoadModel | None = None,
    system: str = "",
    shelf: Library | None = None,
) -> Contender:
    """Build one baseline: fitted on training rows, or its prompt chosen on validation.

    ``load`` gives the model that the rung names; ``shelf`` the indexed documents, where they are at
    hand. Raises InputError when a language-model rung is asked for without ``load``.
    """
    kind = _kind(_known(rung))
    if kind not in PROMPTED_RUNGS:
        return _classical(bench, kind)
    if load is None:
        raise InputError(f"a language model for the rung {rung!r}", got="none")
    completer = as_completer(load())
    if kind in GROUNDED_RUNGS:
        build = rag if kind == "rag" else rag_few_shot
        return build(shelf or library(bench), completer, system)
    rows = choice_rows(bench)
    if kind == "few_shot":
        options = _few_shot(bench, completer, system, rows)
    else:
        options = _zero_shot(bench, completer, system)
    return replace(choose(bench, options, rows), rung=rung)


class _Models:
    """Loads what a rung asks, and holds one model at a time."""

    def __init__(self, load: LoadModel | None, named: LoadNamed | None) -> None:
        self._load, self._named = load, named
        self._held: tuple[str, Completer] | None = None

    def of(self, rung: str) -> LoadModel | None:
        """Return what loads the model that a rung names; None when nothing can."""
        base = rung.partition(":")[2]
        if (self._named if base else self._load) is None:
            return None
        return lambda: self._get(base)

    def _get(self, base: str) -> Completer:
        if self._held is None or self._held[0] != base:
            self._held = None  # let go of one before the next is loaded
            if base and self._named is not None:
                self._held = (base, as_completer(self._named(base)))
            elif self._load is not None:
                self._held = (base, as_completer(self._load()))
            else:
                raise InputError("a language model", got="none")
        return self._held[1]


def tuned_contender(
    bench: Bench, run: TuneRun, base: Base | None = None, hosted: Completer | None = None
) -> Contender:
    """Build the tuned rung from the weights a run left, asked the way it was trained.

    ``base`` defaults to the run's, loaded by its name; the system prompt is the run's; ``hosted``
    answers where the weights are with a host. Raises
    InputError when the run left no adapter, or was trained on rows of the test split.
    """
    from metier.models.adapters import is_adapter
    from metier.models.base import load_base
    from metier.models.engines.local import LocalCompleter

    if run.adapter is None:
        raise InputError(
            f"a tuning run with an adapter, as {run.id}",
            got=f"state {run.state}, no adapter",
            remedy="let `metier tune` finish, or name another run",
        )
    _refuse_seen(bench, run)
    if hosted is not None:
        return _tuned(run, hosted)
    weights = bench.workspace.artifacts.checkout(run.adapter)
    name = f"{run.base} + {run.id}"
    if is_adapter(weights):
        completer = LocalCompleter(base or load_base(run.base), weights, name)
    else:  # a full tune leaves a whole model
        completer = LocalCompleter(load_base(str(weights)), None, name)
    return _tuned(run, completer)


def _tuned(run: TuneRun, completer: Completer) -> Contender:
    return Contender(
        TUNED,
        completer,
        variant=prompt.TUNED,
        system=str(run.config.get("system", "")),
        run_id=run.id,
        device=device_of(completer),
    )


def _kind(rung: str) -> Rung:
    """Return the rung without the base it names."""
    plain = rung.partition(":")[0]
    for known in get_args(Rung):
        if plain == known:
            found: Rung = known
            return found
    raise InputError("the name of a baseline", got=repr(rung), remedy=nearest(rung, get_args(Rung)))


def _known(rung: str) -> str:
    """Return the rung. Raises InputError when there is no such baseline."""
    kind, colon, base = _kind(rung), *rung.partition(":")[1:]
    if kind == "tuned_rag":
        raise InputError(
            "the name of a baseline",
            got="'tuned_rag', which needs a tuned model",
            remedy="run `metier evaluate`: it is measured there when [retrieval] names documents",
        )
    if colon and (kind not in OF_OTHER_BASES or not base):
        raise InputError(
            "zero_shot:<base> or few_shot:<base>", got=repr(rung), remedy="name rung and base"
        )
    return rung


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


def _zero_shot(bench: Bench, base: Completer, system: str) -> list[Contender]:
    return [
        Contender(
            "zero_shot",
            base,
            variant=variant,
            system=system,
            chosen={"prompt": variant.name},
            device=device_of(base),
        )
        for variant in prompt.untuned_variants(bench.objective.task)
    ]


def _few_shot(bench: Bench, base: Completer, system: str, rows: ChoiceRows) -> list[Contender]:
    from metier.models.few_shot import few_shot

    options = []
    for variant in prompt.untuned_variants(bench.objective.task):
        frame = frame_of(bench, variant, system)
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
                    device=device_of(base),
                )
            )
    return options
