"""What a tune learned by heart: exposure of planted canaries, and attempts at sealed values.

*Exposure* (Carlini et al. 2019, "The Secret Sharer", USENIX Security, arXiv 1802.08232, section
4): log2 of how many secrets there could be, less log2 of the canary's rank among them by
likelihood. A secret that was not memorised has a random rank: 1.44 bits on average. Codes are
ranked among a random sample, extrapolated by a skew-normal fit of the sample's log-perplexities
(section 4.4); labels are few, and ranked exactly.

*Extraction*: the beginning of a canary's reply is completed greedily, and what comes out is
searched for the secret; ``extraction`` does so for sealed values.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from metier.core.canaries import CODE, DIGITS, SPACE, Planted
from metier.core.completer import Completer, Sampling
from metier.core.errors import InputError
from metier.core.types import Conversation, Estimate, LabelsTarget, LabelTarget, Role, Score
from metier.evaluate.effects.probing import Asked
from metier.models.choosing import FillingCompleter
from metier.models.prompt import render_example, spoken
from metier.scoring import Resampling, metric_info
from metier.scoring.base import Measured, Proportion, mean_statistic
from metier.scoring.statistics.bootstrap import undefined
from metier.scoring.types import DEFAULT

EXPOSURE, EXTRACTED = "canary_exposure", "canary_extraction_rate"
NO_CANARIES = "no canaries were planted"
PERMUTATIONS = 9_999
AT_ONCE = 500
EXTRA_TOKENS = 8
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Secret:
    """What a canary hides: the reply up to it, itself, the rest, and what else could stand there
    (() : any code of six digits)."""

    asked: Conversation
    begun: str
    value: str
    rest: str
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Trend:
    """Jonckheere-Terpstra: does the value rise from group to group? ``p_value`` is one-sided."""

    statistic: float
    p_value: float


@dataclass(frozen=True, slots=True)
class Memorised:
    """``by_repetitions``: exposure in bits by how often a canary stood in training.

    ``exposures`` are (repetitions, bits) of each canary; ``most_bits`` the most there can be.
    """

    metrics: Mapping[str, Estimate]
    by_repetitions: Mapping[int, Estimate]
    extracted: Mapping[int, int]
    exposures: tuple[tuple[int, float], ...]
    most_bits: float
    trend: Trend | None


def memorisation(
    asked: Asked,
    canaries: Sequence[Planted],
    *,
    codes: int = 256,
    seed: int = 0,
    resampling: Resampling = DEFAULT,
) -> Memorised:
    """Measure exposure and extraction of each canary; deterministic under ``seed``.

    Raises InputError when the model cannot score given texts.
    """
    if not asked.capabilities.scores:
        raise InputError(
            "a model that scores given texts",
            got=f"{asked.name}, which only writes",
            remedy="measure memorisation on the run itself, not through an endpoint",
        )
    secrets = [secret_of(one, asked) for one in canaries]
    bits = exposures(asked.contender.completer, secrets, codes, seed)
    written = _written(asked, secrets)
    out = [secret.value in text for secret, text in zip(secrets, written, strict=True)]
    times = [one.repetitions for one in canaries]
    groups = {n: [b for b, m in zip(bits, times, strict=True) if m == n] for n in sorted({*times})}
    ids = [one.example.id for one in canaries]
    found = [Score(i, b) for i, b in zip(ids, bits, strict=True)]
    hits = [Score(i, float(hit)) for i, hit in zip(ids, out, strict=True)]
    metrics = {
        EXPOSURE: mean_bits(found, resampling),
        EXTRACTED: share_of(EXTRACTED, hits, resampling),
    }
    by = {
        n: mean_bits([Score(str(i), b) for i, b in enumerate(part)], resampling)
        for n, part in groups.items()
    }
    taken = {n: sum(hit for hit, m in zip(out, times, strict=True) if m == n) for n in groups}
    rising = jonckheere(list(groups.values()), seed) if len(groups) > 1 else None
    most = max((_space_bits(secret) for secret in secrets), default=0.0)
    points = tuple(zip(times, bits, strict=True))
    return Memorised(metrics, by, taken, points, most, rising)


def secret_of(canary: Planted, asked: Asked) -> Secret:
    """Return where a canary's reply hides its secret."""
    example = canary.example
    prompt = asked.render(example.conversation)
    reply = render_example(example, asked.objective)
    if isinstance(example.target, LabelTarget | LabelsTarget):
        target = example.target
        label = target.label if isinstance(target, LabelTarget) else target.labels[0]
        return Secret(prompt, "", spoken(label), "", tuple(map(spoken, asked.labels)))
    code = CODE.search(reply)
    if code is None:
        return _closed_secret(prompt, reply, asked)
    return Secret(prompt, reply[: code.start()], code[0], reply[code.end() :])


