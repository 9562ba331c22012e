"""Rungs with retrieved passages: rag, rag_few_shot, tuned_rag.

How to search, how many passages to show and when to say that the documents do not say are chosen
on validation, like prompts and examples are. With ``from-train`` the documents are replies of the
training rows that may be shown in prompts: neither test nor the rows that are chosen on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product

from metier.core.completer import Around, Completer, Sampling
from metier.core.errors import InputError
from metier.core.objective import TaskKind
from metier.core.types import Completion, CompletionTarget, Conversation, Json
from metier.evaluate.asking import around_question, device_of, frame_of
from metier.evaluate.bench import Bench, Contender
from metier.evaluate.choose import ChoiceRows, choice_rows, choose
from metier.models.few_shot import few_shot
from metier.models.prompt import PromptVariant, untuned_variants
from metier.retrieval.grounded import GroundedCompleter, Grounding, Room, grounded
from metier.retrieval.index import Index
from metier.retrieval.knowledge import Knowledge, copied_share, stored_index
from metier.retrieval.types import Document

WRITTEN: tuple[TaskKind, ...] = ("answer", "summarize", "compose", "chat")
"""Tasks whose reply is free text, so that it can cite, and say that it does not know."""
GROUNDED_TASKS: tuple[TaskKind, ...] = ("answer", "chat", "compose", "structured")
"""Tasks for which passages are tried without being asked for."""
CLOSED_TASK = "Use these sources where they help."
REFUSED = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
"""Shares of the validation questions, those that the documents fit least, to try not to answer."""
NOTABLE_SHARE = 0.05


@dataclass(frozen=True)
class Library:
    """The documents of a bench, indexed, and the rows that choices are made on."""

    bench: Bench
    rows: ChoiceRows

    @property
    def knowledge(self) -> Knowledge:
        """The project's. Raises InputError when it names no documents."""
        found = self.bench.knowledge
        if found is None or not found.config.configured:
            raise InputError(
                "documents to retrieve from",
                got="no [retrieval] documents in metier.toml",
                remedy='add e.g. documents = [{ path = "docs/*.md" }] under [retrieval]',
            )
        return found

    @cached_property
    def documents(self) -> list[Document]:
        """What may be retrieved."""
        return self.knowledge.documents(self.rows.shown, self.bench.objective)

    @cached_property
    def index(self) -> Index:
        """The documents' index, made once."""
        with self.bench.progress.task("index documents", len(self.documents), "document"):
            return stored_index(self.documents, self.knowledge.config, self.bench.workspace)

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know of the documents: that they hold the test's answers."""
        targets = (example.target for example in self.bench.examples("test"))
        answers = [one.text for one in targets if isinstance(one, CompletionTarget)]
        share = copied_share(answers, self.documents)
        if share < NOTABLE_SHARE:
            return ()
        return (f"{share:.0%} of the test answers stand word for word in the documents",)

    def groundings(self, frame: tuple[str, str]) -> list[Grounding]:
        """Return every configured way to search and number of passages."""
        config = self.knowledge.config
        if self.bench.objective.task in WRITTEN:
            told, absent = config.instruction, config.absent
        else:
            told, absent = CLOSED_TASK, None
        return [
            Grounding(k, method, 0.0, told, absent, frame)
            for method, k in product(config.method, config.k)
        ]


def library(bench: Bench) -> Library:
    """Return the documents of a bench, read and indexed when they are needed."""
    return Library(bench, choice_rows(bench))


def wants_tuned_rag(bench: Bench) -> bool:
    """Whether a tuned model is measured with passages too: where rag is, or when it is listed."""
    if bench.knowledge is None or not bench.knowledge.config.configured:
        return False
    rungs, task = bench.config.rungs, bench.objective.task
    return task in GROUNDED_TASKS if rungs == "auto" else "tuned_rag" in rungs


def rag(shelf: Library, completer: Completer, system: str, rung: str = "rag") -> Contender:
    """Build the rung that shows passages, with prompt and search chosen on validation."""
    return _grounded(shelf, completer, untuned_variants(shelf.bench.objective.task), system, rung)


