"""tensorstore: no cache, all cores, no fsync (as nobody else here does)."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorstore as ts

from conformance.bench.machine import cores
from conformance.bench.subjects import Selection


class TensorStore:
    """The zarr3 driver over files."""

    def __init__(self) -> None:
        self._context = ts.Context(
            {
                "cache_pool": {"total_bytes_limit": 0},
                "data_copy_concurrency": {"limit": cores()},
                "file_io_sync": False,
            }
        )
        self.setup = "cache_pool 0, data_copy_concurrency all cores, file_io_sync off"

    def open(self, path: str) -> Any:
        """Open an array."""
        return ts.open(self._spec(path), context=self._context, open=True).result()

    def read(self, array: Any, selection: Selection) -> np.ndarray[Any, Any]:
        """Read a selection."""
        result: np.ndarray[Any, Any] = array[selection].read().result()
        return result

    def write(self, array: Any, selection: Selection, value: np.ndarray[Any, Any]) -> None:
        """Write a selection."""
        array[selection].write(value).result()

    def pack(self, source: str, target: str, document: dict[str, Any]) -> None:
        """Copy one array into the other, which decodes and encodes."""
        metadata = {key: value for key, value in document.items() if key != "storage_transformers"}
        spec = {**self._spec(target), "metadata": metadata}
        sharded = ts.open(spec, context=self._context, create=True).result()
        sharded.write(self.open(source)).result()

    def _spec(self, path: str) -> dict[str, Any]:
        return {"driver": "zarr3", "kvstore": {"driver": "file", "path": path}}


def make() -> TensorStore:
    """Set it up."""
    return TensorStore()