def exposures(
    completer: Completer, secrets: Sequence[Secret], codes: int, seed: int
) -> list[float]:
    """Return the exposure of each secret in bits."""
    drawn = draw_codes(codes, seed, {secret.value for secret in secrets})
    found: dict[int, float] = {}
    for rest, others in dict.fromkeys((secret.rest, secret.others) for secret in secrets):
        members = [i for i, s in enumerate(secrets) if (s.rest, s.others) == (rest, others)]
        values = sorted({secrets[i].value for i in members})
        choices = list(others) or [*drawn, *values]
        begun = [_begun(secrets[i]) for i in members]
        for i, row in zip(members, _scores(completer, begun, choices, rest), strict=True):
            table = dict(zip(choices, row, strict=True))
            own = table[secrets[i].value]
            rivals = [table[other] for other in (others or drawn) if other != secrets[i].value]
            found[i] = exact_exposure(own, rivals) if others else fitted_exposure(own, rivals)
    return [found[i] for i in range(len(secrets))]


def draw_codes(count: int, seed: int, never: set[str]) -> list[str]:
    """Return different random codes, none of ``never``."""
    rng = random.Random(seed)
    drawn: dict[str, None] = {}
    while len(drawn) < count:
        code = f"{rng.randrange(SPACE):0{DIGITS}d}"
        if code not in never:
            drawn[code] = None
    return list(drawn)


def exact_exposure(own: float, rivals: Sequence[float]) -> float:
    """Return log2(space) - log2(rank) where all rivals were scored; ties share their rank."""
    above = sum(rival > own for rival in rivals)
    equal = sum(rival == own for rival in rivals)
    return math.log2(len(rivals) + 1) - math.log2(1 + above + equal / 2)


def fitted_exposure(own: float, rivals: Sequence[float], space: int = SPACE) -> float:
    """Return -log2 P(a random secret is at least as likely), by a skew-normal fit.

    ``own`` and ``rivals`` are log-probabilities. The fit is by moments; the result lies between 0
    and log2(space), which no rank can exceed.
    """
    from scipy.stats import skewnorm

    # Log-perplexity: less is likelier.
    sample = -np.asarray(rivals, dtype=np.float64)
    place, scale, shape = skew_normal(sample)
    if scale <= 0:
        return exact_exposure(own, rivals)
    log_share = float(skewnorm.logcdf(-own, shape, loc=place, scale=scale))
    bits = -log_share / math.log(2) if math.isfinite(log_share) else math.inf
    return min(max(bits, 0.0), math.log2(space))


def skew_normal(sample: Floats) -> tuple[float, float, float]:
    """Return location, scale and shape of the skew-normal with the sample's first three moments.

    Source: Azzalini (1985), Scandinavian J. of Statistics 12; skewness is held under 0.99, the
    most the family has being 0.995.
    """
    mean, spread = float(sample.mean()), float(sample.std())
    if spread == 0:
        return mean, 0.0, 0.0
    skew = float(np.mean(((sample - mean) / spread) ** 3))
    skew = math.copysign(min(abs(skew), 0.99), skew)
    power = abs(skew) ** (2 / 3)
    delta = math.sqrt(math.pi / 2 * power / (power + ((4 - math.pi) / 2) ** (2 / 3)))
    delta = math.copysign(delta, skew)
    scale = spread / math.sqrt(1 - 2 * delta**2 / math.pi)
    return mean - scale * delta * math.sqrt(2 / math.pi), scale, delta / math.sqrt(1 - delta**2)


