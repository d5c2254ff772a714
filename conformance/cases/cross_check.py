"""Whether a vector is what it says: as this package reads it, and as tensorstore, the oracle, does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

import zarr_shard_codec as zsc
from conformance.cases.corpus import Case, Expect

Axes = tuple[int | slice, ...]
Read = Callable[[Axes], Any]

_REFUSED_BY_TENSORSTORE: Final = {
    "it takes no codec behind a sharding codec": (
        "after-crc32c",
        "after-crc32c-start-and-empty",
        "after-gzip",
        "after-gzip-crc32c",
        "after-zstd",
        "before-and-after",
        "nested-crc32c-between",
        "nested-gzip-between",
        *(
            f"{peer}-after-{name}"
            for peer in ("zarr-python", "zarrs", "zarrita")
            for name in ("crc32c", "gzip")
        ),
    ),
    "it reads a raw type's fill value in base64 alone, not as the list of bytes of the core specification": (
        "fill-raw-list",
        "type-r8",
        "type-r24",
        "type-r128",
    ),
    "it knows no data types of times": ("type-datetime64", "type-timedelta64"),
    "it knows no codecs by the names numcodecs.*": (
        *(
            f"zarr-python-codec-numcodecs.{name}"
            for name in ("bz2", "delta", "jenkins_lookup3", "lz4", "lzma", "zlib")
        ),
        *(
            f"codec-numcodecs.{name}"
            for name in (
                *("adler32", "astype", "bitround", "blosc", "crc32", "crc32c", "delta", "fixedscaleoffset"),
                *("fletcher32", "gzip", "lz4", "packbits", "quantize", "shuffle", "zlib", "zstd"),
            )
        ),
    ),
}
TENSORSTORE_DIFFERS: Final = {name: why for why, names in _REFUSED_BY_TENSORSTORE.items() for name in names}
"""Vectors with `values` that tensorstore refuses, and why; each was looked at by hand."""


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
        if refused is None:
            found += theirs
        elif not theirs or not all("found refused" in fault for fault in theirs):
            found.append(f"tensorstore: expected a refusal, since {refused}; found {theirs or 'the values'}")
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
        return " and ".join(sorted({problem.reason for problem in error.problems}))
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
