"""The bar: how many times as fast as the fastest peer each cell has to be, on 2 cores.

Owns the numbers. Arrays that are no cube take the column whose inner chunk is nearest to theirs in bytes:
the image and the sparse array that of 32³ and 64³, the shard of 10^5 tiny chunks that of 8³.
"""

from __future__ import annotations

from typing import Final

from conformance.bench.matrix import Case, Operation

_LARGE: Final[dict[str, dict[Operation, float]]] = {
    "none": {"read": 2.5, "write": 1.5},
    "zstd": {"read": 1.3, "write": 1.2},
    "blosc": {"read": 1.5, "write": 1.2},
    "gzip": {"read": 1.5, "write": 2.0},
}
_SMALL: Final[dict[str, dict[Operation, float]]] = {
    "none": {"read": 2.5, "write": 1.5},
    "zstd": {"read": 1.5, "write": 1.2},
    "blosc": {"read": 1.1, "write": 1.1},
    "gzip": {"read": 1.3, "write": 1.5},
}
_ALWAYS: Final[dict[Operation, float]] = {"chunk": 5, "chunk_write": 2, "pack": 5}

RATIOS: Final[dict[str, dict[str, dict[Operation, float]]]] = {
    "64": {codec: {**bars, **_ALWAYS, "box": 1.5, "plane": 1.5} for codec, bars in _LARGE.items()},
    "32": {codec: {**bars, **_ALWAYS, "box": 1.5, "plane": 1.5} for codec, bars in _LARGE.items()},
    "16": {codec: {**bars, **_ALWAYS, "box": 1.3, "plane": 1.3} for codec, bars in _SMALL.items()},
    "8": {"zstd": {"read": 2.5}},
}
"""By edge of the inner chunk, codec, operation."""

STRATEGY_RATIOS: Final = {"replace": 2.0, "append": 20.0, "in_place": 20.0, "hosted_append": 3.0}
"""Of one inner chunk of 64 KiB written into a shard of 4 MiB."""

HOSTED_RATIOS: Final[dict[str, dict[str, dict[str, float]]]] = {
    edge: {
        "read": {"zarr-python": whole, "zarrs": 1.0},
        "write": {"zarr-python": whole, "zarrs": 1.0},
        "chunk": {"zarr-python": 3.0, "zarrs": 3.0},
        "chunk_write": {"zarr-python": 3.0, "zarrs": 3.0},
    }
    for edge, whole in (("32", 1.5), ("16", 3.0))
}
"""Of zarr-python with this package, to each pipeline that it has without: by edge, operation, pipeline."""

CONTENTION_RATIO: Final = 0.5
"""Of one writer's throughput, that many writers of the same shards keep together."""
LOCK_SECONDS: Final = 20e-6
"""A lock taken and let go that nobody else wants."""

_COLUMN: Final = {"image": "64"}
"""Data whose inner chunks are no cubes, and whose column is not that of their edge."""

MEMORY_SLACK_NBYTES: Final = 30_000_000
"""A full read may take this on top of the output, one encoded shard, and one inner chunk a thread."""

MILLION_CHUNK_SECONDS: Final = 0.001
"""One inner chunk of a shard of a million, its index cached."""
MILLION_INSPECT_SECONDS: Final = 2.0
"""The command `inspect` on that array."""


def bar_of(case: Case, operation: Operation) -> float | None:
    """The bar of a cell; None if there is none."""
    column = RATIOS.get(_COLUMN.get(case.data, case.label), {})
    return column.get(case.codec, {}).get(operation)