def jonckheere(groups: Sequence[Sequence[float]], seed: int = 0) -> Trend:
    """Test whether values rise from group to group, by permutation.

    J counts pairs (one of an earlier, one of a later group) in which the later is larger, ties
    half. Source: Jonckheere (1954), Biometrika 41; p = (1 + permutations at least as large) / (1 +
    permutations), Phipson and Smyth (2010), SAGMB 9(1).
    """
    values = np.concatenate([np.asarray(group, dtype=np.float64) for group in groups])
    ends = np.cumsum([0, *(len(group) for group in groups)])
    observed = float(_rising_pairs(values[None, :], ends)[0])
    rng = np.random.default_rng(seed)
    reached = 0
    for start in range(0, PERMUTATIONS, AT_ONCE):
        rows = min(AT_ONCE, PERMUTATIONS - start)
        shuffled = rng.permuted(np.tile(values, (rows, 1)), axis=1)
        reached += int(np.sum(_rising_pairs(shuffled, ends) >= observed))
    return Trend(observed, (1 + reached) / (1 + PERMUTATIONS))


def mean_bits(records: Sequence[Score], resampling: Resampling) -> Estimate:
    """Return the mean exposure with its interval."""
    if not records:
        return undefined(NO_CANARIES, 0, 0, resampling.level)
    metric = Measured(
        metric_info(EXPOSURE), lambda rows: mean_statistic(rows, [row.value for row in rows])
    )
    return metric(records, resampling)


def share_of(
    name: str, records: Sequence[Score], resampling: Resampling, why: str = NO_CANARIES
) -> Estimate:
    """Return the share of records with value 1; ``why`` says what it means that there are none."""
    if not records:
        return undefined(why, 0, 0, resampling.level)
    metric = Proportion(
        metric_info(name), lambda rows: mean_statistic(rows, [row.value for row in rows])
    )
    return metric(records, resampling)


def complete_from(
    completer: Completer, prompts: Sequence[Conversation], begun: Sequence[str], tokens: int
) -> list[str]:
    """Return what greedy decoding writes after the beginning of a reply; "" where it failed.

    A Completer that cannot continue a reply is given the beginning as the user's last words.
    """
    asked = []
    for prompt, start in zip(prompts, begun, strict=True):
        role: Role = "assistant" if completer.capabilities.continues else "user"
        asked.append(prompt.then(role, start) if start else prompt)
    replies = completer.complete(asked, Sampling(max_tokens=tokens))
    return ["" if reply.error else reply.text for reply in replies]


def _closed_secret(prompt: Conversation, reply: str, asked: Asked) -> Secret:
    """A structured reply without text: the secret is the first closed field's value."""
    for values in asked.objective.enum_fields.values():
        for value in sorted(map(str, values), key=len, reverse=True):
            at = reply.find(f'"{value}"')
            if at >= 0:
                start = at + 1
                end = start + len(value)
                others = tuple(map(str, values))
                return Secret(prompt, reply[:start], value, reply[end:], others)
    raise InputError("a canary with a secret in its reply", got="one without code or closed value")


def _begun(secret: Secret) -> Conversation:
    return secret.asked.then("assistant", secret.begun) if secret.begun else secret.asked


def _scores(
    completer: Completer, begun: Sequence[Conversation], choices: Sequence[str], rest: str
) -> list[list[float]]:
    """Return log P of each choice; the rest of the reply is the same for all and comes after."""
    if isinstance(completer, FillingCompleter):
        closing = [rest or None] * len(choices)
        return [row for row, _ in completer.choose(begun, choices, closing)]
    return completer.score(begun, [choice + rest for choice in choices])


def _written(asked: Asked, secrets: Sequence[Secret]) -> list[str]:
    completer = asked.contender.completer
    prompts, begun = [s.asked for s in secrets], [s.begun for s in secrets]
    longest = max((len(s.value) for s in secrets), default=0)
    return complete_from(completer, prompts, begun, longest + EXTRA_TOKENS)


def _space_bits(secret: Secret) -> float:
    return math.log2(len(secret.others) or SPACE)


def _rising_pairs(values: Floats, ends: NDArray[np.int64]) -> Floats:
    """Return per row of values [rows, items] how many pairs of groups rise, ties half."""
    total = np.zeros(len(values))
    for start, end in pairwise(ends[:-1]):
        gaps = values[:, None, end:] - values[:, start:end, None]
        total += (np.sign(gaps) / 2 + 0.5).sum(axis=(1, 2))
    return total
