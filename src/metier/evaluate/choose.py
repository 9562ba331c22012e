"""Choosing how to ask, on validation rows and never on test.

Every option is tried on the same sample; where a closed set is scored, also with batch calibration
(Zhou et al. 2023, arXiv 2309.17249), whose priors come from the sample's inputs and not from its
answers. The best value of the task's primary metric wins, the earlier option on a tie. What was
chosen is kept under ``.metier/work/evaluate/choices``, so that a repeated run need not try again.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from metier.core.errors import boundary
from metier.core.objective import Objective
from metier.core.types import Completion, Conversation, Example, Json, digest
from metier.evaluate.answers import asked_once, predictions_of
from metier.evaluate.bench import Bench, Contender, sample
from metier.models.answer import answer, estimate_priors
from metier.models.choosing import Priors, corrected_best, mean_log_prior
from metier.scoring import make_metric, primary_metric, records_of

MOST_OF_TRAINING = 0.2


@dataclass(frozen=True)
class ChoiceRows:
    """The rows to choose on, and those that may be shown in prompts; no row is in both."""

    tried_on: list[Example]
    shown: list[Example]
    warning: str = ""


@dataclass(frozen=True)
class Trial:
    """One option tried: ``value`` of the primary metric, NaN where it is undefined."""

    option: int
    priors: Priors | None
    value: float


def choice_rows(bench: Bench) -> ChoiceRows:
    """Return a validation sample and the training rows.

    Without validation rows, some training rows are held out of the prompts for choosing, and the
    warning says so.
    """
    config = bench.config
    validation, train = bench.examples("validation"), bench.examples("train")
    if validation:
        return ChoiceRows(sample(validation, config.validation_sample, config.seed), train)
    size = min(config.validation_sample, int(MOST_OF_TRAINING * len(train)))
    held = sample(train, size, config.seed) if size else []
    ids = {example.id for example in held}
    where = f"chosen on {len(held)} training rows" if held else "not chosen but taken as they come"
    return ChoiceRows(
        held,
        [example for example in train if example.id not in ids],
        f"there are no validation rows: prompts were {where}",
    )


def choose(bench: Bench, options: Sequence[Contender], rows: ChoiceRows) -> Contender:
    """Return the best option with its priors, what was chosen, and how it did on validation."""
    warnings = (rows.warning,) if rows.warning else ()
    if not rows.tried_on:
        return replace(options[0], warnings=warnings)
    path = _choice_file(bench, options, rows)
    best = _recall(path)
    if best is None:
        with bench.progress.task(f"choose {options[0].rung}", len(options), "prompt") as task:
            trials: list[Trial] = []
            for index, option in enumerate(options):
                trials += _try(bench, index, option, rows.tried_on)
                task.advance()
        best = max(trials, key=lambda trial: _rank(bench.objective, trial))
        _remember(path, best)
    chosen = options[best.option]
    about: dict[str, Json] = {
        **chosen.chosen,
        "prior_correction": bool(best.priors),
        "options_tried": len(options),
        "validation_rows": len(rows.tried_on),
        f"validation_{primary_metric(bench.objective)}": round(best.value, 4),
    }
    if not chosen.completer.capabilities.scores or chosen.variant is None:
        del about["prior_correction"]
    return replace(chosen, priors=best.priors, chosen=about, warnings=warnings)


def _try(bench: Bench, index: int, option: Contender, rows: Sequence[Example]) -> Iterator[Trial]:
    """Try an option as it is, and corrected where a closed set is scored."""
    asked = option.ask(rows, bench.objective, bench.labels)
    objective = fields_that_matter(bench.objective)
    with boundary(f"completer {option.completer.name}"):
        plain = _answer(bench, option, asked, objective, None)
        yield Trial(index, None, _value(bench, objective, rows, plain))
        if option.variant is None:
            return
        priors = _priors(bench, option, asked, plain)
        if priors:
            corrected = _correct(bench, option, asked, plain, priors)
            yield Trial(index, priors, _value(bench, objective, rows, corrected))


def fields_that_matter(objective: Objective) -> Objective:
    """Return a structured objective cut after the field that options are compared on.

    Fields are written in schema order, so what comes later cannot change it.
    """
    name = primary_metric(objective).rpartition(".")[0]
    properties = dict((objective.fields or {}).get("properties", {}))
    if name not in properties:
        return objective
    kept = list(properties)[: list(properties).index(name) + 1]
    schema = {**(objective.fields or {}), "properties": {key: properties[key] for key in kept}}
    if "required" in schema:
        schema["required"] = [key for key in schema["required"] if key in kept]
    return objective.model_copy(update={"fields": schema})


def _answer(
    bench: Bench,
    option: Contender,
    asked: Sequence[Conversation],
    objective: Objective,
    priors: Priors | None,
) -> list[Completion]:
    found: list[Completion] = []
    completer = asked_once(bench, option.completer)
    for start in range(0, len(asked), bench.config.batch_size):
        batch = asked[start : start + bench.config.batch_size]
        found += answer(completer, batch, objective, bench.labels, bench.sampling, priors)
    return found


def _priors(
    bench: Bench, option: Contender, asked: Sequence[Conversation], plain: Sequence[Completion]
) -> Priors:
    scores = [one.choice_logprobs for one in plain if one.choice_logprobs is not None]
    if bench.objective.task == "classify" and scores and len(scores) == len(plain):
        rows = [[found[label] for label in bench.labels] for found in scores]
        return {"": mean_log_prior(bench.labels, rows)}
    return estimate_priors(
        asked_once(bench, option.completer), asked, bench.objective, bench.labels
    )


def _correct(
    bench: Bench,
    option: Contender,
    asked: Sequence[Conversation],
    plain: Sequence[Completion],
    priors: Priors,
) -> list[Completion]:
    if "" not in priors:
        return _answer(bench, option, asked, fields_that_matter(bench.objective), priors)
    labels = bench.labels
    return [
        replace(one, text=labels[corrected_best(labels, [found[x] for x in labels], priors[""])])
        for one in plain
        if (found := one.choice_logprobs) is not None
    ]


def _value(
    bench: Bench, objective: Objective, rows: Sequence[Example], completions: Sequence[Completion]
) -> float:
    from metier.scoring.statistics.bootstrap import point

    records = records_of(predictions_of(bench, rows, completions))
    metric = make_metric(primary_metric(objective), objective=objective)
    return point(metric.statistic(records), bench.resampling).value


def _rank(objective: Objective, trial: Trial) -> tuple[float, int]:
    from metier.scoring import metric_info

    sign = 1 if metric_info(primary_metric(objective)).higher_is_better else -1
    value = sign * trial.value if math.isfinite(trial.value) else -math.inf
    return (value, -trial.option)


def _choice_file(bench: Bench, options: Sequence[Contender], rows: ChoiceRows) -> Path:
    key = digest(
        [
            [option.fingerprint for option in options],
            sorted(example.content_hash for example in rows.tried_on),
            bench.objective.model_dump(),
            list(bench.labels),
            bench.config.max_new_tokens,
        ]
    )
    return bench.workspace.work_dir / "evaluate" / "choices" / f"{key}.json"


def _recall(path: Path) -> Trial | None:
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Trial(found["option"], found["priors"], found["value"])
    except (ValueError, KeyError):
        return None


def _remember(path: Path, best: Trial) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    priors = {name: dict(prior) for name, prior in best.priors.items()} if best.priors else None
    found = {"option": best.option, "priors": priors, "value": best.value}
    partial = path.with_suffix(f".{os.getpid()}.partial")
    with boundary("keeping what was chosen on validation"):
        partial.write_text(json.dumps(found), encoding="utf-8")
        partial.replace(path)
