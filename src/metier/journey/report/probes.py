"""The section on side effects: what the tune did beside the task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby

from markupsafe import Markup

from metier.core.codec import from_json
from metier.core.records import Probe
from metier.core.types import Estimate, Json
from metier.journey.report import numbers, svg
from metier.journey.report.views import Row, unit_of
from metier.scoring import metric_info

CHANCE_BITS = 1.4427
"""Mean exposure of a secret that was never seen: log2 e."""
TITLES = {
    "forgetting": "General ability, before and after",
    "memorisation": "What it knows by heart",
    "calibration": "Whether its confidence can be trusted",
    "robustness": "The same, written differently",
    "parity": "The same model, run in two ways",
    "exports": "The same model, exported",
}


def probes_view(probes: Sequence[Probe]) -> Row:
    """Return the parts of the section, one per kind of probe; none: the section is left out."""
    parts = [_part(probe) for probe in probes if probe.kind in TITLES]
    return {"parts": parts, "shown": bool(parts)}


def _part(probe: Probe) -> Row:
    rows = [_number(name, estimate) for name, estimate in probe.metrics.items()]
    notes = [
        f"{name}: {warning}" for name, one in probe.metrics.items() for warning in one.warnings
    ]
    return {
        "kind": probe.kind,
        "title": TITLES[probe.kind],
        "numbers": rows,
        "notes": list(dict.fromkeys(notes)),
        **DRAWN[probe.kind](probe),
    }


def _number(name: str, estimate: Estimate) -> Row:
    return {
        "name": name,
        "about": metric_info(name).description,
        "value": numbers.interval(estimate, unit_of(name)),
        "n": estimate.n,
    }


def _forgetting(probe: Probe) -> Row:
    kinds: Mapping[str, Json] = probe.detail.get("kinds", {})
    drops = {kind: _estimate(found["drop"]) for kind, found in kinds.items()}
    bounds = _around_zero(drops.values())
    rows = [
        {
            "name": kind.replace("_", " "),
            "note": f"{found['before']['value']:.0%} before, {found['after']['value']:.0%} after",
            "bar": Markup(svg.interval_dot(drops[kind], bounds, _side(drops[kind]))),
            "figure": numbers.interval(drops[kind], signed=True),
        }
        for kind, found in kinds.items()
    ]
    lead = "Points lost per kind of instruction (right of the line: worse than before the tune)."
    before = probe.detail.get("before", {}).get("general_ability")
    if before:
        lead += f" Before the tune {numbers.interval(_estimate(before))} were answered rightly."
    return {"chart": rows, "lead": lead, "ticks": _ticks(bounds)}


def _robustness(probe: Probe) -> Row:
    ways = probe.detail.get("perturbed", [])
    drops = {way["name"]: _estimate(way["drop"]) for way in ways}
    bounds = _around_zero(drops.values())
    rows = [
        {
            "name": way["name"],
            "note": f"{way['changed']:.0%} of the answers changed",
            "bar": Markup(svg.interval_dot(drops[way["name"]], bounds, _side(drops[way["name"]]))),
            "figure": numbers.interval(drops[way["name"]], signed=True),
        }
        for way in ways
    ]
    lead = f"Loss of {probe.detail.get('metric')} on validation rows that were rewritten."
    challenge = probe.detail.get("challenge")
    if challenge:
        lead += f" On the challenge split: {numbers.interval(_estimate(challenge))}."
    return {"chart": rows, "lead": lead, "ticks": _ticks(bounds)}


def _memorisation(probe: Probe) -> Row:
    detail = probe.detail
    points = sorted((int(times), float(bits)) for times, bits in detail.get("exposures", []))
    means = {int(n): _estimate(one) for n, one in detail.get("by_repetitions", {}).items()}
    groups = [
        ([bits for _, bits in part], means[times])
        for times, part in groupby(points, key=lambda point: point[0])
    ]
    top = max([float(detail.get("most_bits") or 0.0), 1.0])
    rows = [
        {
            "times": times,
            "mean": numbers.interval(mean),
            "out": f"{detail['extracted'][str(times)]} of {mean.n}",
        }
        for times, mean in means.items()
    ]
    drawn = svg.scatter(groups, (0.0, top), CHANCE_BITS if top > 2 * CHANCE_BITS else None)
    return {
        "exposure": {"plot": Markup(drawn), "rows": rows, "top": numbers.tick(top)}
        if rows
        else None,
        "lead": " ".join(_memory_words(detail)),
    }


def _memory_words(detail: Mapping[str, Json]) -> list[str]:
    words = []
    trend = detail.get("trend")
    if trend:
        p_words = numbers.p_words(trend["p_value"])
        p_words = p_words if p_words.startswith("<") else f"= {p_words}"
        words.append(f"Exposure by repetition: trend p {p_words} (Jonckheere-Terpstra).")
    sealed = detail.get("sealed", {})
    if sealed.get("tried"):
        words.append(
            f"{sealed['extracted']} of {sealed['tried']} sealed values came out when the model was "
            f"given what stood before them; {sealed['in_clear']} still stand in a training row."
        )
    return words or ["No canaries were planted, and no sealed values belong to the training rows."]


def _calibration(probe: Probe) -> Row:
    detail = probe.detail
    curves = [
        [(float(one["confidence"]), _estimate(one["right"])) for one in detail.get(name, [])]
        for name in ("curve", "tempered")
    ]
    total = sum(right.n for _, right in curves[0]) or 1
    shares = [(float(one["low"]), one["right"]["n"] / total) for one in detail.get("curve", [])]
    words = [
        f"Temperature {numbers.number(detail.get('temperature'))}, fitted on "
        f"{detail.get('validation_items')} validation rows. A perfectly calibrated model with "
        f"these confidences would show an error of {numbers.number(detail.get('expected_ece'))} "
        f"on average, and up to {numbers.number(detail.get('expected_most'))}."
    ]
    threshold, wanted = detail.get("threshold"), detail.get("wanted_precision")
    if threshold is None:
        words.append(f"No threshold reached a precision of {wanted:g} on validation.")
    else:
        words.append(f"To reach {wanted:g}, answers under {threshold:.3f} go to a person.")
    drawn = Markup(svg.reliability(curves, shares)) if curves[0] else None
    return {"reliability": drawn, "lead": " ".join(words)}


def _parity(probe: Probe) -> Row:
    detail = probe.detail
    differing = len(detail.get("differing", []))
    words = [f"{detail.get('a')} against {detail.get('b')}:"]
    words.append("every reply the same" if not differing else f"{differing} or more replies differ")
    if detail.get("largest") is not None:
        words.append(f"log-probabilities at most {detail['largest']:.2g} apart")
    passed = "passed" if detail.get("passed") else "not passed"
    return {"lead": f"{words[0]} {', '.join(words[1:])}: {passed}."}


def _exports(probe: Probe) -> Row:
    """One sentence for each form."""
    detail = probe.detail
    said = [_form_words(form) for form in detail.get("forms", [])]
    said += [f"{name} was not run." for name in detail.get("not_run", {})]
    where = f"On {detail.get('rows')} {detail.get('split')} rows, beside the model as it was tuned."
    return {"lead": " ".join([where, *said])}


def _form_words(form: Mapping[str, Json]) -> str:
    same = _estimate(form["same"])
    parts = [f"share of equal replies {numbers.interval(same)} (n={same.n})"]
    if form.get("logprob_mean") is not None:
        parts.append(
            f"log-probabilities {form['logprob_mean']:.2g} nats apart on average, at most "
            f"{form['logprob_max']:.2g}, over {form['tokens']:,} tokens"
        )
    if form.get("difference") is not None:
        change = numbers.interval(_estimate(form["difference"]), signed=True)
        parts.append(f"{form['metric']} {change}")
    unsettled = form.get("unsettled") or ()
    verdict = "not passed" if form["failed"] else "unsettled" if unsettled else "passed"
    why = "; ".join([*form["failed"], *unsettled])
    return f"{form['form']}: {', '.join(parts)}: {verdict}{': ' if why else ''}{why}."


DRAWN: Mapping[str, Callable[[Probe], Row]] = {
    "forgetting": _forgetting,
    "memorisation": _memorisation,
    "calibration": _calibration,
    "robustness": _robustness,
    "parity": _parity,
    "exports": _exports,
}


def _estimate(value: Json) -> Estimate:
    return from_json(Estimate, value)


def _around_zero(estimates: Sequence[Estimate] | Json) -> svg.Bounds:
    """Limits that hold all intervals and zero."""
    return svg.nice_bounds([0.0, *(end for one in estimates for end in (one.low, one.high))])


def _ticks(bounds: svg.Bounds) -> list[str]:
    low, high = bounds
    return [numbers.tick(low + (high - low) * part, signed=True) for part in (0, 0.5, 1)]


def _side(drop: Estimate) -> str:
    return "bad" if drop.low > 0 else "good" if drop.high < 0 else ""
