"""The report is one page that says what was found, escapes what it quotes, and loads nothing."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest

from evaluate_fakes import (
    CLASSIFY,
    PAIRS,
    ROUTING,
    FakeCompleter,
    bench_of,
    fields_row,
    labelled,
    right,
    target,
    text_row,
)
from metier.core import ledger
from metier.core.objective import Objective
from metier.core.records import EvaluationReport, MetricPoint, TuneRun
from metier.core.types import LabelTarget
from metier.core.workspace import Workspace
from metier.evaluate.bench import Bench, Contender
from metier.evaluate.compare import Comparison, compare_all
from metier.evaluate.evaluate import evaluate
from metier.evaluate.verdict import verdict
from metier.journey.report import ReportInputs, build_report

VOID = {"meta", "br", "line", "polyline"}
SOME_TARGETS = CLASSIFY.model_copy(
    update={
        "target": [
            target(metric="f1_macro", at_least=0.6),
            target(metric="accuracy", at_least=0.9999),
            target(metric="satisfaction", at_least=4, stage="review"),
        ]
    }
)


class Outline(HTMLParser):
    """Collects ids, headings and text, and checks that tags close in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.ids += [found["id"]] if found.get("id") else []
        self.links += [found["href"]] if found.get("href") else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in VOID | {"rect"}, f"<{tag}/> is no void element"

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style",):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def inputs_of(
    bench: Bench, reports: list[EvaluationReport], runs: list[TuneRun] | None = None
) -> ReportInputs:
    comparison = Comparison(bench)
    tuned = next((report for report in reports if report.rung == "tuned"), None)
    differences = compare_all(comparison, tuned, reports) if tuned else []
    found = verdict(bench.objective, reports, differences, comparison)
    return ReportInputs(
        "support <desk>", bench.objective, bench.version, reports, differences, found, runs or []
    )


@pytest.fixture
def page(workspace: Workspace) -> str:
    """A page of a whole cycle: three rungs, one of them tuned, with curves."""
    bench = bench_of(workspace, SOME_TARGETS)
    run = ledger.start_run(workspace, bench.version, "metier/tiny", {})
    points = [MetricPoint(step, "train_loss", 3.0 / step) for step in range(1, 6)]
    points += [MetricPoint(5, "validation_loss", 0.9), MetricPoint(1, "lr", 0.0002)]
    ledger.record_metrics(workspace, run.id, points)
    run = ledger.finish_run(workspace, run.id, "done", None, {"best_step": 5})

    def reply(text: str) -> str:
        return "nonsense" if text.endswith("203") else right(text)

    reports = [
        evaluate(bench, Contender("keyword", FakeCompleter(lambda text: "billing", "flat"))),
        evaluate(bench, Contender("few_shot", FakeCompleter(right), chosen={"k": 4})),
        evaluate(bench, Contender("tuned", FakeCompleter(reply, "ours"), run_id=run.id)),
    ]
    return build_report(workspace, inputs_of(bench, reports, [run]))


def test_the_page_is_well_formed_and_its_links_lead_somewhere(page: str) -> None:
    outline = Outline(page)
    assert outline.open == []
    assert len(outline.ids) == len(set(outline.ids))
    assert {link.removeprefix("#") for link in outline.links} <= set(outline.ids)


def test_the_page_loads_nothing(page: str) -> None:
    assert not re.search(r"(src|href)=[\"'](?!#)|@import|url\(|<script|<link|https?:", page)


def test_the_verdict_stands_on_top_in_words(page: str) -> None:
    text = Outline(page).text
    assert text.index("Don't tune: the untuned model (few-shot) is within the interval.") < (
        text.index("Objective against result")
    )
    assert "f1_macro" in text


def test_targets_show_state_in_words_gap_and_interval(page: str) -> None:
    text = Outline(page).text
    assert "f1_macro at least 0.6" in text and "✓ passed" in text
    assert "✕ failed" in text or "? not enough data" in text
    assert "○ open" in text and "Measured at the review stage" in text


def test_every_rung_has_its_whisker_cost_and_speed(page: str) -> None:
    assert page.count('<svg class="bar') == 3
    text = Outline(page).text
    for words in ("Keyword rules", "Base model, few-shot", "Tuned model", "Cost per 1,000", "k 4"):
        assert words in text


def test_curves_confusions_classes_and_worst_answers_are_there(page: str) -> None:
    outline = Outline(page)
    assert {"training", "confusion", "classes", "worst", "data", "lineage"} <= set(outline.ids)
    assert "train loss" in outline.text and "validation loss" in outline.text
    assert "no answer" in outline.text
    assert "the reply could not be read as an answer" in outline.text
    assert 'class="main"' in page and page.count('<svg class="plot"') == 2


