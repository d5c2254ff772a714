"""`sharding_indexed` JSON ↔ a frozen configuration; reports every problem at once.

Owns the configuration's own keys. What stands in `codecs` and `index_codecs` is the chain's business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from zarr_shard_codec.core.layout import IndexLocation
from zarr_shard_codec.core.protocols import JSON
from zarr_shard_codec.errors import Problem

NAME: Final = "sharding_indexed"
"""The codec's name in metadata (NAME)."""

_KEYS: Final = ("chunk_shape", "codecs", "index_codecs", "index_location")

DEFAULT_INDEX_CODECS: Final = (
    {"name": "bytes", "configuration": {"endian": "little"}},
    {"name": "crc32c"},
)
"""What the specification recommends (INDEX-CODECS-RECOMMENDED)."""


@dataclass(frozen=True, slots=True)
class ShardingConfig:
    """What the metadata says of a sharding codec.

    Attributes
    ----------
    inner_chunk_shape
        Elements along each axis of an inner chunk; divides the shard shape.
    codecs
        The inner codec chain, as JSON.
    index_codecs
        The index codec chain, as JSON.
    index_location
        Where the index stands in the shard.
    """

    inner_chunk_shape: tuple[int, ...]
    codecs: tuple[JSON, ...]
    index_codecs: tuple[JSON, ...]
    index_location: IndexLocation


def parse_config(
    configuration: Mapping[str, JSON], shard_shape: Sequence[int]
) -> tuple[ShardingConfig | None, list[Problem]]:
    """Read a configuration for shards of `shard_shape`.

    Returns
    -------
    tuple
        The configuration, or None if there are problems; and all problems, their paths relative to the
        configuration.
    """
    problems: list[Problem] = [
        Problem(key, "unknown_key", f"expected one of {', '.join(_KEYS)}, found {key!r}")
        for key in configuration
        if key not in _KEYS
    ]
    problems += [
        Problem(key, "missing_key", "required by sharding_indexed, and there is no default")
        for key in ("chunk_shape", "codecs", "index_codecs")
        if key not in configuration
    ]
    problems += [
        Problem(key, "wrong_type", f"expected a list of codecs, found {configuration[key]!r:.80}")
        for key in ("codecs", "index_codecs")
        if key in configuration and not isinstance(configuration[key], list | tuple)
    ]
    location = configuration.get("index_location", "end")
    if location not in ("start", "end"):
        message = f'expected "start" or "end", found {location!r:.80}'
        problems.append(Problem("index_location", "wrong_value", message))
    if "chunk_shape" in configuration:
        problems += _chunk_shape_problems(configuration["chunk_shape"], shard_shape)
    if problems:
        return None, problems
    return (
        ShardingConfig(
            tuple(configuration["chunk_shape"]),
            tuple(configuration["codecs"]),
            tuple(configuration["index_codecs"]),
            location,
        ),
        [],
    )


def _chunk_shape_problems(chunk_shape: Any, shard_shape: Sequence[int]) -> list[Problem]:
    path = "chunk_shape"
    if not isinstance(chunk_shape, list | tuple) or not all(type(size) is int for size in chunk_shape):
        return [Problem(path, "wrong_type", f"expected a list of integers, found {chunk_shape!r:.80}")]
    if len(chunk_shape) != len(shard_shape):
        message = (
            f"expected {len(shard_shape)} sizes for the shard shape {list(shard_shape)}, "
            f"found {len(chunk_shape)}: {list(chunk_shape)!r:.80}"
        )
        return [Problem(path, "chunk_shape_mismatch", message)]
    problems: list[Problem] = []
    for axis, (inner, outer) in enumerate(zip(chunk_shape, shard_shape, strict=True)):
        if inner < 1:
            problems.append(
                Problem(f"{path}[{axis}]", "invalid_shape", f"expected at least 1, found {inner}")
            )
        elif outer % inner:
            message = f"expected a divisor of the shard's size {outer}, found {inner}"
            problems.append(Problem(f"{path}[{axis}]", "chunk_shape_not_divisor", message))
    return problems
