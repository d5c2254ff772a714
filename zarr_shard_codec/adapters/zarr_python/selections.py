"""What zarr-python's selections name of one chunk, as boxes.

Owns the forms in which the host hands a selection of a chunk down: integers and slices; index arrays an axis,
alone or as an open mesh; points. The box is what plans know; what lies between a box and lists of indices is
picked in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any, Final

import numpy as np

from zarr_shard_codec.core.selection import Box, Picks

Array = np.ndarray[Any, Any]
_Indices = np.ndarray[Any, np.dtype[np.intp]]
_Along = range | _Indices
"""Some positions along one axis: a range where they ascend evenly, which is copied much faster."""
_Index = slice | _Indices
"""The same as NumPy takes it."""


@dataclass(frozen=True, slots=True)
class Basic:
    """Integers and slices.

    Attributes
    ----------
    box
        The elements.
    to_box
        A basic index that brings an array of NumPy's result shape to the box's: new axes for integers.
    """

    box: tuple[range, ...]
    to_box: tuple[slice | None, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of NumPy's result."""
        return tuple(
            len(wanted) for wanted, item in zip(self.box, self.to_box, strict=True) if item is not None
        )

    def as_fancy(self) -> Orthogonal:
        """The same as lists of indices."""
        return Orthogonal(self.box, self.shape)


@dataclass(frozen=True, slots=True)
class Piece:
    """A box that is read for some elements of a fancy selection.

    Attributes
    ----------
    box
        What is read.
    within
        Which elements of the box's block are wanted.
    landing
        Which elements of the selection's block they are.
    """

    box: Box
    within: tuple[_Index, ...]
    landing: tuple[_Index, ...]


@dataclass(frozen=True, slots=True)
class Orthogonal:
    """Indices along each axis, each combined with each.

    Attributes
    ----------
    indices
        A range where they ascend evenly; else an array, in any order, perhaps repeated.
    shape
        Shape of NumPy's result; its elements in C order are those of the block.
    """

    indices: tuple[_Along, ...]
    shape: tuple[int, ...]

    @property
    def block_shape(self) -> tuple[int, ...]:
        """Shape of the block of wanted elements: one axis for each of the chunk's."""
        return tuple(map(len, self.indices))

    def box(self) -> Box | None:
        """The elements as a box, if indices ascend and are even on all axes but one."""
        lists = [along for along in self.indices if isinstance(along, np.ndarray)]
        if len(lists) > 1 or not all((along[1:] > along[:-1]).all() for along in lists):
            return None
        return tuple(Picks(along) if isinstance(along, np.ndarray) else along for along in self.indices)

    def pieces(self, inner_chunk_shape: Sequence[int]) -> Iterator[Piece]:
        """Boxes that touch no inner chunk but those that are needed."""
        axes = [list(_runs(*axis)) for axis in zip(self.indices, inner_chunk_shape, strict=True)]
        for runs in product(*axes):
            yield Piece(*(tuple(part) for part in zip(*runs, strict=True)))

    def cover(self, inner_chunk_shape: Sequence[int], shape: Sequence[int]) -> Piece:
        """One box of whole inner chunks for everything."""
        box = tuple(map(_cover, self.indices, inner_chunk_shape, shape))
        within = (_within(along, wanted.start) for along, wanted in zip(self.indices, box, strict=True))
        return Piece(box, tuple(within), (_ALL,) * len(box))

    def take(self, block: Array, within: tuple[_Index, ...]) -> Array:
        """Pick from a box's block."""
        for axis, index in enumerate(within):
            if isinstance(index, slice):
                block = block[(slice(None),) * axis + (index,)]
            else:
                block = block.take(index, axis)
        return block

    def put(self, block: Array, where: tuple[_Index, ...], values: Array) -> None:
        """Set elements of a block."""
        if sum(not isinstance(index, slice) for index in where) < 2:
            block[where] = values
            return
        axes = (
            np.arange(*index.indices(size)) if isinstance(index, slice) else index
            for index, size in zip(where, block.shape, strict=True)
        )
        block[np.ix_(*axes)] = values


