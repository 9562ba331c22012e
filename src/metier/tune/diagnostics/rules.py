"""One function per finding. Each says what must be seen for it, and why that is enough.

Thresholds are round numbers from the argument in the docstring, not fitted to runs.
"""

from __future__ import annotations

from collections.abc import Sequence

from metier.core.records import MetricPoint
from metier.core.types import Json
from metier.tune.diagnostics.reading import Reading, curve
from metier.tune.diagnostics.types import Facts, Finding

FEW_EXAMPLES = 50
"""Fewer rows than this, or ``FEW_PER_REPLY`` of each reply, seldom show a pattern: hosted tuning
services ask for 10 at least and speak of clear gains from 50 to 100; ten cases of each outcome is
the old rule for regressions (Peduzzi et al. 1996, J Clin Epidemiol 49(12))."""
FEW_PER_REPLY = 10
CLOSED_SET = 0.5
"""Replies are a closed set where there are at most this many different ones per example."""
SOME_STEPS = 30
NOTHING = 0.02
"""A share too small to call movement."""


def not_finite(reading: Reading | None, facts: Facts) -> Finding | None:
    """The loss was no number any more. On every row of a batch at once the weights have run away;
    on some of them these rows (or their tokens) are at fault."""
    if facts.stopped_by != "not_finite":
        return None
    everywhere = len(facts.bad) == facts.of > 1
    shown = ", ".join(facts.bad[:5])
    says = (
        f"The loss became no number on all {facts.of} examples of a batch at once: the weights "
        "have run away."
        if everywhere
        else f"The loss was no number on {len(facts.bad)} of {facts.of} examples: {shown}."
    )
    step = reading.steps + 1 if reading else 1
    evidence: dict[str, Json] = {"step": step, "lr": facts.lr, "examples": list(facts.bad[:20])}
    advice = (
        f"Try lr = {facts.lr / 10:.1g} in [tune]."
        if everywhere
        else "Look at these examples with `metier inspect`."
    )
    return Finding("not_a_number", "problem", says, evidence, advice)


def rate_too_high(reading: Reading, facts: Facts) -> Finding | None:
    """Only steps that are too long make the loss on the very rows that are trained on climb well
    above where it began: neither wrong labels nor too little data can. Well is by more than chance
    (4 standard errors) and a tenth. A rise that passes and leaves no harm is let be; said is one
    that doubles the loss, lasts a tenth of the run, or after which the model only guesses.

    Without a rise: how often each reply occurs is learned within some tens of steps (Adam's
    moments remember ten) at any rate whose steps are not too long, whatever the data. A loss that
    is half as high again after ``SOME_STEPS``, at well (3 times) above the usual rate, is held up
    by its own steps."""
    climbed = reading.peak > 1.1 * reading.start + 4 * reading.noise
    doubled = reading.peak > 2 * reading.start + 4 * reading.noise
    harmed = climbed and (reading.above_share >= 0.1 or reading.guessed)
    runaway = facts.stopped_by == "not_finite" and len(facts.bad) == facts.of > 1
    if not (doubled or harmed or runaway or _held_up(reading, facts)):
        return None
    usual = facts.usual_lr
    lower = min(facts.lr / 10, usual) if usual else facts.lr / 10
    what = (
        f"The training loss climbed from {reading.start:.3g} to {reading.peak:.3g} (around step "
        f"{reading.peak_step})"
        if climbed or runaway
        else f"The training loss stays at {reading.train_end:.3g}, where knowing how often each "
        f"reply occurs costs {facts.blind_loss:.3g}"
    )
    return Finding(
        "lr_too_high",
        "problem",
        f"{what}: the steps are too long, the learning rate is too high.",
        {
            "loss_before": round(reading.start, 4),
            "highest_loss": round(reading.peak, 4),
            "step": reading.peak_step,
            "loss_at_end": round(reading.train_end, 4),
            "loss_of_guessing": _rounded(facts.blind_loss),
            "share_of_run_above_start": round(reading.above_share, 3),
            "lr": facts.lr,
            "usual_lr": usual,
        },
        f"Try lr = {lower:.1g} in [tune].",
    )


