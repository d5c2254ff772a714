"""Selections are NumPy's: results, shapes, errors; and a projection onto chunks loses and repeats nothing."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zarr_shard_codec.core.grid import grid_counts, to_linear
from zarr_shard_codec.core.projection import linear_chunks, project
from zarr_shard_codec.core.selection import box_index, box_shape, parse_selection, whole_box
from zarr_shard_codec.errors import SelectionError

SIZES = st.integers(0, 9)
SHAPES = st.lists(SIZES, max_size=4).map(tuple)
BOUNDS = st.none() | st.integers(-12, 12) | st.sampled_from([2**70, -(2**70)])
STEPS = st.none() | st.integers(-5, 5).filter(bool) | st.sampled_from([2**70, -(2**70), 2**62])
ITEMS = st.builds(slice, BOUNDS, BOUNDS, STEPS) | st.integers(-10, 10) | st.integers(-3, 3).map(np.int64)


@st.composite
def selections(draw):
    """A shape, and what may or may not be a selection of it."""
    shape = draw(SHAPES)
    items = draw(st.lists(ITEMS | st.just(Ellipsis), max_size=len(shape) + 1))
    selection = tuple(items)
    return shape, selection[0] if len(selection) == 1 and draw(st.booleans()) else selection


@given(selections())
def test_result_is_numpys(case):
    """What parse_selection makes of the box is `whole[selection]`, value, shape and kind; or both refuse."""
    shape, selection = case
    whole = np.arange(np.prod(shape, dtype=int), dtype=np.int32).reshape(shape)
    try:
        expected = whole[selection]
    except IndexError:
        with pytest.raises(SelectionError):
            parse_selection(selection, shape)
        return
    wanted = parse_selection(selection, shape)
    block = whole[box_index(wanted.box)]
    assert block.shape == box_shape(wanted.box)
    found = wanted.result(block)
    assert type(found) is type(expected)
    assert found.shape == expected.shape == wanted.result_shape
    assert (found == expected).all()


@given(selections(), st.data())
def test_assigning_is_numpys(case, data):
    """A value brought to the box's shape lands where NumPy's assignment puts it."""
    shape, selection = case
    model = np.zeros(shape, np.int32)
    try:
        result_shape = model[selection].shape
    except IndexError:
        return
    axes = [data.draw(st.sampled_from([1, size])) for size in result_shape]
    axes = axes[data.draw(st.integers(0, len(axes))) :]
    if 0 < len(axes) == len(result_shape):
        axes = [1] * data.draw(st.integers(0, 2)) + axes
    value = np.arange(1, 1 + np.prod(axes, dtype=int), dtype=np.int32).reshape(axes)
    model[selection] = value
    ours = np.zeros(shape, np.int32)
    wanted = parse_selection(selection, shape)
    ours[box_index(wanted.box)] = wanted.block(value)
    assert (ours == model).all()


def test_values_that_do_not_broadcast_are_refused():
    """NumPy's ValueError comes through for a value of the wrong shape."""
    with pytest.raises(ValueError, match="broadcast"):
        parse_selection(slice(0, 3), (5,)).block(np.zeros(2))


@pytest.mark.parametrize(
    ("selection", "reason"),
    [
        ((..., ...), "selection_invalid"),
        ([0, 1], "selection_invalid"),
        (np.array([True, False, True]), "selection_invalid"),
        (np.array([0, 1]), "selection_invalid"),
        (None, "selection_invalid"),
        (True, "selection_invalid"),
        (1.0, "selection_invalid"),
        ("a", "selection_invalid"),
        (slice(None, None, 0), "selection_invalid"),
        (slice("a", None), "selection_invalid"),
        (3, "selection_out_of_bounds"),
        (-4, "selection_out_of_bounds"),
        (2**70, "selection_out_of_bounds"),
        ((0, 0, 0), "selection_out_of_bounds"),
    ],
)
def test_what_is_no_basic_selection_is_refused(selection, reason):
    """Lists, masks, newaxis and what is out of bounds raise an error that is an IndexError too."""
    with pytest.raises(SelectionError) as caught:
        parse_selection(selection, (3, 3))
    assert caught.value.reason == reason
    assert isinstance(caught.value, IndexError)


@pytest.mark.requirement("CHUNKS-PER-SHARD")
@given(selections(), st.data())
def test_projection_covers_each_element_once(case, data):
    """The chunks' parts put together are the box: each element once, each chunk once."""
    shape, selection = case
    try:
        box = parse_selection(selection, shape).box
    except SelectionError:
        box = whole_box(shape)
    chunk_shape = tuple(data.draw(st.integers(1, 6)) for _ in shape)
    counts = grid_counts(shape, chunk_shape)
    whole = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    padded = np.full([count * size for count, size in zip(counts, chunk_shape, strict=True)], -1)
    padded[tuple(map(slice, shape))] = whole
    times = np.zeros(box_shape(box), int)
    block = np.full(box_shape(box), -2)
    axes = project(box, chunk_shape)
    seen = []
    for coords in product(*(axis.coords() for axis in axes)):
        parts = [axis.part(at) for axis, at in zip(axes, coords, strict=True)]
        chunk = padded[
            tuple(slice(at * size, (at + 1) * size) for at, size in zip(coords, chunk_shape, strict=True))
        ]
        land = tuple(where for _, where in parts)
        piece = chunk[box_index(tuple(within for within, _ in parts))]
        assert piece.size
        block[land] = piece
        times[land] += 1
        seen.append(to_linear(coords, counts))
    assert (times == 1).all()
    assert (block == whole[box_index(box)]).all()
    assert linear_chunks(axes, counts).tolist() == seen == sorted(set(seen))
