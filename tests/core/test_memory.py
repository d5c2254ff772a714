"""Memory that is used again: never while anybody can still see it, and always after."""

from __future__ import annotations

import numpy as np
import pytest
import zstandard

from zarr_shard_codec.core import memory

NBYTES = 400_000


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch):
    """Start without free blocks."""
    monkeypatch.setattr(memory, "_free", [])


def _where(view):
    return np.frombuffer(view, np.uint8).ctypes.data


def test_what_is_let_go_of_is_given_out_again():
    """The same bytes serve one after the other, for more bytes or fewer of about that size."""
    at = _where(memory.take(NBYTES))
    assert _where(memory.take(NBYTES)) == at
    assert _where(memory.take(NBYTES - 50_000)) == at
    assert _where(memory.take(NBYTES - 160_000)) != at


@pytest.mark.parametrize(
    "hold",
    [
        lambda view: view[5:9],
        lambda view: np.frombuffer(view, np.uint16)[1:].reshape(-1, 1)[::7],
        lambda view: np.frombuffer(view, np.uint8)[:40_000].view("f4"),
        lambda view: np.ndarray((50, 100), "f8", view),
        lambda view: np.ndarray((50, 100), "f8", view)[1:].T[::2],
        lambda view: np.asarray(np.asarray(view)[4:]),
        lambda view: memoryview(np.asarray(view)[4:])[1:],
        lambda view: zstandard.BufferWithSegments(view, np.array([0, 8], np.uint64).tobytes()),
    ],
    ids=["part", "array", "other type", "in it", "part in it", "slice", "part of slice", "segments"],
)
def test_what_anybody_sees_is_not(hold):
    """However indirectly a block is still referred to: it is not given out."""
    view = memory.take(NBYTES)
    at, held = _where(view), hold(view)
    del view
    assert _where(memory.take(NBYTES)) != at
    del held
    assert at in {_where(each) for each in [memory.take(NBYTES), memory.take(NBYTES)]}


def test_what_is_kept_is_bounded():
    """Large blocks are not kept at all, and others only up to a limit."""
    memory.take(memory.LARGEST_NBYTES + 1)
    assert memory._free == []
    views = [memory.take(memory.LARGEST_NBYTES) for _ in range(5)]
    del views
    assert 0 < sum(map(len, memory._free)) <= memory._KEPT_NBYTES


def test_arrays_lie_in_it():
    """`empty` gives an array that can be written to, of any shape, also one without elements."""
    array = memory.empty((100, 200), np.dtype("f8"))
    array[...] = 7
    assert array.shape == (100, 200)
    assert array.sum() == 7 * array.size
    assert memory.empty((0, 3), np.dtype("u2")).shape == (0, 3)


def test_nearly_the_same_size_is_the_same_block():
    """Encoded shards differ a little in size; memory for one serves the others, and wastes little."""
    at = _where(memory.take(NBYTES))
    (block,) = memory._free
    assert NBYTES <= len(block) <= NBYTES * 9 // 8
    assert _where(memory.take(len(block))) == at