def rag_few_shot(shelf: Library, completer: Completer, system: str) -> Contender:
    """Build the rung with passages and solved examples: ``rag`` as chosen, examples on top."""
    bench, chosen = shelf.bench, rag(shelf, completer, system)
    if chosen.variant is None:
        return chosen
    frame = frame_of(bench, chosen.variant, system)
    options = []
    for k, selection in product(bench.config.few_shot_k, bench.config.few_shot_examples):
        shown = few_shot(
            chosen.completer,
            shelf.rows.shown,
            k,
            bench.objective,
            frame,
            selection=selection,
            seed=bench.config.seed,
        )
        about: dict[str, Json] = {"examples_k": k, "examples": selection}
        options.append(
            replace(
                chosen,
                rung="rag_few_shot",
                completer=shown,
                priors=None,
                chosen={**_search(chosen), **about},
            )
        )
    return _warned(choose(bench, options, shelf.rows), shelf)


def tuned_rag(shelf: Library, tuned: Contender) -> Contender:
    """Build the rung of a tuned model with passages, asked the way it was trained otherwise."""
    if tuned.variant is None:
        raise InputError("a tuned language model", got=tuned.completer.name)
    found = _grounded(shelf, tuned.completer, [tuned.variant], tuned.system, "tuned_rag")
    return replace(found, run_id=tuned.run_id, device=tuned.device)


def _grounded(
    shelf: Library,
    completer: Completer,
    variants: Sequence[PromptVariant],
    system: str,
    rung: str,
) -> Contender:
    written = shelf.bench.objective.task in WRITTEN
    # The same prompts come up again when it is chosen what to leave unanswered.
    trial = _Remembering(completer) if written else completer
    options = [
        _option(shelf, trial, variant, system, how, rung)
        for variant in variants
        for how in shelf.groundings(around_question(frame_of(shelf.bench, variant, system)))
    ]
    best = choose(shelf.bench, options, shelf.rows)
    if written and shelf.rows.tried_on:
        best = _with_threshold(shelf, best)
    inner = best.completer
    assert isinstance(inner, GroundedCompleter)
    return _warned(replace(best, completer=inner.over(completer)), shelf)


def _option(
    shelf: Library,
    completer: Completer,
    variant: PromptVariant,
    system: str,
    how: Grounding,
    rung: str,
) -> Contender:
    return Contender(
        rung,
        grounded(completer, shelf.index, how),
        variant=variant,
        system=system,
        chosen={"prompt": variant.name, "search": how.method, "passages": how.k},
        device=device_of(completer),
    )


def _with_threshold(shelf: Library, best: Contender) -> Contender:
    """Choose below which fit a question is answered with "the documents do not say"."""
    inner = best.completer
    assert isinstance(inner, GroundedCompleter)
    questions = [example.conversation.last_user for example in shelf.rows.tried_on]
    fits = sorted(shelf.index.fit(questions, inner.how.method))
    places = [fits[min(len(fits) - 1, int(share * len(fits)))] for share in REFUSED]
    options = [
        replace(
            best,
            completer=inner.fitting(least),
            chosen={**_search(best), "least_fit": round(least, 4)},
        )
        for least in sorted({0.0, *places})
    ]
    return replace(choose(shelf.bench, options, shelf.rows), warnings=best.warnings)


def _search(chosen: Contender) -> dict[str, Json]:
    kept = ("prompt", "search", "passages", "least_fit")
    return {name: chosen.chosen[name] for name in kept if name in chosen.chosen}


def _warned(contender: Contender, shelf: Library) -> Contender:
    extra = [note for note in shelf.warnings if note not in contender.warnings]
    return replace(contender, warnings=(*contender.warnings, *extra))


class _Remembering(Around):
    """A Completer that answers the same question once, while options are tried."""

    def __init__(self, inner: Completer) -> None:
        super().__init__(inner)
        self._known: dict[tuple[Conversation, Sampling], Completion] = {}
        self.model = getattr(inner, "model", None)
        self.room: Room | None = getattr(inner, "room", None)

    def complete(
        self, conversations: Sequence[Conversation], sampling: Sampling
    ) -> list[Completion]:
        asked = dict.fromkeys((one, sampling) for one in conversations)
        new = [key for key in asked if key not in self._known]
        if new:
            replies = self._inner.complete([one for one, _ in new], sampling)
            self._known.update(zip(new, replies, strict=True))
        return [self._known[one, sampling] for one in conversations]
