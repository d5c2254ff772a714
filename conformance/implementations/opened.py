"""What most implementations have in common: an array is opened, then read or written by an index.

Owns that part, over the benchmark's subjects, which say how each library opens, reads and writes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from conformance.bench.subjects import Subject
from conformance.implementations import Array, Document, Index


class Opened:
    """Reads and writes of a subject of the benchmark.

    Parameters
    ----------
    subject
        The subject.
    """

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.setup = subject.setup

    def read(self, path: str, selection: Index | None) -> Array:
        """Read a part of an array, or all."""
        array = self.subject.open(path)
        wanted: Any = whole(array.shape) if selection is None else selection  # integers do as well as slices
        return np.asarray(self.subject.read(array, wanted))

    def write(self, path: str, metadata: Document, values: Array) -> None:
        """Create an array and fill it."""
        write_document(path, self.rewritten(metadata))
        self.update(path, whole(values.shape), values)

    def rewritten(self, metadata: Document) -> Document:
        """Metadata as the library writes it; by default, as it is."""
        return metadata

    def update(self, path: str, selection: Index, values: Array) -> None:
        """Write a part of an array."""
        wanted: Any = selection
        self.subject.write(self.subject.open(path), wanted, values)


def write_document(path: str, metadata: Document) -> None:
    """Write zarr.json into a new folder."""
    folder = Path(path)
    folder.mkdir(parents=True)
    (folder / "zarr.json").write_text(json.dumps(metadata), encoding="utf-8")


def whole(shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Return the selection of everything."""
    return tuple(slice(0, size, 1) for size in shape)
