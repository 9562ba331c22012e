"""Baselines without a language model: keyword rules, TF-IDF, nearest neighbour, lead sentences.

Each is fitted on training examples by a factory and is a Completer from then on. They read the
conversation as it came (system turns left out), not a rendered prompt. Nothing is stored: a fit
takes seconds, is deterministic, and its fingerprint is the hash of training data and settings.

    keyword   per label the words that speak for it (pointwise mutual information), as rules
    tfidf     words, word pairs and character n-grams -> logistic regression
    nearest   the reply of the most similar training example
    lead      the first sentences of the text

    structured: closed fields are classified, other fields copied from the nearest example.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import log
from typing import Any

from metier.core.completer import Capabilities, Sampling
from metier.core.errors import InputError
from metier.core.objective import Objective
from metier.core.types import (
    Completion,
    Conversation,
    Example,
    FieldsTarget,
    Json,
    LabelsTarget,
    LabelTarget,
    SpansTarget,
    Timing,
    Usage,
    digest,
)
from metier.models.classifiers import (
    Classifier,
    KeywordRules,
    Rule,
    TfidfRegression,
    indicator,
    neighbours,
)
from metier.models.filling import FieldSpec, field_specs, value_name
from metier.models.prompt import render_example, render_target, spoken

ClassifierKind = type[KeywordRules] | type[TfidfRegression]
MOST_SCORED = 500
"""Labels whose log-probability is kept with a reply."""


class ClassicalCompleter:
    """A fitted baseline: a name, what it was fitted on, and a function from texts to replies."""

    def __init__(
        self,
        name: str,
        fingerprint: str,
        reply: Callable[[Sequence[Conversation]], list[str]],
        *,
        log_probabilities: Callable[[Sequence[str]], Any] | None = None,
        exclusive: bool = True,
        labels: Sequence[str] = (),
        rules: Sequence[Rule] = (),
        generative: bool = False,
    ) -> None:
        self._name, self._fingerprint, self._reply = name, fingerprint, reply
        self._log_probabilities, self._labels = log_probabilities, list(labels)
        self._exclusive = exclusive
        self.rules = tuple(rules)
        self._generative = generative

    @property
    def name(self) -> str:
        """The kind of baseline."""
        return self._name

    @property
    def fingerprint(self) -> str:
        """Hash over training data and settings."""
        return self._fingerprint

    @property
    def capabilities(self) -> Capabilities:
        """Scores where it classifies by probability, into labels that exclude each other."""
        scores = self._log_probabilities is not None and self._exclusive
        return Capabilities(scores=scores, generative=self._generative)

    def complete(
        self, conversations: Sequence[Conversation], sampling: Sampling
    ) -> list[Completion]:
        """Answer each conversation; ``sampling`` has no effect.

        With ``choice_logprobs`` where it classifies by probability: those of the ``MOST_SCORED``
        likeliest labels.
        """
        if not conversations:
            return []
        start = time.perf_counter()
        replies = self._reply(conversations)
        timing = Timing((time.perf_counter() - start) / len(replies), batch_size=len(replies))
        scores = self._label_scores(conversations)
        return [
            Completion(text, usage=_words(asked, text), timing=timing, choice_logprobs=found)
            for asked, text, found in zip(conversations, replies, scores, strict=True)
        ]

    def _label_scores(self, asked: Sequence[Conversation]) -> list[dict[str, float] | None]:
        if self._log_probabilities is None:
            return [None] * len(asked)
        table = self._log_probabilities([text_of(one) for one in asked])
        best = (-table).argsort(axis=1, kind="stable")[:, :MOST_SCORED]
        return [
            {self._labels[i]: float(row[i]) for i in places}
            for row, places in zip(table, best, strict=True)
        ]

    def score(
        self, conversations: Sequence[Conversation], choices: Sequence[str]
    ) -> list[list[float]]:
        """Return log-probabilities; a choice that training did not know gets minus infinity.

        Choices are labels, as they are or as words (``prompt.spoken``).
        """
        if self._log_probabilities is None or not self._exclusive:
            raise NotImplementedError(f"{self._name} does not give probabilities")
        place = {name: i for i, label in enumerate(self._labels) for name in (spoken(label), label)}
        table = self._log_probabilities([text_of(asked) for asked in conversations])
        return [
            [float(row[place[choice]]) if choice in place else float("-inf") for choice in choices]
            for row in table
        ]


def keyword(examples: Sequence[Example], objective: Objective) -> ClassicalCompleter:
    """Learn keyword rules; a person can read them in ``.rules``.

    For extract the rules are the marked texts themselves. Raises InputError for tasks that write
    text.
    """
    examples = _labelled(examples, objective)
    if objective.task == "extract":
        return _gazetteer(examples)
    if objective.task not in ("classify", "multilabel", "structured"):
        raise InputError(
            "a task with a closed set of answers for keyword rules",
            got=f"task = {objective.task!r}, which writes text",
            remedy="use the nearest or lead baseline",
        )
    return _classified("keyword", examples, objective, KeywordRules)


def tfidf(examples: Sequence[Example], objective: Objective) -> ClassicalCompleter:
    """Fit TF-IDF + logistic regression; tasks that write text get the nearest example's reply."""
    examples = _labelled(examples, objective)
    if objective.task not in ("classify", "multilabel", "structured"):
        return nearest(examples, objective)
    return _classified("tfidf", examples, objective, TfidfRegression)


