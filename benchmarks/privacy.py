"""De-identification measured: what is found, what is taken by mistake, how fast, beside Presidio.

    python benchmarks/privacy.py                 development half, printed only
    python benchmarks/privacy.py --evaluation    the other half, appended to RESULTS.md and counted

Data: presidio_research (1,500 made texts with spans), in two halves by template (presidio_sides).
In the evaluation half, names of people and places that share a word with the development half are
replaced by others of that half, so that none was seen. A span is found when findings of any kind
cover 90% of its characters; a finding is right when half of its characters lie in spans. Peer:
presidio-analyzer with its pattern recognisers on a blank English pipeline (no model is downloaded).

Over-redaction: every finding of a name or place in a seeded sample of medquad and mts_dialog counts
as wrong, also where it is a name, so the figure is an upper bound; and medical eponyms
(eponyms.txt) in sentences of our own, kept when no finding touches them.
"""

from __future__ import annotations

import argparse
import csv
import json
import logging
import lzma
import random
import re
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from presidio_sides import Side, rows
from real_data import RESULTS, machine, revision, shared_data

from metier.privacy import Finding, find_identifiers
from metier.privacy.patterns import WIDE
from metier.privacy.profiles import profile
from metier.scoring.statistics.intervals import effective_n, wilson

HERE = Path(__file__).resolve().parent
LOOKS = HERE / "presidio_looks.jsonl"
APART = frozenset({"TITLE", "NRP", "ORGANIZATION"})
APART_KINDS = frozenset({"title", "nationality", "organisation"})
NAME_KINDS = frozenset({"person", "place", "organisation", "street_address"})
COVERED = 0.9
Find = Callable[[str], Sequence[Finding]]
FRAMES = (
    "She has had {} for years.",
    "{} was considered.",
    "The notes mention {}, and nothing else of interest.",
    "Is it true that {} came up in the discussion?",
)
_WORD = re.compile(r"[^\W\d_]{3,}")
_YEAR = re.compile(r"(?:19|20)\d\d")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--evaluation", action="store_true", help="the half for the figures")
    parser.add_argument("--sample", type=int, default=500, help="texts each of medquad, mts_dialog")
    given = parser.parse_args()
    side: Side = "evaluation" if given.evaluation else "development"
    text = "\n".join(section(side, given.sample)) + "\n"
    print(text, flush=True)
    if given.evaluation:
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(text)


def section(side: Side, sample: int) -> list[str]:
    """Measure everything; return the section of RESULTS.md."""
    texts, changed = unseen(rows(side)) if side == "evaluation" else (rows(side), 0)
    ours, peer = recogniser(), presidio()
    found = {"metier": measure(texts, ours), "Presidio, patterns": measure(texts, peer)}
    look = note_look(found["metier"]) if side == "evaluation" else 0
    lines = [
        f"\n## De-identification, {datetime.now(UTC):%Y-%m-%d}",
        f"`python benchmarks/privacy.py{' --evaluation' if look else ''}`, revision {revision()}, "
        f"{machine()}. Profile safe-harbor; presidio_research, {side} half: {len(texts)} texts of "
        f"{len({row['template_id'] for row in texts})} templates, {changed} names and places "
        "replaced because they share a word with the development half. Street addresses are as "
        f"they were. Look {look} at this half. Intervals: 95%, Wilson, clustered by template.",
        "",
        *recall_table(found),
        "",
        *summary_table(found),
        "",
        *speed_table(texts, sample, ours, peer),
        "",
        *over_redaction(sample, ours),
        *eponyms(ours),
    ]
    return lines


def recogniser() -> Find:
    running = profile("safe-harbor").recognisers()
    return lambda text: find_identifiers(text, running)


