"""The package that all this is about, as it comes."""

from __future__ import annotations

import os
from typing import Any, Literal

import numpy as np

import zarr_shard_codec as zsc
from conformance.bench.subjects import Selection

WriteStrategy = Literal["replace", "append", "in_place"]


class ThisPackage:
    """Reads and writes by selections; packs without decoding.

    Parameters
    ----------
    write_strategy
        How writes of parts of shards go; the rest is as it comes: `durable=False`, `lock="auto"`.
    """

    def __init__(self, write_strategy: WriteStrategy) -> None:
        self._write_strategy: WriteStrategy = write_strategy
        self.setup = (
            f"{os.environ.get('ZARR_SHARD_THREADS', 'all')} cores, index cache, "
            f"write_strategy {write_strategy}, locks"
        )

    def open(self, path: str) -> zsc.ShardedArray:
        """Open an array."""
        return zsc.open(path, "r+", write_strategy=self._write_strategy)

    def read(self, array: zsc.ShardedArray, selection: Selection) -> np.ndarray[Any, Any]:
        """Read a selection."""
        result: np.ndarray[Any, Any] = array[selection]
        return result

    def write(self, array: zsc.ShardedArray, selection: Selection, value: np.ndarray[Any, Any]) -> None:
        """Write a selection."""
        array[selection] = value

    def pack(self, source: str, target: str, document: dict[str, Any]) -> None:
        """Pack by copying encoded chunks."""
        from zarr_shard_codec.packing import pack

        shard_shape = tuple(document["chunk_grid"]["configuration"]["chunk_shape"])
        pack(source, target, shard_shape=shard_shape)


def make(write_strategy: WriteStrategy = "replace") -> ThisPackage:
    """Set it up."""
    return ThisPackage(write_strategy)
