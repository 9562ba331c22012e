import subprocess
import sys

import pytest

from metier.core.errors import ConfigError, UserError
from metier.core.objective import Objective, Target
from metier.scoring import (
    catalogue,
    check_targets,
    field_kinds,
    make_metric,
    metric_info,
    metrics,
    primary_metric,
    task_metrics,
)
from metier.scoring.truth.factual import FACT_METRICS

FIELDS = {
    "type": "object",
    "properties": {
        "reply": {"type": "string"},
        "route": {"type": "string", "enum": ["billing", "tech"]},
        "codes": {"type": "array", "items": {"type": "string"}},
        "amount": {"type": "number"},
    },
}
STRUCTURED = Objective(task="structured", fields=FIELDS)


def objective(task="classify", **target):
    return Objective(task=task, target=[Target(**target)])


def test_every_metric_of_the_catalogue_is_either_registered_or_a_probe():
    for name, info in catalogue().items():
        assert (name in metrics) == (info.kind != "probe"), name


def test_every_registered_metric_agrees_with_the_catalogue():
    for name in set(metrics) - FACT_METRICS:  # those need a table of facts
        arguments = {"label": "x"} if catalogue()[name].per_class else {}
        assert make_metric(name, **arguments).info == catalogue()[name]


def test_metrics_of_a_task():
    assert "f1_macro" in task_metrics(objective(metric="accuracy", at_least=0.5))
    assert "rouge1" not in task_metrics(Objective(task="classify"))
    assert "rougeL" in task_metrics(Objective(task="summarize"))
    assert "accuracy" not in task_metrics(Objective(task="multilabel"))
    assert "general_ability_drop" not in task_metrics(Objective(task="chat"))


def test_metrics_of_structured_fields_follow_their_schema():
    assert field_kinds(STRUCTURED) == {
        **{"reply": "text", "route": "label"},
        **{"codes": "labels", "amount": "value"},
    }
    names = task_metrics(STRUCTURED)
    assert {"route.f1_macro", "reply.rouge1", "codes.f1_micro", "schema_valid"} <= set(names)
    assert {"latency_p95_s", "amount.exact_match", "exact_match"} <= set(names)
    assert not {"reply.f1_macro", "route.rouge1", "route.latency_p95_s"} & set(names)
    assert [n for n in names if n.startswith("amount.")] == [
        "amount.unanswered_rate",
        "amount.exact_match",
    ]


def test_the_metric_that_stands_for_a_task():
    assert primary_metric(Objective(task="classify")) == "f1_macro"
    assert primary_metric(STRUCTURED) == "route.f1_macro"
    assert primary_metric(Objective(task="summarize")) == "rougeL"
    assert primary_metric(objective(metric="accuracy", at_least=0.9)) == "accuracy"
    later = objective(metric="csat", stage="review", at_least=4)
    assert primary_metric(later) == "f1_macro"
    only = {"type": "object", "properties": {"n": {"type": "integer"}}}
    assert primary_metric(Objective(task="structured", fields=only)) == "n.exact_match"


def test_info_of_a_field_keeps_the_full_name():
    info = metric_info("route.error_rate")
    assert info.name == "route.error_rate" and not info.higher_is_better
    with pytest.raises(UserError, match="did you mean 'accuracy'"):
        metric_info("acuracy")


def test_ranges_in_words():
    assert metric_info("bleu").range == "0 to 100"
    assert metric_info("latency_p95_s").range == "0 or more"
    assert metric_info("mean").range == "any number"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (objective(metric="rouge1", at_least=0.4), "'rouge1' cannot be computed for it"),
        (objective(metric="f1_makro", at_least=0.4), "did you mean 'f1_macro'"),
        (objective(metric="f1_macro", at_least=85), "runs from 0 to 1, so 85 cannot be meant"),
        (objective("answer", metric="bleu", at_least=0.3), "0.3 looks like a share"),
        (objective(metric="error_rate", at_least=0.3), "use at_most or reduce_by"),
        (objective(metric="accuracy", at_most=0.3), "use at_least or increase_by"),
        (
            objective(metric="accuracy", reduce_by=0.3, relative_to="keyword"),
            "use increase_by",
        ),
        (
            objective(metric="error_rate", increase_by=0.3, relative_to="keyword"),
            "use reduce_by",
        ),
        (objective(metric="recall", at_least=0.9), "name it with label"),
        (objective(metric="f1_macro", at_least=0.9, label="a"), "use f1, precision or recall"),
    ],
)
def test_targets_that_cannot_be_meant(wrong, words):
    with pytest.raises(ConfigError) as error:
        check_targets(wrong)
    assert words in str(error.value)
    assert "objective.target[0]" in str(error.value)


def test_the_error_names_every_problem_and_what_can_be_computed():
    wrong = Objective(
        task="structured",
        fields=FIELDS,
        target=[Target(metric="f1_macro", at_least=0.8), Target(metric="rouge1", at_least=0.2)],
        constraint=[Target(metric="route.rouge1", at_least=0.2)],
    )
    with pytest.raises(ConfigError) as error:
        check_targets(wrong)
    text = str(error.value)
    assert "objective.target[0]: 'f1_macro' cannot be computed for it" in text
    assert "did you mean 'route.f1_macro'?" in text and "did you mean 'reply.rouge1'?" in text
    assert "objective.constraint[0]" in text
    assert "choose from: reply." in text


def test_targets_of_later_stages_and_probes_are_let_through():
    check_targets(
        Objective(
            task="classify",
            target=[Target(metric="csat", stage="pilot", at_least=4.5)],
            constraint=[
                Target(metric="general_ability_drop", at_most=0.02),
                Target(metric="latency_p95_s", at_most=5),
                Target(metric="recall", label="fraud", at_least=0.9),
            ],
        )
    )


def test_what_is_measured_of_the_tuned_model_alone_has_no_reference():
    drop = {"metric": "general_ability_drop", "reduce_by": 0.5}
    with pytest.raises(ConfigError, match="of the tuned model alone: use at_least or at_most"):
        check_targets(
            Objective(task="answer", constraint=[Target(**drop, relative_to="zero_shot")])
        )
    today = Target(**drop, relative_to="current_process", current_value=0.1)
    check_targets(Objective(task="answer", constraint=[today]))


def test_names_are_had_without_numpy_or_scipy():
    code = (
        "import sys, metier.scoring as s\n"
        "from metier.core.objective import Objective\n"
        "s.task_metrics(Objective(task='classify')); s.metric_info('f1_macro')\n"
        "print(sorted({'numpy', 'scipy', 'torch', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_public_names_exist():
    import metier.scoring as scoring

    for name in scoring.__all__:
        assert getattr(scoring, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = scoring.nothing