def presidio() -> Find:
    """Presidio's predefined pattern recognisers of English, as they come."""
    import spacy
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
    from presidio_analyzer.nlp_engine import SpacyNlpEngine

    logging.getLogger("presidio-analyzer").setLevel(logging.ERROR)
    engine = SpacyNlpEngine(models=[{"lang_code": "en", "model_name": "blank"}])
    engine.nlp = {"en": spacy.blank("en")}
    registry = RecognizerRegistry()
    registry.load_predefined_recognizers(languages=["en"])
    registry.remove_recognizer("SpacyRecognizer")
    analyser = AnalyzerEngine(registry=registry, nlp_engine=engine, supported_languages=["en"])

    def find(text: str) -> list[Finding]:
        found = analyser.analyze(text=text, language="en")
        return [Finding(one.start, one.end, one.entity_type.lower()) for one in found]

    return find


def unseen(texts: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], int]:
    """Return the texts with every seen name and place replaced by an unseen one of this half."""
    seen = {word for row in rows("development") for one in named(row) for word in words_of(one)}
    fresh: dict[str, list[str]] = defaultdict(list)
    for row in texts:
        for one in named(row):
            if not words_of(one) & seen and words_of(one):
                fresh[one["entity_type"]].append(one["entity_value"])
    pools = {kind: sorted(set(values)) for kind, values in fresh.items()}
    changed = 0
    for row in texts:
        changed += replace_seen(row, seen, pools)
    return texts, changed


def named(row: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in row["spans"] if one["entity_type"] in ("PERSON", "GPE")]


def words_of(span: dict[str, Any]) -> set[str]:
    return set(_WORD.findall(span["entity_value"].casefold()))


def replace_seen(row: dict[str, Any], seen: set[str], pools: dict[str, list[str]]) -> int:
    """Replace seen values in one text, the same value always by the same; return how many."""
    changed = 0
    for span in sorted(row["spans"], key=lambda one: -one["start_position"]):
        if span["entity_type"] not in ("PERSON", "GPE") or not words_of(span) & seen:
            continue
        drawn = random.Random(f"{row['template_id']} {span['entity_value']}")
        put_in(row, span, drawn.choice(pools[span["entity_type"]]))
        changed += 1
    return changed


def put_in(row: dict[str, Any], span: dict[str, Any], new: str) -> None:
    start, end = span["start_position"], span["end_position"]
    row["full_text"] = row["full_text"][:start] + new + row["full_text"][end:]
    longer = len(new) - (end - start)
    for other in row["spans"]:
        if other["start_position"] >= end:
            other["start_position"] += longer
            other["end_position"] += longer
    span["entity_value"], span["end_position"] = new, start + len(new)


@dataclass(frozen=True)
class Measured:
    """Counts by kind and template: (kind, template) -> [found, of]; findings; documents."""

    spans: dict[str, dict[int, list[int]]]
    findings: dict[str, dict[int, list[int]]]
    documents: dict[int, list[int]]
    characters_per_s: float


def measure(texts: list[dict[str, Any]], find: Find) -> Measured:
    for row in texts[:100]:
        find(row["full_text"])
    start = time.process_time()
    found = [find(row["full_text"]) for row in texts]
    seconds = time.process_time() - start
    result = Measured({}, {}, {}, sum(len(row["full_text"]) for row in texts) / seconds)
    for row, findings in zip(texts, found, strict=True):
        count(row, findings, result)
    return result


def count(row: dict[str, Any], findings: Sequence[Finding], result: Measured) -> None:
    template = row["template_id"]
    covered = {at for one in findings for at in range(one.start, one.end)}
    marked: set[int] = set()
    missed = identifying = 0
    for span in row["spans"]:
        at = range(span["start_position"], span["end_position"])
        marked.update(at)
        hit = len(covered.intersection(at)) >= COVERED * len(at)
        add(result.spans, kind_of(span), template, hit)
        if kind_of(span) not in APART and kind_of(span) != "year alone":
            identifying += 1
            missed += not hit
    for one in findings:
        right = sum(at in marked for at in range(one.start, one.end)) * 2 >= one.end - one.start
        add(result.findings, one.kind, template, right)
    if identifying:
        tally = result.documents.setdefault(template, [0, 0])
        tally[0] += missed > 0
        tally[1] += 1


