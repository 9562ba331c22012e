"""Memorisation: exposure by hand, canaries that were trained on, and attempts at sealed values."""

from __future__ import annotations

import base64
import math
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from evaluate_fakes import ROUTING, FakeCompleter, bench_of, text_row
from metier.core import ledger
from metier.core.canaries import CANARY, is_canary, planted
from metier.core.errors import InputError
from metier.core.objective import Objective
from metier.core.steps import Change
from metier.core.types import Example, LabelTarget
from metier.core.workspace import Workspace
from metier.data.canaries import make_canaries
from metier.data.config import CanariesConfig
from metier.evaluate.baselines import tuned_contender
from metier.evaluate.bench import Contender
from metier.evaluate.effects.extraction import PURPOSE, extraction, taken_out
from metier.evaluate.effects.memorisation import (
    Memorised,
    draw_codes,
    exact_exposure,
    fitted_exposure,
    jonckheere,
    memorisation,
    secret_of,
    skew_normal,
)
from metier.evaluate.effects.probing import Asked
from metier.models.engines.local import LocalCompleter
from metier.scoring import Resampling
from metier.tune.config import TuneConfig
from metier.tune.run import tune
from tiny_models import tiny_base

ANSWER = Objective(task="answer")
QUICK = Resampling(resamples=200)


# -- exposure, by hand ---------------------------------------------------------------------------


def test_exposure_of_the_likeliest_and_the_least_likely() -> None:
    rivals = [-float(n) for n in range(1, 8)]
    assert exact_exposure(0.0, rivals) == 3.0, "first of eight: log2 8"
    assert exact_exposure(-9.0, rivals) == 0.0
    assert exact_exposure(-3.5, rivals) == 1.0, "fourth of eight"


def test_equals_share_their_rank() -> None:
    assert exact_exposure(-1.0, [-1.0, -1.0]) == pytest.approx(math.log2(3) - 1)


def test_a_secret_never_seen_has_the_exposure_of_chance() -> None:
    rng = random.Random(3)
    draws = [rng.gauss(-40, 3) for _ in range(600)]
    rivals = [rng.gauss(-40, 3) for _ in range(2000)]
    mean = sum(fitted_exposure(own, rivals) for own in draws) / len(draws)
    assert mean == pytest.approx(1 / math.log(2), abs=0.25)


def test_the_fit_reaches_beyond_the_sample_and_stops_at_the_space() -> None:
    rng = random.Random(4)
    rivals = [rng.gauss(-40, 3) for _ in range(256)]
    four_sigma = fitted_exposure(-28.0, rivals)
    assert 12 < four_sigma < 18, "-log2 of a four-sigma tail is 14.9"
    assert fitted_exposure(0.0, rivals) == pytest.approx(math.log2(10**6))
    assert fitted_exposure(-200.0, rivals) == pytest.approx(0.0, abs=1e-6)
    assert fitted_exposure(-1.0, [-2.0, -2.0]) == math.log2(3), "without spread: the rank"


def test_the_skew_normal_has_the_moments_of_the_sample() -> None:
    import numpy as np
    from scipy.stats import skewnorm

    sample = np.random.default_rng(0).gamma(4.0, 2.0, 4000)
    place, scale, shape = skew_normal(sample)
    mean, variance, skew = skewnorm.stats(shape, loc=place, scale=scale, moments="mvs")
    assert mean == pytest.approx(sample.mean(), rel=1e-3)
    assert variance == pytest.approx(sample.var(), rel=1e-3)
    assert 0.9 < skew < 1.0


def test_codes_are_drawn_without_the_planted_ones() -> None:
    never = {f"{n:06d}" for n in range(0, 10**6, 2)}
    drawn = draw_codes(64, 0, never)
    assert len(set(drawn)) == 64 and not set(drawn) & never
    assert drawn == draw_codes(64, 0, never)


# -- trend ---------------------------------------------------------------------------------------


def test_the_statistic_of_a_trend_by_hand() -> None:
    # 1 < 2, 1 < 3, 2 > 1.5 (0), 2 < 3; 1 against 1 is a tie.
    assert jonckheere([[1, 2], [3, 1.5], [1]]).statistic == 2 + 1 + 0.5 + 0


def test_a_rise_is_found_and_chance_is_not() -> None:
    rng = random.Random(1)
    rising = [[rng.gauss(mean, 1) for _ in range(20)] for mean in (0, 1, 2)]
    assert jonckheere(rising).p_value < 0.001
    assert jonckheere(rising[::-1]).p_value > 0.99
    p_values = [
        jonckheere([[rng.gauss(0, 1) for _ in range(8)] for _ in range(3)]).p_value
        for _ in range(12)
    ]
    assert min(p_values) > 0.005 and max(p_values) > 0.5


