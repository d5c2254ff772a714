"""What must stay cheap as arrays grow: a shard of a million inner chunks, and the growth of full reads.

Owns measurements of this package alone.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from conformance.bench.bars import MILLION_CHUNK_SECONDS, MILLION_INSPECT_SECONDS
from conformance.bench.clock import timed
from conformance.bench.results import Growth, Requirement, Times
from conformance.bench.subjects import OURS, load
from conformance.bench.volumes import create, document, smooth

CHUNK_EDGE: Final = 4
"""Of inner chunks in the shard of a million: 32 bytes each."""
READS: Final = 25
"""Of single inner chunks, in one measurement."""
MEASUREMENTS: Final = 9
CHUNK_NAME: Final = "million/chunk"
INSPECT_NAME: Final = "million/inspect"

ALLOWANCE_SECONDS: Final = 3.0
"""No more reads of one array once they have taken so long together."""
SHARD_COUNTS: Final = (1, 2, 4, 8, 16, 32, 64)
CHUNK_GRIDS: Final = ((10, 10), (25, 40), (100, 100), (250, 400), (1000, 1000))
"""Inner chunks along the axes of one shard: 10^2 to 10^6."""
GROWTH_CHUNK_EDGE: Final = 8
"""Of inner chunks in growing shards: 128 bytes each, so that what they cost is the chunk, not its bytes."""


def measure_million(folder: Path, grid: Sequence[int] = (1000, 1000)) -> list[Requirement]:
    """Read single inner chunks of a shard of a million, and inspect it."""
    array = folder / "million.zarr"
    shape = tuple(count * CHUNK_EDGE for count in grid)
    create(array, document(shape, "uint16", (CHUNK_EDGE,) * 2, "none", shape))
    subject = load(OURS)
    opened = subject.open(str(array))
    subject.write(opened, tuple(slice(0, size) for size in shape), smooth(shape))
    corners = np.random.default_rng(5).integers(0, grid, (READS, 2)) * CHUNK_EDGE
    parts = [tuple(slice(at, at + CHUNK_EDGE) for at in corner) for corner in corners.tolist()]
    subject.read(opened, parts[0])  # which caches the index
    seconds = [
        timed(lambda: [subject.read(opened, part) for part in parts])[0] / READS for _ in range(MEASUREMENTS)
    ]
    inspected, note = _inspect(array)
    shutil.rmtree(array)
    return [
        Requirement(CHUNK_NAME, Times.of(seconds).median, MILLION_CHUNK_SECONDS),
        Requirement(INSPECT_NAME, inspected, MILLION_INSPECT_SECONDS, note),
    ]


def _inspect(array: Path) -> tuple[float | None, str | None]:
    """Time the command as users run it, start of Python included."""
    code = "import sys; from zarr_shard_codec.cli import main; sys.argv[0] = 'zarr-shard'; main()"
    command = [sys.executable, "-c", code, "inspect", str(array), "--json"]
    seconds, done = timed(lambda: subprocess.run(command, capture_output=True, text=True, check=False))
    if done.returncode:
        return None, f"inspect ended with status {done.returncode}"
    return seconds, None


def measure_growth(
    folder: Path,
    rounds: int,
    shard_counts: Sequence[int] = SHARD_COUNTS,
    chunk_grids: Sequence[tuple[int, int]] = CHUNK_GRIDS,
) -> list[Growth]:
    """Time full reads of ever more shards, and of shards of ever more inner chunks."""
    tile = smooth((128, 128, 128))
    by_shards = []
    for count in shard_counts:
        content = np.concatenate([tile] * count)
        metadata = document(content.shape, "uint16", (32,) * 3, "zstd", tile.shape)
        by_shards.append((count, _full_read(folder, metadata, content, rounds)))
    by_chunks = []
    for grid in chunk_grids:
        content = smooth([count * GROWTH_CHUNK_EDGE for count in grid])
        metadata = document(content.shape, "uint16", (GROWTH_CHUNK_EDGE,) * 2, "zstd", content.shape)
        by_chunks.append((grid[0] * grid[1], _full_read(folder, metadata, content, rounds)))
    return [
        Growth("shards", by_shards, slope(by_shards)),
        Growth("inner chunks per shard", by_chunks, slope(by_chunks)),
    ]


def slope(points: Sequence[tuple[int, float]]) -> float:
    """Slope of the line through the upper half of the points, logarithms on both axes."""
    upper = np.log(np.asarray(points)[(len(points) - 1) // 2 :])
    return float(np.polyfit(upper[:, 0], upper[:, 1], 1)[0])


def _full_read(
    folder: Path, metadata: dict[str, object], content: np.ndarray[Any, Any], rounds: int
) -> float:
    array = folder / "growth.zarr"
    create(array, metadata)
    subject = load(OURS)
    opened = subject.open(str(array))
    whole = tuple(slice(0, size) for size in content.shape)
    subject.write(opened, whole, content)
    seconds: list[float] = []
    while len(seconds) < rounds and sum(seconds) < ALLOWANCE_SECONDS:
        seconds.append(timed(lambda: subject.read(opened, whole))[0])
    shutil.rmtree(array)
    return Times.of(seconds).median
