"""What is measured: cases (an array each), operations, and the selections that they take.

Owns the matrix and its names. A cell is one operation of one case, named `data/inner chunk/codec/operation`.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod
from typing import Any, Final, Literal

import numpy as np

from conformance.bench import volumes
from conformance.bench.subjects import Selection

Array = np.ndarray[Any, Any]

Operation = Literal["write", "read", "chunk", "box", "plane", "chunk_write", "pack"]

OPERATIONS: Final[dict[Operation, str]] = {
    "write": "full write",
    "chunk_write": "one inner chunk written",
    "read": "full read",
    "chunk": "random inner chunk",
    "box": "box across shards",
    "plane": "plane, one thick",
    "pack": "pack",
}
"""All operations, in the order in which a round runs them, and what to call them."""

CHUNK_READS: Final = 40
"""How many random inner chunks one measurement of most arrays reads; the time of one is reported."""
PART_READS: Final = 6
"""How many boxes, or planes, at drawn places: no one place, and no one call after a pause, stands for all."""
CHUNK_WRITES: Final = 4
"""How many it writes."""


@dataclass(frozen=True, slots=True)
class Case:
    """An array, and what is done with it.

    Attributes
    ----------
    data
        Which content: a key of `volumes.CONTENT`.
    label
        Edge of the inner chunk.
    reads, writes
        How many single inner chunks one measurement reads, and writes into one shard after the other.
    """

    data: str
    label: str
    codec: str
    shape: tuple[int, ...]
    dtype: str
    chunk_shape: tuple[int, ...]
    shard_shape: tuple[int, ...]
    operations: tuple[Operation, ...]
    box_edge: int = 100
    reads: int = CHUNK_READS
    writes: int = CHUNK_WRITES

    @property
    def name(self) -> str:
        """Data, inner chunk, codec."""
        return f"{self.data}/{self.label}/{self.codec}"

    def cell(self, operation: Operation) -> str:
        """The name of one cell."""
        return f"{self.name}/{operation}"

    @property
    def counts(self) -> tuple[int, ...]:
        """Inner chunks along each axis of the array."""
        return tuple(size // chunk for size, chunk in zip(self.shape, self.chunk_shape, strict=True))

    @property
    def shards(self) -> int:
        """Number of shards."""
        return prod(size // shard for size, shard in zip(self.shape, self.shard_shape, strict=True))

    def document(self, *, sharded: bool = True) -> dict[str, Any]:
        """Write the array's metadata, or that of an unsharded array of the same chunks."""
        shard_shape = self.shard_shape if sharded else None
        return volumes.document(self.shape, self.dtype, self.chunk_shape, self.codec, shard_shape)

    def content(self) -> Array:
        """Make the data."""
        if self.data == "sparse":
            return volumes.sparse(self.shape, self.chunk_shape)
        return volumes.CONTENT[self.data](self.shape)

    def chunk(self, coords: Sequence[int]) -> Selection:
        """Select one inner chunk."""
        return tuple(slice(c * s, (c + 1) * s) for c, s in zip(coords, self.chunk_shape, strict=True))

    def chunks(self) -> Iterator[Selection]:
        """Select each inner chunk, in C order."""
        return map(self.chunk, product(*map(range, self.counts)))


def chunks_with_data(case: Case, content: Array) -> Array:
    """Coordinates of inner chunks that hold more than fill value, one a row."""
    paired = [size for pair in zip(case.counts, case.chunk_shape, strict=True) for size in pair]
    blocks = content.reshape(paired)
    return np.argwhere(blocks.any(axis=tuple(range(1, 2 * content.ndim, 2))))