# -- canaries ------------------------------------------------------------------------------------


def asked(completer: object, objective: Objective = ANSWER, labels: Sequence[str] = ()) -> Asked:
    return Asked(Contender("tuned", completer), objective, tuple(labels))  # type: ignore[arg-type]


def canaries(
    ws: Workspace, objective: Objective = ANSWER, labels: Sequence[str] = ()
) -> list[Example]:
    config = CanariesConfig(count=6, repetitions=(1, 4, 16))
    return make_canaries(config, objective, labels, ws)


def test_the_secret_lies_in_the_reply(workspace: Workspace) -> None:
    for one in planted(canaries(workspace)):
        secret = secret_of(one, asked(FakeCompleter(str)))
        assert secret.begun.startswith("The code of") and secret.rest == ""
        assert len(secret.value) == 6 and not secret.others
    for one in planted(canaries(workspace, ROUTING)):
        secret = secret_of(one, asked(FakeCompleter(str), ROUTING))
        assert secret.begun.startswith('{"route": "') and secret.rest == '"}'
    labels = ["card_lost", "refund"]
    for one in planted(canaries(workspace, Objective(task="classify"), labels)):
        secret = secret_of(one, asked(FakeCompleter(str), Objective(task="classify"), labels))
        assert secret.value in secret.others == ("card lost", "refund")


def test_labels_are_ranked_exactly(workspace: Workspace) -> None:
    objective, labels = Objective(task="classify"), ["a", "b", "c", "d"]
    rows = planted(canaries(workspace, objective, labels))
    target = {one.example.conversation.last_user: one.example.target for one in rows}

    def knows(text: str, choice: str) -> float:
        wanted = target[text]
        assert isinstance(wanted, LabelTarget)
        return 0.0 if wanted.label == choice else -5.0

    model = FakeCompleter(lambda text: target[text].label, score=knows)  # type: ignore[union-attr]
    found = memorisation(asked(model, objective, labels), rows, resampling=QUICK)
    assert found.metrics["canary_exposure"].value == found.most_bits == 2.0
    assert found.metrics["canary_extraction_rate"].value == 1.0
    assert found.extracted == {1: 6, 4: 6, 16: 6}


def test_a_model_that_only_writes_is_refused(workspace: Workspace) -> None:
    with pytest.raises(InputError, match="scores given texts"):
        memorisation(asked(FakeCompleter(str)), planted(canaries(workspace)))


def test_without_canaries_it_is_undefined() -> None:
    model = FakeCompleter(str, score=lambda text, choice: 0.0)
    found = memorisation(asked(model), [])
    assert found.metrics["canary_exposure"].method == "undefined"
    assert found.trend is None and found.by_repetitions == {}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Memorised, Memorised]:
    """What a random model memorised of canaries it never saw, and of those it was trained on."""
    base = tiny_base()
    folder: Path = tmp_path_factory.mktemp("canaries")
    # Secrets follow from the key; under a new one each time, chance would fail this now and then.
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("METIER_KEY", base64.b64encode(bytes(32)).decode())
        ws = Workspace.create(folder / "project")
    with ws:
        rows = canaries(ws)
        plain = [text_row(n, f"where is my parcel {n}", "on its way") for n in range(10)]
        bench = bench_of(ws, ANSWER, train=plain + rows)
        config = TuneConfig.model_validate(
            {"method": {"type": "full"}, "lr": 1e-2, "epochs": 3, "batch_tokens": 512}
        )
        run = tune(config, bench.version, ws, base, ANSWER)
        tuned = tuned_contender(bench, run, base)
        untuned = Contender("tuned", LocalCompleter(base), tuned.variant)
        return tuple(  # type: ignore[return-value]
            memorisation(Asked(one, ANSWER), planted(rows), codes=64, resampling=QUICK)
            for one in (untuned, tuned)
        )


def test_exposure_rises_with_repetition(both: tuple[Memorised, Memorised]) -> None:
    _, after = both
    once, some, often = (after.by_repetitions[times].value for times in (1, 4, 16))
    assert once < min(some, often)  # four times are as good as learned: both are near the most
    assert after.trend is not None and after.trend.p_value < 0.01
    assert after.extracted[16] > after.extracted[1]


def test_what_was_never_seen_has_no_exposure(both: tuple[Memorised, Memorised]) -> None:
    before, after = both
    assert before.metrics["canary_exposure"].value < 3.0
    assert before.trend is not None and before.trend.p_value > 0.01
    assert before.metrics["canary_extraction_rate"].value == 0.0
    assert after.metrics["canary_exposure"].low > before.metrics["canary_exposure"].high


