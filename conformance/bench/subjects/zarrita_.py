"""zarrita (Python): asyncio over threads, for Pythons that its dependencies still support."""

from __future__ import annotations

from typing import Any

import numpy as np
from zarrita.array import Array
from zarrita.store import LocalStore

from conformance.bench.subjects import Selection
from conformance.bench.volumes import create


class Zarrita:
    """Arrays in folders."""

    setup = "as it comes: no limit on concurrency"

    def open(self, path: str) -> Any:
        """Open an array."""
        return Array.open(LocalStore(path))

    def read(self, array: Any, selection: Selection) -> np.ndarray[Any, Any]:
        """Read a selection."""
        result: np.ndarray[Any, Any] = array[selection]
        return result

    def write(self, array: Any, selection: Selection, value: np.ndarray[Any, Any]) -> None:
        """Write a selection."""
        array[selection] = value

    def pack(self, source: str, target: str, document: dict[str, Any]) -> None:
        """Read the source whole, and write the target."""
        create(target, document)
        whole = tuple(slice(0, size) for size in document["shape"])
        self.open(target)[whole] = self.open(source)[whole]


def make() -> Zarrita:
    """Set it up."""
    return Zarrita()