def divergence(reading: Reading, facts: Facts) -> Finding | None:
    """The run ended worse than it began, by more than chance (4 standard errors) and a tenth."""
    worst = reading.train_end
    if worst <= 1.1 * reading.start + 4 * reading.noise:
        return None
    return Finding(
        "divergence",
        "problem",
        f"The training loss ended at {worst:.3g}, above the {reading.start:.3g} it began with.",
        {
            "loss_before": round(reading.start, 4),
            "loss_at_end": round(worst, 4),
            "steps": reading.steps,
            "grad_norm_at_end": _rounded(reading.norm_end),
        },
        "What this run left is worse than the base: lower lr in [tune] and train again.",
    )


def rate_too_low(reading: Reading, facts: Facts) -> Finding | None:
    """The model hardly moved (the loss fell by less than 2%), or is still on the straight first
    stretch of its curve: a curve that bends gets less out of the second half of the learning
    rate than out of the first. In both cases the rate must be well (3 times) below what models
    of this size take, where that is known: else something other than the rate stands in the way.
    """
    usual = facts.usual_lr
    if usual is not None and facts.lr * 3 > usual:
        return None
    still = abs(reading.fall) < NOTHING
    straight = 0 <= reading.fall < 0.5 and (reading.late_share or 0.0) >= 0.4
    if not (still or straight) or reading.start < 0.05:
        return None
    where = "hardly moved" if still else "was still falling at its first pace when the run ended"
    rate = f", {usual / facts.lr:.0f} times under the usual {usual:.1g}" if usual else ""
    return Finding(
        "lr_too_low",
        "problem" if still else "warning",
        f"The loss {where}: {reading.start:.3g} before, {reading.end:.3g} at best. The learning "
        f"rate is {facts.lr:.1g}{rate}.",
        {
            "loss_before": round(reading.start, 4),
            "best_loss": round(reading.end, 4),
            "steps": reading.steps,
            "share_of_fall_in_second_half": _rounded(reading.late_share),
            "lr": facts.lr,
            "usual_lr": usual,
        },
        f'Try lr = {usual or facts.lr * 10:.1g} in [tune], or lr = "auto".',
    )


def labels_unrelated(reading: Reading, facts: Facts) -> Finding | None:
    """A model that has learned anything from its questions finds a reply likelier after its own
    question than after another row's (usable information, Ethayarajh et al. 2022, arXiv
    2110.08420: here the empty question is another one). If its training loss went a tenth below
    what guessing costs, so that it did learn its rows, and held-out rows show no such gain, then
    the replies have nothing to do with the questions, or the base cannot see what."""
    if not _deaf(reading, facts) or _guesses(reading):
        return None
    return Finding(
        "labels_unrelated",
        "problem",
        f"The training rows are being learned (loss {reading.train_end:.3g}, guessing costs "
        f"{reading.reference:.3g}), but nothing of it holds elsewhere: {_no_gain(facts)}. The "
        "labels look unrelated to the inputs.",
        _gain_evidence(reading, facts),
        "Read 20 rows: are questions and labels of the same row, and is the column that decides "
        "the label part of the prompt?",
    )


def only_guesses(reading: Reading, facts: Facts) -> Finding | None:
    """As ``labels_unrelated``, but the training rows were not learned either: the model knows how
    often each reply occurs, and no more. A run that was too short looks the same as labels that
    have nothing to do with the questions; training on tells them apart."""
    if not _deaf(reading, facts) or not _guesses(reading):
        return None
    return Finding(
        "only_guesses",
        "problem",
        f"After {reading.steps} steps the model knows at best how often each reply occurs and "
        f"nothing of the questions: {_no_gain(facts)}. The training loss is "
        f"{reading.train_end:.3g}; guessing costs {reading.reference:.3g}.",
        _gain_evidence(reading, facts),
        f"Train longer (epochs = {3 * facts.epochs:g}). If then only the training loss falls, the "
        "labels are unrelated to the inputs: read 20 rows.",
    )


