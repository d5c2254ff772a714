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
from conformance.cases.hand import document, little, sharded, sharding

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
    for requirement, reason, path, why, rows in (*_configuration(), *_document()):
        for name, (title, value) in rows.items():
            yield metadata_vector(
                f"metadata-{name}", title, [requirement], path, value, why=why, reason=reason
            )


_Group = tuple[str, str, Path, str, dict[str, tuple[str, Any]]]
"""A requirement, the reason, where, why; and by name a title and what stands there."""


def _configuration() -> Iterator[_Group]:
    shape = (*CONFIGURATION, "chunk_shape")
    yield (
        "CHUNK-SHAPE-INTEGERS",
        "wrong_type",
        shape,
        "chunk_shape must be a list of integers (CHUNK-SHAPE-INTEGERS).",
        {
            "chunk-shape-a-number": ("chunk_shape is no list", 2),
            "chunk-shape-a-string": ("chunk_shape is a list of strings", ["2"]),
            "chunk-shape-a-fraction": ("chunk_shape has a fraction", [2.5]),
        },
    )
    yield (
        "CHUNK-SHAPE-INTEGERS",
        "missing_key",
        shape,
        "chunk_shape must be there (CHUNK-SHAPE-INTEGERS).",
        {"chunk-shape-absent": ("chunk_shape is missing", ABSENT)},
    )
    yield (
        "CHUNK-SHAPE-RANK",
        "chunk_shape_mismatch",
        shape,
        "chunk_shape must have one size for each axis (CHUNK-SHAPE-RANK).",
        {
            "chunk-shape-too-long": ("chunk_shape has two sizes for one axis", [2, 1]),
            "chunk-shape-too-short": ("chunk_shape has no size for one axis", []),
        },
    )
    yield (
        "CHUNK-SHAPE-DIVIDES",
        "chunk_shape_not_divisor",
        shape,
        "Each size must divide the shard's (CHUNK-SHAPE-DIVIDES).",
        {
            "chunk-shape-no-divisor": ("The inner chunk's size does not divide the shard's", [3]),
            "chunk-shape-too-large": ("The inner chunk is larger than the shard", [16]),
        },
    )
    yield (
        "CHUNKS-PER-SHARD",
        "invalid_shape",
        shape,
        "No number of inner chunks of that size makes up the shard (CHUNKS-PER-SHARD).",
        {
            "chunk-shape-zero": ("An inner chunk of size 0", [0]),
            "chunk-shape-negative": ("An inner chunk of size -2", [-2]),
        },
    )
    yield (
        "LOCATION-VALUES",
        "wrong_value",
        (*CONFIGURATION, "index_location"),
        "index_location must be start or end (LOCATION-VALUES).",
        {
            "index-location-middle": ("index_location is neither start nor end", "middle"),
            "index-location-capital": ("index_location is End, with a capital", "End"),
            "index-location-number": ("index_location is a number", 0),
        },
    )


def _document() -> Iterator[_Group]:
    fill = "The fill value must be one of the data type's (FILL-REQUIRED)."
    core = "An array document has this member, and this value there (core specification, Array metadata)."
    yield (
        "FILL-REQUIRED",
        "missing_key",
        ("fill_value",),
        fill,
        {"fill-value-absent": ("No fill value", ABSENT)},
    )
    yield (
        "FILL-REQUIRED",
        "invalid_fill_value",
        ("fill_value",),
        fill,
        {
            "fill-value-null": ("A fill value of null", None),
            "fill-value-word": ("A word as fill value", "x"),
            "fill-value-too-large": ("A fill value that int32 does not have", 2**31),
            "fill-value-fraction": ("A fill value of 0.5 for int32", 0.5),
        },
    )
    unknown: dict[str, tuple[str, str, Path, Any]] = {
        "member": ("A member", "unknown_key", ("example_member",), {"name": "example"}),
        "storage-transformer": (
            "A storage transformer",
            "unknown_extension",
            ("storage_transformers",),
            [{"name": "example.unknown", "configuration": {}}],
        ),
        "chunk-grid": ("A chunk grid", "unknown_extension", ("chunk_grid", "name"), "example.unknown"),
        "data-type": ("A data type", "unsupported_data_type", ("data_type",), "int33"),
    }
    for name, (what, reason, path, value) in unknown.items():
        yield (
            "EXTENSION-UNKNOWN",
            reason,
            path,
            "What is not known must be understood, unless it says otherwise (EXTENSION-UNKNOWN).",
            {f"unknown-{name}": (f"{what} that nobody knows", value)},
        )
    yield (
        "CHUNK-SIZE-POSITIVE",
        "invalid_shape",
        ("chunk_grid", "configuration", "chunk_shape"),
        "A chunk has at least one element along each axis (CHUNK-SIZE-POSITIVE).",
        {"shard-of-size-zero": ("A shard of size 0", [0])},
    )
    yield (
        "CHAIN-ORDER",
        "missing_key",
        ("codecs",),
        core,
        {"codecs-absent-from-document": ("No codecs", ABSENT)},
    )
    yield (
        "EXTENSION-UNKNOWN",
        "wrong_value",
        ("zarr_format",),
        core,
        {"zarr-format-4": ("zarr_format is 4", 4)},
    )
