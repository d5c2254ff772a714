"""tensorstore, the oracle."""

from __future__ import annotations

import importlib.metadata
from typing import Any

import tensorstore as ts

from conformance.bench.subjects.tensorstore_ import TensorStore
from conformance.implementations import Array, Capabilities, Cost, Document, Index
from conformance.implementations.opened import Opened

_FILES = "/tensorstore/kvstore/file/"

_INTEGERS = {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
_FLOATS = {"float16", "float32", "float64", "complex64", "complex128"}


class Oracle(Opened):
    """The zarr3 driver over files."""

    language = "C++"
    capabilities = Capabilities(
        # Its documentation of the zarr3 driver; what of numpy.* and numcodecs.* others write is not there.
        data_types=frozenset({"bool", "raw", *_INTEGERS, *_FLOATS}),
        codecs=frozenset({"blosc", "bytes", "crc32c", "gzip", "sharding_indexed", "transpose", "zstd"}),
    )

    def __init__(self) -> None:
        super().__init__(TensorStore())

    def version(self) -> str:
        """Version of the package."""
        return importlib.metadata.version("tensorstore")

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
