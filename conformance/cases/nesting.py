"""Vectors of shards within shards, and of codecs before and after a shard."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from conformance.cases import hand, stored
from conformance.cases.draft import Draft
from conformance.cases.hand import (
    BIG,
    CRC32C,
    GZIP,
    LITTLE,
    ZSTD,
    crc32c,
    document,
    little,
    sharded,
    sharding,
    transpose,
    vector,
)

LINE: Final = np.arange(1, 17, dtype="<i4")
PLANE: Final = np.arange(1, 65, dtype="<i4").reshape(8, 8)
FILL: Final = np.array(-7, "<i4")


def drafts() -> Iterator[Draft]:
    """Give the vectors."""
    yield from _nested()
    yield from _nested_and_empty()
    yield from _before()
    yield from _after()


def _nested() -> Iterator[Draft]:
    def two(first: str, second: str) -> tuple[Any, hand.Encoder]:
        return (
            sharding([4], [sharding([2], location=second)], location=first),
            sharded([4], sharded([2], little, location=second), location=first),
        )

    chains: dict[str, tuple[Any, hand.Encoder, str]] = {
        **{
            f"{first}-{second}": (
                *two(first, second),
                f"two deep, indexes at the {first} and at the {second}",
            )
            for first in ("end", "start")
            for second in ("end", "start")
        },
        "three-deep": (
            sharding([8], [sharding([4], [sharding([2])])]),
            sharded([8], sharded([4], sharded([2], little))),
            "three deep",
        ),
        "three-deep-mixed": (
            sharding([8], [sharding([4], [sharding([1])], [BIG], "start")], [LITTLE], "end"),
            sharded(
                [8],
                sharded([4], sharded([1], little), location="start", encode_index=hand.index_of(hand.big, 2)),
                encode_index=hand.table,
            ),
            "three deep, each level with an index of its own kind",
        ),
        "gzip-within": (
            sharding([4], [sharding([2], [LITTLE, GZIP])]),
            sharded([4], sharded([2], lambda a: stored.gzip(little(a)))),
            "two deep, gzip in the innermost chunks",
        ),
        "gzip-between": (
            sharding([4], [sharding([2]), GZIP]),
            sharded([4], lambda a: stored.gzip(sharded([2], little)(a))),
            "two deep, each inner shard within gzip",
        ),
        "crc32c-between": (
            sharding([4], [sharding([2]), CRC32C]),
            sharded([4], lambda a: crc32c(sharded([2], little)(a))),
            "two deep, a checksum behind each inner shard",
        ),
        "junk": (
            sharding([4], [sharding([2])]),
            sharded([4], sharded([2], little, junk=(b"in", b"", b"")), junk=(b"out", b"-", b"")),
            "two deep, with unused bytes at both levels",
        ),
    }
    for name, (codec, encode, words) in chains.items():
        yield vector(
            f"nested-{name}",
            f"Shards within shards, {words}",
            ["CODECS-LIST", "CHAIN-DECODE", "PARTIAL-DECODING"],
            document([16], [16], [codec]),
            LINE,
            encode,
        )
    yield vector(
        "nested-2d-transposed-between",
        "Two deep, a transpose between the levels",
        ["CHAIN-ORDER", "CHAIN-DECODE", "PARTIAL-DECODING"],
        document([8, 8], [8, 8], [sharding([4, 8], [transpose(1, 0), sharding([4, 2])])]),
        PLANE,
        sharded([4, 8], lambda a: sharded([4, 2], little)(a.T)),
    )


def _nested_and_empty() -> Iterator[Draft]:
    values = LINE.copy()
    values[4:8] = values[10:12] = FILL
    metadata = document([16], [16], [sharding([4], [sharding([2])])])
    inner = sharded([2], little, fill=FILL)
    for name, title, encode in (
        (
            "entry",
            "An inner shard that is empty, and an empty entry in another",
            sharded([4], inner, fill=FILL),
        ),
        ("shard", "An inner shard that is an index of empty entries", sharded([4], inner)),
    ):
        requirements = ["INDEX-EMPTY", "INDEX-EMPTY-FILL"]
        yield vector(f"nested-empty-{name}", title, requirements, metadata, values, encode)
    edge = np.arange(1, 7 * 11 + 1, dtype="<i4").reshape(7, 11)
    yield vector(
        "nested-edge",
        "Two deep, shards at both levels reach past the edge",
        ["EDGE-CHUNKS", "INDEX-FULL"],
        document(edge.shape, [8, 8], [sharding([4, 4], [sharding([2, 2])])]),
        edge,
        sharded([4, 4], sharded([2, 2], little, fill=FILL), fill=FILL),
    )


def _before() -> Iterator[Draft]:
    requirements = ["CHAIN-ORDER", "CHAIN-DECODE", "PARTIAL-DECODING"]
    wide = np.arange(1, 33, dtype="<i4").reshape(4, 8)
    for location in ("end", "start"):
        yield vector(
            f"before-transpose-2d-{location}",
            f"A transpose before the shard, the index at the {location}",
            requirements,
            document([4, 8], [4, 8], [transpose(1, 0), sharding([4, 2], location=location)]),
            wide,
            lambda a, location=location: sharded([4, 2], little, location=location)(a.T),  # type: ignore[misc]
        )
    yield vector(
        "before-transpose-2d-edge",
        "A transpose before the shard, and shards that reach past the edge",
        [*requirements, "EDGE-CHUNKS"],
        document([7, 9], [4, 6], [transpose(1, 0), sharding([3, 2])]),
        np.arange(1, 64, dtype="<i4").reshape(7, 9),
        lambda a: sharded([3, 2], little, fill=FILL)(a.T),
    )
    yield vector(
        "before-transpose-twice",
        "Two transposes before the shard",
        requirements,
        document([2, 3, 4], [2, 3, 4], [transpose(1, 2, 0), transpose(1, 2, 0), sharding([4, 1, 1])]),
        np.arange(1, 25, dtype="<i4").reshape(2, 3, 4),
        lambda a: sharded([4, 1, 1], little)(a.transpose(1, 2, 0).transpose(1, 2, 0)),
    )
    yield vector(
        "before-and-within-transpose",
        "A transpose before the shard and another one in the inner chunks",
        requirements,
        document([4, 8], [4, 8], [transpose(1, 0), sharding([4, 2], [transpose(1, 0), LITTLE])]),
        wide,
        lambda a: sharded([4, 2], lambda piece: little(piece.T))(a.T),
    )
    for order, shape, inner in (
        # Each inner shape fits only once the axes are exchanged; the last one's fits either way.
        ((1, 2, 0), (2, 3, 8), (3, 4, 1)),
        ((2, 0, 1), (2, 3, 8), (4, 2, 1)),
        ((2, 1, 0), (2, 3, 8), (8, 1, 2)),
        ((0, 2, 1), (2, 3, 8), (1, 4, 3)),
        ((1, 2, 0), (4, 2, 6), (2, 2, 1)),
    ):
        yield vector(
            f"before-transpose-3d-{''.join(map(str, order))}" + ("-either-way" if shape[0] == 4 else ""),
            f"A transpose to {list(order)} before the shard",
            [*requirements, "CHUNK-SHAPE-DIVIDES"],
            document(shape, shape, [transpose(*order), sharding(inner)]),
            np.arange(1, 49, dtype="<i4").reshape(shape),
            lambda a, order=order, inner=inner: sharded(inner, little)(a.transpose(order)),  # type: ignore[misc]
        )


def _after() -> Iterator[Draft]:
    plain = sharded([2, 4], little)
    chains: dict[str, tuple[list[Any], hand.Encoder, str]] = {
        "crc32c": ([CRC32C], lambda a: crc32c(plain(a)), "a checksum"),
        "gzip": ([GZIP], lambda a: stored.gzip(plain(a)), "gzip"),
        "zstd": ([ZSTD], lambda a: stored.zstd_unsized(plain(a)), "zstd"),
        "gzip-crc32c": ([GZIP, CRC32C], lambda a: crc32c(stored.gzip(plain(a))), "gzip and a checksum"),
    }
    for name, (codecs, encode, words) in chains.items():
        yield vector(
            f"after-{name}",
            f"{words[0].upper()}{words[1:]} behind the shard",
            ["CHAIN-ORDER", "CHAIN-ENCODE", "CHAIN-DECODE"],
            document([8, 8], [4, 8], [sharding([2, 4]), *codecs]),
            PLANE,
            encode,
        )
    yield vector(
        "after-crc32c-start-and-empty",
        "A checksum behind a shard with its index at the start and empty entries",
        ["CHAIN-DECODE", "LOCATION-START", "INDEX-EMPTY-FILL"],
        document([8, 8], [4, 8], [sharding([2, 4], location="start"), CRC32C]),
        np.where(PLANE < 9, FILL, PLANE).astype("<i4"),
        lambda a: crc32c(sharded([2, 4], little, fill=FILL, location="start")(a)),
    )
    yield vector(
        "before-and-after",
        "A transpose before the shard and a checksum behind it",
        ["CHAIN-ORDER", "CHAIN-DECODE"],
        document([8, 8], [8, 8], [transpose(1, 0), sharding([4, 2]), CRC32C]),
        PLANE,
        lambda a: crc32c(sharded([4, 2], little)(a.T)),
    )