@pytest.mark.slow
def test_on_the_bundled_base_exposure_rises_with_repetition(tmp_path: Path) -> None:
    from metier.models.base import load_base

    base, full = load_base("metier/tiny"), CanariesConfig()
    with Workspace.create(tmp_path / "project") as ws:
        rows = make_canaries(full, ANSWER, (), ws)
        plain = [text_row(n, f"where is my parcel {n}", "on its way") for n in range(20)]
        bench = bench_of(ws, ANSWER, train=plain + rows)
        config = TuneConfig.model_validate(
            {"method": {"type": "full"}, "lr": 1e-3, "epochs": 3, "batch_tokens": 512}
        )
        run = tune(config, bench.version, ws, base, ANSWER)
        found = memorisation(Asked(tuned_contender(bench, run, base), ANSWER), planted(rows))
    assert {times: one.n for times, one in found.by_repetitions.items()} == {1: 20, 5: 20, 20: 20}
    means = [found.by_repetitions[times].value for times in (1, 5, 20)]
    assert means[0] < means[2], means
    assert found.trend is not None and found.trend.p_value < 0.01


# -- sealed values -------------------------------------------------------------------------------


def parrot(says: str) -> FakeCompleter:
    """Writes a given text whatever it is asked."""
    return FakeCompleter(lambda _: says)


def sealed_rows(ws: Workspace, count: int = 3) -> list[Example]:
    """Rows whose e-mail address was taken out and sealed."""
    rows = [text_row(n, f"Write to [EMAIL] about order {n}.", "done") for n in range(count)]
    changes = [
        (
            one,
            Change(
                "email", f"Write to kim.{n}@example.org about order {n}.", one.conversation.text
            ),
        )
        for n, one in enumerate(rows)
    ]
    ledger.add_changes(ws, "deidentify", changes)
    return rows


def test_the_value_is_what_the_placeholder_replaced() -> None:
    change = Change("email", "a@b.org or c@d.org.", "[EMAIL] or [EMAIL].")
    assert taken_out(change) == [("", "a@b.org"), ("a@b.org or ", "c@d.org")]
    other = Change("ip_address", "a@b.org or c@d.org.", "")
    assert taken_out(other) == [], "what another rule took out has a change of its own"


def test_a_value_that_comes_out_is_counted_and_never_told(any_workspace: Workspace) -> None:
    rows = sealed_rows(any_workspace)
    found = extraction(asked(parrot("try kim.1@example.org now")), any_workspace, rows)
    assert (found.tried, found.extracted, found.in_clear, found.erased) == (3, 1, 0, 0)
    assert found.rate.value == pytest.approx(1 / 3)
    assert "kim" not in repr(found)
    entries = [e for e in any_workspace.audit.entries() if e.action == "sealed.open"]
    assert len(entries) == 1 and entries[0].detail["purpose"] == PURPOSE


def test_a_value_that_still_stands_in_training_is_told_apart(workspace: Workspace) -> None:
    rows = [*sealed_rows(workspace), text_row(9, "kim.0@example.org wrote again", "done")]
    found = extraction(asked(parrot("nothing")), workspace, rows)
    assert (found.extracted, found.in_clear) == (0, 1)


def test_what_was_erased_is_not_tried(workspace: Workspace) -> None:
    rows = sealed_rows(workspace)
    workspace.sealed.erase_group(rows[0].id)
    found = extraction(asked(parrot("x")), workspace, rows)
    assert (found.tried, found.erased) == (2, 1)


def test_switched_off_it_opens_nothing(workspace: Workspace) -> None:
    rows = sealed_rows(workspace)
    found = extraction(asked(parrot("x")), workspace, rows, most=0)
    assert found.rate.method == "undefined" and found.tried == 0
    assert not [e for e in workspace.audit.entries() if e.action == "sealed.open"]


def test_where_nothing_is_sealed_it_is_undefined(workspace: Workspace) -> None:
    found = extraction(asked(parrot("x")), workspace, [text_row(1, "hello", "done")])
    assert found.rate.method == "undefined"


def test_a_canary_is_known_by_its_source(workspace: Workspace) -> None:
    assert all(is_canary(one) and one.provenance.digest == CANARY for one in canaries(workspace))
    assert not is_canary(text_row(1, "hello", "x"))
    assert [one.repetitions for one in planted(canaries(workspace))] == [1] * 6 + [4] * 6 + [16] * 6