def kind_of(span: dict[str, Any]) -> str:
    """Return the span's kind; a date that is a year alone is one of its own, which may stay."""
    alone = span["entity_type"] == "DATE_TIME" and _YEAR.fullmatch(span["entity_value"])
    return "year alone" if alone else str(span["entity_type"])


def add(table: dict[str, dict[int, list[int]]], kind: str, template: int, hit: bool) -> None:
    tally = table.setdefault(kind, {}).setdefault(template, [0, 0])
    tally[0] += hit
    tally[1] += 1


def share(tallies: Iterable[dict[int, list[int]]]) -> str:
    """Return a share of all the tallies with its interval and n."""
    merged: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    for tally in tallies:
        for template, (hits, n) in tally.items():
            merged[template][0] += hits
            merged[template][1] += n
    hits, n = (sum(one[at] for one in merged.values()) for at in (0, 1))
    if not n:
        return "-"
    worth = effective_n([one[0] for one in merged.values()], [one[1] for one in merged.values()])
    low, high = wilson(hits / n * worth, worth)
    return f"{hits / n:.3f} [{low:.3f}, {high:.3f}] ({n})"


def recall_table(found: dict[str, Measured]) -> list[str]:
    kinds = sorted({kind for one in found.values() for kind in one.spans})
    kinds.sort(key=lambda kind: (kind in APART or kind == "year alone", kind))
    lines = [f"| recall by kind (spans) | {' | '.join(found)} |", "|---|" + "---|" * len(found)]
    for kind in kinds:
        cells = [share([one.spans.get(kind, {})]) for one in found.values()]
        note = " (apart)" if kind in APART else " (apart: may stay)" if kind == "year alone" else ""
        lines.append(f"| {kind}{note} | {' | '.join(cells)} |")
    return lines


def summary_table(found: dict[str, Measured]) -> list[str]:
    wanted = [
        f"| over all identifying kinds | {' | '.join(found)} |",
        "|---|" + "---|" * len(found),
    ]
    rows_of: list[tuple[str, Callable[[Measured], str]]] = [
        ("recall", lambda one: share(identifying(one.spans))),
        ("recall, years alone counted", lambda one: share(identifying(one.spans, years=True))),
        ("precision", lambda one: share(own(one.findings))),
        ("precision, TITLE, NRP, ORGANIZATION too", lambda one: share(one.findings.values())),
        ("texts with an identifier missed", lambda one: share([one.documents])),
    ]
    return wanted + [
        f"| {name} | {' | '.join(cell(one) for one in found.values())} |" for name, cell in rows_of
    ]


def identifying(
    spans: dict[str, dict[int, list[int]]], years: bool = False
) -> list[dict[int, list[int]]]:
    left_out = APART if years else APART | {"year alone"}
    return [tally for kind, tally in spans.items() if kind not in left_out]


def own(findings: dict[str, dict[int, list[int]]]) -> list[dict[int, list[int]]]:
    return [tally for kind, tally in findings.items() if kind not in APART_KINDS]


def note_look(measured: Measured) -> int:
    """Write down that the evaluation half was looked at; return how often it was."""
    entry = {
        "at": f"{datetime.now(UTC):%Y-%m-%d %H:%M}",
        "revision": revision(),
        "recall": share(identifying(measured.spans)),
    }
    with LOOKS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")
    return len(LOOKS.read_text(encoding="utf-8").splitlines())


def speed_table(texts: list[dict[str, Any]], sample: int, ours: Find, peer: Find) -> list[str]:
    lines = [
        "| kB/s of one core (processor time, medians of 3) | metier | its patterns alone "
        "| Presidio, patterns | metier to Presidio | patterns to patterns |",
        "|---|---|---|---|---|---|",
    ]
    sets = {"presidio_research": [row["full_text"] for row in texts], **clinical(min(sample, 150))}
    for name, some in sets.items():
        all_of, alone, other = (speed(some, find) for find in (ours, patterns_alone, peer))
        lines.append(
            f"| {name} ({len(some)}) | {all_of:.0f} | {alone:.0f} | {other:.0f} "
            f"| {all_of / other:.1f} | {alone / other:.1f} |"
        )
    return lines


