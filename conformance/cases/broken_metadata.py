"""Vectors whose metadata has one thing wrong; everything else, and every byte of the shards, is good.

Each is a good document with one member changed, added or taken away.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from conformance.cases import hand
from conformance.cases.corpus import Expect
from conformance.cases.draft import Draft, json_bytes, select
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

VALUES: Final = np.arange(1, 9, dtype="<i4")
CONFIGURATION: Final = ("codecs", 0, "configuration")
"""Where the sharding codec's configuration is."""
ABSENT: Final = object()
"""Takes the member away."""

Path = tuple[str | int, ...]


def changed(metadata: Any, path: Path, value: Any) -> Any:
    """Give the document with one member in another way."""
    metadata = copy.deepcopy(metadata)
    *above, last = path
    place = metadata
    for step in above:
        place = place[step]
    if value is ABSENT:
        del place[last]
    else:
        place[last] = value
    return metadata


def metadata_vector(
    name: str,
    title: str,
    requirements: list[str],
    path: Path,
    value: Any,
    *,
    why: str,
    reason: str | None = None,
    expect: Expect = "refuse",
    good: Any = None,
    encode: hand.Encoder | None = None,
    values: Any = VALUES,
) -> Draft:
    """Make a vector whose document differs from `good` in the member at `path`."""
    good = good or document([8], [8], [sharding([2])])
    intact = hand.store(good, values, encode or sharded([2], little))
    rest = [(0, 1)] * (values.ndim - 1)
    return Draft(
        name=name,
        title=title,
        requirements=tuple(requirements),
        files={**intact, "zarr.json": json_bytes(changed(good, path, value))},
        intact=intact,
        values=values,
        data_type=good["data_type"],
        selections=(
            select((0, 2), *rest, expect=expect),
            select(-1 + values.shape[0], *rest, expect=expect),
        ),
        expect=expect,
        why=why,
        reason=reason,
    )


def drafts() -> Iterator[Draft]:
    """Give the vectors."""
    for table in (_configuration(), _chains(), _document()):
        for name, (title, requirement, path, value, reason, why) in table.items():
            yield metadata_vector(
                f"metadata-{name}", title, [requirement], path, value, why=why, reason=reason
            )
    yield from _other_arrays()


_Row = tuple[str, str, Path, Any, str, str]


def _configuration() -> dict[str, _Row]:
    shape = (*CONFIGURATION, "chunk_shape")
    integers = "chunk_shape must be a list of integers (CHUNK-SHAPE-INTEGERS)."
    rank = "chunk_shape must have one size for each axis (CHUNK-SHAPE-RANK)."
    divides = "Each size must divide the shard's (CHUNK-SHAPE-DIVIDES)."
    positive = "No number of inner chunks of that size makes up the shard (CHUNKS-PER-SHARD)."
    location = "index_location must be start or end (LOCATION-VALUES)."
    location_path = (*CONFIGURATION, "index_location")
    rows: dict[str, _Row] = {
        "chunk-shape-a-number": (
            "chunk_shape is no list",
            "CHUNK-SHAPE-INTEGERS",
            shape,
            2,
            "wrong_type",
            integers,
        ),
        "chunk-shape-a-string": (
            "chunk_shape is a list of strings",
            "CHUNK-SHAPE-INTEGERS",
            shape,
            ["2"],
            "wrong_type",
            integers,
        ),
        "chunk-shape-a-fraction": (
            "chunk_shape has a fraction",
            "CHUNK-SHAPE-INTEGERS",
            shape,
            [2.5],
            "wrong_type",
            integers,
        ),
        "chunk-shape-absent": (
            "chunk_shape is missing",
            "CHUNK-SHAPE-INTEGERS",
            shape,
            ABSENT,
            "missing_key",
            "chunk_shape must be there (CHUNK-SHAPE-INTEGERS).",
        ),
        "chunk-shape-too-long": (
            "chunk_shape has two sizes for one axis",
            "CHUNK-SHAPE-RANK",
            shape,
            [2, 1],
            "chunk_shape_mismatch",
            rank,
        ),
        "chunk-shape-too-short": (
            "chunk_shape has no size for one axis",
            "CHUNK-SHAPE-RANK",
            shape,
            [],
            "chunk_shape_mismatch",
            rank,
        ),
        "chunk-shape-no-divisor": (
            "The inner chunk's size does not divide the shard's",
            "CHUNK-SHAPE-DIVIDES",
            shape,
            [3],
            "chunk_shape_not_divisor",
            divides,
        ),
        "chunk-shape-too-large": (
            "The inner chunk is larger than the shard",
            "CHUNK-SHAPE-DIVIDES",
            shape,
            [16],
            "chunk_shape_not_divisor",
            divides,
        ),
        "chunk-shape-zero": (
            "An inner chunk of size 0",
            "CHUNKS-PER-SHARD",
            shape,
            [0],
            "invalid_shape",
            positive,
        ),
        "chunk-shape-negative": (
            "An inner chunk of size -2",
            "CHUNKS-PER-SHARD",
            shape,
            [-2],
            "invalid_shape",
            positive,
        ),
        "index-location-middle": (
            "index_location is neither start nor end",
            "LOCATION-VALUES",
            location_path,
            "middle",
            "wrong_value",
            location,
        ),
        "index-location-capital": (
            "index_location is End, with a capital",
            "LOCATION-VALUES",
            location_path,
            "End",
            "wrong_value",
            location,
        ),
        "index-location-number": (
            "index_location is a number",
            "LOCATION-VALUES",
            location_path,
            0,
            "wrong_value",
            location,
        ),
    }
    return rows


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


