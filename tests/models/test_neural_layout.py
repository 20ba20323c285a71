"""Where parameters stand in matrices, pieces of a table, and memory that no thread shares."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.models.neural.architecture import RECURRENT, Architecture
from ringfence.models.neural.fixed import Scratch
from ringfence.models.neural.layout import parameter_layout, sigmoids_first
from ringfence.models.neural.network import Network, Rows
from ringfence.models.neural.rounding import ACTIVATION_BITS, sum_bits, to_grid, vector_to_grid

DENSE = Architecture(inputs=5, hidden=(4, 3))
LSTM = Architecture(inputs=2, hidden=(3,), periods=4, channels=2, recurrent=3)
BOTH = pytest.mark.parametrize("architecture", [DENSE, LSTM])


@BOTH
def test_every_parameter_stands_where_it_is_multiplied(architecture: Architecture) -> None:
    weights = np.arange(architecture.length) * 7 - 100
    network = Network.of(architecture, weights)
    named = dict(architecture.split(weights / 2**16))
    for number, layer in enumerate(network.layers):
        passing = layer.passing.numpy()
        assert np.array_equal(passing[:-1, :-1], named[f"dense.{number}.weight"])
        assert np.array_equal(passing[:-1, -1], named[f"dense.{number}.bias"])
        assert passing[-1].tolist() == [0.0] * (passing.shape[1] - 1) + [1.0]
        assert np.array_equal(layer.weight.numpy(), named[f"dense.{number}.weight"])
    if network.cell is not None:
        h = architecture.recurrent
        i, f, g, o = np.split(named[RECURRENT][:, -h:], 4)
        assert np.array_equal(network.cell.backward.numpy(), np.concatenate((i, f, o, g)).T)


@BOTH
def test_sums_come_back_in_the_order_of_the_parameters(architecture: Architecture) -> None:
    layout = parameter_layout(architecture)
    named = dict(architecture.split(np.arange(architecture.length)))
    matrices = [sigmoids_first(named[RECURRENT])] if RECURRENT in named else []
    matrices += [
        np.column_stack((named[f"dense.{number}.weight"], named[f"dense.{number}.bias"]))
        for number in range(len(architecture.widths) - 1)
    ]
    assert tuple(each.shape for each in matrices) == layout.sum_shapes
    flat = np.concatenate([each.ravel() for each in matrices])
    assert np.array_equal(flat[layout.summed], np.arange(architecture.length))


@BOTH
@pytest.mark.parametrize("norm", [1.0, 0.1])
def test_a_vector_is_rounded_as_its_parameters_are(architecture: Architecture, norm: float) -> None:
    total = np.random.default_rng(1).integers(-(2**50), 2**50, architecture.length)
    pieces = [to_grid(values.ravel(), sum_bits(name, norm), 12) for name, values in architecture.split(total)]
    assert np.array_equal(vector_to_grid(architecture, total, norm, 12), np.concatenate(pieces))


@settings(max_examples=50)
@given(customers=st.integers(0, 60), most=st.integers(1, 20))
def test_pieces_hold_everybody_once_and_are_about_as_long(customers: int, most: int) -> None:
    rows = Rows(static=np.arange(2.0 * customers).reshape(customers, 2), offset=np.arange(float(customers)))
    pieces = list(rows.pieces(most))
    sizes = [len(piece) for _, piece in pieces]
    assert sum(sizes) == customers
    assert len(sizes) == -(-customers // most)
    assert all(0 < size <= most for size in sizes)
    assert len(set(sizes[:-1])) <= 1
    for part, piece in pieces:
        assert np.array_equal(piece.static, rows.static[part])
        assert piece.offset is not None
        assert np.array_equal(piece.offset, np.arange(customers)[part])


def test_memory_is_used_again_in_any_shape() -> None:
    scratch = Scratch()
    first = scratch.rows("a", 5, 3)
    assert scratch.rows("a", 4, 3).data_ptr() == first.data_ptr()
    assert scratch.rows("a", 6, 2).shape == (6, 2)
    block = scratch.of("b", 2, 3, 4)
    assert block.shape == (2, 3, 4)
    assert block.is_contiguous()
    assert scratch.of("b", 3, 2, 2).data_ptr() == block.data_ptr()


@BOTH
def test_threads_do_not_share_memory(architecture: Architecture) -> None:
    """Several tables at once, each over and over, give what each gives alone."""
    rng = np.random.default_rng(2)
    weights = rng.integers(-(2**16), 2**16, architecture.length)

    def numbers(*shape: int) -> npt.NDArray[np.float64]:
        return rng.integers(-255, 256, shape).astype(np.float64) * float(1 << (ACTIVATION_BITS - 8))

    tables: list[tuple[Rows, npt.NDArray[np.uint8]]] = []
    for customers in (30, 200, 700, 41):
        sequence = (
            numbers(architecture.periods, customers, architecture.channels)
            if architecture.recurrent
            else None
        )
        rows = Rows(static=numbers(customers, architecture.inputs), sequence=sequence)
        tables.append((rows, rng.integers(0, 2, customers).astype(np.uint8)))
    network = Network.of(architecture, weights)
    alone = [network.clipped_sum(rows, label, 1.0) for rows, label in tables]
    with ThreadPoolExecutor(4) as threads:
        for _ in range(5):
            together = list(threads.map(lambda table: network.clipped_sum(table[0], table[1], 1.0), tables))
            assert all(np.array_equal(*pair) for pair in zip(alone, together, strict=True))
