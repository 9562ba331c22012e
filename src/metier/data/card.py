"""The data card: what a version is made of, and what was done to it. It holds no texts."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import mean, median, quantiles

from metier.core.records import DataVersion
from metier.core.types import CompletionTarget, Example, FieldsTarget, Json
from metier.data.config import DataConfig
from metier.data.intake import Imported
from metier.data.labels import strata
from metier.data.pipeline import Outcomes, StepReport

LABELS_SHOWN = 200


def make_card(
    imported: Imported,
    outcomes: Outcomes,
    splits: Mapping[str, Sequence[Example]],
    config: DataConfig,
    closed: Sequence[str],
    cases: Mapping[str, Json] | None = None,
) -> dict[str, Json]:
    """Return the card as JSON. Durations are left out, so the same build gives the same card.

    ``rows`` and ``steps`` tell of files alone; ``cases`` (see ``join_cases``) of cases.
    """
    read = sum(source.rows for source in imported.sources)
    added = sum(step.added for step in outcomes.reports)
    out = len(imported.rejected) + len(outcomes.drops)
    rows = {"read": read, "added": added, "kept": read + added - out, "quarantined": out}
    card: dict[str, Json] = {
        "sources": [
            {
                "path": source.path,
                "digest": source.digest,
                "rows": source.rows,
                "usable": source.examples,
                "unreadable": dict(source.bad),
                "split": source.split,
                "licence": source.licence,
                "origin": source.origin,
            }
            for source in imported.sources
        ],
        "rows": rows,
        "splits": {name: describe(examples, closed) for name, examples in splits.items()},
        "steps": [step_json(step) for step in outcomes.reports],
        "seed": config.seed,
    }
    if cases:
        card["cases"] = dict(cases)
    return card


def step_json(step: StepReport) -> dict[str, Json]:
    """Return what one step did, without its duration."""
    return {
        "step": step.name,
        "seen": step.seen,
        "kept": step.kept,
        "changed": step.changed,
        "changes": dict(step.changes),
        "dropped": dict(step.dropped),
        "suspected": dict(step.suspected),
        "added": step.added,
        "restored": step.restored,
    }


def describe(examples: Iterable[Example], closed: Sequence[str]) -> dict[str, Json]:
    """Return counts, label balance, text lengths (characters) and groups of some examples.

    They are read once; in memory are two lengths a row, and the groups.
    """
    balance, groups, slices = Counter[str](), Counter[str](), Counter[str]()
    prompts, replies = array("q"), array("q")
    for example in examples:
        balance.update(strata(example, closed))
        if example.group is not None:
            groups[example.group] += 1
        slices.update(f"{k}={v}" for k, v in example.slices.items())
        prompts.append(len(example.conversation.text))
        replies.extend(_reply_lengths(example))
    return {
        "rows": len(prompts),
        "labels": dict(sorted(balance.items(), key=lambda kv: (-kv[1], kv[0]))),
        "groups": len(groups),
        "rows_without_group": len(prompts) - groups.total(),
        "largest_group": max(groups.values(), default=0),
        "prompt_chars": lengths(prompts),
        "reply_chars": lengths(replies),
        "slices": dict(sorted(slices.items())[:LABELS_SHOWN]),
    }


def _reply_lengths(example: Example) -> list[int]:
    match example.target:
        case CompletionTarget(text=text):
            return [len(text)]
        case FieldsTarget(fields=fields):
            return [sum(len(value) for value in fields.values() if isinstance(value, str))]
        case _:
            return []


def lengths(values: Sequence[int]) -> dict[str, Json]:
    """Return mean, median, 95th percentile, extremes and a histogram of some lengths; {} of none.

    ``bins`` counts lengths by their least power of two that is no smaller, e.g. {"64": 12}.
    """
    if not values:
        return {}
    p95 = quantiles(values, n=20)[-1] if len(values) > 1 else values[0]
    return {
        "mean": round(mean(values), 1),
        "median": median(values),
        "p95": round(min(p95, max(values)), 1),
        "min": min(values),
        "max": max(values),
        "bins": {str(1 << power): count for power, count in sorted(_powers(values).items())},
    }


def _powers(values: Sequence[int]) -> Counter[int]:
    return Counter(max(0, value - 1).bit_length() for value in values)


def card_markdown(version: DataVersion) -> str:
    """Write a version's data card as Markdown."""
    card = version.card
    parts = [
        f"# Data card of {version.id}",
        f"Hash `{version.hash}`, frozen {version.created_at:%Y-%m-%d %H:%M} UTC, "
        f"seed {card['seed']}. {_rows_line(card['rows'])}",
        "## Sources\n" + _sources(card["sources"]),
        "## Splits\n" + _splits(card["splits"]),
        "## Steps\n" + _steps(card["steps"]),
        "## De-identification\n" + deidentification_words(version),
    ]
    if "cases" in card:
        parts.insert(3, "## Cases\n" + _cases(card["cases"]))
    if any(split["labels"] for split in card["splits"].values()):
        parts.append("## Labels\n" + _labels(card["splits"]))
    return "\n\n".join(parts) + "\n"


