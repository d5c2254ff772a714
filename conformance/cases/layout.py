"""Vectors about where inner chunks lie in a shard: any order, gaps, and what old writes leave behind."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

import numpy as np

from conformance.cases import hand, stored
from conformance.cases.draft import Draft
from conformance.cases.hand import (
    CRC32C,
    LITTLE,
    assemble,
    crc32c,
    document,
    little_crc,
    sharded,
    sharding,
    vector,
)

VALUES: Final = np.arange(1, 9, dtype="<i4")
PAIRS: Final = [struct.pack("<2i", 2 * at + 1, 2 * at + 2) for at in range(4)]
ENTRIES: Final = [(8 * at, 8) for at in range(4)]
DOCUMENT: Final = document([8], [8], [sharding([2])])


def drafts() -> Iterator[Draft]:
    """Give the vectors."""
    yield from _orders()
    yield from _gaps()
    yield from _rewritten()


def _orders() -> Iterator[Draft]:
    requirements = ["ORDER-ANY", "ORDER-UNASSUMED", "RUNTIME-OPTIONS", "INDEX-ENTRY"]
    for name, order in (("reverse", [3, 2, 1, 0]), ("mixed", [2, 0, 3, 1])):
        yield vector(
            f"order-{name}",
            f"Inner chunks put down in the order {order}",
            requirements,
            DOCUMENT,
            VALUES,
            sharded([2], hand.little, order=order),
        )
    plane = np.arange(64, dtype="<i4").reshape(8, 8)
    for name, words, order in (
        ("morton", "Morton order", [0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15]),
        ("by-columns", "order of columns", np.arange(16).reshape(4, 4).T.reshape(-1).tolist()),
    ):
        yield vector(
            f"order-{name}",
            f"4 × 4 inner chunks in {words}",
            requirements,
            document([8, 8], [8, 8], [sharding([2, 2])]),
            plane,
            sharded([2, 2], hand.little, order=order),
        )


def _gaps() -> Iterator[Draft]:
    for name, title, junk, location in (
        ("before", "Unused bytes before the first inner chunk", (b"junk", b"", b""), "end"),
        ("between", "Unused bytes between inner chunks", (b"", b"\xff junk", b""), "end"),
        ("after", "Unused bytes between the last inner chunk and the index", (b"", b"", b"junk"), "end"),
        (
            "everywhere-at-start",
            "Unused bytes everywhere, the index at the start",
            (b"no", b"-", b"x"),
            "start",
        ),
        (
            "like-empty",
            "Unused bytes that look like empty entries",
            (b"\xff" * 32, b"\xff" * 16, b"\xff" * 64),
            "end",
        ),
    ):
        yield vector(
            f"gaps-{name}",
            title,
            ["GAPS", f"LOCATION-{location.upper()}"],
            document([8], [8], [sharding([2], location=location)]),
            VALUES,
            sharded([2], hand.little, location=location, junk=junk),
        )


def _rewritten() -> Iterator[Draft]:
    old = b"".join([struct.pack("<2i", -1, -2), *PAIRS[1:]]) + little_crc(ENTRIES)
    yield vector(
        "appended",
        "What an append-only writer leaves: old chunks, the old index, a new chunk, the new index",
        ["APPEND", "GAPS"],
        DOCUMENT,
        VALUES,
        lambda _: old + PAIRS[0] + little_crc([(len(old), 8), *ENTRIES[1:]]),
    )
    pieces = [stored.gzip(pair) for pair in PAIRS]
    slot = len(pieces[0]) + 30
    yield vector(
        "replaced-in-place",
        "Inner chunks in the space of larger ones that they replaced",
        ["REPLACE-IN-PLACE", "GAPS"],
        document([8], [8], [sharding([2], [LITTLE, hand.GZIP])]),
        VALUES,
        lambda _: (
            b"".join(piece.ljust(slot, b"\xee") for piece in pieces)
            + little_crc([(slot * at, len(piece)) for at, piece in enumerate(pieces)])
        ),
    )
    yield vector(
        "deleted-inner-chunk",
        "An inner chunk whose entry was made empty while its bytes stayed",
        ["APPEND", "INDEX-EMPTY-FILL", "GAPS"],
        DOCUMENT,
        np.array([1, 2, -7, -7, 5, 6, 7, 8], "<i4"),
        lambda _: b"".join(PAIRS) + little_crc([ENTRIES[0], hand.EMPTY, *ENTRIES[2:]]),
    )
    header = b"II*\0" + bytes(348)
    yield vector(
        "foreign-format",
        "A file of another format: its header and footer, its order, and an index behind it",
        ["FOREIGN-FORMAT", "GAPS", "ORDER-ANY"],
        DOCUMENT,
        VALUES,
        sharded([2], hand.little, junk=(header, b"strip", b"footer"), order=[1, 0, 3, 2]),
    )
    grown = [hand.crc32c(pair) for pair in PAIRS]
    yield vector(
        "sizes-differ",
        "Inner chunks of different sizes, as compressors make them",
        ["INDEX-ENTRY"],
        document([8], [8], [sharding([2], [LITTLE, hand.GZIP])]),
        VALUES,
        lambda _: assemble([stored.gzip(pair, name=b"x" * at) for at, pair in enumerate(PAIRS)]),
    )
    yield vector(
        "shard-of-checksummed-chunks",
        "A checksum behind each inner chunk, and one behind the index",
        ["CHAIN-ENCODE", "CHAIN-DECODE"],
        document([8], [8], [sharding([2], [LITTLE, CRC32C])]),
        VALUES,
        lambda _: assemble(grown, encode_index=lambda entries: crc32c(hand.table(entries))),
    )
