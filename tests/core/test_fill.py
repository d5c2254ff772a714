"""Fill values are compared by their bits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zarr_shard_codec.core.blocks import blocks
from zarr_shard_codec.core.fill import are_filled, filled, is_filled

NAN_PAYLOAD = np.array(0x7FC00001, np.uint32).view(np.float32)
FILLS = [
    np.array(0, np.uint8),
    np.array(7, np.int64),
    np.array(-0.0, np.float32),
    np.array(0.0, np.float64),
    NAN_PAYLOAD,
    np.array(complex(0.0, -0.0)),
    np.array(b"ab", "V2"),
    np.array("NaT", "M8[s]"),
    np.array(True),  # noqa: FBT003
]


@pytest.mark.parametrize("fill", FILLS, ids=str)
@pytest.mark.parametrize("shape", [(), (1,), (0,), (3, 4), (1, 1, 70000), (300, 1, 300), (2, 200, 200)])
def test_filled_is_filled_until_one_bit_changes(fill, shape):
    """An array of the fill value is one; with any single bit changed it is not, wherever that is."""
    array = filled(shape, fill)
    assert array.shape == shape
    assert array.dtype == fill.dtype
    assert array.flags.writeable
    assert is_filled(array, fill)
    if array.size:
        flat = array.reshape(-1).view(np.uint8)
        for at in {0, len(flat) // 2, len(flat) - 1}:
            flat[at] ^= 1
            assert not is_filled(array, fill)
            flat[at] ^= 1
        assert is_filled(array, fill)


def test_equal_is_not_the_same():
    """-0.0 is not 0.0, one NaN is not another, and a NaN is itself."""
    zero, minus, nan = np.array(0.0), np.array(-0.0), np.array(np.nan)
    assert not is_filled(np.array([-0.0]), zero)
    assert is_filled(np.array([-0.0]), minus)
    assert is_filled(np.full(3, np.nan), nan)
    assert not is_filled(np.full(3, NAN_PAYLOAD), np.array(np.nan, np.float32))


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 3), st.sampled_from([1, -1, 2]))
def test_any_strides_and_byte_order(rows, columns, value, step):
    """Views, transposed and reversed ones and those in the other byte order compare as their copies do."""
    fill = np.array(258, ">u2").astype("u2")
    for dtype in ("<u2", ">u2"):
        array = np.full((rows * 2, columns), 258, dtype)
        view = array.T[::step, ::step]
        assert is_filled(view, fill)
        view[-1, -1] = value
        assert not is_filled(view, fill)


@pytest.mark.parametrize("fill", FILLS, ids=str)
@pytest.mark.parametrize(
    ("counts", "part"),
    [
        ((), ()),
        ((5,), (1,)),
        ((4,), (33,)),
        ((1, 3), (7, 2)),
        ((3, 2, 2), (2, 3, 5)),
        ((2, 1, 2, 2), (1, 3, 2, 8)),
    ],
)
@pytest.mark.parametrize("layout", ["C", "F", "reversed", "wide", "swapped"])
def test_parts_are_filled_as_each_by_itself(fill, counts, part, layout):
    """Where a bit of a part differs, wherever it is, that part alone is not filled, however elements lie."""
    rng = np.random.default_rng(1)
    shape = tuple(count * size for count, size in zip(counts, part, strict=True))
    for _ in range(12):
        whole = filled(shape, fill)
        flat = whole.reshape(-1).view(np.uint8)
        for at in rng.integers(0, len(flat), rng.integers(0, 4)):
            flat[at] ^= 1 << rng.integers(0, 8)
        if layout == "F" and shape:
            whole = np.asfortranarray(whole)
        elif layout == "reversed":
            whole = whole[(slice(None, None, -1),) * len(shape)]
        elif layout == "wide" and shape:
            whole = np.repeat(whole, 2, axis=-1)[..., ::2]
        elif layout == "swapped":
            whole = whole.astype(whole.dtype.newbyteorder())
        grid = blocks(whole, counts)
        expected = [is_filled(grid[(*at, ...)], fill) for at in np.ndindex(*counts)]
        found = are_filled(whole, counts, fill)
        assert found.shape == counts
        assert found.dtype == np.bool_
        assert found.reshape(-1).tolist() == expected


def test_parts_are_compared_by_value_across_byte_orders():
    """What has the fill value's bytes in the other byte order is another value, and is kept."""
    fill = np.array(1, "<u2")
    block = np.repeat(np.array([256, 1, 256, 0], ">u2"), 8)
    assert are_filled(block, (4,), fill).tolist() == [False, True, False, False]
