"""Inference for evaluation, against the plain ways of doing it, on the same machine and work.

    python benchmarks/evaluation.py               both parts, appended to RESULTS.md
    python benchmarks/evaluation.py --small       a few rows, printed only (what the tests run)
    python benchmarks/evaluation.py --base PATH   another base model

77 labels (banking77, the prompt that lists them):
    metier       all labels scored exactly, over a trie, the shared prompt computed once
    generate     one `model.generate` per example, the reply read back into a label
    per label    log-likelihood as lm-eval computes it: every label a sequence of its own, batched
                 with padding, log-softmax over the continuation, the best one taken

200 replies (medquad questions):
    metier       continuous batches
    generate     one `model.generate` per example
    batches      `model.generate` on left-padded batches of 16 and of 32, in the order of the file

Every way runs once to warm up, then all in turn, several times; medians count. Predictions (against
per label) and greedy texts (against generate) must be equal, or the benchmark stops.
"""

from __future__ import annotations

import argparse
import csv
import json
import lzma
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from metier.core.completer import Sampling
from metier.core.objective import Objective
from metier.core.types import Conversation
from metier.models import chat
from metier.models.answer import answer
from metier.models.base import TINY, Base, load_base
from metier.models.engines.local import LocalCompleter
from metier.models.prompt import parse_reply, render_prompt, spoken, untuned_variants

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "RESULTS.md"
CLASSIFY = Objective(task="classify")
ANSWER = Objective(task="answer")
LABEL_ROWS = 64
"""Sequences of one batch of the per-label way; the best of 16, 32, 64 and 128 on two cores."""


@dataclass(frozen=True)
class Size:
    """How much is done: labels, examples per part, those of the slow way, longest reply, runs."""

    labels: int = 77
    labelled: int = 100
    per_label: int = 10
    written: int = 200
    most_tokens: int = 128
    repeats: int = 3


SMALL = Size(labels=6, labelled=4, per_label=2, written=6, most_tokens=12, repeats=1)


@dataclass(frozen=True)
class Way:
    """One way to do the work: ``run`` returns an answer per example it was given."""

    name: str
    run: Callable[[Sequence[Conversation]], list[str]]
    examples: int


@dataclass(frozen=True)
class Timed:
    """Median seconds per example, their range, and the answers of the last run."""

    name: str
    seconds: float
    fastest: float
    slowest: float
    examples: int
    answers: list[str]


def shared_data() -> Path:
    """The folder with the public data sets; exits with a reason where it is absent."""
    root = Path(os.environ.get("METIER_SHARED", HERE.parents[1] / "shared")) / "data"
    if not root.is_dir():
        raise SystemExit(f"no data in {root}: set METIER_SHARED to the folder that holds data/")
    return root


