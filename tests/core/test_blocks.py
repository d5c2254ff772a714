"""Blocks and their parts: copies between them move every element, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from zarr_shard_codec.core.blocks import blocks, put_blocks, take_blocks, take_some


@pytest.mark.parametrize("counts", [(), (5,), (1, 1), (3, 2), (1, 4, 2)])
@pytest.mark.parametrize("row", [1, 7, 40])
@pytest.mark.parametrize("dtype", ["<u2", ">u2", "u1", "c16"])
@pytest.mark.parametrize("layout", ["C", "F", "reversed", "wide"])
def test_blocks_are_put_and_taken_bit_for_bit(counts, row, dtype, layout):
    """However the elements lie, many or few: what is taken is NumPy's view, and what is put is the same."""
    part = (*[3000, *[1] * len(counts)][: len(counts) - 1], row) if counts else ()
    shape = [count * size for count, size in zip(counts, part, strict=True)]
    content = np.random.default_rng(0).integers(0, 256, [*shape, np.dtype(dtype).itemsize], np.uint8)
    whole = content.view(dtype)[..., 0]
    if layout == "F" and counts:
        whole = np.asfortranarray(whole)
    elif layout == "reversed" and counts:
        whole = whole[..., ::-1]
    elif layout == "wide" and counts:
        whole = np.repeat(whole, 2, axis=-1)[..., : whole.shape[-1]]
    expected = np.array(blocks(whole, counts))
    taken = take_blocks(whole, counts)
    assert taken.flags.c_contiguous
    assert taken.shape == expected.shape == (*counts, *part)
    assert taken.tobytes() == expected.tobytes()
    for wanted in (
        np.random.default_rng(1).random(counts) < 0.5,
        np.ones(counts, bool),
        np.zeros(counts, bool),
    ):
        some = take_some(whole, np.asarray(wanted))
        assert some.flags.c_contiguous
        assert some.dtype == whole.dtype
        assert some.shape == expected[wanted].shape
        assert some.tobytes() == expected[wanted].tobytes()
    target = np.empty_like(whole)
    put_blocks(expected, target)
    assert target.tobytes() == whole.tobytes()
    swapped = np.empty(whole.shape, whole.dtype.newbyteorder())  # put by value, not by bytes
    put_blocks(expected, swapped)
    assert swapped.astype(whole.dtype).tobytes() == whole.tobytes()