def data_too_small(reading: Reading, facts: Facts) -> Finding | None:
    """Less than half of what was learned on the training rows holds for held-out rows even at the
    best point, although there is something to learn (a gain from the right question), or there
    are too few rows to tell."""
    few = _few(facts)
    carried = reading.carried(reading.best)
    related = facts.gain is not None and facts.gain.low > 0
    if carried is None or carried >= 0.5 or not (few or related):
        return None
    held = max(0.0, carried)
    return Finding(
        "data_too_small",
        "problem" if few else "warning",
        f"{facts.examples} training examples are too few: of what was learned on them, {held:.0%} "
        "holds for held-out rows.",
        {
            "examples": facts.examples,
            "different_replies": facts.replies,
            "training_loss": round(reading.train_end, 4),
            "best_validation_loss": _rounded(reading.best),
            "to_beat": round(reading.reference, 4),
            "carried_over": round(held, 3),
            "n": facts.validation_examples,
        },
        "More examples help more than any setting: label more, or `metier data augment`.",
    )


def memorising(reading: Reading, facts: Facts) -> Finding | None:
    """The training rows are known by heart (a tenth of what guessing costs is left) and, at the
    end, half or more of that does not hold for held-out rows."""
    carried = reading.carried(reading.last)
    if carried is None or carried >= 0.5 or reading.train_end > 0.1 * reading.reference:
        return None
    return Finding(
        "memorising",
        "warning",
        f"The training rows are known by heart (loss {reading.train_end:.3g}), held-out rows are "
        f"not (loss {reading.last:.3g} at the end).",
        {
            "training_loss": round(reading.train_end, 4),
            "validation_loss": _rounded(reading.last),
            "to_beat": round(reading.reference, 4),
            "epochs": facts.epochs,
            "n": facts.validation_examples,
        },
        "Fewer epochs, dropout or weight_decay; before a release, `metier probe memorisation`.",
    )


def overfitting(reading: Reading, facts: Facts) -> Finding | None:
    """The validation loss turned and rose by more than 5% of its lowest value and 2% of what was
    to be beaten, while the training loss went on falling."""
    best, last = reading.best, reading.last
    if best is None or last is None or reading.train_end >= best:
        return None
    if last - best <= max(0.05 * best, 0.02 * reading.reference):
        return None
    return Finding(
        "overfitting",
        "warning",
        f"The validation loss was lowest at step {reading.best_step} ({best:.3g}) and rose to "
        f"{last:.3g} by the end, while the training loss fell to {reading.train_end:.3g}.",
        {
            "best_step": reading.best_step,
            "best_validation_loss": round(best, 4),
            "last_validation_loss": round(last, 4),
            "training_loss": round(reading.train_end, 4),
            "steps": reading.steps,
            "n": facts.validation_examples,
        },
        "The best weights were kept. Fewer epochs save the time; patience in [tune] stops by "
        "itself.",
    )


def underfitting(reading: Reading, facts: Facts) -> Finding | None:
    """The run ended too early: still falling, and held-out rows as good as trained ones, so that
    nothing speaks against going on."""
    if not _still_falling(reading) or reading.fall < NOTHING:
        return None
    held_out = reading.last
    if held_out is not None and reading.train_end < 0.8 * held_out:
        return None
    late = reading.late_share or 0.0
    return Finding(
        "underfitting",
        "warning",
        f"The loss was still falling when the run ended: the second half of the learning rate "
        f"brought {late:.0%} of the fall from {reading.start:.3g} to {reading.end:.3g}.",
        {
            "share_of_fall_in_second_half": round(late, 3),
            "loss_before": round(reading.start, 4),
            "training_loss": round(reading.train_end, 4),
            "validation_loss": _rounded(held_out),
            "epochs": facts.epochs,
            "steps": reading.steps,
        },
        f"Train longer: epochs = {max(facts.epochs * 2, 1):g} in [tune], or a higher lr.",
    )


