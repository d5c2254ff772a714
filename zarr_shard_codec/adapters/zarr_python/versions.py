"""zarr-python's versions: which ones the adapter knows, and what differs between them.

Owns every line that depends on the version. It must import under any version, known or not: zarr-python
loads our entry points whether or not anybody has turned the adapter on.
"""

from __future__ import annotations

import re
from collections.abc import Container
from functools import cache
from importlib import import_module
from typing import Any, Final, NamedTuple

import numpy as np

from zarr_shard_codec.core.grid import ChunkOrder
from zarr_shard_codec.core.ranges import Coalescing
from zarr_shard_codec.errors import UsageError

OLDEST: Final = (3, 1, 6)
"""The oldest version that the adapter's tests run with."""
BEFORE: Final = (4,)
"""The first version that nobody has looked at."""

_INSTALL: Final = "pip install 'zarr-shard-codec[zarr]'"
_ORDERS: Final[dict[str, ChunkOrder]] = {
    "morton": "morton",
    "lexicographic": "lexicographic",
    "unordered": "lexicographic",
}
"""zarr-python's names of the orders in which inner chunks are written, and ours."""


def refusal() -> UsageError | None:
    """Why the adapter cannot run here: `missing_extra`. None if it can."""
    try:
        version = import_module("zarr").__version__
    except ImportError:
        return UsageError("missing_extra", "zarr-python is not installed", hint=_INSTALL)
    if OLDEST <= tuple(map(int, re.findall(r"\d+", version)[:3])) < BEFORE:
        return None
    return UsageError(
        "missing_extra",
        f"expected zarr-python {'.'.join(map(str, OLDEST))} to 3.x, found {version}",
        hint=f"{_INSTALL} installs a version that is known.",
    )


def read_results(count: int, missing: Container[int]) -> Any:
    """What a pipeline returns from `read`: nothing in 3.1, later which objects were there."""
    if not _reports():
        return None
    return tuple({"status": "missing" if at in missing else "present"} for at in range(count))


@cache
def _reports() -> bool:
    return hasattr(import_module("zarr.abc.codec"), "GetResult")


def coalescing(config: Any) -> Coalescing:
    """When ranges are read as one, by an array's configuration; from 3.3 on users can say so."""
    gap = getattr(config, "sharding_coalesce_max_gap_bytes", 1 << 20)
    return Coalescing(gap, getattr(config, "sharding_coalesce_max_bytes", 16 << 20))


def chunk_order(codec: Any) -> ChunkOrder | None:
    """In which order zarr-python's sharding codec writes inner chunks; None for one that ours has not."""
    return _ORDERS.get(order_name(codec))


def order_name(codec: Any) -> str:
    """The host's name of that order. Until 3.2 it knew one."""
    return str(getattr(codec, "subchunk_write_order", "morton"))


def default_pipeline_path() -> str:
    """The codec pipeline that zarr-python uses unless somebody says otherwise."""
    path: str = import_module("zarr").config.defaults[0]["codec_pipeline"]["path"]
    return path


READS: Final = ("indexer", "prototype", "out", "fields")
"""What a read of a selection is asked."""
WRITES: Final = ("indexer", "value", "prototype", "fields")
"""What a write of a selection is asked."""


class Selecting(NamedTuple):
    """Where zarr-python's arrays turn to their event loop.

    Attributes
    ----------
    module
        The one whose `sync` they call.
    read, write
        Whose coroutines they give it, for reading and for writing a selection.
    """

    module: Any
    read: Any
    write: Any


def selecting() -> Selecting | None:
    """See `Selecting`; None if this version does it in another way."""
    module = import_module("zarr.core.array")
    methods = [getattr(module.AsyncArray, name, None) for name in ("_get_selection", "_set_selection")]
    if not hasattr(module, "sync") or not all(hasattr(method, "__code__") for method in methods):
        return None
    host = Selecting(module, *methods)
    asked = (host.read, READS), (host.write, WRITES)
    known = all(set(names) <= set(method.__code__.co_varnames) for method, names in asked)
    return host if known else None


def axes_of(indexer: Any) -> list[int | slice | np.ndarray[Any, Any]] | None:
    """What one of zarr-python's indexers names along each axis; None if it does so in another way.

    Integers are not negative, slices go upwards within the axis, and lists are as they were given.
    """
    known = _indexers()
    if known is None or type(indexer) not in known.whole:
        return None
    axes: list[int | slice | np.ndarray[Any, Any]] = []
    for along in indexer.dim_indexers:
        kind = type(along)
        if kind is known.slice:
            axes.append(slice(along.start, max(along.start, along.stop), along.step))
        elif kind is known.integer:
            axes.append(int(along.dim_sel))
        elif kind is known.list and along.dim_out_sel is None:
            axes.append(along.dim_sel)
        else:
            return None
    return axes


def shape_of(indexer: Any) -> tuple[int, ...]:
    """The array's shape when an indexer that `axes_of` knows was made."""
    return tuple([along.dim_len for along in indexer.dim_indexers])


def as_result(indexer: Any, found: Any) -> Any:
    """What the host gives for one element: a scalar for integers and slices, else an array without axes."""
    known = _indexers()
    return np.asarray(found)[()] if known is not None and type(indexer) is known.basic else np.asarray(found)


class _Indexers(NamedTuple):
    """zarr-python's classes: of basic selections, of all that have axes, and of what is along one."""

    basic: type
    whole: tuple[type, ...]
    slice: type
    integer: type
    list: type


@cache
def _indexers() -> _Indexers | None:
    module = import_module("zarr.core.indexing")
    try:
        basic, axes = module.BasicIndexer, (module.SliceDimIndexer, module.IntDimIndexer)
        whole = basic, module.OrthogonalIndexer, module.BlockIndexer
        return _Indexers(basic, whole, *axes, module.IntArrayDimIndexer)
    except AttributeError:
        return None


def reads_missing_chunks(config: Any) -> bool:
    """Whether chunks that are not there are fill value, as they always were until 3.3."""
    return bool(getattr(config, "read_missing_chunks", True))


def is_mended(array: Any) -> bool:
    """Whether the host mended the array's metadata when it read them: it stores them before it writes."""
    return getattr(array.metadata, "_stored_document", None) is not None