def test_lineage_names_version_run_and_evaluation_with_hashes(
    page: str, workspace: Workspace
) -> None:
    text = Outline(page).text
    version, run = ledger.get_version(workspace), ledger.get_run(workspace)
    report = ledger.get_evaluation(workspace)
    for name in (version.id, version.hash, run.id, report.id, report.fingerprint):
        assert name in text
    assert "200 resamples, seed 0" in text


def test_lineage_begins_at_the_sources(workspace: Workspace) -> None:
    source = ledger.record_source(workspace, "mails.csv", "digest of mails", 12)
    version = ledger.save_version(
        workspace, {"test": labelled(0, PAIRS)}, labels=[], config={}, card={}, sources=[source]
    )
    text = Outline(build_report(workspace, inputs_of(Bench(workspace, version, CLASSIFY), []))).text
    assert "mails.csv" in text and source.id in text


def test_warnings_that_all_rungs_share_are_said_once(page: str) -> None:
    text = Outline(page).text
    assert text.count("only 16 items: an interval from fewer than 100 is rough") == 1
    assert "Every rung: only 16 items" in text
    assert "Tuned model: 1 of 16 replies could not be read and count as wrong" in text


def test_what_is_quoted_is_escaped(workspace: Workspace) -> None:
    rows = labelled(0, [("<script>alert(1)</script> parcel", "delivery"), ("charged", "billing")])
    bench = bench_of(workspace, test=rows)
    found = evaluate(bench, Contender("keyword", FakeCompleter(lambda text: "<i>billing</i>")))
    page = build_report(workspace, inputs_of(bench, [found]))
    assert "<script" not in page and "support <desk>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert Outline(page).open == []


def test_rare_classes_stand_apart(workspace: Workspace) -> None:
    rows = labelled(0, PAIRS, 3)
    rows.append(replace(rows[0], id="ex_rare", target=LabelTarget("legal")))
    bench = bench_of(workspace, test=rows)
    found = evaluate(bench, Contender("keyword", FakeCompleter(right)))
    text = Outline(build_report(workspace, inputs_of(bench, [found]))).text
    assert text.index("Rare classes") < text.index("legal", text.index("Rare classes"))
    assert "Fewer than 5 test items each" in text


def test_fields_have_their_own_confusion_and_classes(workspace: Workspace) -> None:
    rows = [fields_row(i, f"parcel {i}", "delivery", "It comes.") for i in range(6)]
    rows += [fields_row(10 + i, f"charged {i}", "billing", "We pay.") for i in range(6)]
    bench = bench_of(workspace, ROUTING, test=rows)
    reply = '{"route": "delivery", "reply": "It comes."}'
    found = evaluate(bench, Contender("zero_shot", FakeCompleter(lambda text: reply)))
    text = Outline(build_report(workspace, inputs_of(bench, [found]))).text
    assert "structured reply with route, reply" in text
    assert "route: billing" in text.replace("route: billing reply", "route: billing")
    assert "route.f1_macro" in text


def test_many_classes_become_a_heat_map(workspace: Workspace) -> None:
    rows = labelled(0, [(f"text {i}", f"class {i:02d}") for i in range(30)])
    bench = bench_of(workspace, test=rows)
    found = evaluate(bench, Contender("tfidf", FakeCompleter(lambda text: "class 03")))
    page = build_report(workspace, inputs_of(bench, [found]))
    assert '<svg class="heat"' in page and "Most frequent confusions" in page
    assert Outline(page).open == []


def test_texts_have_no_confusion_section(workspace: Workspace) -> None:
    rows = [text_row(i, f"note {i}", f"summary {i}") for i in range(5)]
    bench = bench_of(workspace, Objective(task="summarize"), test=rows)
    found = evaluate(bench, Contender("lead", FakeCompleter(lambda text: "summary")))
    outline = Outline(build_report(workspace, inputs_of(bench, [found])))
    assert "confusion" not in outline.ids and "worst" in outline.ids
    assert "rougeL" in outline.text


def test_nothing_measured_still_makes_a_page(workspace: Workspace) -> None:
    bench = bench_of(workspace)
    outline = Outline(build_report(workspace, inputs_of(bench, [])))
    assert "Nothing has been measured yet." in outline.text
    assert "Nothing has been measured on this version." in outline.text


def test_no_more_worst_answers_than_asked_for(workspace: Workspace) -> None:
    bench = bench_of(workspace)
    found = evaluate(bench, Contender("keyword", FakeCompleter(lambda text: "billing")))
    page = build_report(workspace, inputs_of(bench, [found]), worst=3)
    assert page.count('<article class="case">') == 3
    assert '<article class="case">' not in build_report(
        workspace, inputs_of(bench, [found]), worst=0
    )


def test_the_date_of_freezing_is_in_the_data_card(page: str) -> None:
    assert f"Frozen {datetime.now(UTC):%d %B %Y}" in Outline(page).text
