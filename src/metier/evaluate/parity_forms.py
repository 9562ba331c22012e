"""Is what was exported the model that was tuned?

    compare_form(bench, reference, form, rows)

The reference is the adapter beside its base, as training left it. Every other form (merged,
quantised, GGUF, served) gets the same prompts. Compared are, where a form gives them, the
log-probabilities of single tokens: of the wanted reply and of the reference's own greedy reply, or,
for an engine that only tells of tokens it chose, of those, scored by the reference afterwards.
Then the greedy replies to the character, and the task's own metric, paired.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from metier.core.completer import Completer, Sampling
from metier.core.records import Prediction
from metier.core.types import Completion, Conversation, Estimate, Example, Json
from metier.evaluate.answers import predictions_of
from metier.evaluate.bench import Bench
from metier.evaluate.beside import materials_of
from metier.evaluate.effects.parity import same_share
from metier.evaluate.parity_config import ParityBar
from metier.evaluate.parity_verdict import verdict_of
from metier.models.answer import answer
from metier.models.prompt import TUNED, render_example, render_prompt
from metier.scoring import make_metric, paired_difference, records_of
from metier.scoring.tasks import primary_metric

if TYPE_CHECKING:
    from metier.models.base import Base
    from metier.models.engines.given import Given
    from metier.models.engines.llama_cpp import Said

SHAPED = ("classify", "multilabel", "structured")
"""Tasks whose answers are made by more than greedy decoding."""
MOST_NAMED = 20
Say = Callable[[Conversation, int], "Said"]


@dataclass(frozen=True)
class Form:
    """One way to run the model. ``base`` is given where its weights are at hand, ``say`` where an
    engine tells the log-probabilities of what it chose; with neither only replies are compared.
    ``whole`` forms take what users write and answer in the task's shape (a served model)."""

    name: str
    completer: Completer
    bar: ParityBar
    base: Base | None = None
    say: Say | None = None
    whole: bool = False


@dataclass(frozen=True, slots=True)
class FormParity:
    """What one form was found to be beside the reference.

    ``same`` is the share of equal greedy replies, ``differing`` the ids of the first rows that
    differ, ``errors`` the replies it failed to give. ``logprob_max`` and ``logprob_mean`` (nats)
    are over ``tokens`` tokens (None: it gives none). ``difference`` is form - reference of
    ``metric`` (None: no wanted answers). ``failed`` says in words which parts of ``bar`` were
    missed, ``unsettled`` which cannot be told from so few replies (``parity_verdict``).
    """

    form: str
    reference: str
    same: Estimate
    errors: int
    differing: tuple[str, ...]
    logprob_max: float | None
    logprob_mean: float | None
    tokens: int
    metric: str | None
    difference: Estimate | None
    bar: Mapping[str, Json]
    failed: tuple[str, ...]
    unsettled: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every part of the bar was reached, by what so many replies can tell."""
        return not self.failed and not self.unsettled


@dataclass(frozen=True)
class Reference:
    """The model as it was tuned, and what it says to the rows; each part is made once."""

    bench: Bench
    name: str
    completer: Completer
    base: Base
    system: str
    rows: Sequence[Example]

    @cached_property
    def asked(self) -> list[Conversation]:
        """The prompts, as the model was trained on them."""
        objective, labels = self.bench.objective, self.bench.labels
        return [
            render_prompt(row.conversation, objective, labels, TUNED, self.system)
            for row in self.rows
        ]

    @cached_property
    def sampling(self) -> Sampling:
        """Greedy, up to the length that is compared."""
        return Sampling(max_tokens=self.bench.config.parity.max_new_tokens)

    @cached_property
    def greedy(self) -> list[Completion]:
        """Its greedy replies."""
        return self.completer.complete(self.asked, self.sampling)

    @cached_property
    def answers(self) -> list[Completion]:
        """Its answers in the task's shape."""
        return self.shaped(self.completer, self.greedy)

    @cached_property
    def given(self) -> list[Given]:
        """The replies that are scored: the wanted ones, and its own."""
        from metier.models.engines.given import given_row

        wanted = [
            given_row(self.base, asked, render_example(row, self.bench.objective))
            for asked, row in zip(self.asked, self.rows, strict=True)
            if row.target is not None
        ]
        own = [
            given_row(self.base, asked, said.text)
            for asked, said in zip(self.asked, self.greedy, strict=True)
        ]
        return wanted + own

    @cached_property
    def logprobs(self) -> list[list[float]]:
        """Log-probabilities of the given replies' tokens."""
        return self.score(self.given)

    def settle(self) -> None:
        """Say all there is to say, then leave the GPU to the forms: one model fits there."""
        _ = self.answers, self.logprobs
        self.base.model.to("cpu")

    def score(self, rows: Sequence[Given]) -> list[list[float]]:
        """Score other tokens."""
        from metier.models.engines.given import given_logprobs

        return given_logprobs(self.base.model, rows)

    def shaped(self, completer: Completer, greedy: Sequence[Completion]) -> list[Completion]:
        """Return answers in the task's shape; greedy replies are that for tasks of free text."""
        bench = self.bench
        if bench.objective.task not in SHAPED or not completer.capabilities.scores:
            return list(greedy)
        return answer(completer, self.asked, bench.objective, bench.labels, self.sampling)

    def predictions(self, answers: Sequence[Completion]) -> list[Prediction]:
        """Return answers as predictions of the rows."""
        return predictions_of(self.bench, self.rows, answers)


