"""What is written: anything that a caller gives for a selection, as an array of exactly that shape and dtype.

Owns the question which values fit. Integers, booleans, times and raw bytes are taken as they are or not at
all: none is rounded, wrapped or cut off on the way. What becomes a float is rounded to the nearest one of
the dtype, as NumPy does: past the largest that is an infinity.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from zarr_shard_codec.core.selection import Selection
from zarr_shard_codec.errors import UsageError


def as_block(value: Any, wanted: Selection, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """Bring a value to a selection's shape and a dtype.

    Raises
    ------
    UsageError
        `value_shape_mismatch`, `value_type_mismatch`.
    """
    try:
        given = np.asarray(value)
    except ValueError as error:  # lists of unequal lengths
        raise UsageError("value_shape_mismatch", f"expected numbers, or lists of them: {error}") from None
    try:
        block = wanted.block(given)
    except ValueError:
        raise UsageError(
            "value_shape_mismatch",
            f"expected a value that broadcasts to {wanted.result_shape}, found shape {given.shape}",
        ) from None
    if given.dtype == dtype:
        return block.astype(dtype, copy=False)
    # The NumPy type of Python's integers and objects says little of what they hold.
    from_python = not isinstance(value, np.ndarray | np.generic)
    if from_python and given.dtype.kind == "f" and dtype.kind == "u":
        exact = np.asarray(value, object)  # of integers past 2⁶³ among others NumPy makes floats
        given = exact if _are_integers(exact).all() else given
    by_value = given.dtype.kind == "O" or (from_python and given.dtype.kind in "iu")
    return wanted.block(_converted(given, dtype, by_value=by_value))  # converted before it is broadcast


def _converted(given: np.ndarray[Any, Any], dtype: np.dtype[Any], *, by_value: bool) -> np.ndarray[Any, Any]:
    """Convert what fits: by the types, or by each value alone."""
    fits = np.can_cast(given.dtype, dtype, "same_kind")
    if dtype.kind == "V":  # a shorter raw type counts as the same kind for NumPy, which cuts off
        fits = fits and not by_value and given.dtype.itemsize <= dtype.itemsize
    found = ""
    if fits or (by_value and dtype.kind != "V") or (given.dtype.kind in "iu" and dtype.kind in "iu"):
        try:
            with np.errstate(all="ignore"):
                converted = given.astype(dtype)
            lost = _lost(given, converted)
            if not lost.any():
                return converted
            found = f", {given[lost][0]} among them"
        except (OverflowError, ValueError, TypeError) as error:
            found = f": {error}"
    raise UsageError(
        "value_type_mismatch",
        f"expected values that {dtype} can hold, found {given.dtype}{found}",
        hint="Convert it first, value.astype(…), to say what is to be done with values that do not fit.",
    )


def _lost(given: np.ndarray[Any, Any], converted: np.ndarray[Any, Any]) -> Any:
    """Which values are others now than they were given."""
    kind = converted.dtype.kind
    if kind in "mM":
        if given.dtype.kind not in "mMO":  # integers: counts of the dtype's unit
            return converted.astype(np.int64) != given
        counts: Any = np.False_
        if given.dtype.kind == "O":  # times of Python are microseconds, integers the dtype's
            counts = _are_integers(given)
            given = given.astype(f"{kind}8[us]")
        return (converted.astype(given.dtype) != given) & ~np.isnat(given) & ~counts
    if kind in "fcV" or np.can_cast(given.dtype, converted.dtype, "safe"):
        return np.False_
    return converted != given


def _are_integers(values: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which of some objects are integers."""
    found = (isinstance(value, int | np.integer) for value in values.flat)
    return np.fromiter(found, bool, values.size).reshape(values.shape)
