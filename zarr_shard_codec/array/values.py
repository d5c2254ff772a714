"""What is written: anything that a caller gives for a selection, as an array of exactly that shape and dtype.

Owns the question which values fit; nothing is rounded, wrapped or cut off on the way.
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
    given = np.asarray(value) if isinstance(value, np.ndarray | np.generic) else _from_python(value, dtype)
    try:
        block = wanted.block(given)
    except ValueError:
        raise UsageError(
            "value_shape_mismatch",
            f"expected a value that broadcasts to {wanted.result_shape}, found shape {given.shape}",
        ) from None
    if given.dtype == dtype:
        return block.astype(dtype, copy=False)
    # Integers go by their values: NumPy counts int64 → int32 as the same kind, and wraps.
    integers = given.dtype.kind in "iu" and dtype.kind in "iu"
    if np.can_cast(given.dtype, dtype, "safe" if integers else "same_kind"):
        return block.astype(dtype, copy=False)
    converted = block.astype(dtype) if integers else None
    if converted is None or (converted != block).any():
        found = "" if converted is None else f", {block[converted != block][0]} among them"
        raise UsageError(
            "value_type_mismatch",
            f"expected values that {dtype} can hold, found {given.dtype}{found}",
            hint="Convert it first, value.astype(…), to say what is to be done with values that do not fit.",
        )
    return converted


def _from_python(value: Any, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """Take numbers and lists of them, whose NumPy type says little of what they hold."""
    try:
        plain = np.asarray(value)
    except ValueError as error:  # lists of unequal lengths
        raise UsageError("value_shape_mismatch", f"expected numbers, or lists of them: {error}") from None
    if np.can_cast(plain.dtype, dtype, "same_kind") or plain.dtype.kind in "iuO":
        try:
            return np.asarray(value, dtype)
        except (OverflowError, ValueError, TypeError) as error:
            raise UsageError(
                "value_type_mismatch", f"expected values that {dtype} can hold: {error}"
            ) from None
    return plain
