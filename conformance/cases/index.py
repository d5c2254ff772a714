"""Vectors about the index: where it stands, what it says, and every chain that encodes it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from conformance.cases import hand
from conformance.cases.draft import Draft
from conformance.cases.hand import BIG, CRC32C, LITTLE, crc32c, document, sharded, sharding, vector

VALUES: Final = np.arange(1, 9, dtype="<i4")


def drafts() -> Iterator[Draft]:
    """Give the vectors."""
    yield from _locations()
    yield from _chains()
    yield from _shapes()


def _locations() -> Iterator[Draft]:
    for location, requirements in (
        ("end", ["LOCATION-END", "LOCATION-VALUES", "NAME", "INDEX-ENTRY"]),
        ("start", ["LOCATION-START", "LOCATION-VALUES", "INDEX-ENTRY"]),
    ):
        yield vector(
            f"index-{location}",
            f"The index at the {location}, said so in the metadata",
            requirements,
            document([8], [8], [sharding([2], location=location)]),
            VALUES,
            sharded([2], hand.little, location=location),
        )
    yield vector(
        "index-location-absent",
        "No index_location in the metadata: the index is at the end",
        ["LOCATION-DEFAULT", "LOCATION-END"],
        document([8], [8], [sharding([2], location=None)]),
        VALUES,
        sharded([2], hand.little),
    )


def _chains() -> Iterator[Draft]:
    swap = hand.transpose(1, 0)
    chains: dict[str, tuple[list[Any], hand.Encoder, str]] = {
        "plain": ([LITTLE], hand.little, "little-endian, without a checksum"),
        "big-endian": ([BIG, CRC32C], lambda a: crc32c(hand.big(a)), "big-endian, with crc32c"),
        "big-endian-plain": ([BIG], hand.big, "big-endian, without a checksum"),
        "crc32c-twice": (
            [LITTLE, CRC32C, CRC32C],
            lambda a: crc32c(crc32c(hand.little(a))),
            "with crc32c twice",
        ),
        "transposed": (
            [swap, LITTLE, CRC32C],
            lambda a: crc32c(hand.little(a.T)),
            "transposed: all offsets, then all sizes",
        ),
        "transposed-big-endian-plain": ([swap, BIG], lambda a: hand.big(a.T), "transposed, big-endian"),
        "transposed-twice": (
            [swap, swap, LITTLE, CRC32C],
            lambda a: crc32c(hand.little(a)),
            "transposed there and back",
        ),
    }
    for name, (codecs, encode, words) in chains.items():
        # At the start once for each way in which the encoded index differs in size or in form.
        for location in ("end", "start") if name in ("plain", "crc32c-twice", "transposed") else ("end",):
            yield vector(
                f"index-{name}" + ("-at-start" if location == "start" else ""),
                f"An index at the {location}, {words}",
                ["INDEX-ENCODED", "INDEX-NBYTES", "INDEX-CODECS-LIST", f"LOCATION-{location.upper()}"],
                document([8], [8], [sharding([2], index_codecs=codecs, location=location)]),
                VALUES,
                sharded([2], hand.little, location=location, encode_index=hand.index_of(encode, 4)),
            )


def _shapes() -> Iterator[Draft]:
    plane = np.arange(48, dtype="<i4").reshape(6, 8)
    yield vector(
        "index-2d",
        "A two-dimensional index, entries in C order of the inner chunks",
        ["INDEX-ARRAY", "CHUNKS-PER-SHARD", "INDEX-CODECS-RECOMMENDED"],
        document([6, 8], [6, 8], [sharding([2, 4])]),
        plane,
        sharded([2, 4], hand.little),
    )
    yield vector(
        "index-2d-transposed",
        "An index of shape 3 × 2 × 2 with its axes in the order 2, 0, 1",
        ["INDEX-ARRAY", "INDEX-ENCODED"],
        document([6, 8], [6, 8], [sharding([2, 4], index_codecs=[hand.transpose(2, 0, 1), LITTLE, CRC32C])]),
        plane,
        sharded(
            [2, 4],
            hand.little,
            encode_index=hand.index_of(lambda a: crc32c(hand.little(a.transpose(2, 0, 1))), 3, 2),
        ),
    )
    cube = np.arange(2 * 3 * 8, dtype="<i4").reshape(2, 3, 8)
    yield vector(
        "index-3d-at-start",
        "A three-dimensional index at the start",
        ["INDEX-ARRAY", "CHUNKS-PER-SHARD", "LOCATION-START"],
        document([2, 3, 8], [2, 3, 8], [sharding([1, 3, 2], location="start")]),
        cube,
        sharded([1, 3, 2], hand.little, location="start"),
    )
    yield vector(
        "index-one-entry",
        "One inner chunk, as large as the shard",
        ["INNER-CHUNKS-MANY", "CHUNKS-PER-SHARD"],
        document([8], [8], [sharding([8])]),
        VALUES,
        sharded([8], hand.little),
    )
    yield vector(
        "index-one-element-chunks",
        "Inner chunks of one element",
        ["INNER-CHUNKS-MANY", "CHUNKS-PER-SHARD"],
        document([3, 4], [3, 4], [sharding([1, 1])], "uint8", 0),
        np.arange(1, 13, dtype="u1").reshape(3, 4),
        sharded([1, 1], hand.little),
    )
