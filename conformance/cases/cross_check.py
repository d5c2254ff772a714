"""Whether a vector is what it says: as this package reads it, and as tensorstore, the oracle, does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

import zarr_shard_codec as zsc
from conformance.cases.corpus import Case, Expect

Axes = tuple[int | slice, ...]
Read = Callable[[Axes], Any]

TENSORSTORE_DIFFERS: Final[dict[str, str]] = {}
"""Vectors with `values` that tensorstore does not read, and why; each was looked at by hand."""


def faults(case: Case) -> list[str]:
    """Give what is wrong with a vector, in words; nothing if it is sound."""
    found = []
    if case.expect == "refuse":
        reason = _reason(case)
        if reason != case.reason:
            found.append(f"zarr_shard_codec: expected {case.reason}, found {reason}")
    found += _compared("zarr_shard_codec", case, _ours)
    refused = TENSORSTORE_DIFFERS.get(case.name)
    if case.expect == "values":
        theirs = _compared("tensorstore", case, _tensorstore)
        if bool(theirs) != bool(refused):
            found += theirs or [f"tensorstore reads it now, though {refused}"]
    return found


def _compared(reader: str, case: Case, open_array: Callable[[Case], Read]) -> list[str]:
    whole: Axes = tuple(slice(None) for _ in case.shape)
    found = []
    for axes, expect in [(whole, case.expect), *((s.axes, s.expect) for s in case.selections)]:
        outcome = _outcome(case, axes, open_array)
        if outcome not in _RIGHT[expect]:
            found.append(f"{reader}: {axes}: expected {expect}, found {outcome}")
    return found


_RIGHT: Final[dict[Expect, tuple[str, ...]]] = {
    "values": ("values",),
    "refuse": ("refused",),
    "either": ("values", "refused"),
}


def _outcome(case: Case, axes: Axes, open_array: Callable[[Case], Read]) -> str:
    try:
        part = np.asarray(open_array(case)(axes))
    except (zsc.ZarrShardError, ValueError, NotImplementedError) as error:
        return "refused" if case.expect != "values" else f"refused: {error}"
    expected = case.values[axes]
    same = part.shape == expected.shape and _bits(part) == _bits(expected)
    return "values" if same else f"other values: {part.tolist()}"


def _bits(array: np.ndarray[Any, Any]) -> bytes:
    return array.astype(array.dtype.newbyteorder("<")).tobytes()


def _reason(case: Case) -> str:
    try:
        zsc.open(case.array_path)[...]
    except zsc.MetadataError as error:
        return " and ".join(problem.reason for problem in error.problems)
    except zsc.ZarrShardError as error:
        return error.reason
    return "none: it is read"


def _ours(case: Case) -> Read:
    array = zsc.open(case.array_path)
    return lambda axes: array[axes]


def _tensorstore(case: Case) -> Read:
    import tensorstore

    kvstore = {"driver": "file", "path": str(case.array_path)}
    array = tensorstore.open({"driver": "zarr3", "kvstore": kvstore}).result()
    return lambda axes: array[axes].read().result()
