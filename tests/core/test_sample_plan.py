"""What a sample reads: within its budget, everywhere alike, the same for the same seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermoscan.checkpoint import Tensor
from thermoscan.dtypes import DType
from thermoscan.errors import OptionError
from thermoscan.tally.geometry import Piece
from thermoscan.tally.sample import SMALL, Draw, Plan, plan
from thermoscan.tally.stream import Order
from thermoscan.theory.jackknife import GROUPS


def matrix(
    name: str, rows: int, columns: int, dtype: DType = DType.F32, inputs_first: bool = False
) -> Order:
    """A matrix in memory, its units the rows or, with `inputs_first`, the columns."""
    outer, units, post = (rows, columns, 1) if inputs_first else (1, rows, columns)
    piece = Piece(0, outer, units, post, (name,), (0, units))
    return Order(Tensor(name, dtype, (rows, columns), "file", 0), (piece,))


def planned(
    orders: Sequence[Order], budget: int, seed: int = 0, unusual: Mapping[str, Sequence[int]] = {}
) -> Plan:
    found = plan(orders, (), lambda _total: budget, seed, unusual)
    assert found is not None
    return found


def elements(draw: Draw) -> np.ndarray:
    """Every element that is read, in no order."""
    ranges = [*draw.certain, *(each for group in draw.groups for each in group)]
    return np.concatenate([np.arange(start, stop) for start, stop in ranges])


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 900),
    columns=st.integers(1, 900),
    share=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**32 - 1),
    inputs_first=st.booleans(),
)
def test_a_plan_keeps_its_budget_and_reads_nothing_twice_or_outside(
    rows: int, columns: int, share: float, seed: int, inputs_first: bool
) -> None:
    order = matrix("w", rows, columns, inputs_first=inputs_first)
    budget = int(share * order.tensor.nbytes)
    try:
        found = planned([order], budget, seed, {"w": (0, rows - 1)} if rows > 1 else {})
    except OptionError as error:
        assert error.code == "sample-too-small"
        return
    assert found.bytes_read <= budget
    for draw in found.draws:
        read = elements(draw)
        assert len(np.unique(read)) == len(read) == draw.elements
        assert read.min() >= 0 and read.max() < rows * columns
        assert len(draw.groups) == GROUPS and all(draw.groups)
        assert found.bytes_read == 4 * draw.elements
        # Whole blocks leave some of the budget, but not much of it.
        assert draw.elements >= 0.5 * budget / 4


def test_every_row_is_as_likely_to_be_read() -> None:
    order = matrix("w", 1000, 256)
    counts = np.zeros(1000)
    for seed in range(600):
        (draw,) = planned([order], order.tensor.nbytes // 10, seed).draws
        counts[np.unique(elements(draw) // 256)] += 1
    share = counts.sum() / 1000 / 600
    assert np.abs(counts / 600 - share).max() < 5 * np.sqrt(share * (1 - share) / 600)


def test_blocks_are_whole_rows_of_memory_and_large() -> None:
    by_unit, by_input = (matrix("w", 4096, 4096, DType.BF16, flag) for flag in (False, True))
    for order in (by_unit, by_input):
        (draw,) = planned([order], order.tensor.nbytes // 20).draws
        assert draw.row == 4096
        assert all(start % 4096 == stop % 4096 == 0 for g in draw.groups for start, stop in g)
        mean = draw.elements * 2 / draw.blocks
        assert draw.blocks % GROUPS == 0 and mean >= 32 << 10


def test_groups_are_samples_of_the_whole_each() -> None:
    order = matrix("w", 8000, 512)
    (draw,) = planned([order], order.tensor.nbytes // 2).draws
    for ranges in draw.groups:
        starts = np.sort([start for start, _ in ranges])
        assert starts[0] < 0.15 * 8000 * 512 and starts[-1] > 0.85 * 8000 * 512


def test_the_same_seed_reads_the_same_whatever_else_there_is() -> None:
    one, other = matrix("one", 900, 400), matrix("other", 900, 400)
    alone, both = planned([one], 400_000), planned([other, one], 800_000)
    assert [draw.groups for draw in both.draws][1] == alone.draws[0].groups
    assert both.draws[0].groups != alone.draws[0].groups
    assert planned([one], 400_000, seed=1).draws[0].groups != alone.draws[0].groups
    assert planned([one], 400_000) == alone


def test_small_and_known_tensors_are_read_whole_and_integers_not_at_all() -> None:
    small, known, large = matrix("s", 64, 64), matrix("k", 800, 800), matrix("l", 2000, 800)
    integers = Order(Tensor("i", DType.F32, (4000, 4000), "file", 0), ())
    found = plan([small, integers, known, large], {"k"}, lambda _total: 4_000_000, 0)
    assert found is not None and small.tensor.nbytes < SMALL < known.tensor.nbytes
    assert found.whole == (0, 2) and [draw.order for draw in found.draws] == [3]
    assert found.bytes_in_all == sum(each.tensor.nbytes for each in (small, known, large))


def test_a_budget_is_shared_by_size_with_a_floor() -> None:
    orders = [matrix("a", 400, 400), matrix("b", 8000, 2000), matrix("c", 16000, 2000)]
    draws = planned(orders, 4_000_000).draws
    read = [4 * draw.elements for draw in draws]
    assert read[0] >= GROUPS * 400 * 4
    assert read[2] == pytest.approx(2 * read[1], rel=0.1)


def test_unusual_units_are_read_whatever_the_seed_and_the_rest_by_chance() -> None:
    order = matrix("w", 500, 300)
    for seed in range(20):
        (draw,) = planned([order], 120_000, seed, {"w": (499, 7)}).draws
        assert draw.certain == ((7 * 300, 8 * 300), (499 * 300, 500 * 300))
        drawn = {start // 300 for ranges in draw.groups for start, _ in ranges}
        assert not drawn & {7, 499}
        rows = sum(stop - start for ranges in draw.groups for start, stop in ranges) / 300
        assert draw.share == pytest.approx(rows / 498)


def test_a_budget_of_everything_is_no_sample() -> None:
    order = matrix("w", 500, 300)
    assert plan([order], (), lambda total: total, 0) is None
    assert plan([order], (), lambda total: total - 1, 0) is not None


def test_too_little_is_refused_with_the_least_that_is_enough() -> None:
    order = matrix("w", 5000, 300)
    with pytest.raises(
        OptionError, match="the least for this checkpoint is 20,480 bytes"
    ) as caught:
        planned([order], 20_000)
    assert caught.value.code == "sample-too-small"
    assert planned([order], 20_480).bytes_read <= 20_480


def test_a_plan_of_a_huge_matrix_takes_no_memory_for_what_it_does_not_read() -> None:
    order = matrix("w", 200_000, 2_000_000)
    (draw,) = planned([order], 40_000_000).draws
    assert draw.row is None and draw.elements <= 10_000_000