def compare_form(reference: Reference, form: Form) -> FormParity:
    """Hold one form to the reference."""
    greedy, answers = _replies(reference, form)
    ours = reference.answers if form.whole else reference.greedy
    equal = [_equal(x, y) for x, y in zip(ours, greedy, strict=True)]
    gaps = _gaps(reference, form)
    share = same_share(equal, reference.bench.resampling)
    # An engine that cannot score writes its labels: the reference is then read the same way.
    scores = form.whole or form.completer.capabilities.scores
    beside = reference.answers if scores else reference.greedy
    metric, difference = _difference(reference, answers, beside)
    largest = max(gaps) if gaps else None
    mean = math.fsum(gaps) / len(gaps) if gaps else None
    rows = reference.rows
    verdict = verdict_of(form.bar, largest, mean, share, difference)
    return FormParity(
        form.name,
        reference.name,
        share,
        sum(one.error is not None for one in greedy),
        tuple(row.id for row, same in zip(rows, equal, strict=True) if not same)[:MOST_NAMED],
        largest,
        mean,
        len(gaps),
        metric,
        difference,
        form.bar.model_dump(mode="json"),
        verdict.failed,
        verdict.unsettled,
    )


def _replies(reference: Reference, form: Form) -> tuple[list[Completion], list[Completion]]:
    """Return a form's greedy replies, and its answers in the task's shape."""
    if form.whole:
        said = form.completer.complete(
            [row.conversation for row in reference.rows], reference.sampling
        )
        return said, said
    greedy = form.completer.complete(reference.asked, reference.sampling)
    return greedy, reference.shaped(form.completer, greedy)


def _gaps(reference: Reference, form: Form) -> list[float]:
    from metier.models.engines.given import given_logprobs

    if form.base is not None:
        theirs = given_logprobs(form.base.model, reference.given)
        return _apart(reference.logprobs, theirs)
    if form.say is None:
        return []
    most = reference.sampling.max_tokens
    said = [form.say(asked, most) for asked in reference.asked]
    spoken = [(asked, one) for asked, one in zip(reference.asked, said, strict=True) if one.ids]
    ours = reference.score([(reference.base.encode(asked), one.ids) for asked, one in spoken])
    return _apart(ours, [one.logprobs for _, one in spoken])


def _apart(ours: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]]) -> list[float]:
    rows = zip(ours, theirs, strict=True)
    return [abs(x - y) for mine, yours in rows for x, y in zip(mine, yours, strict=True)]


def _equal(x: Completion, y: Completion) -> bool:
    """Whether both replied the same; half a character at the end is shown by some engines only."""
    texts = [one.text.rstrip("\ufffd").strip() for one in (x, y)]
    return x.error is None and y.error is None and texts[0] == texts[1]


def _difference(
    reference: Reference, answers: Sequence[Completion], beside: Sequence[Completion]
) -> tuple[str | None, Estimate | None]:
    """Return the task's metric and form - reference of it, on rows with a wanted answer."""
    if any(row.target is None for row in reference.rows):
        return None, None
    bench = reference.bench
    name = primary_metric(bench.objective)
    metric = make_metric(name, objective=bench.objective, materials=materials_of(bench))
    theirs, ours = (
        records_of(reference.predictions(said), reference.rows) for said in (answers, beside)
    )
    return name, paired_difference(metric, theirs, ours, bench.resampling).estimate