def _document() -> dict[str, _Row]:
    fill = "The fill value must be one of the data type's (FILL-REQUIRED)."
    understood = "What is not known must be understood, unless it says otherwise (EXTENSION-UNKNOWN)."
    core = "An array document has this member, and this value there (core specification, Array metadata)."
    grid = ("chunk_grid", "configuration", "chunk_shape")
    return {
        "fill-value-absent": ("No fill value", "FILL-REQUIRED", ("fill_value",), ABSENT, "missing_key", fill),
        "fill-value-null": (
            "A fill value of null",
            "FILL-REQUIRED",
            ("fill_value",),
            None,
            "invalid_fill_value",
            fill,
        ),
        "fill-value-word": (
            "A word as fill value",
            "FILL-REQUIRED",
            ("fill_value",),
            "x",
            "invalid_fill_value",
            fill,
        ),
        "fill-value-too-large": (
            "A fill value that int32 does not have",
            "FILL-REQUIRED",
            ("fill_value",),
            2**31,
            "invalid_fill_value",
            fill,
        ),
        "fill-value-fraction": (
            "A fill value of 0.5 for int32",
            "FILL-REQUIRED",
            ("fill_value",),
            0.5,
            "invalid_fill_value",
            fill,
        ),
        "unknown-member": (
            "A member that nobody knows",
            "EXTENSION-UNKNOWN",
            ("example_member",),
            {"name": "example"},
            "unknown_key",
            understood,
        ),
        "unknown-storage-transformer": (
            "A storage transformer that nobody knows",
            "EXTENSION-UNKNOWN",
            ("storage_transformers",),
            [{"name": "example.unknown", "configuration": {}}],
            "unknown_extension",
            understood,
        ),
        "unknown-chunk-grid": (
            "A chunk grid that nobody knows",
            "EXTENSION-UNKNOWN",
            ("chunk_grid", "name"),
            "example.unknown",
            "unknown_extension",
            understood,
        ),
        "unknown-data-type": (
            "A data type that nobody knows",
            "EXTENSION-UNKNOWN",
            ("data_type",),
            "int33",
            "unsupported_data_type",
            understood,
        ),
        "shard-of-size-zero": (
            "A shard of size 0",
            "CHUNK-SIZE-POSITIVE",
            grid,
            [0],
            "invalid_shape",
            "A chunk has at least one element along each axis (CHUNK-SIZE-POSITIVE).",
        ),
        "codecs-absent-from-document": ("No codecs", "CHAIN-ORDER", ("codecs",), ABSENT, "missing_key", core),
        "zarr-format-4": ("zarr_format is 4", "EXTENSION-UNKNOWN", ("zarr_format",), 4, "wrong_value", core),
    }


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