def patterns_alone(text: str) -> Sequence[Finding]:
    return find_identifiers(text, WIDE)


def speed(texts: Sequence[str], find: Find) -> float:
    size = sum(len(text.encode()) for text in texts)
    for text in texts[:50]:
        find(text)
    taken = []
    for _ in range(3):
        start = time.process_time()
        for text in texts:
            find(text)
        taken.append(time.process_time() - start)
    return size / statistics.median(taken) / 1000


def clinical(sample: int) -> dict[str, list[str]]:
    """Seeded samples of medquad (question and answer) and mts_dialog (dialogue and note)."""
    with lzma.open(shared_data() / "medquad" / "train.jsonl.xz", "rt", encoding="utf-8") as file:
        medquad = [f"{row['question']}\n{row['answer']}" for row in map(json.loads, file)]
    csv.field_size_limit(10**8)
    with (shared_data() / "mts_dialog" / "TrainingSet.csv").open(encoding="utf-8") as file:
        dialogues = [f"{row['dialogue']}\n{row['section_text']}" for row in csv.DictReader(file)]
    pick = random.Random(7)
    return {
        "medquad": pick.sample(medquad, min(sample, len(medquad))),
        "mts_dialog": pick.sample(dialogues, min(sample, len(dialogues))),
    }


def over_redaction(sample: int, find: Find) -> list[str]:
    lines = [
        "| per 1,000 words | texts | words | names and places | other findings that are replaced |",
        "|---|---|---|---|---|",
    ]
    for name, texts in clinical(sample).items():
        kinds = Counter(kind for text in texts for kind in replaced_kinds(text, find))
        words = sum(len(text.split()) for text in texts)
        names = sum(n for kind, n in kinds.items() if kind in NAME_KINDS)
        each = ", ".join(
            f"{kind} {1000 * n / words:.2f}"
            for kind, n in kinds.most_common()
            if kind in NAME_KINDS
        )
        rest = sum(kinds.values()) - names
        lines.append(
            f"| {name} | {len(texts)} | {words:,} | {1000 * names / words:.2f} ({each}) "
            f"| {1000 * rest / words:.2f} |"
        )
    return [*lines, ""]


def replaced_kinds(text: str, find: Find) -> list[str]:
    """Return the kinds of findings that the profile would replace: not titles, nor ages to 89."""
    operators = profile("safe-harbor").operators
    kept = (
        [
            one.kind == "age"
            and text[one.start : one.end].isdigit()
            and int(text[one.start : one.end]) < 90
            for one in found
        ]
        if (found := find(text))
        else []
    )
    return [
        one.kind
        for one, stays in zip(found, kept, strict=True)
        if not stays and operators.get(one.kind) != "keep"
    ]


def eponyms(find: Find) -> list[str]:
    """Return the share of medical eponyms that stay, over the names and the sentences."""
    names = (HERE / "eponyms.txt").read_text(encoding="utf-8").splitlines()
    tallies: dict[int, list[int]] = {}
    lost = Counter[str]()
    for number, name in enumerate(names):
        for frame in FRAMES:
            text = frame.format(name)
            start = text.index(name)
            touched = any(one.start < start + len(name) and one.end > start for one in find(text))
            tally = tallies.setdefault(number, [0, 0])
            tally[0] += not touched
            tally[1] += 1
            lost[name] += touched
    worst = ", ".join(name for name, n in lost.most_common(8) if n) or "none"
    return [
        f"Medical eponyms kept: {share([tallies])}, {len(names)} names in {len(FRAMES)} sentences "
        f"each, clustered by name. Lost most often: {worst}."
    ]


if __name__ == "__main__":
    main()
