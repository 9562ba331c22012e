"""A version's data card as one HTML page: where rows came from, what became of them, balance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from markupsafe import Markup

from metier import __version__
from metier.config import Project
from metier.core.records import DataVersion
from metier.core.types import Json
from metier.journey.report import svg
from metier.journey.report.templating import environment, template

LABELS_SHOWN = 40
Row = Mapping[str, Any]


def card_page(version: DataVersion, project: Project) -> str:
    """Return the card as one HTML document that loads nothing. It holds no text of a row."""
    card = version.card
    page = {
        "project": project.project.name,
        "version": version,
        "frozen": f"{version.created_at:%d %B %Y, %H:%M} UTC",
        "metier_version": __version__,
        "tiles": list(_tiles(version)),
        "sources": [_source(one) for one in card.get("sources", [])],
        "fates": list(_fates(card)),
        "steps": [_step(one) for one in card.get("steps", [])],
        "splits": [_split(name, one) for name, one in card.get("splits", {}).items()],
        "split_names": list(card.get("splits", {})),
        "labels": list(_labels(card.get("splits", {}))),
        "lengths": [
            _lengths(f"{name}: {what}", found[key])
            for name, found in card.get("splits", {}).items()
            for what, key in (("prompts", "prompt_chars"), ("replies", "reply_chars"))
            if found[key].get("bins")
        ],
        "style": Markup(template("style.css")),
    }
    return environment().get_template("card.html.j2").render(page)


def _tiles(version: DataVersion) -> Iterator[Row]:
    rows = version.card.get("rows", {})
    if rows:
        yield {"name": "Rows read", "value": f"{rows['read']:,}", "note": ""}
        out = f"{rows['quarantined']:,} in quarantine, each with its reason"
        yield {"name": "Rows kept", "value": f"{rows['kept']:,}", "note": out}
    left = version.looks_budget - version.looks_used
    note = f"of {version.looks_budget}; then the test set wants new items"
    yield {"name": "Looks at the test set left", "value": str(left), "note": note}
    yield _taken_out(version)
    erased = version.card.get("erased_rows")
    if erased:
        yield {"name": "Rows of erased groups", "value": f"{erased:,}", "note": "left out for good"}


def _taken_out(version: DataVersion) -> Row:
    """Under which profile texts were frozen, and who put a name under it."""
    said = version.config.get("deidentify", "none")
    name = said if isinstance(said, str) else said["profile"]
    note = "names of people are not looked for" if name == "patterns" else ""
    if signed := version.card.get("sign_off"):
        note = f"signed by {signed['signer']} ({signed['role']})"
    return {"name": "De-identified under", "value": name, "note": note}


def _source(found: Mapping[str, Json]) -> Row:
    return {
        "path": found["path"],
        "digest": found["digest"][:12],
        "rows": f"{found['rows']:,}",
        "usable": f"{found['usable']:,}",
        "split": found["split"] or "made here",
        "licence": found.get("licence") or "not stated",
        "origin": found.get("origin") or "not stated",
    }


def _fates(card: Mapping[str, Json]) -> Iterator[Row]:
    """Where rows went: kept, or left out at a step for a reason; largest first."""
    read = card.get("rows", {}).get("read", 0)
    if not read:
        return
    counts: Counter[str] = Counter({"kept": card["rows"]["kept"]})
    for source in card["sources"]:
        for kind, count in source["unreadable"].items():
            counts[f"import: {kind}"] += count
    for step in card["steps"]:
        for reason, count in step["dropped"].items():
            counts[f"{step['step']}: {reason}"] += count
    for name, count in counts.most_common():
        share = count / read
        yield {
            "name": name.replace("_", " "),
            "count": f"{count:,}",
            "share": f"{share:.1%}",
            "bar": Markup(svg.share_bar(min(1.0, share))),
        }


def _step(found: Mapping[str, Json]) -> Row:
    def told(counts: Mapping[str, Json]) -> str:
        return ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in counts.items())

    return {
        "name": found["step"].replace("_", " "),
        "seen": f"{found['seen']:,}",
        "kept": f"{found['kept']:,}",
        "changes": told(found["changes"]) or "none",
        "dropped": told(found["dropped"]) or "none",
        "suspected": told(found["suspected"]) or "none",
    }


def _split(name: str, found: Mapping[str, Json]) -> Row:
    prompts = found["prompt_chars"]
    return {
        "name": name,
        "rows": f"{found['rows']:,}",
        "groups": f"{found['groups']:,}",
        "largest": f"{found['largest_group']:,}",
        "prompts": f"{prompts['median']:g} (95%: {prompts['p95']:g})" if prompts else "none",
    }


def _labels(splits: Mapping[str, Mapping[str, Json]]) -> Iterator[Row]:
    totals: Counter[str] = Counter()
    for found in splits.values():
        totals.update(found["labels"])
    most = max(totals.values(), default=1)
    for name, count in totals.most_common(LABELS_SHOWN):
        yield {
            "name": name,
            "bar": Markup(svg.share_bar(count / most)),
            "counts": [found["labels"].get(name, 0) for found in splits.values()],
        }


def _lengths(name: str, found: Mapping[str, Json]) -> Row:
    bins = {int(size): count for size, count in found["bins"].items()}
    most, total = max(bins.values()), sum(bins.values())
    return {
        "name": name,
        "n": f"{total:,}",
        "bins": [
            {
                "upto": f"{size:,}",
                "count": f"{count:,}",
                "bar": Markup(svg.share_bar(count / most)),
            }
            for size, count in sorted(bins.items())
        ],
    }