@dataclass(frozen=True, slots=True)
class Points:
    """Elements one by one.

    Attributes
    ----------
    coords
        Their coordinates: one flat array an axis.
    shape
        Shape of NumPy's result.
    """

    coords: tuple[_Indices, ...]
    shape: tuple[int, ...]

    @property
    def block_shape(self) -> tuple[int, ...]:
        """Shape of the block of wanted elements: flat."""
        return (prod(self.shape),)

    def pieces(self, inner_chunk_shape: Sequence[int]) -> Iterator[Piece]:
        """One box for the points of each inner chunk."""
        chunks = np.stack([at // size for at, size in zip(self.coords, inner_chunk_shape, strict=True)])
        _, group = np.unique(chunks, axis=1, return_inverse=True)
        group = group.reshape(-1)  # NumPy 2.0 gave it another shape
        order = np.argsort(group, kind="stable")
        for members in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
            own = [at[members] for at in self.coords]
            box = tuple(range(int(at.min()), int(at.max()) + 1) for at in own)
            within = tuple(at - wanted.start for at, wanted in zip(own, box, strict=True))
            yield Piece(box, within, (members,))

    def cover(self, inner_chunk_shape: Sequence[int], shape: Sequence[int]) -> Piece:
        """One box of whole inner chunks for everything."""
        box = tuple(map(_cover, self.coords, inner_chunk_shape, shape))
        within = tuple(at - wanted.start for at, wanted in zip(self.coords, box, strict=True))
        return Piece(box, within, (slice(None),))

    def take(self, block: Array, within: tuple[_Index, ...]) -> Array:
        """Pick from a box's block."""
        picked: Array = block[within]
        return picked

    def put(self, block: Array, where: tuple[_Index, ...], values: Array) -> None:
        """Set elements of a block."""
        block[where] = values


Fancy = Orthogonal | Points

_ALL: Final = slice(None)
_INTEGERS: Final = (int, np.integer)


def parse(selection: Any, shape: Sequence[int]) -> Basic | Fancy | None:
    """Understand a selection of a chunk of `shape` as the host's indexers make them; None: it is none."""
    items = selection if isinstance(selection, tuple) else (selection,)
    if len(items) < len(shape):
        items = (*items, *(slice(None),) * (len(shape) - len(items)))
    if len(items) > len(shape):
        return None
    indices: list[_Along] = []
    to_box: list[slice | None] = []
    arrays: list[Array] = []
    for item, size in zip(items, shape, strict=True):
        if isinstance(item, slice):
            indices.append(range(*item.indices(size)))
            to_box.append(_ALL)
        elif isinstance(item, _INTEGERS):
            indices.append(range(int(item), int(item) + 1))
            to_box.append(None)
        else:
            array = np.asarray(item)
            if array.dtype.kind not in "iub":
                return None
            arrays.append(array)
            if array.ndim == 1:
                indices.append(tidy(np.flatnonzero(array) if array.dtype.kind == "b" else array))
                to_box.append(_ALL)
    if len(arrays) == len(shape) > 1 and all(array.dtype.kind != "b" for array in arrays):
        return _together(arrays)
    if len(indices) < len(items):
        return None
    kept = (len(along) for along, item in zip(indices, to_box, strict=True) if item is not None)
    return _orthogonal(indices, to_box, tuple(kept))


def _together(arrays: Sequence[Array]) -> Basic | Fancy:
    shape = np.broadcast_shapes(*(array.shape for array in arrays))
    if not _is_mesh(arrays):
        return Points(tuple(np.broadcast_to(array, shape).reshape(-1) for array in arrays), shape)
    return _orthogonal([tidy(array.reshape(-1)) for array in arrays], [_ALL] * len(arrays), shape)


def _orthogonal(
    indices: Sequence[_Along], to_box: Sequence[slice | None], shape: tuple[int, ...]
) -> Basic | Orthogonal:
    box = tuple(along for along in indices if isinstance(along, range))
    return Basic(box, tuple(to_box)) if len(box) == len(indices) else Orthogonal(tuple(indices), shape)


def _is_mesh(arrays: Sequence[Array]) -> bool:
    return all(
        array.ndim == len(arrays) and array.size == array.shape[axis] for axis, array in enumerate(arrays)
    )


def tidy(indices: Array) -> _Along:
    """A range, where the indices are one that ascends."""
    indices = indices.astype(np.intp, copy=False)
    if not len(indices):
        return range(0)
    first, last = int(indices[0]), int(indices[-1])
    step = 1 if len(indices) == 1 else int(indices[1]) - first
    if step < 1 or last - first != step * (len(indices) - 1):
        return indices
    # Not `np.arange(first, last + 1, step)`, which counts in floating point.
    if indices.tobytes() != (first + step * np.arange(len(indices))).tobytes():
        return indices
    return range(first, last + 1, step)


def _within(along: _Along, low: int) -> _Index:
    """Positions counted from `low` on."""
    if isinstance(along, range):
        return slice(along.start - low, along.stop - low, along.step)
    return along - low


def _runs(along: _Along, chunk_size: int) -> Iterator[tuple[range, _Index, _Index]]:
    """Cut indices where there are inner chunks between them that nobody wants.

    Gives for each run the range that is read, which of it is wanted, and which of the indices that is.
    """
    if isinstance(along, range):
        yield along, _ALL, _ALL
        return
    order = np.argsort(along, kind="stable")
    for positions in np.split(order, np.flatnonzero(np.diff(along[order] // chunk_size) > 1) + 1):
        own = along[positions]
        wanted = range(int(own[0]), int(own[-1]) + 1)
        yield wanted, _within(tidy(own), wanted.start), _within(tidy(positions), 0)


def _cover(along: _Along, chunk_size: int, size: int) -> range:
    low, high = (along[0], along[-1]) if isinstance(along, range) else (int(along.min()), int(along.max()))
    return range(low // chunk_size * chunk_size, min(size, (high // chunk_size + 1) * chunk_size))
