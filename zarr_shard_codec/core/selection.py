"""A NumPy basic selection: which elements it names, and what NumPy makes of them.

Owns the arithmetic between a selection and the block of values that is read or written. How a grid of chunks
cuts it is `projection`'s business.

A selection becomes a *box* first: one ascending `range` an axis. What NumPy does beyond that (an integer
drops its axis, a negative step reverses it) is one basic index applied to the block of the box's shape.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from operator import index as as_integer
from typing import Any

import numpy as np

from zarr_shard_codec.core import memory
from zarr_shard_codec.errors import SelectionError


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


def as_index(wanted: range | Picks, low: int = 0) -> Any:
    """The same indices, counted from `low` on, to index an axis of a NumPy array with."""
    if isinstance(wanted, Picks):
        return wanted.indices - low if low else wanted.indices
    return slice(wanted.start - low, wanted.stop - low, wanted.step)


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
                value = value.reshape(value.shape[1:])  # `value[0]` of objects is no array
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
            hint="Lists, masks and new axes are no basic selections: read the slice that covers them.",
        )
    if not -size <= value < size:
        raise SelectionError(
            "selection_out_of_bounds", f"index {value} is out of bounds for axis {axis} with size {size}"
        )
    return value % size


def as_integers(given: Any) -> tuple[int, ...]:
    """Take integers, or one alone, be it an array without axes. Raises `TypeError`."""
    try:
        return (as_integer(given),)
    except TypeError:
        return tuple(map(as_integer, given))


def parse_coords(given: object, counts: Sequence[int], noun: str) -> tuple[int, ...]:
    """Understand coordinates in a grid: integers, one an axis; of one axis also the integer itself.

    Parameters
    ----------
    given
        As the user wrote them.
    counts
        How many of what is meant there are along each axis.
    noun
        What is meant, for the errors.

    Raises
    ------
    SelectionError
        `selection_out_of_bounds`: the grid has none there; `selection_invalid`: no integers.
    """
    try:
        coords = as_integers(given)
    except TypeError:
        raise SelectionError(
            "selection_invalid", f"expected the coordinates of one {noun}, found {given!r:.80}"
        ) from None
    if len(coords) != len(counts) or not all(0 <= at < n for at, n in zip(coords, counts, strict=True)):
        raise SelectionError("selection_out_of_bounds", f"no {noun} {coords} among {tuple(counts)}")
    return coords


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
