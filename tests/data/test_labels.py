"""Labels: which rows have none that fits, which look misspelt, what the split keeps in share."""

import pytest

from data_examples import example, labelled, replied
from metier.core.errors import InputError
from metier.core.objective import Objective
from metier.core.steps import Drop, Keep, Suspect
from metier.core.types import FieldsTarget, LabelsTarget, Span, SpansTarget
from metier.data.labels import CheckLabels, labels_in, misspelt, refuse_too_few, strata

CLASSIFY = Objective(task="classify")
STRUCTURED = Objective(
    task="structured",
    fields={
        "type": "object",
        "properties": {"route": {"enum": ["billing", "delivery"]}, "reply": {"type": "string"}},
    },
)


def outcome(step, row, view=None):
    (one,) = step.apply([row], step.fit(view or [row]))
    return one


def test_a_label_outside_the_set_is_dropped_with_the_nearest_named():
    step = CheckLabels(CLASSIFY, ("billing", "delivery"))
    dropped = outcome(step, labelled(1, "q", "biling"))
    assert isinstance(dropped, Drop)
    assert dropped.reason == "unknown_label"
    assert dropped.evidence == {"label": "biling", "nearest": "billing"}
    assert outcome(step, labelled(1, "q", "zzz")).evidence["nearest"] is None
    assert isinstance(outcome(step, labelled(1, "q", "delivery")), Keep)


def test_each_of_several_labels_must_fit():
    step = CheckLabels(Objective(task="multilabel"), ("a", "b"))
    assert isinstance(outcome(step, example(1, "q", LabelsTarget(("a", "b")))), Keep)
    assert outcome(step, example(1, "q", LabelsTarget(("a", "c")))).evidence["label"] == "c"


def test_a_row_without_target_is_dropped():
    assert outcome(CheckLabels(CLASSIFY), example(1, "q", None)).reason == "no_target"


def test_structured_rows_need_their_fields_and_closed_values():
    step = CheckLabels(STRUCTURED)

    def with_fields(**fields):
        return outcome(step, example(1, "q", FieldsTarget(fields)))

    assert isinstance(with_fields(route="billing", reply="r"), Keep)
    dropped = with_fields(route="bills", reply="r")
    assert (dropped.reason, dropped.evidence) == (
        "unknown_label",
        {"field": "route", "label": "bills", "nearest": "billing"},
    )
    dropped = with_fields(route="billing", reply="")
    assert (dropped.reason, dropped.evidence) == ("missing_field", {"field": "reply"})


def test_required_narrows_what_may_be_missing():
    fields = {**STRUCTURED.fields, "required": ["route"]}
    step = CheckLabels(Objective(task="structured", fields=fields))
    assert isinstance(outcome(step, example(1, "q", FieldsTarget({"route": "billing"}))), Keep)


def test_free_text_has_no_labels_to_check():
    assert isinstance(outcome(CheckLabels(Objective(task="compose")), replied(1, "q", "r")), Keep)


def test_rare_labels_like_a_frequent_one_are_suspect_while_the_data_decides():
    rows = [labelled(n, f"q{n}", "card_arrival") for n in range(10)]
    odd = labelled(11, "q", "card_arival")
    suspect = outcome(CheckLabels(CLASSIFY), odd, [*rows, odd])
    assert isinstance(suspect, Suspect)
    assert suspect.reason == "label_may_be_misspelt"
    assert suspect.evidence == {"looks_like": {"card_arival": "card_arrival"}}


@pytest.mark.parametrize(
    ("counts", "found"),
    [
        ({"billing": 10, "biling": 2}, {"biling": "billing"}),
        ({"billing": 10, "biling": 3}, {}),  # too frequent for a slip
        ({"Billing": 10, "billing": 9}, {"billing": "Billing"}),  # the same word
        ({"card lost": 5, "card_lost": 4}, {"card_lost": "card lost"}),
        ({"grade 10": 50, "grade 11": 1}, {}),  # numbers tell labels apart
        ({"billing": 50, "delivery": 1}, {}),
        ({"+": 5, "-": 1}, {}),
    ],
)
def test_what_counts_as_misspelt(counts, found):
    assert misspelt(counts) == found


def test_strata_are_labels_or_closed_fields():
    assert strata(labelled(1, "q", "a")) == ("a",)
    assert strata(example(1, "q", LabelsTarget(("b", "a")))) == ("a", "b")
    spans = SpansTarget((Span(0, 1, "x"), Span(2, 3, "x")))
    assert labels_in(spans) == ("x",)
    fields = FieldsTarget({"route": "billing", "reply": "r"})
    assert strata(example(1, "q", fields), ["route"]) == ("route=billing",)
    assert strata(replied(1, "q", "r")) == ()


def test_too_few_labels_are_refused_with_what_was_found():
    unknown = [{"label": "Bills"}, {"label": "Bills"}, {"label": "x"}]
    known = ["billing", "delivery"]
    with pytest.raises(InputError) as refused:
        refuse_too_few([], unknown, "classify", known, "[objective] labels")
    message = str(refused.value)
    assert "two labels or more with rows" in message
    assert "those of [objective] labels: billing, delivery" in message
    assert "no label at all; left out for labels outside the set: 'Bills' (2 rows), 'x'" in message
    assert "did you mean" in message
    one = [labelled(1, "q", "billing")]
    with pytest.raises(InputError, match=r"'billing' \(1 rows\); left out .*'Bills' \(2 rows\)"):
        refuse_too_few(one, unknown, "classify", known, "[objective] labels")
    with pytest.raises(InputError, match="check which column is the target"):
        refuse_too_few(one, [], "classify", [], "")


def test_enough_labels_pass():
    one, other = labelled(1, "q", "a"), labelled(2, "q", "b")
    refuse_too_few([one, other], [], "classify", [], "")
    refuse_too_few([one], [], "multilabel", [], "")
    refuse_too_few([replied(1, "q", "r")], [], "compose", [], "")
    refuse_too_few([], [], "classify", [], "")  # zero rows is another refusal
