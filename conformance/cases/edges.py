"""Vectors about the array's edge and about shapes: none, five and no elements, many inner chunks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from conformance.cases import hand
from conformance.cases.draft import Draft
from conformance.cases.hand import document, sharded, sharding, vector

FILL: Final = np.array(-7, "<i4")


def drafts() -> Iterator[Draft]:
    """Give the vectors."""
    yield from _edges()
    yield from _shapes()


def _edges() -> Iterator[Draft]:
    line = np.arange(1, 12, dtype="<i4")
    plane = np.arange(1, 7 * 9 + 1, dtype="<i4").reshape(7, 9)
    requirements = ["EDGE-CHUNKS", "EDGE-FILL", "INDEX-FULL"]
    cases: list[tuple[str, str, hand.Array, list[int], list[int], dict[str, Any]]] = [
        ("1d", "The last inner chunk reaches past the edge", line, [8], [2], {"fill": FILL}),
        (
            "1d-at-start",
            "The same, the index at the start",
            line,
            [8],
            [2],
            {"fill": FILL, "location": "start"},
        ),
        ("2d", "Shards and inner chunks that reach past both edges", plane, [4, 6], [2, 3], {"fill": FILL}),
        ("2d-stored", "What lies outside the array is stored, too", plane, [4, 6], [2, 3], {}),
        ("shard-larger-than-array", "A shard larger than the array", line, [16], [4], {"fill": FILL}),
        ("inner-larger-than-array", "An inner chunk larger than the array", line[:3], [8], [8], {}),
    ]
    for name, title, values, shard, inner, options in cases:
        location = options.get("location", "end")
        yield vector(
            f"edge-{name}",
            title,
            requirements,
            document(values.shape, shard, [sharding(inner, location=location)]),
            values,
            sharded(inner, hand.little, **options),
        )
    yield vector(
        "edge-padded-with-anything",
        "What lies outside the array is not fill value, and reaches no reader",
        ["EDGE-CHUNKS"],
        document([7, 9], [4, 6], [sharding([2, 3])]),
        plane,
        sharded([2, 3], hand.little),
        padding=np.array(99, "<i4"),
    )


def _shapes() -> Iterator[Draft]:
    yield vector(
        "shape-0d",
        "No dimensions: one element, one inner chunk, an index of shape 2",
        ["INDEX-ARRAY", "INNER-CHUNKS-MANY"],
        document([], [], [sharding([])]),
        np.array(42, "<i4"),
        sharded([], hand.little),
    )
    yield vector(
        "shape-0d-empty",
        "No dimensions, and the one inner chunk is empty",
        ["INDEX-ARRAY", "INDEX-EMPTY-FILL"],
        document([], [], [sharding([], location="start")]),
        FILL,
        sharded([], hand.little, fill=FILL, location="start"),
    )
    five = np.arange(3 * 2 * 4 * 3 * 5, dtype="<i2").reshape(3, 2, 4, 3, 5)
    yield vector(
        "shape-5d",
        "Five dimensions",
        ["INDEX-ARRAY", "CHUNKS-PER-SHARD", "EDGE-CHUNKS"],
        document(five.shape, [2, 2, 4, 4, 4], [sharding([1, 2, 2, 4, 2])], "int16"),
        five,
        sharded([1, 2, 2, 4, 2], hand.little, fill=FILL.astype("<i2")),
    )
    yield vector(
        "shape-with-zero",
        "A dimension of length 0: an array without elements, and without shards",
        ["FILL-ABSENT"],
        document([0, 4], [4, 4], [sharding([2, 2])]),
        np.zeros((0, 4), "<i4"),
        sharded([2, 2], hand.little),
    )
    # Few of them lie within the array, all over the index: at a tenth of a millisecond each, a reader would
    # need ten seconds for all.
    many = np.full((100, 20), 9, "u1")
    many.reshape(-1)[::7] = np.arange(-(-many.size // 7)) % 251
    yield vector(
        "many-inner-chunks",
        "One shard of 100,000 inner chunks, one in seven of those within the array stored",
        ["INNER-CHUNKS-MANY", "INDEX-ARRAY", "INDEX-FULL", "EDGE-CHUNKS"],
        document(many.shape, [100, 1000], [sharding([1, 1])], "uint8", 9),
        many,
        sharded([1, 1], hand.little, fill=np.array(9, "u1")),
    )
