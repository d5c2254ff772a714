"""The fourth part: how many requests and bytes a read takes, against what the format makes possible.

The ideal is the index and one range (or all of the shard at once). Metadata does not count. Everyone reads
the same array, whose inner chunks lie in C order, so that a row of them is one range.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

import zarr_shard_codec as zsc
from conformance.implementations import Cost, Index
from conformance.run.judging import Verdict
from conformance.run.results import Cell, cell
from conformance.run.serving import Subject

_SHARD: Final = 64
_INNER: Final = 8
_PER_AXIS: Final = _SHARD // _INNER
_INDEX_NBYTES: Final = 16 * _PER_AXIS**2 + 4
_READS: Final[dict[str, Index]] = {
    "one inner chunk": (slice(24, 32, 1), slice(40, 48, 1)),
    "one row of inner chunks": (slice(24, 32, 1), slice(0, _SHARD, 1)),
    "a whole shard": (slice(0, _SHARD, 1), slice(0, _SHARD, 1)),
}


@dataclass(frozen=True, slots=True)
class Measured:
    """The array that is read, and the ideal cost of each read."""

    path: str
    ideals: dict[str, Cost]


def prepare(folder: Path) -> Measured:
    """Write the array: two shards of 64 inner chunks, of zstd, so that no two have the same size."""
    path = folder / "cost.zarr"
    array = zsc.create(
        path,
        shape=(_SHARD, 2 * _SHARD),
        dtype="uint16",
        shard_shape=(_SHARD, _SHARD),
        inner_chunk_shape=(_INNER, _INNER),
        fill_value=0,
    )
    noise = np.random.default_rng(3).integers(1, 1000, array.shape)
    array[...] = noise.astype("uint16")
    assert array.codec is not None
    shard = (path / array.shard_key((0, 0))).read_bytes()
    index = array.codec.read_index(shard)
    row = [index[3, at] for at in range(_PER_AXIS)]
    assert all(one is not None for one in row)
    sizes = [one.nbytes for one in row if one is not None]
    return Measured(
        str(path),
        {
            "one inner chunk": Cost(2, _INDEX_NBYTES + sizes[5]),
            "one row of inner chunks": Cost(2, _INDEX_NBYTES + sum(sizes)),
            "a whole shard": Cost(1, len(shard)),
        },
    )


def run_cost(subject: Subject, measured: Measured) -> list[Cell]:
    """Measure one implementation."""
    return [_measure(subject, name, selection, measured) for name, selection in _READS.items()]


def _measure(subject: Subject, name: str, selection: Index, measured: Measured) -> Cell:
    if not subject.counts:
        return cell("cost", subject.name, name, Verdict("unsupported", got="its requests cannot be counted"))
    found = subject.cost(measured.path, selection)
    if not isinstance(found, Cost):
        verdict = Verdict(
            "refused" if found.kind == "refusal" else "crash", got="an error", message=found.message
        )
        return cell("cost", subject.name, name, verdict)
    ideal = measured.ideals[name]
    got = {
        "requests": found.requests,
        "bytes": found.nbytes,
        "ideal_requests": ideal.requests,
        "ideal_bytes": ideal.nbytes,
    }
    return Cell("cost", subject.name, name, "pass", got=got)
