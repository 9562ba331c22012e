"""inspect_config: another trainer's config in, an Inspection out."""

from __future__ import annotations

from pathlib import Path

from metier.core.errors import ConfigError, InputError
from metier.core.progress import Progress
from metier.tune.inspect.checks import check
from metier.tune.inspect.choose import Choice
from metier.tune.inspect.others import axolotl, axolotl_config, factory
from metier.tune.inspect.others.given import Given, read_given
from metier.tune.inspect.others.theirs import Theirs
from metier.tune.inspect.others.tokenizer import load_tokenizer
from metier.tune.inspect.summary import Reading, summed_up
from metier.tune.inspect.types import Inspection

SILENT = Progress()


def inspect_config(
    path: Path, choice: Choice, *, model: str | None = None, progress: Progress = SILENT
) -> Inspection:
    """Show the data of a LLaMA-Factory or Axolotl config as that trainer would train on them.

    ``model`` takes another tokenizer than the config's base model.

    Raises:
        InputError: the config or its data cannot be read, or are of a kind that is not shown.
        ModelUnavailable: the tokenizer is not on this machine.
    """
    given = read_given(path)
    if given.trainer == "Axolotl":
        theirs = axolotl_config.read(given)
        name = _named(model or theirs.tokenizer_config or theirs.base_model, given)
    else:
        ours = factory.read(given)
        name = _named(model or ours.model_name_or_path, given)
    tokenizer = load_tokenizer(name, given)
    with progress.task("encode", unit="example") as task:
        if given.trainer == "Axolotl":
            made = axolotl.encode(theirs, tokenizer, given, task)
        else:
            made = factory.encode(ours, tokenizer, given, task)
    _require_rows(made)
    findings = check(made.rows, made.frame, tokenizer)
    reading = Reading(
        given.trainer, path.name, name, made.max_tokens, made.rows, made.dropped, made.settings,
        made.notes,
    )  # fmt: skip
    return summed_up(reading, findings, tokenizer, choice)


def _named(name: str, given: Given) -> str:
    if not name:
        key = "base_model" if given.trainer == "Axolotl" else "model_name_or_path"
        raise ConfigError(
            f"{key}, whose tokenizer decides the tokens",
            got=f"none in {given.path.name}",
            remedy="name a model folder with --model",
        )
    return name


def _require_rows(made: Theirs) -> None:
    if made.rows:
        return
    reasons = dict.fromkeys(made.dropped.values())
    raise InputError(
        "at least one row that is trained on",
        got="; ".join(list(reasons)[:3]) or "files without rows",
        remedy="correct the columns and roles that the config names",
    )
