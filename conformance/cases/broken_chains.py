"""Vectors whose metadata has one thing wrong in a chain of codecs, or in the fit of one codec to the next."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from conformance.cases.broken_metadata import ABSENT, CONFIGURATION, Path, metadata_vector
from conformance.cases.draft import Draft
from conformance.cases.hand import (
    BIG,
    CRC32C,
    GZIP,
    LITTLE,
    ZSTD,
    document,
    little,
    sharded,
    sharding,
    transpose,
)
from conformance.cases.layout import VALUES

_Row = tuple[str, str, Path, Any, str, str]
"""A title, a requirement, where, what stands there, the reason, why."""


def drafts() -> Iterator[Draft]:
    """Give the vectors."""
    for name, (title, requirement, path, value, reason, why) in _chains().items():
        yield metadata_vector(f"metadata-{name}", title, [requirement], path, value, why=why, reason=reason)
    yield from _other_arrays()


def _chains() -> dict[str, _Row]:
    one = "A chain has exactly one array→bytes codec (CHAIN-ORDER)."
    order = "Array→array codecs come first, bytes→bytes codecs last (CHAIN-ORDER)."
    fixed = "The index's size must not depend on its content (INDEX-CODECS-FIXED-SIZE)."
    unknown = "A codec that is not known cannot be left out (EXTENSION-UNKNOWN)."
    rows: dict[str, _Row] = {}
    for key, words, prefix in (
        ("codecs", "codecs", "CODECS"),
        ("index_codecs", "index_codecs", "INDEX-CODECS"),
    ):
        path = (*CONFIGURATION, key)
        name = key.replace("_", "-")
        for part, value, title, requirement, reason, why in (
            (
                "absent",
                ABSENT,
                "is missing",
                "REQUIRED",
                "missing_key",
                f"{words} must be there ({prefix}-REQUIRED).",
            ),
            (
                "object",
                LITTLE,
                "is an object",
                "LIST",
                "wrong_type",
                f"{words} must be a list ({prefix}-LIST).",
            ),
            ("empty", [], "is an empty list", "ONE-ARRAY-BYTES", "codec_chain_order", one),
            (
                "two-bytes",
                [LITTLE, LITTLE],
                "has two array→bytes codecs",
                "ONE-ARRAY-BYTES",
                "codec_chain_order",
                one,
            ),
            (
                "crc32c-only",
                [CRC32C],
                "has no array→bytes codec",
                "ONE-ARRAY-BYTES",
                "codec_chain_order",
                one,
            ),
        ):
            rows[f"{name}-{part}"] = (f"{words} {title}", f"{prefix}-{requirement}", path, value, reason, why)
        identity = transpose(0) if key == "codecs" else transpose(0, 1)
        rows[f"{name}-transpose-last"] = (
            f"{words} has a transpose behind the array→bytes codec",
            "CHAIN-ORDER",
            path,
            [LITTLE, identity],
            "codec_chain_order",
            order,
        )
        rows[f"{name}-unknown"] = (
            f"{words} has a codec that nobody knows",
            "EXTENSION-UNKNOWN",
            path,
            [LITTLE, {"name": "example.unknown"}],
            "unknown_codec",
            unknown,
        )
    index_codecs = (*CONFIGURATION, "index_codecs")
    for name, codec in (("gzip", GZIP), ("zstd", ZSTD)):
        rows[f"index-codecs-{name}"] = (
            f"The index is compressed with {name}",
            "INDEX-CODECS-FIXED-SIZE",
            index_codecs,
            [LITTLE, codec],
            "index_codec_variable_size",
            fixed,
        )
    rows["index-codecs-transpose-rank"] = (
        "The index's transpose has one axis too few",
        "INDEX-ARRAY",
        index_codecs,
        [transpose(0), LITTLE, CRC32C],
        "wrong_value",
        "The index has an axis more than the array (INDEX-ARRAY).",
    )
    rows["bytes-without-endian"] = (
        "The bytes codec of int32 names no byte order",
        "CHAIN-UNSUPPORTED",
        (*CONFIGURATION, "codecs", 0),
        {"name": "bytes"},
        "missing_key",
        "The bytes codec needs a byte order for elements of several bytes (CHAIN-UNSUPPORTED).",
    )
    rows["codec-takes-floats-only"] = (
        "numcodecs.bitround, which takes floats, is given int32",
        "CHAIN-UNSUPPORTED",
        (*CONFIGURATION, "codecs"),
        [{"name": "numcodecs.bitround", "configuration": {"keepbits": 3}}, LITTLE],
        "codec_data_type_mismatch",
        "A codec that cannot encode what it is given is an error (CHAIN-UNSUPPORTED).",
    )
    rows["name"] = (
        "The codec is called sharding",
        "NAME",
        ("codecs", 0, "name"),
        "sharding",
        "unknown_codec",
        "The codec's name is sharding_indexed (NAME), and there is none called sharding (EXTENSION-UNKNOWN).",
    )
    rows["compressor-before-the-shard"] = (
        "gzip stands before the shard",
        "CHAIN-ORDER",
        ("codecs",),
        [GZIP, sharding([2])],
        "codec_chain_order",
        order,
    )
    return rows


def _other_arrays() -> Iterator[Draft]:
    divides = "The sizes must divide those of the array that the codec is given (CHUNK-SHAPE-DIVIDES)."
    yield metadata_vector(
        "metadata-chunk-shape-not-transposed",
        "The inner shape fits the shard only as it was before the transpose",
        ["CHUNK-SHAPE-DIVIDES", "CHAIN-ORDER"],
        ("codecs", 1, "configuration", "chunk_shape"),
        [2, 4],
        why=divides,
        reason="chunk_shape_not_divisor",
        good=document([2, 4], [2, 4], [transpose(1, 0), sharding([4, 2])]),
        encode=lambda a: sharded([4, 2], little)(a.T),
        values=VALUES.reshape(2, 4),
    )
    yield metadata_vector(
        "metadata-transpose-no-permutation",
        "The transpose before the shard names an axis twice",
        ["CHAIN-UNSUPPORTED"],
        ("codecs", 0, "configuration", "order"),
        [1, 1],
        why="order must be a permutation of the axes (transpose codec; CHAIN-UNSUPPORTED).",
        reason="wrong_value",
        good=document([4, 4], [4, 4], [transpose(1, 0), sharding([2, 2])]),
        encode=lambda a: sharded([2, 2], little)(a.T),
        values=np.arange(1, 17, dtype="<i4").reshape(4, 4),
    )
    nested = document([8], [8], [sharding([4], [sharding([2])])])
    within = (*CONFIGURATION, "codecs", 0, "configuration")
    for name, title, requirement, path, value, reason, why in (
        (
            "nested-no-divisor",
            "The innermost chunk's size divides the outer shard's and not the inner one's",
            "CHUNK-SHAPE-DIVIDES",
            (*within, "chunk_shape"),
            [8],
            "chunk_shape_not_divisor",
            divides,
        ),
        (
            "nested-index-codecs-gzip",
            "The inner shard's index is compressed",
            "INDEX-CODECS-FIXED-SIZE",
            (*within, "index_codecs"),
            [BIG, GZIP],
            "index_codec_variable_size",
            "The index's size must not depend on its content (INDEX-CODECS-FIXED-SIZE).",
        ),
        (
            "nested-codecs-absent",
            "The inner shard's codecs are missing",
            "CODECS-REQUIRED",
            (*within, "codecs"),
            ABSENT,
            "missing_key",
            "codecs must be there (CODECS-REQUIRED).",
        ),
    ):
        yield metadata_vector(
            f"metadata-{name}",
            title,
            [requirement],
            path,
            value,
            why=why,
            reason=reason,
            good=nested,
            encode=sharded([4], sharded([2], little)),
        )