def banking77(count: int, most: int) -> tuple[list[Conversation], list[str]]:
    """Messages spread over the file, asked with the list of labels, and these labels."""
    with (shared_data() / "banking77" / "train.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    labels = sorted({row["category"] for row in rows})[:most]
    variant = untuned_variants("classify")[0]
    texts = [row["text"] for row in rows[:: len(rows) // count][:count]]
    asked = [Conversation.of(("user", text)) for text in texts]
    return [render_prompt(one, CLASSIFY, labels, variant) for one in asked], labels


def medquad(count: int) -> list[Conversation]:
    """Questions spread over the file, as a zero-shot model is asked them."""
    path = shared_data() / "medquad" / "train.jsonl.xz"
    with lzma.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line)["question"] for line in file]
    variant = untuned_variants("answer")[0]
    asked = [Conversation.of(("user", text)) for text in rows[:: len(rows) // count][:count]]
    return [render_prompt(one, ANSWER, [], variant) for one in asked]


# -- the plain ways -------------------------------------------------------------------------------


def generated(base: Base, asked: Sequence[Conversation], most: int) -> list[str]:
    """`model.generate` on these prompts as one left-padded batch."""
    texts = [chat.render(base.tokenizer, one) for one in asked]
    base.tokenizer.padding_side = "left"
    batch = base.tokenizer(texts, add_special_tokens=False, padding=True, return_tensors="pt")
    device = next(base.model.parameters()).device
    ids, mask = batch["input_ids"].to(device), batch["attention_mask"].to(device)
    with torch.inference_mode():
        made = base.model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=most,
            do_sample=False,
            pad_token_id=base.tokenizer.pad_token_id,
        )
    return list(base.tokenizer.batch_decode(made[:, ids.shape[1] :], skip_special_tokens=True))


def in_batches(base: Base, asked: Sequence[Conversation], most: int, size: int) -> list[str]:
    """`generated`, so many prompts at a time, in the order given."""
    found: list[str] = []
    for start in range(0, len(asked), size):
        found += generated(base, asked[start : start + size], most)
    return found


def per_label(base: Base, asked: Sequence[Conversation], labels: Sequence[str]) -> list[str]:
    """The label with the highest log-likelihood, each a sequence of its own with its prompt."""
    end = chat.end_of_turn(base.tokenizer)[0]
    found = []
    for one in asked:
        prompt = chat.render(base.tokenizer, one)
        ids = chat.encode_text(base.tokenizer, prompt)
        texts = [chat.continuation(base.tokenizer, prompt, spoken(x) + end) for x in labels]
        order = sorted(range(len(labels)), key=lambda i: -len(texts[i]))
        scores = [0.0] * len(labels)
        for start in range(0, len(order), LABEL_ROWS):
            part = order[start : start + LABEL_ROWS]
            for index, score in zip(
                part, likelihoods(base, ids, [texts[i] for i in part]), strict=True
            ):
                scores[index] = score
        found.append(labels[max(range(len(labels)), key=scores.__getitem__)])
    return found


@torch.inference_mode()
def likelihoods(base: Base, prompt: list[int], replies: Sequence[list[int]]) -> list[float]:
    """Log-likelihood of each continuation, right-padded rows, as lm-eval's HFLM does it."""
    rows = [torch.tensor((prompt + reply)[:-1]) for reply in replies]
    ids = torch.nn.utils.rnn.pad_sequence(
        rows, batch_first=True, padding_value=base.tokenizer.pad_token_id
    ).to(next(base.model.parameters()).device)
    logprobs = torch.nn.functional.log_softmax(base.model(ids).logits, dim=-1)
    sums = []
    for line, reply in zip(logprobs, replies, strict=True):
        part = line[len(prompt) - 1 : len(prompt) - 1 + len(reply)]
        sums.append(float(part.gather(1, torch.tensor(reply, device=part.device)[:, None]).sum()))
    return sums


# -- measuring ------------------------------------------------------------------------------------


def measure(ways: Sequence[Way], asked: Sequence[Conversation], repeats: int) -> list[Timed]:
    """Run all ways in turn, after each has warmed up on two examples."""
    seconds: dict[str, list[float]] = {way.name: [] for way in ways}
    answers: dict[str, list[str]] = {}
    for way in ways:
        way.run(asked[:2])
    for _ in range(repeats):
        for way in ways:
            start = time.perf_counter()
            answers[way.name] = way.run(asked[: way.examples])
            seconds[way.name].append((time.perf_counter() - start) / way.examples)
    return [
        Timed(
            way.name,
            statistics.median(seconds[way.name]),
            min(seconds[way.name]),
            max(seconds[way.name]),
            way.examples,
            answers[way.name],
        )
        for way in ways
    ]


def same(ours: Sequence[str], theirs: Sequence[str], what: str) -> None:
    """Stop where answers differ."""
    wrong = [i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b]
    if wrong:
        i = wrong[0]
        raise SystemExit(f"{what} differ on {len(wrong)}: row {i}: {ours[i]!r}, {theirs[i]!r}")


def table(timed: Sequence[Timed]) -> list[str]:
    """The Markdown table of one part; ratios are to the first row."""
    ours = timed[0]
    lines = [
        "| way | examples | ms per example (range) | examples/s | metier is |",
        "|---|---|---|---|---|",
    ]
    for one in timed:
        spread = f"{one.fastest * 1e3:.1f}-{one.slowest * 1e3:.1f}"
        ratio = "" if one is ours else f"{one.seconds / ours.seconds:.1f}x"
        lines.append(
            f"| {one.name} | {one.examples} | {one.seconds * 1e3:.1f} ({spread}) "
            f"| {1 / one.seconds:.2f} | {ratio} |"
        )
    return lines


def scoring(base: Base, size: Size) -> list[str]:
    """All labels scored."""
    asked, labels = banking77(size.labelled, size.labels)
    completer = LocalCompleter(base)
    brief = Sampling(max_tokens=size.most_tokens)

    def ours(some: Sequence[Conversation]) -> list[str]:
        return [one.text for one in answer(completer, some, CLASSIFY, labels, brief)]

    def looped(some: Sequence[Conversation]) -> list[str]:
        texts = [generated(base, [one], size.most_tokens)[0] for one in some]
        return [str(parse_reply(text, CLASSIFY, labels)) for text in texts]

    timed = measure(
        [
            Way("metier", ours, size.labelled),
            Way("generate", looped, min(size.labelled, 5 * size.per_label)),
            Way("per label", lambda some: per_label(base, some, labels), size.per_label),
        ],
        asked,
        size.repeats,
    )
    same(timed[0].answers, timed[2].answers, "predictions")
    read = sum(one != "None" for one in timed[1].answers)
    return [
        f"### {len(labels)} labels, banking77, {len(asked)} messages",
        f"Predictions equal the per-label way's on its {size.per_label} examples; of the generated "
        f"replies {read} of {timed[1].examples} name a label.",
        "",
        *table(timed),
    ]


def writing(base: Base, size: Size) -> list[str]:
    """Free replies."""
    asked = medquad(size.written)
    completer = LocalCompleter(base)
    how = Sampling(max_tokens=size.most_tokens)
    most = size.most_tokens

    def ours(some: Sequence[Conversation]) -> list[str]:
        return [one.text for one in completer.complete(some, how)]

    timed = measure(
        [
            Way("metier", ours, len(asked)),
            Way("generate", lambda some: in_batches(base, some, most, 1), len(asked)),
            *(
                Way(
                    f"batches of {n}", lambda some, n=n: in_batches(base, some, most, n), len(asked)
                )
                for n in (16, 32)
            ),
        ],
        asked,
        size.repeats,
    )
    for other in timed[1:]:
        same(timed[0].answers, other.answers, f"texts of metier and {other.name}")
    lengths = [len(chat.encode_text(base.tokenizer, text)) for text in timed[0].answers]
    return [
        f"### {len(asked)} replies, medquad",
        f"Greedy, at most {most} tokens (median {statistics.median(lengths):.0f}, longest "
        f"{max(lengths)}); all texts equal.",
        "",
        *table(timed),
    ]


def machine() -> str:
    """What the figures were measured on."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return f"{model}, {torch.get_num_threads()} threads, {platform.system()}"


def revision() -> str:
    """The commit that was measured, with a mark when files differ from it."""
    ask = ["git", "-C", str(HERE), "describe", "--always", "--dirty"]
    return subprocess.run(ask, capture_output=True, text=True, check=False).stdout.strip()


def main(arguments: Sequence[str] | None = None) -> str:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--small", action="store_true", help="a few rows, printed only")
    parser.add_argument("--base", default=TINY, help="base model")
    parser.add_argument("--part", choices=("scoring", "writing"), help="one part only")
    given = parser.parse_args(arguments)
    size = SMALL if given.small else Size()
    base = load_base(given.base)
    parts: dict[str, Callable[[Base, Size], list[str]]] = {"scoring": scoring, "writing": writing}
    dtype: Any = next(base.model.parameters()).dtype
    lines = [
        f"\n## Inference for evaluation, {datetime.now(UTC):%Y-%m-%d}",
        f"`python benchmarks/evaluation.py`, revision {revision()}, {machine()}; base "
        f"{base.name}, {dtype}, torch {torch.__version__}, Python {sys.version.split()[0]}. "
        f"Medians of {size.repeats} alternating runs.",
    ]
    for name, part in parts.items():
        if given.part in (None, name):
            lines += ["", *part(base, size)]
    text = "\n".join(lines) + "\n"
    print(text, flush=True)
    if not given.small:
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(text)
    return text


if __name__ == "__main__":
    main()
