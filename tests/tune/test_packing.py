from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from metier.tune.packing.passes import lay_out
from metier.tune.packing.plan import alike, cut, fill, pack, plan, split
from metier.tune.types import Encoded, PassMode

LENGTHS = st.lists(st.integers(1, 300), min_size=1, max_size=200)


@given(LENGTHS, st.integers(16, 400))
def test_every_example_goes_into_exactly_one_batch_within_the_budget(
    lengths: list[int], budget: int
) -> None:
    batches = pack(lengths, budget, range(len(lengths)))
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or sum(lengths[index] for index in batch) <= budget


def test_the_fullest_batch_with_room_is_taken() -> None:
    # 6 and 7 cannot share ten; 3 fits behind both and goes where less is left over.
    assert pack([6, 7, 3, 4], 10, range(4)) == [(0, 3), (1, 2)]


def test_an_example_above_the_budget_goes_alone() -> None:
    assert pack([5, 50, 5], 10, range(3)) == [(0, 2), (1,)]


def test_the_plan_follows_from_the_seed() -> None:
    lengths = [(7 * number) % 40 + 5 for number in range(100)]
    first, again, other = (plan(lengths, 128, 2, seed) for seed in (0, 0, 1))
    assert first == again
    assert first.steps != other.steps


def test_each_epoch_sees_every_example_once_in_another_order() -> None:
    lengths = [10] * 50
    made = plan(lengths, 100, 2, seed=3)
    assert made.epoch_ends == (5, 10)
    epochs = made.steps[:5], made.steps[5:]
    for epoch in epochs:
        assert sorted(index for step in epoch for index in step) == list(range(50))
    assert epochs[0] != epochs[1]


def test_a_fractional_epoch_takes_that_share_of_its_batches() -> None:
    assert plan([10] * 50, 100, 1.6, seed=0).epoch_ends == (5, 8)
    assert plan([10] * 50, 100, 0.01, seed=0).epoch_ends == (1,)


def test_mixed_lengths_leave_batches_nearly_full() -> None:
    lengths = [20 + (13 * number) % 180 for number in range(2000)]
    assert fill(plan(lengths, 2048, 1, seed=0), lengths, 2048) > 0.98


def test_a_step_is_cut_into_passes_of_similar_lengths() -> None:
    lengths = [5, 40, 6, 38]
    assert split((0, 1, 2, 3), lengths, None) == [(1, 3, 2, 0)]
    assert split((0, 1, 2, 3), lengths, 80) == [(1, 3), (2, 0)]


@given(LENGTHS, st.integers(16, 400))
def test_padded_passes_waste_less_than_half(lengths: list[int], most: int) -> None:
    parts = alike(range(len(lengths)), lengths, most)
    assert sorted(index for part in parts for index in part) == list(range(len(lengths)))
    for part in parts:
        longest = max(lengths[index] for index in part)
        assert min(lengths[index] for index in part) * 2 >= longest
        assert len(part) == 1 or len(part) * longest <= most


@given(
    st.lists(st.integers(2, 60), min_size=1, max_size=20),
    st.integers(16, 200),
    st.sampled_from(["segments", "blocks", "padded"]),
)
def test_however_a_step_is_cut_every_supervised_token_counts_once(
    sizes: list[int], most: int, mode: PassMode
) -> None:
    made = [
        Encoded(str(at), list(range(size)), [place % 3 == at % 3 for place in range(size)])
        for at, size in enumerate(sizes)
    ]
    lengths = [one.tokens for one in made]
    parts = cut(range(len(made)), lengths, mode, most, 2 * most)
    laid = [lay_out([made[at] for at in part], mode) for part in parts]
    counted = Counter(name for one in laid for name in one.example_ids)
    assert counted == {one.example_id: 1 for one in made}
    assert sum(float(one.weights.sum()) for one in laid) == sum(e.supervised_tokens for e in made)
    assert sum(one.tokens for one in laid) == sum(lengths)
