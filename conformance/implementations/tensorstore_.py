"""tensorstore, the oracle."""

from __future__ import annotations

import importlib.metadata
from typing import Any

import tensorstore as ts

from conformance.bench.subjects.tensorstore_ import TensorStore
from conformance.implementations import CODECS, FLOATS, INTEGERS, Array, Capabilities, Cost, Document, Index
from conformance.implementations.opened import Opened

_FILES = "/tensorstore/kvstore/file/"


class Oracle(Opened):
    """The zarr3 driver over files."""

    language = "C++"
    capabilities = Capabilities(
        # As its driver zarr3 documents them. It has raw types, too, but gives them no size in NumPy.
        data_types=INTEGERS | FLOATS,
        codecs=CODECS,
    )

    def __init__(self) -> None:
        super().__init__(TensorStore())

    def version(self) -> str:
        """Version of the package."""
        return importlib.metadata.version("tensorstore")

    def read(self, path: str, selection: Index | None) -> Array:
        """Read a part of an array, or all."""
        values = super().read(path, selection)
        if values.dtype.itemsize == 0:
            raise TypeError(f"what was read has the NumPy data type {values.dtype}")
        return values

    def write(self, path: str, metadata: Document, values: Array) -> None:
        """Create an array and fill it."""
        # What the driver fixes is not among what it takes.
        wanted = {k: v for k, v in metadata.items() if k not in ("zarr_format", "node_type")}
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": path}, "metadata": wanted}
        ts.open(spec, create=True).result().write(values).result()

    def cost(self, path: str, selection: Index) -> Cost:
        """Read between two looks at its own metrics."""
        array = self.subject.open(path)
        before = _metrics()
        array[selection].read().result()
        requests, nbytes = (now - then for now, then in zip(_metrics(), before, strict=True))
        return Cost(requests, nbytes)


def _metrics() -> tuple[int, int]:
    """Reads of files after merging, and bytes read, since the process began."""
    found: dict[str, Any] = {
        metric["name"]: metric["values"] for metric in ts.experimental_collect_matching_metrics(_FILES)
    }
    requests, nbytes = (
        sum(one["value"] for one in found.get(_FILES + name, ())) for name in ("batch_read", "bytes_read")
    )
    return requests, nbytes


def make() -> Oracle:
    """Set it up."""
    return Oracle()