def nearest(examples: Sequence[Example], objective: Objective) -> ClassicalCompleter:
    """Answer with the reply of the most similar training example (TF-IDF cosine)."""
    examples = _labelled(examples, objective)
    find = neighbours([text_of(example.conversation) for example in examples])
    replies = [render_example(example, objective) for example in examples]
    return ClassicalCompleter(
        "nearest",
        _fingerprint("nearest", examples),
        lambda asked: [replies[i] for i in find([text_of(a) for a in asked])],
        generative=True,
    )


def lead(sentences: int = 3) -> ClassicalCompleter:
    """Answer with the first sentences of the last user turn: the classic summary baseline."""

    def reply(conversations: Sequence[Conversation]) -> list[str]:
        return [first_sentences(asked.last_user, sentences) for asked in conversations]

    return ClassicalCompleter(f"lead({sentences})", digest(["lead", sentences]), reply)


def text_of(conversation: Conversation) -> str:
    """Return the text of all turns but system ones."""
    return "\n".join(m.text for m in conversation.messages if m.role != "system")


def first_sentences(text: str, count: int) -> str:
    """Return the first sentences; a sentence ends at . ! ? or a line break."""
    found = re.findall(r"[^.!?\n]+(?:[.!?]+|\n|$)", text.strip())
    return " ".join(sentence.strip() for sentence in found[:count] if sentence.strip())


# -- fitting ------------------------------------------------------------------------------------


def _classified(
    name: str, examples: Sequence[Example], objective: Objective, kind: ClassifierKind
) -> ClassicalCompleter:
    texts = [text_of(example.conversation) for example in examples]
    mark = _fingerprint(name, examples)
    if objective.task == "structured":
        return _structured(name, mark, examples, objective, kind)
    answers = [_labels_of(example) for example in examples]
    fitted = kind(texts, answers)
    rules = fitted.rules if isinstance(fitted, KeywordRules) else ()
    if objective.task == "multilabel":
        reply = partial(_choose_many, fitted, _threshold(fitted, texts, answers), objective)
    else:
        reply = partial(_choose_one, fitted)
    return ClassicalCompleter(
        name,
        mark,
        reply,
        log_probabilities=fitted.log_probabilities if isinstance(fitted, TfidfRegression) else None,
        exclusive=objective.task != "multilabel",
        labels=fitted.labels,
        rules=rules,
    )


def _choose_one(fitted: Classifier, asked: Sequence[Conversation]) -> list[str]:
    best = fitted.scores([text_of(a) for a in asked]).argmax(axis=1)
    return [fitted.labels[int(index)] for index in best]


def _choose_many(
    fitted: Classifier, threshold: float, objective: Objective, asked: Sequence[Conversation]
) -> list[str]:
    replies = []
    for row in fitted.scores([text_of(a) for a in asked]):
        found = [
            label for label, value in zip(fitted.labels, row, strict=True) if value >= threshold
        ]
        replies.append(render_target(LabelsTarget(tuple(found)), objective))
    return replies


def _threshold(fitted: Classifier, texts: Sequence[str], answers: Sequence[Sequence[str]]) -> float:
    """Return the score from which a label is given: the one with the best micro F1 in training.

    For probabilities it is one half.
    """
    import numpy as np

    if isinstance(fitted, TfidfRegression):
        return log(0.5)
    if not fitted.labels:
        return 0.0
    scores = fitted.scores(texts).ravel()
    true = indicator(answers, fitted.labels).ravel()
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(true[order])
    f1 = 2 * hits / (np.arange(1, len(order) + 1) + true.sum())
    return float(scores[order[int(f1.argmax())]])


