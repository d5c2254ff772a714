"""A NumPy basic selection: which chunks of a regular grid, which part of each, and where it lands.

Owns the arithmetic between a selection, a grid of chunks and the block of values that is read or
written. The same projection serves an array cut into shards and a shard cut into inner chunks.

A selection becomes a *box* first: one ascending `range` an axis. What NumPy does beyond that (an integer
drops its axis, a negative step reverses it) is one basic index applied to the block of the box's shape.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from math import prod
from operator import index as as_integer
from typing import Any, Final

import numpy as np

from zarr_shard_codec.core import memory
from zarr_shard_codec.errors import SelectionError

_FEW: Final = 64
"""Chunks that are counted sooner one by one in Python than all at once in NumPy."""


_ROW_NBYTES: Final = 64
_MANY_NBYTES: Final = 1 << 16
"""Rows of at most so many bytes, which are so many bytes together, are copied sooner as one element each than
element by element."""


@dataclass(frozen=True, slots=True, eq=False)
class Picks:
    """Indices along an axis that no range names; otherwise as a range.

    Attributes
    ----------
    indices
        int64: at least one, ascending, none of them twice.
    """

    indices: np.ndarray[Any, np.dtype[np.int64]]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, at: int) -> int:
        return int(self.indices[at])


Box = tuple["range | Picks", ...]
"""The wanted indices along each axis: ascending, a range's step at least 1, within the shape. `Picks` on one
axis at most."""


def whole_box(shape: Iterable[int]) -> Box:
    """Every element of a shape."""
    return tuple(range(size) for size in shape)


def box_shape(box: Box) -> tuple[int, ...]:
    """Shape of the block of values that a box names."""
    return tuple(len(wanted) for wanted in box)


def as_index(wanted: range | Picks) -> Any:
    """The same indices, to index an axis of a NumPy array with."""
    return wanted.indices if isinstance(wanted, Picks) else slice(wanted.start, wanted.stop, wanted.step)


def box_index(box: Box) -> tuple[Any, ...]:
    """The box, to index a NumPy array with."""
    return tuple(map(as_index, box))


def view(block: np.ndarray[Any, Any], landing: Iterable[slice | int]) -> np.ndarray[Any, Any]:
    """The part of a block where values land; a view also where NumPy would give a scalar (no axes)."""
    index: tuple[Any, ...] = (*landing, ...)
    part: np.ndarray[Any, Any] = block[index]
    return part


def new_block(box: Box, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """Make an array of the box's shape, its elements not set: of memory that was used before, perhaps.

    Raises
    ------
    SelectionError
        `selection_invalid`: no memory has so many bytes.
    MemoryError
        This one has not.
    """
    shape = box_shape(box)
    try:
        return memory.empty(shape, dtype)
    except ValueError:
        raise SelectionError(
            "selection_invalid", f"{prod(shape)} elements of {dtype} are more than any memory holds"
        ) from None


@dataclass(frozen=True, slots=True)
class Selection:
    """A selection over an array of known shape.

    Attributes
    ----------
    box
        The elements that it names, ascending.
    finish
        A basic index that makes NumPy's result of a block of the box's shape.
    """

    box: Box
    finish: tuple[Any, ...]

    @property
    def result_shape(self) -> tuple[int, ...]:
        """Shape of `whole[selection]` as NumPy gives it."""
        return tuple(
            len(wanted)
            for wanted, step in zip(self.box, self.finish, strict=False)
            if isinstance(step, slice)
        )

    def result(self, block: np.ndarray[Any, Any]) -> Any:
        """Make NumPy's `whole[selection]` (an array, or a scalar) of the block that the box names."""
        return block[self.finish]

    def block(self, value: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Bring a value that is assigned to the selection to the box's shape: a view, broadcast if need be.

        Raises
        ------
        ValueError
            NumPy's, when the value does not broadcast to the selection's shape.
        """
        result_shape = self.result_shape
        if value.shape != result_shape:
            # As NumPy does: leading axes of length one may be too many, never too few.
            while value.ndim > len(result_shape) and value.shape[0] == 1:
                value = value[0]
            value = np.broadcast_to(value, result_shape)
        steps = self.finish[: len(self.box)]
        full = value[tuple(slice(None) if isinstance(step, slice) else np.newaxis for step in steps)]
        return full[tuple(step if isinstance(step, slice) else slice(None) for step in steps)]


def parse_selection(selection: object, shape: Sequence[int]) -> Selection:
    """Understand integers, slices with any step and one Ellipsis, over an array of `shape`.

    Raises
    ------
    SelectionError
        `selection_out_of_bounds`: an integer that the axis does not have, or too many of them;
        `selection_invalid`: anything that is not a basic selection (lists, masks, newaxis).
    """
    given = selection if isinstance(selection, tuple) else (selection,)
    ellipses = sum(item is Ellipsis for item in given)
    if ellipses > 1:
        raise SelectionError("selection_invalid", "a selection has at most one Ellipsis")
    if len(given) - ellipses > len(shape):
        raise SelectionError(
            "selection_out_of_bounds",
            f"{len(given) - ellipses} indices for an array of {len(shape)} dimensions",
        )
    at = next((i for i, item in enumerate(given) if item is Ellipsis), len(given))
    filler = (slice(None),) * (len(shape) - (len(given) - ellipses))
    items = (*given[:at], *filler, *given[at + 1 :])

    box: list[range] = []
    finish: list[Any] = []
    for axis, (item, size) in enumerate(zip(items, shape, strict=True)):
        if isinstance(item, slice):
            wanted = _range_of(item, size, axis)
            finish.append(slice(None) if wanted.step > 0 else slice(None, None, -1))
            box.append(wanted if wanted.step > 0 else wanted[::-1])
        else:
            at_index = _integer(item, size, axis)
            finish.append(0)
            box.append(range(at_index, at_index + 1))
    if ellipses:  # NumPy then gives an array of no dimensions where it would give a scalar
        finish.append(Ellipsis)
    return Selection(tuple(box), tuple(finish))


def _range_of(item: slice, size: int, axis: int) -> range:
    try:
        return range(*item.indices(size))
    except (TypeError, ValueError) as error:
        raise SelectionError("selection_invalid", f"axis {axis}: {item}: {error}") from None


def _integer(item: Any, size: int, axis: int) -> int:
    try:
        value = None if isinstance(item, bool | np.bool_) else as_integer(item)
    except TypeError:  # NumPy's, too, for an array of more than one element
        value = None
    if value is None:
        raise SelectionError(
            "selection_invalid",
            f"axis {axis}: expected an integer, a slice or Ellipsis, found {type(item).__name__}",
            hint="Index lists and masks are not basic selections: read the slice that covers them.",
        )
    if not -size <= value < size:
        raise SelectionError(
            "selection_out_of_bounds", f"index {value} is out of bounds for axis {axis} with size {size}"
        )
    return value % size


def single_chunk(
    selection: object, shape: Sequence[int], chunk_shape: Sequence[int]
) -> tuple[list[int], tuple[slice | int, ...]] | None:
    """See whether a selection lies within one chunk of a regular grid: the question of small reads.

    Returns
    -------
    tuple or None
        The chunk's coordinates, and what NumPy is to pick from it. None: several chunks, none, or a selection
        that has to be looked at more closely.
    """
    if type(selection) is not tuple or len(selection) != len(shape):
        return None
    coords: list[int] = []
    within: list[slice | int] = []
    for item, size, chunk_size in zip(selection, shape, chunk_shape, strict=True):
        if type(item) is slice:
            try:
                start, stop, step = item.indices(size)
            except (TypeError, ValueError):
                return None
            at, low = divmod(start, chunk_size)
            if step != 1 or not start < stop <= start - low + chunk_size:
                return None
            within.append(slice(low, low + stop - start))
        elif type(item) is int and 0 <= item < size:
            at, low = divmod(item, chunk_size)
            within.append(low)
        else:
            return None
        coords.append(at)
    return coords, tuple(within)


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring chunks along one axis, of each of which the same part is wanted.

    Attributes
    ----------
    positions
        Which they are among the chunks touched along this axis.
    within
        The indices wanted within each.
    landing
        Where they all land in the block, one behind the other.
    """

    positions: slice
    within: range | Picks
    landing: slice


@dataclass(frozen=True, slots=True, eq=False)
class AxisProjection:
    """One axis of a box, cut by a regular grid.

    Attributes
    ----------
    wanted
        The box along this axis.
    chunk_size
        Elements per chunk along this axis.
    chunks
        Which chunks are touched: their coordinates along this axis, ascending.
    """

    wanted: range | Picks
    chunk_size: int
    chunks: range | np.ndarray[Any, Any]
    _runs: list[Run] | None = field(default=None, init=False, repr=False)

    def coords(self) -> Sequence[int]:
        """The touched chunks' coordinates as Python integers."""
        return self.chunks if isinstance(self.chunks, range) else self.chunks.tolist()

    def part(self, chunk: int) -> tuple[range | Picks, slice]:
        """Indices wanted within that chunk, and where they land in the block."""
        size = self.chunk_size
        low = chunk * size
        if isinstance(self.wanted, Picks):
            first, last = np.searchsorted(self.wanted.indices, (low, low + size)).tolist()
            return Picks(self.wanted.indices[first:last] - low), slice(first, last)
        start, step = self.wanted.start, self.wanted.step
        first = max(0, -((start - low) // step))
        last = min(len(self.wanted), -((start - low - size) // step))
        begin = start + first * step - low
        return range(begin, begin + (last - first) * step, step), slice(first, last)

    @property
    def runs(self) -> list[Run]:
        """The touched chunks in runs: where chunks are alike, one for all between the first and the last."""
        # Not by cached_property: until Python 3.12 it has a lock, which a fork could leave held for ever.
        runs = self._runs
        if runs is None:
            runs = self._find_runs()
            object.__setattr__(self, "_runs", runs)
        return runs

    def _find_runs(self) -> list[Run]:
        chunks = self.coords()
        if len(chunks) == 1:
            return [Run(slice(0, 1), *self.part(chunks[0]))]
        step = self.wanted.step if isinstance(self.wanted, range) and isinstance(chunks, range) else 0
        alike = step > 0 and self.chunk_size % step == 0
        cuts: Iterable[int] = range(len(chunks) + 1)
        if alike and len(chunks) > 3:
            cuts = (0, 1, len(chunks) - 1, len(chunks))
        runs: list[Run] = []
        for low, high in pairwise(cuts):
            within, landing = self.part(chunks[low])
            landing = slice(landing.start, self.part(chunks[high - 1])[1].stop)
            if alike and runs and runs[-1].within == within:
                last = runs.pop()
                first, landing = last.positions.start, slice(last.landing.start, landing.stop)
            else:
                first = low
            runs.append(Run(slice(first, high), within, landing))
        return runs


def project(box: Box, chunk_shape: Sequence[int]) -> tuple[AxisProjection, ...]:
    """Cut a box by a grid of chunks, axis by axis. Empty boxes touch no chunk."""
    return tuple(
        [
            _project_dense(wanted, size)
            if isinstance(wanted, range) and (wanted.step == 1 or len(wanted) < 2)
            else _project_sparse(wanted, size)
            for wanted, size in zip(box, chunk_shape, strict=True)
        ]
    )


@lru_cache(maxsize=256)  # the shards of a selection are cut in few ways, and axes often alike
def _project_dense(wanted: range, size: int) -> AxisProjection:
    chunks = range(wanted[0] // size, wanted[-1] // size + 1) if wanted else range(0)
    return AxisProjection(wanted, size, chunks)


def _project_sparse(wanted: range | Picks, size: int) -> AxisProjection:
    chunks: range | np.ndarray[Any, Any]
    if isinstance(wanted, Picks):
        chunks = np.unique(wanted.indices // size)
    elif wanted.step <= size:
        chunks = range(wanted[0] // size, wanted[-1] // size + 1)
    else:  # some chunks lie between two wanted indices
        chunks = np.arange(wanted.start, wanted[-1] + 1, wanted.step) // size
    return AxisProjection(wanted, size, chunks)


def blocks(block: np.ndarray[Any, Any], counts: Sequence[int]) -> np.ndarray[Any, Any]:
    """See a block of equal parts as a grid of them: shape `(*counts, *part_shape)`, a view.

    `block` has the shape `counts * part_shape`.
    """
    ndim = len(counts)
    split = [
        size for total, count in zip(block.shape, counts, strict=True) for size in (count, total // count)
    ]
    axes = (*range(0, 2 * ndim, 2), *range(1, 2 * ndim, 2))
    return block.reshape(split).transpose(axes)


def put_blocks(parts: np.ndarray[Any, Any], target: np.ndarray[Any, Any]) -> None:
    """Copy equal parts, a grid of them, to their places in a block: `blocks(target, counts)[...] = parts`."""
    counts = parts.shape[: target.ndim]
    target, parts = _in_rows(target, parts)
    (target if max(counts, default=1) == 1 else blocks(target, counts))[...] = parts


def take_blocks(block: np.ndarray[Any, Any], counts: Sequence[int]) -> np.ndarray[Any, Any]:
    """Bring each part's elements together: `blocks(block, counts)`, contiguous; a copy unless it is that."""
    grid = blocks(block, counts)
    if grid.flags.c_contiguous:
        return grid
    parts = memory.empty(grid.shape, block.dtype)
    source, target = _in_rows(block, parts)
    target[...] = blocks(source, counts)
    return parts


def _in_rows(
    block: np.ndarray[Any, Any], parts: np.ndarray[Any, Any]
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """A block and its parts, each row of a part as one element, where that is copied sooner."""
    # For NumPy, the call of an inner loop costs as much as some fifty bytes.
    if block.ndim and parts.nbytes >= _MANY_NBYTES and parts.dtype == block.dtype:
        nbytes = parts.shape[-1] * parts.itemsize
        if nbytes <= _ROW_NBYTES and block.strides[-1] == parts.strides[-1] == parts.itemsize:
            return block.view(f"V{nbytes}"), parts.view(f"V{nbytes}")
    return block, parts


def linear_chunks(axes: Sequence[AxisProjection], counts: Sequence[int]) -> np.ndarray[Any, Any]:
    """Linear (C order) indices of all chunks that a projection touches, in C order: int64, one a chunk."""
    if prod(len(axis.chunks) for axis in axes) <= _FEW:
        few = [0]
        for axis, count in zip(axes, counts, strict=True):
            few = [before * count + at for before in few for at in axis.coords()]
        return np.array(few, np.int64)
    linear = np.zeros(1, np.int64)
    for axis, count in zip(axes, counts, strict=True):
        chunks = axis.chunks
        along = np.arange(chunks.start, chunks.stop) if isinstance(chunks, range) else chunks
        linear = (linear[:, np.newaxis] * count + along).reshape(-1)
    return linear