def metric_disagrees(points: Sequence[MetricPoint], facts: Facts) -> Finding | None:
    """The loss fell by a tenth or more and the replies did not get better: the intervals of the
    task's metric before and at its best overlap. Only where the loss is that of the replies: a pair
    told apart, or a reward that rose, promises nothing of a metric against wanted replies."""
    series = f"validation_{facts.metric}"
    values = curve(points, series)
    losses = curve(points, "validation_loss")
    if (
        not facts.of_replies
        or not facts.metric
        or len(values) < 2
        or len(losses) < 2
        or values[0][0] != 0
    ):
        return None
    lows, highs = dict(curve(points, f"{series}_low")), dict(curve(points, f"{series}_high"))
    sign = 1 if facts.higher_is_better else -1
    step, best = max(values[1:], key=lambda point: sign * point[1])
    better = lows.get(step, best) > highs.get(0, values[0][1])
    if sign < 0:
        better = highs.get(step, best) < lows.get(0, values[0][1])
    lowest = min(value for _, value in losses[1:])
    if better or lowest > 0.9 * losses[0][1]:
        return None
    return Finding(
        "metric_did_not_follow",
        "warning",
        f"The validation loss fell from {losses[0][1]:.3g} to {lowest:.3g}, but {facts.metric} "
        f"did not get better by more than chance: {values[0][1]:.3g} before, {best:.3g} at best.",
        {"metric": facts.metric, "before": values[0][1], "best": best, "step": step},
        "Look at replies with `metier inspect`; raise eval_task_examples for a narrower interval.",
    )


def healthy(reading: Reading, facts: Facts) -> Finding:
    """Nothing else was found: the loss fell, and held-out rows followed."""
    held = f"; on held-out rows it is {reading.best:.3g}" if reading.best is not None else ""
    return Finding(
        "healthy",
        "good",
        f"The loss fell from {reading.start:.3g} to {reading.train_end:.3g}{held}, with no sign of "
        "trouble.",
        {
            "loss_before": round(reading.start, 4),
            "training_loss": round(reading.train_end, 4),
            "best_validation_loss": _rounded(reading.best),
            "best_step": reading.best_step,
            "n": facts.validation_examples,
        },
    )


def _held_up(reading: Reading, facts: Facts) -> bool:
    blind, usual = facts.blind_loss, facts.usual_lr
    if blind is None or usual is None or facts.lr < 3 * usual or reading.steps < SOME_STEPS:
        return False
    return min(reading.train_end, reading.end) > 1.5 * blind


def _deaf(reading: Reading, facts: Facts) -> bool:
    """Whether a model that was trained makes nothing of its questions, on enough held-out rows:
    the gain is not above zero by more than chance, nor a tenth of what a whole reply is worth."""
    gain = facts.gain
    if gain is None or gain.n < FEW_EXAMPLES or facts.examples < FEW_EXAMPLES:
        return False
    moved = reading.fall >= NOTHING or reading.train_end < (1 - NOTHING) * reading.start
    return moved and gain.low <= 0 and gain.value <= 0.1 * _worth(reading, facts)


def _guesses(reading: Reading) -> bool:
    return reading.train_end > 0.9 * reading.reference


def _worth(reading: Reading, facts: Facts) -> float:
    """Return the nats that guessing a whole reply costs."""
    return (facts.blind_loss or reading.end) * facts.reply_tokens


def _no_gain(facts: Facts) -> str:
    gain = facts.gain
    assert gain is not None
    return (
        f"a held-out reply is no likelier after its own question than after another one (gain "
        f"{gain.value:.3g} nats [{gain.low:.3g}, {gain.high:.3g}], n {gain.n})"
    )


def _gain_evidence(reading: Reading, facts: Facts) -> dict[str, Json]:
    gain = facts.gain
    assert gain is not None
    return {
        "gain_nats": round(gain.value, 4),
        "low": round(gain.low, 4),
        "high": round(gain.high, 4),
        "n": gain.n,
        "reply_nats": round(_worth(reading, facts), 4),
        "training_loss": round(reading.train_end, 4),
        "validation_loss": _rounded(reading.best),
        "loss_of_guessing": _rounded(facts.blind_loss),
    }


def _still_falling(reading: Reading) -> bool:
    """Whether the second half of the rate brought over a third of the fall: an exponential decay
    that has come three quarters of its way brings a third."""
    late = reading.late_share
    turned = reading.best is not None and reading.last is not None and reading.last > reading.best
    return late is not None and late > 1 / 3 and not turned


def _few(facts: Facts) -> bool:
    closed = 0 < facts.replies <= CLOSED_SET * facts.examples
    per_reply = facts.examples / facts.replies if closed else float("inf")
    return facts.examples < FEW_EXAMPLES or per_reply < FEW_PER_REPLY


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
