"""The grid of inner chunks: counts, coordinates, orders."""

from __future__ import annotations

from itertools import islice
from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zarr_shard_codec.core.grid import (
    CHUNK_ORDERS,
    each_coords,
    grid_counts,
    to_coords,
    to_linear,
    write_order,
)
from zarr_shard_codec.errors import UsageError

COUNTS = st.lists(st.integers(1, 6), max_size=4).map(tuple)


@pytest.mark.requirement("ORDER-ANY")
@given(st.sampled_from(CHUNK_ORDERS), COUNTS)
def test_every_order_is_a_permutation(order, counts):
    """Each order names every chunk of the grid once."""
    found = write_order(order, counts)
    assert found.dtype == np.int64
    assert sorted(found.tolist()) == list(range(prod(counts)))


@given(COUNTS)
def test_reverse_is_lexicographic_backwards(counts):
    """The three orders are what they are called: C order, and that backwards."""
    assert write_order("lexicographic", counts).tolist() == list(range(prod(counts)))
    assert write_order("reverse", counts).tolist() == list(range(prod(counts)))[::-1]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ((2, 2), [(0, 0), (1, 0), (0, 1), (1, 1)]),
        ((3, 2), [(0, 0), (1, 0), (0, 1), (1, 1), (2, 0), (2, 1)]),
        ((4,), [(0,), (1,), (2,), (3,)]),
        ((), [()]),
    ],
)
def test_morton_interleaves_the_bits(counts, expected):
    """Morton order goes along the first axis fastest, within blocks of a power of two."""
    assert [to_coords(at, counts) for at in write_order("morton", counts).tolist()] == expected


def test_morton_of_powers_of_two_is_a_z_curve():
    """Each aligned block of 2×2×2 stays together, at every scale."""
    order = np.array([to_coords(at, (8, 8, 8)) for at in write_order("morton", (8, 8, 8)).tolist()])
    for scale in (2, 4):
        blocks = order.reshape(-1, scale**3, 3) // scale
        assert (blocks == blocks[:, :1]).all()


@given(COUNTS, st.data())
def test_linear_and_coords_undo_each_other(counts, data):
    """to_coords undoes to_linear, as NumPy's ravel_multi_index does."""
    coords = tuple(data.draw(st.integers(0, count - 1)) for count in counts)
    linear = to_linear(coords, counts)
    assert to_coords(linear, counts) == coords
    if counts:
        assert linear == np.ravel_multi_index(coords, counts)


@given(COUNTS)
def test_each_coords_is_c_order(counts):
    """All coordinates, in NumPy's order."""
    assert list(each_coords(counts)) == list(np.ndindex(*counts))


def test_each_coords_keeps_nothing():
    """The first of 2^62 coordinates cost no more than the first of ten."""
    assert list(islice(each_coords((2**62, 2**62)), 2)) == [(0, 0), (0, 1)]


def test_counts_reach_past_the_edge_and_past_64_bits():
    """The last chunk counts also where it reaches past the edge; sizes are Python integers."""
    assert grid_counts((5, 6, 0, 2**70), (3, 3, 3, 1)) == (2, 2, 0, 2**70)
    assert to_linear((2**40, 2**40), (2**41, 2**41)) == 2**81 + 2**40


def test_an_unknown_order_is_refused():
    """A name that is no order is an error, whatever the grid."""
    with pytest.raises(UsageError) as caught:
        write_order("hilbert", ())
    assert caught.value.reason == "invalid_argument"
