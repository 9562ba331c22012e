import math

import pytest

from metier.core.records import Prediction
from metier.core.types import Completion, Score, Timing, Usage
from metier.scoring import Resampling, make_metric, records_of
from metier.scoring.efficiency import items_for_quantile


def timed(*seconds):
    return [
        Score(f"e{i:03d}", None, detail={} if s is None else {"latency_s": s})
        for i, s in enumerate(seconds)
    ]


def test_quantiles_and_mean_of_known_latencies():
    records = timed(*[0.1 * i for i in range(1, 101)])
    assert make_metric("latency_mean_s")(records).value == pytest.approx(5.05)
    assert make_metric("latency_p50_s")(records).value == pytest.approx(5.0)
    p95 = make_metric("latency_p95_s")(records)
    assert p95.value == pytest.approx(9.5)
    assert 8.8 <= p95.low < 9.5 < p95.high <= 10.0
    assert p95.warnings == ()


def test_too_few_items_cannot_bound_a_high_quantile():
    found = make_metric("latency_p95_s")(timed(*[1.0 + 0.01 * i for i in range(30)]))
    assert any("72 can" in warning for warning in found.warnings)
    # Hahn and Meeker: 0.95^72 < 0.025 < 0.95^71, and 0.5^6 < 0.025
    assert items_for_quantile(0.95) == 72 and items_for_quantile(0.5) == 6


def test_missing_latencies_are_left_out_and_counted():
    for name in ("latency_mean_s", "latency_p95_s"):
        found = make_metric(name)(timed(1.0, None, 3.0, float("inf")), Resampling(50))
        assert found.n == 2
        assert any("2 of 4 items have no latency" in warning for warning in found.warnings)


def test_no_latency_at_all_is_said():
    found = make_metric("latency_p95_s")(timed(None, None), Resampling(50))
    assert found.n == 0 and found.warnings[0] == "no items to measure"


def prediction(number, **changes):
    settings = {"usage": Usage(10, number), "timing": Timing(0.5), **changes}
    completion = Completion("yes", **settings)
    return Prediction(
        f"p{number}", f"e{number}", completion, "yes", "yes", f"c{number % 2}", {"k": "v"}
    )


def test_predictions_become_records_with_their_cost():
    first = records_of([prediction(4)])[0]
    assert (first.example_id, first.cluster, first.got, first.slices) == (
        "e4",
        "c0",
        "yes",
        {"k": "v"},
    )
    assert first.detail == {
        **{"raw": "yes", "latency_s": 0.5},
        **{"input_tokens": 10, "output_tokens": 4},
    }
    assert first.value is None


def test_tokens_are_averaged():
    records = records_of([prediction(2), prediction(4)])
    assert make_metric("output_tokens_mean")(records, Resampling(50)).value == 3
    assert make_metric("input_tokens_mean")(records, Resampling(50)).value == 10


def test_a_failed_completion_is_no_answer_and_its_time_does_not_count():
    failed = prediction(3, error="connection reset", finish_reason="error")
    record = records_of([failed])[0]
    assert record.got is None and "latency_s" not in record.detail
    assert record.detail["error"] == "connection reset"
    assert make_metric("accuracy")([record], Resampling(50)).value == 0.0


def test_the_time_to_the_first_token_is_known_where_a_reply_was_streamed():
    records = [Score(f"e{i}", None, detail={"first_token_s": i / 10}) for i in range(1, 101)]
    assert make_metric("first_token_p50_s")(records, Resampling(100)).value == pytest.approx(5.0)
    assert make_metric("first_token_p95_s")(records, Resampling(100)).value == pytest.approx(9.5)
    found = make_metric("first_token_p95_s")([Score("e", None, detail={"latency_s": 1.0})])
    assert math.isnan(found.value)
    assert "1 of 1 items have no time to the first token and were left out" in found.warnings


def test_handling_time_is_undefined_where_nobody_measured_it():
    timed = [Score("e1", None, detail={"handling_s": 30}), Score("e2", None)]
    found = make_metric("handling_time_mean_s")(timed)
    assert found.value == 30.0
    assert "1 of 2 items have no handling time and were left out" in found.warnings
    for bad in (float("nan"), "30", None, True):
        odd = Score("e", None, detail={"handling_s": bad})
        none = make_metric("handling_time_mean_s")([odd])
        assert math.isnan(none.value)
