"""Vectors about what is not there: empty entries, empty shards, absent shards, and the fill value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from conformance.cases import hand
from conformance.cases.draft import Draft
from conformance.cases.elements import from_json
from conformance.cases.hand import document, sharded, sharding, vector

FILL: Final = np.array(-7, "<i4")

FILL_VALUES: Final[dict[str, tuple[Any, Any]]] = {
    "bool-true": ("bool", True),
    "int8-lowest": ("int8", -128),
    "int64-lowest": ("int64", -(2**63)),
    "int64-beyond-doubles": ("int64", 2**53 + 1),
    "uint64-highest": ("uint64", 2**64 - 1),
    "float16-nan-payload": ("float16", "0x7e01"),
    "float16-minus-zero": ("float16", -0.0),
    "float32-nan": ("float32", "NaN"),
    "float32-nan-payload": ("float32", "0x7fc00001"),
    "float32-nan-negative": ("float32", "0xffc00000"),
    "float32-minus-zero": ("float32", -0.0),
    "float32-infinity": ("float32", "Infinity"),
    "float64-nan-payload": ("float64", "0x7ff8000000000123"),
    "float64-minus-infinity": ("float64", "-Infinity"),
    "float64-minus-zero": ("float64", -0.0),
    "complex64-nan-payload": ("complex64", ["0x7fc00001", "-Infinity"]),
    "complex128-minus-zero": ("complex128", [-0.0, "NaN"]),
    "raw-list": ("r16", [1, 255]),
}
"""By name: a data type and a fill value."""


def drafts() -> Iterator[Draft]:
    """Give the vectors."""
    yield from _entries()
    yield from _shards()
    yield from (_fill_value(name, *case) for name, case in FILL_VALUES.items())


def _entries() -> Iterator[Draft]:
    some = np.array([-7, -7, 3, 4, 5, 6, -7, -7], "<i4")
    requirements = ["INDEX-EMPTY", "INDEX-EMPTY-FILL", "INDEX-FULL"]
    for location in ("end", "start"):
        metadata = document([8], [8], [sharding([2], location=location)])
        yield vector(
            f"empty-entries-{location}",
            f"Two inner chunks of four are empty, the index at the {location}",
            requirements,
            metadata,
            some,
            sharded([2], hand.little, fill=FILL, location=location),
        )
        yield vector(
            f"empty-shard-{location}",
            f"A shard that is nothing but an index of empty entries, at the {location}",
            requirements,
            metadata,
            np.full(8, FILL),
            sharded([2], hand.little, fill=FILL, location=location),
        )
    yield vector(
        "empty-shard-with-junk",
        "All entries empty, behind bytes that nothing uses",
        [*requirements, "GAPS"],
        document([8], [8], [sharding([2])]),
        np.full(8, FILL),
        sharded([2], hand.little, fill=FILL, junk=(b"junk", b"", b"")),
    )
    yield vector(
        "empty-entries-in-a-big-endian-index",
        "Empty entries are the same in either byte order",
        [*requirements, "INDEX-ENCODED"],
        document([8], [8], [sharding([2], index_codecs=[hand.BIG])]),
        some,
        sharded([2], hand.little, fill=FILL, encode_index=hand.index_of(hand.big, 4)),
    )
    yield vector(
        "fill-value-stored",
        "An inner chunk of nothing but fill value, stored all the same",
        ["INDEX-ENTRY"],
        document([8], [8], [sharding([2])]),
        some,
        sharded([2], hand.little),
    )


def _shards() -> Iterator[Draft]:
    values = np.arange(64, dtype="<i4").reshape(8, 8)
    values[:4, 4:] = values[4:, :4] = FILL
    metadata = document([8, 8], [4, 4], [sharding([2, 2])])
    yield vector(
        "absent-shards",
        "Two shards of four are not there",
        ["FILL-ABSENT"],
        metadata,
        values,
        sharded([2, 2], hand.little),
        absent=[(0, 1), (1, 0)],
    )
    yield vector(
        "absent-empty-and-full-shards",
        "One shard is not there, one is an index of empty entries, two are full",
        ["FILL-ABSENT", "INDEX-EMPTY-FILL"],
        metadata,
        values,
        sharded([2, 2], hand.little, fill=FILL),
        absent=[(0, 1)],
    )
    yield vector(
        "no-shards",
        "Not one shard is there",
        ["FILL-ABSENT", "FILL-REQUIRED"],
        metadata,
        np.full((8, 8), FILL),
        sharded([2, 2], hand.little),
        absent=list(np.ndindex(2, 2)),
    )


def _fill_value(name: str, data_type: str, fill_value: Any) -> Draft:
    fill = from_json([fill_value], data_type, ())
    metadata = document([6], [4], [sharding([2])], data_type, fill_value)
    values = np.full(6, fill)
    # One stored inner chunk of zeros next to an empty one, and a shard that is not there.
    values[:2] = np.zeros((), fill.dtype)
    encode = sharded([2], hand.little, fill=fill)
    return vector(
        f"fill-{name}",
        f"Empty and absent parts of {data_type} read as {fill_value}, bit for bit",
        ["INDEX-EMPTY-FILL", "FILL-ABSENT"],
        metadata,
        values,
        encode,
        absent=[(1,)],
    )