def selections(case: Case, operation: Operation, round_: int, with_data: Array) -> list[Selection]:
    """Selections that one measurement takes, one after the other: the same ones for every subject.

    Parameters
    ----------
    with_data
        What `chunks_with_data` found: reads of single chunks are of these.
    """
    whole = tuple(slice(0, size) for size in case.shape)
    if operation in ("write", "read", "pack"):
        return [whole]
    seed = [zlib.crc32(case.name.encode()), round_, list(OPERATIONS).index(operation)]
    rng = np.random.default_rng(seed)
    if operation == "box":
        return [_box(case, rng) for _ in range(PART_READS)]
    if operation == "plane":
        axis = (len(case.shape) - 1) // 2
        places = rng.integers(0, case.shape[axis], PART_READS).tolist()
        return [(*whole[:axis], slice(at, at + 1), *whole[axis + 1 :]) for at in places]
    if operation == "chunk":
        picked = rng.integers(0, len(with_data), case.reads)
        return [case.chunk(with_data[n].tolist()) for n in picked]
    grid = [size // shard for size, shard in zip(case.shape, case.shard_shape, strict=True)]
    per_shard = [shard // chunk for shard, chunk in zip(case.shard_shape, case.chunk_shape, strict=True)]
    shards = np.resize(rng.permutation(case.shards), case.writes)
    corners = np.stack(np.unravel_index(shards, grid), axis=1) * per_shard
    return [case.chunk((corner + rng.integers(0, per_shard)).tolist()) for corner in corners]


def _box(case: Case, rng: np.random.Generator) -> Selection:
    """Draw a box that reaches over an edge between shards along each axis that has one."""
    box = []
    for size, shard in zip(case.shape, case.shard_shape, strict=True):
        edge = min(case.box_edge, size)
        low, high = 0, size - edge
        if size > shard:
            between = shard * int(rng.integers(1, size // shard))
            low, high = max(low, between - edge + 1), min(high, between - 1)
        start = int(rng.integers(low, high + 1))
        box.append(slice(start, start + edge))
    return tuple(box)


def volume_cases(
    data: str, *, edge: int = 256, shard_edge: int = 128, chunk_edges: Sequence[int] = (8, 16, 32, 64)
) -> list[Case]:
    """Cubes of uint16: every inner chunk size with every codec, the smallest with zstd only.

    Packing decodes nothing, so that one kind of data is enough for it.
    """
    cases = []
    for chunk_edge, codec in product(chunk_edges, volumes.CODECS):
        if chunk_edge == min(chunk_edges) and codec != "zstd":
            continue
        operations: tuple[Operation, ...] = ("write", "chunk_write", "read", "chunk", "box", "plane")
        if codec == "zstd" and chunk_edge != min(chunk_edges) and data == "smooth":
            operations = (*operations, "pack")
        cases.append(
            Case(
                data=data,
                label=str(chunk_edge),
                codec=codec,
                shape=(edge,) * 3,
                dtype="uint16",
                chunk_shape=(chunk_edge,) * 3,
                shard_shape=(shard_edge,) * 3,
                operations=operations,
            )
        )
    return cases


def special_cases() -> list[Case]:
    """One large picture in one shard; one shard of 10^5 tiny chunks; an array that is 95 % empty."""
    most: tuple[Operation, ...] = ("write", "chunk_write", "read", "chunk", "box", "plane")
    image = Case("image", "256", "zstd", (8192,) * 2, "float32", (256,) * 2, (8192,) * 2, most)
    return [
        replace(image, box_edge=1000, writes=1),
        Case("tiny", "8", "zstd", (8000, 800), "uint16", (8, 8), (8000, 800), most, writes=1),
        Case("sparse", "32", "zstd", (512,) * 3, "uint16", (32,) * 3, (128,) * 3, most),
    ]


def matrix() -> list[Case]:
    """All cases of a full run."""
    return [*volume_cases("brain"), *volume_cases("smooth"), *special_cases()]


def quick_cells(cases: Sequence[Case]) -> set[str]:
    """The cells of a run of two minutes: one kind of data, and what is quick to set up."""
    quick = {("16", "none"), ("32", "zstd"), ("32", "blosc"), ("64", "none")}
    cells = {
        case.cell(operation)
        for case in cases
        for operation in case.operations
        if case.data == "smooth" and (case.label, case.codec) in quick and operation != "plane"
    }
    return cells | {"smooth/32/gzip/read"}


def pick(cases: Sequence[Case], cells: Collection[str]) -> list[Case]:
    """Cut cases down to some cells."""
    kept = (
        replace(case, operations=tuple(o for o in case.operations if case.cell(o) in cells)) for case in cases
    )
    return [case for case in kept if case.operations]