def deidentification_words(version: DataVersion) -> str:
    """Say under which profile texts were frozen, what it leaves, and who put a name under it."""
    said = version.config.get("deidentify", "none")
    name = said if isinstance(said, str) else said["profile"]
    told = [f"De-identified under the profile `{name}`."]
    if name == "patterns":
        told.append("Names of people are not looked for, nor places: texts may hold them.")
    if name == "none":
        told = ["Nothing was taken out (profile `none`): texts may hold personal data."]
    if signed := version.card.get("sign_off"):
        told.append(_signed(signed))
    if erased := version.card.get("erased"):
        gone = ", ".join(f"{split} {rows}" for split, rows in erased["rows"].items() if rows)
        told.append(f"Rows were erased from {erased['from']}: {gone or 'none'}.")
    if left := version.card.get("erased_rows"):
        told.append(f"{left} rows of erased groups were left out.")
    if version.card.get("succeeded_by"):
        told.append(f"Holds no rows any more (erasure): see {version.card['succeeded_by']}.")
    return " ".join(told)


def _signed(found: Mapping[str, Json]) -> str:
    who = f"Signed by {found['signer']} ({found['role']}), {found['signed_at'][:10]}, "
    who += f"{found['signature']}"
    if found.get("statement"):
        who += f", with an expert's statement ({found['statement'][:12]})"
    result = found.get("result") or {}
    if "documents_missed" in result:
        who += (
            f"; {result['read']} rows read, with a missed identifier in at most "
            f"{result['documents_missed']['high']:.1%} of rows (one-sided 95% bound)"
        )
    return who + "."


def _rows_line(rows: Mapping[str, Json]) -> str:
    return f"{rows['read']} rows read: {rows['kept']} kept, {rows['quarantined']} in quarantine."


def _cases(found: Mapping[str, Json]) -> str:
    why = ", ".join(f"{reason} {count}" for reason, count in found["left_out"].items())
    sides = found["regression"]
    return (
        f"{found['corrected']} served replies were looked at: {found['confirmed_right']} were "
        f"right, {found['failed']} were wrong, {found['held_back']} of these held back. "
        f"{found['learned']} joined training; {sum(found['left_out'].values())} are in quarantine"
        f"{f' ({why})' if why else ''}, {found['refused_for_leakage']} of them for leakage. "
        f"Regression: {sides['learned']} learned, {sides['held_back']} held back."
    )


def table(head: Sequence[str], rows: Sequence[Sequence[Json]]) -> str:
    """Return a Markdown table; cells are escaped."""
    lines = [[*head], ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(value) for value in line)} |" for line in lines)


def _cell(value: Json) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")


def _sources(sources: Sequence[Mapping[str, Json]]) -> str:
    return table(
        ["source", "digest", "rows", "usable", "split", "licence", "origin"],
        [
            [
                *(s["path"], s["digest"][:12], s["rows"], s["usable"], s["split"] or "made here"),
                *(s.get(key) or "not stated" for key in ("licence", "origin")),
            ]
            for s in sources
        ],
    )


def _splits(splits: Mapping[str, Mapping[str, Json]]) -> str:
    return table(
        ["split", "rows", "groups", "prompt characters (median, 95%)", "reply characters"],
        [
            [name, s["rows"], s["groups"], _span(s["prompt_chars"]), _span(s["reply_chars"])]
            for name, s in splits.items()
        ],
    )


def _span(found: Mapping[str, Json]) -> str:
    return f"{found['median']:g}, {found['p95']:g}" if found else "-"


def _steps(steps: Sequence[Mapping[str, Json]]) -> str:
    return table(
        ["step", "in", "kept", "changed", "dropped", "suspects"],
        [
            [
                s["step"], s["seen"], s["kept"], _counts(s["changed"], s["changes"]),
                _counts(sum(s["dropped"].values()), s["dropped"]),
                _counts(sum(s["suspected"].values()), s["suspected"]),
            ]
            for s in steps
        ],
    )  # fmt: skip


def _counts(total: int, by: Mapping[str, int]) -> str:
    shown = ", ".join(f"{name} {count}" for name, count in by.items())
    return f"{total} ({shown})" if shown else str(total)


def _labels(splits: Mapping[str, Mapping[str, Json]]) -> str:
    names = Counter[str]()
    for found in splits.values():
        names.update(found["labels"])
    rows = [
        [name, *(found["labels"].get(name, 0) for found in splits.values())]
        for name, _ in sorted(names.items(), key=lambda kv: (-kv[1], kv[0]))
    ]
    more = len(rows) - LABELS_SHOWN
    tail = f"\n\nand {more} more labels" if more > 0 else ""
    return table(["label", *splits], rows[:LABELS_SHOWN]) + tail
