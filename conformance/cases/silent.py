"""Vectors where the specification says nothing: the one reading that makes sense, or a refusal, is right."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from conformance.cases import hand, stored
from conformance.cases.broken_metadata import CONFIGURATION, metadata_vector
from conformance.cases.corpus import Expect
from conformance.cases.draft import Draft, parts
from conformance.cases.hand import GZIP, LITTLE, ZSTD, document, little, little_crc, sharded, sharding
from conformance.cases.layout import ENTRIES, PAIRS

BODY: Final = b"".join(PAIRS)
DOCUMENT: Final = document([8], [8], [sharding([2])])


def drafts() -> Iterator[Draft]:
    """Give the vectors."""
    yield from _ranges()
    yield from _outside()
    yield from _streams()
    yield from _metadata()


def _silent(
    name: str,
    title: str,
    requirements: list[str],
    why: str,
    metadata: Any,
    values: list[int],
    encode: hand.Encoder,
    parts_expect: Expect = "either",
) -> Draft:
    array = np.array(values, "<i4")
    return Draft(
        name=f"silent-{name}",
        title=title,
        requirements=tuple(requirements),
        files=hand.store(metadata, array, encode),
        values=array,
        data_type="int32",
        selections=parts(array.shape, [2], parts_expect),
        expect="either",
        why=why,
    )


def _ranges() -> Iterator[Draft]:
    alone = (
        "Nothing says that an entry's bytes are its alone, and nothing that they may be shared (INDEX-ENTRY)."
    )
    index = "Nothing says whether an entry may name bytes of the index (INDEX-ENTRY)."
    overlapping = [(4 * at, 8) for at in range(4)]
    cases: dict[str, tuple[str, str, list[int], bytes]] = {
        "shared-range": (
            "All entries name the same bytes",
            alone,
            [3, 4] * 4,
            PAIRS[1] + little_crc([(0, 8)] * 4),
        ),
        "shared-by-two": (
            "Two entries of four name the same bytes",
            alone,
            [1, 2, 3, 4, 3, 4, 7, 8],
            BODY + little_crc([*ENTRIES[:2], ENTRIES[1], ENTRIES[3]]),
        ),
        "overlapping-ranges": (
            "Each entry's second half is the next one's first",
            alone,
            [1, 2, 2, 3, 3, 4, 4, 5],
            BODY[:20] + little_crc(overlapping),
        ),
        "range-in-index": (
            "An entry names bytes of the index, its own size and offset among them",
            index,
            [8, 0, 3, 4, 5, 6, 7, 8],
            BODY + little_crc([(32 + 8, 8), *ENTRIES[1:]]),
        ),
        "range-into-index": (
            "An entry begins among the inner chunks and ends in the index",
            index,
            [8, 32 - 4, 3, 4, 5, 6, 7, 8],
            BODY + little_crc([(32 - 4, 8), *ENTRIES[1:]]),
        ),
    }
    for name, (title, why, values, shard) in cases.items():
        yield _silent(name, title, ["INDEX-ENTRY"], why, DOCUMENT, values, lambda _, shard=shard: shard)  # type: ignore[misc]


def _outside() -> Iterator[Draft]:
    why = "Nothing says whether a reader looks at inner chunks wholly outside the array (EDGE-CHUNKS)."
    metadata = document([3], [8], [sharding([2])])
    for name, title, shard in (
        ("entry", "An impossible entry outside the array", BODY + little_crc([*ENTRIES[:3], (0, 0)])),
        (
            "bounds",
            "An entry outside the array names bytes that there are not",
            BODY + little_crc([*ENTRIES[:3], (1000, 8)]),
        ),
        (
            "size",
            "An inner chunk of the wrong size outside the array",
            BODY + little_crc([*ENTRIES[:3], (24, 3)]),
        ),
    ):
        yield _silent(
            f"outside-{name}",
            title,
            ["EDGE-CHUNKS", "INDEX-FULL"],
            why,
            metadata,
            [1, 2, 3],
            lambda _, shard=shard: shard,  # type: ignore[misc]
        )


def _streams() -> Iterator[Draft]:
    def shard_of(encode: Any) -> hand.Encoder:
        return sharded([2], lambda piece: encode(little(piece)))

    gzip = "RFC 1952 has files of several members, and nothing says whether a chunk may be one."
    zstd = "RFC 8878 has files of several frames, and nothing says whether a chunk may be one."
    cases: dict[str, tuple[str, str, Any, Any]] = {
        "gzip-two-members": (
            "Inner chunks of two gzip members",
            gzip,
            GZIP,
            lambda body: stored.gzip(body[:4]) + stored.gzip(body[4:]),
        ),
        "zstd-two-frames": (
            "Inner chunks of two zstd frames",
            zstd,
            ZSTD,
            lambda body: stored.zstd(body[:4]) + stored.zstd(body[4:]),
        ),
        "zstd-skippable-frame": (
            "Inner chunks with a skippable frame in front",
            zstd,
            ZSTD,
            lambda body: stored.zstd_skippable(b"note") + stored.zstd(body),
        ),
    }
    for name, (title, why, codec, encode) in cases.items():
        metadata = document([8], [8], [sharding([2], [LITTLE, codec])])
        yield _silent(name, title, ["CHAIN-DECODE"], why, metadata, list(range(1, 9)), shard_of(encode))


def _metadata() -> Iterator[Draft]:
    keys = "Nothing says what a reader does with a key of the configuration that it does not know."
    for name, title, requirement, path, value, why in (
        ("unknown-key", "An unknown key", "CODECS-LIST", (*CONFIGURATION, "example"), 1, keys),
        (
            "order-in-the-metadata",
            "The order of inner chunks in the metadata, where it has no business",
            "RUNTIME-OPTIONS",
            (*CONFIGURATION, "chunk_order"),
            "morton",
            keys,
        ),
        (
            "fill-value-with-point",
            "A fill value of -7.0 for int32",
            "FILL-REQUIRED",
            ("fill_value",),
            -7.0,
            "An integer is to be written without a fraction; many JSON parsers cannot tell -7.0 from -7.",
        ),
        (
            "ignorable-codec",
            "An unknown codec that says it need not be understood",
            "EXTENSION-UNKNOWN",
            (*CONFIGURATION, "codecs"),
            [LITTLE, {"name": "example.unknown", "must_understand": False}],
            "must_understand is false, and nothing says what a chain means without one of its codecs.",
        ),
        (
            "short-names",
            "A codec by its name alone, which version 3.1 of the specification allows and 3.0 does not",
            "EXTENSION-UNKNOWN",
            (*CONFIGURATION, "index_codecs"),
            [LITTLE, "crc32c"],
            "The sharding codec's text was written for version 3.0, which knows no names without an object.",
        ),
        (
            "index-location-null",
            "An index_location of null",
            "LOCATION-DEFAULT",
            (*CONFIGURATION, "index_location"),
            None,
            "null is neither start nor end, and some writers mean by it that the member is absent.",
        ),
    ):
        yield metadata_vector(f"silent-{name}", title, [requirement], path, value, why=why, expect="either")
