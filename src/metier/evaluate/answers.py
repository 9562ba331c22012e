"""Answering a split in batches that survive an interruption, each question asked once.

Each finished batch is a Parquet file of predictions under
``.metier/work/evaluate/<key>/``, written under another name and renamed, so that a file that is
there is whole. The key is a hash over who answers, how, and what. Single answers are kept under
``.metier/work/completions`` (see ``models.caching``), so that another version, rung or learning
curve that puts the same question to the same model is answered from there.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from metier.core.codec import predictions_from_parquet, predictions_to_parquet
from metier.core.completer import Completer
from metier.core.errors import BoundaryError, MetierError, boundary
from metier.core.ids import new_id
from metier.core.records import Prediction
from metier.core.types import Completion, Conversation, Example, Timing, digest
from metier.core.workspace import Workspace
from metier.evaluate.bench import Bench, Contender
from metier.models.answer import answer
from metier.models.caching import CompletionStore, cached
from metier.models.prompt import expected, parse_reply
from metier.scoring.truth.citations import without_citations

MEASURING = {"target", "constraint", "metrics", "check", "refusals", "proxy_min_correlation"}
"""Parts of the objective that say how answers are measured, not what is asked."""


def answers_key(bench: Bench, contender: Contender, split: str) -> str:
    """Return the hash of all that shapes the answers; versions with the same split share it."""
    config, size = bench.config, bench.sample_size(split)
    return digest(
        [
            contender.fingerprint,
            bench.version.splits.get(split),
            split,
            bench.objective.model_dump(exclude=MEASURING),
            list(bench.labels),
            [size, config.seed if size else 0],
            config.max_new_tokens,
            *([] if config.turns == "last" else [config.turns]),
        ]
    )


def answer_split(
    bench: Bench, contender: Contender, examples: Sequence[Example], key: str
) -> list[Prediction]:
    """Return one prediction per example, in order; batches that are on disk are not made again.

    A row on which the completer fails is a prediction with ``completion.error`` set. Raises
    BoundaryError when it fails on every row of a batch.
    """
    folder = batch_folder(bench, key)
    folder.mkdir(parents=True, exist_ok=True)
    size = bench.config.batch_size
    found: list[Prediction] = []
    with bench.progress.task(f"evaluate {contender.rung}", len(examples), "reply") as task:
        for start in range(0, len(examples), size):
            batch = examples[start : start + size]
            path = folder / f"{start:07d}-{len(batch)}.parquet"
            predictions = _read(path, batch)
            if predictions is None:
                predictions = _predict(bench, contender, batch)
                _write(path, predictions)
            found += predictions
            task.advance(len(batch))
    return found


def asked_once(bench: Bench, completer: Completer) -> Completer:
    """Return the completer with its answers kept; as it is where that is off or saves nothing."""
    if not bench.config.cache or not completer.capabilities.generative:
        return completer
    return cached(completer, completion_store(bench.workspace))


def asking_anew(bench: Bench) -> Bench:
    """Return the bench with kept answers left aside."""
    return replace(bench, config=bench.config.model_copy(update={"cache": False}))


def completion_store(workspace: Workspace) -> CompletionStore:
    """Return the store of a workspace's answers; its keys need the workspace's own key to make."""
    path = workspace.work_dir / "completions" / "completions.sqlite"
    return CompletionStore(path, workspace.sealed.group_hash("completions").encode())


def batch_folder(bench: Bench, key: str) -> Path:
    """Return where the finished batches of one evaluation are kept."""
    return bench.workspace.work_dir / "evaluate" / key


def forget_batches(bench: Bench, key: str) -> None:
    """Remove the batches of an evaluation that is stored."""
    shutil.rmtree(batch_folder(bench, key), ignore_errors=True)


def predictions_of(
    bench: Bench, examples: Sequence[Example], completions: Sequence[Completion]
) -> list[Prediction]:
    """Return completions read back into the task's shape, with fresh ids."""
    found = []
    for example, completion in zip(examples, completions, strict=True):
        parsed = None
        if completion.error is None:
            # Citations are no part of an answer: references have none.
            text = without_citations(completion.text) if completion.sources else completion.text
            parsed = parse_reply(text, bench.objective, bench.labels)
        wanted = None if example.target is None else expected(example.target, example.conversation)
        found.append(
            Prediction(
                id=new_id("pred"),
                example_id=example.id,
                completion=completion,
                parsed=parsed,
                expected=wanted,
                cluster=example.group or "",
                slices=example.slices,
            )
        )
    return found


def _predict(bench: Bench, contender: Contender, batch: Sequence[Example]) -> list[Prediction]:
    asked = contender.ask(batch, bench.objective, bench.labels)
    return predictions_of(bench, batch, _complete(bench, contender, asked))


def _complete(
    bench: Bench, contender: Contender, asked: Sequence[Conversation]
) -> list[Completion]:
    """Answer a batch; when it fails as a whole, row by row, so that one bad row costs one row."""
    try:
        return _answer(bench, contender, asked)
    except BoundaryError:
        if len(asked) == 1:
            raise
    completions = [_answer_one(bench, contender, conversation) for conversation in asked]
    if all(completion.error for completion in completions):
        return _answer(bench, contender, asked)
    return completions


def _answer_one(bench: Bench, contender: Contender, conversation: Conversation) -> Completion:
    try:
        return _answer(bench, contender, [conversation])[0]
    except BoundaryError as error:
        return Completion("", "error", error=str(error))


def _answer(bench: Bench, contender: Contender, asked: Sequence[Conversation]) -> list[Completion]:
    start = time.perf_counter()
    with boundary(f"completer {contender.completer.name}"):
        completions = answer(
            asked_once(bench, contender.completer),
            asked,
            bench.objective,
            bench.labels,
            bench.sampling,
            contender.priors,
        )
    # A completer that only scores reports no time of its own: then the clock on the wall counts.
    share = Timing((time.perf_counter() - start) / max(len(asked), 1), None, len(asked))
    return [
        completion if completion.timing.total_s > 0 else replace(completion, timing=share)
        for completion in completions
    ]


def _read(path: Path, batch: Sequence[Example]) -> list[Prediction] | None:
    """Return a finished batch, None when there is none or it is not of these examples."""
    if not path.is_file():
        return None
    try:
        with boundary(f"reading {path.name}"):
            predictions = predictions_from_parquet(path.read_bytes())
    except MetierError:
        return None
    same = [one.example_id for one in predictions] == [example.id for example in batch]
    return predictions if same else None


def _write(path: Path, predictions: Sequence[Prediction]) -> None:
    with boundary(f"keeping {path.name}"):
        partial = path.with_suffix(f".{os.getpid()}.partial")
        partial.write_bytes(predictions_to_parquet(predictions))
        partial.replace(path)