def _structured(
    name: str,
    mark: str,
    examples: Sequence[Example],
    objective: Objective,
    kind: ClassifierKind,
) -> ClassicalCompleter:
    """Classify each closed field; take the others from the nearest training example."""
    texts = [text_of(example.conversation) for example in examples]
    rows = [
        dict(example.target.fields) if isinstance(example.target, FieldsTarget) else {}
        for example in examples
    ]
    closed = {
        spec.name: (spec, _fit_field(spec, texts, rows, kind))
        for spec in field_specs(objective)
        if spec.kind == "closed" and any(spec.name in row for row in rows)
    }
    find = neighbours(texts)

    def reply(asked: Sequence[Conversation]) -> list[str]:
        questions = [text_of(a) for a in asked]
        forms = [dict(rows[index]) for index in find(questions)]
        for field, (spec, fitted) in closed.items():
            values = {value_name(value): value for value in spec.values}
            for form, best in zip(forms, fitted.scores(questions).argmax(axis=1), strict=True):
                label = fitted.labels[int(best)]
                form[field] = values.get(label, label)
        return [render_target(FieldsTarget(form), objective) for form in forms]

    rules = tuple(
        Rule(rule.word, f"{field}={rule.label}", rule.weight, rule.count)
        for field, (_, fitted) in closed.items()
        if isinstance(fitted, KeywordRules)
        for rule in fitted.rules
    )
    return ClassicalCompleter(name, mark, reply, rules=rules)


def _fit_field(
    spec: FieldSpec,
    texts: Sequence[str],
    rows: Sequence[Mapping[str, Json]],
    kind: ClassifierKind,
) -> KeywordRules | TfidfRegression:
    known = [
        (text, [value_name(row[spec.name])])
        for text, row in zip(texts, rows, strict=True)
        if spec.name in row
    ]
    return kind([text for text, _ in known], [answer for _, answer in known])


def _gazetteer(examples: Sequence[Example]) -> ClassicalCompleter:
    """Mark every text that was marked in training, longest first, words whole."""
    labels: dict[str, dict[str, int]] = {}
    for example in examples:
        if isinstance(example.target, SpansTarget):
            text = example.conversation.last_user
            for span in example.target.spans:
                counts = labels.setdefault(text[span.start : span.end].casefold(), {})
                counts[span.label] = counts.get(span.label, 0) + 1
    rules = [
        Rule(phrase, max(sorted(counts), key=counts.__getitem__), 1.0, sum(counts.values()))
        for phrase, counts in sorted(labels.items())
        if phrase.strip()
    ]
    of = {rule.word: rule.label for rule in rules}
    phrases = sorted(of, key=lambda phrase: (-len(phrase), phrase))
    pattern = re.compile(
        r"(?<!\w)(?:" + "|".join(map(re.escape, phrases)) + r")(?!\w)" if phrases else r"(?!)",
        re.IGNORECASE,
    )

    def reply(asked: Sequence[Conversation]) -> list[str]:
        found = [
            [{"label": of[hit.casefold()], "text": hit} for hit in pattern.findall(a.last_user)]
            for a in asked
        ]
        return [json.dumps(spans, ensure_ascii=False) for spans in found]

    return ClassicalCompleter("keyword", _fingerprint("keyword", examples), reply, rules=rules)


def _labelled(examples: Sequence[Example], objective: Objective) -> list[Example]:
    known = [example for example in examples if example.target is not None]
    if not known:
        raise InputError(
            "training examples with a target",
            got=f"{len(examples)} examples, none with one",
            remedy=f"map a target column for task = {objective.task!r} in [data] sources",
        )
    return known


def _labels_of(example: Example) -> list[str]:
    if isinstance(example.target, LabelTarget):
        return [example.target.label]
    if isinstance(example.target, LabelsTarget):
        return list(example.target.labels)
    raise InputError(
        "a label or labels as target",
        got=f"{type(example.target).__name__} in {example.id}",
        remedy="check [objective] task against the target column",
    )


def _fingerprint(name: str, examples: Sequence[Example]) -> str:
    # 1: the settings in this file and in classifiers; raise it when they change.
    return digest([name, 1, sorted(example.content_hash for example in examples)])


def _words(asked: Conversation, reply: str) -> Usage:
    """Count words, since there are no tokens."""
    return Usage(len(text_of(asked).split()), len(reply.split()))
