"""Arrays that other implementations write: how each is asked to, and which versions its bytes depend on.

Owns the writers. Which arrays they write is `peer_cases`' business. Each writes its own `zarr.json`.
"""

from __future__ import annotations

import gzip
import sys
import tempfile
import warnings
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final
from unittest.mock import patch

import numpy as np

from conformance.cases.corpus import Maker
from conformance.cases.draft import read_files
from conformance.cases.elements import JSON, from_json

Array = np.ndarray[Any, Any]

DISTRIBUTIONS: Final = {
    "tensorstore": "tensorstore",
    "zarr-python": "zarr",
    "zarrs": "zarrs",
    "zarrita": "zarrita",
}
"""The package of each peer."""

_COMPRESSORS: Final = {"zstd", "blosc", "gzip"}
_OF_PYTHON: Final = {"gzip", "numcodecs.zlib", "numcodecs.bz2", "numcodecs.lzma"}
"""Compressors of Python's standard library, whose bytes belong to how Python was built."""


def installed(peer: str) -> str | None:
    """Give the version of a peer that is installed; None if there is none."""
    try:
        return version(DISTRIBUTIONS[peer])
    except PackageNotFoundError:
        return None


def maker(peer: str, metadata: dict[str, JSON]) -> Maker:
    """Give who would write such an array now: the peer, and the packages that its compressors come from."""
    names = set(_names(metadata["codecs"]))
    libraries: dict[str, str] = {}
    if peer == "zarrs":
        libraries["zarr"] = version("zarr")  # which writes its zarr.json
    if peer in ("zarr-python", "zarrita"):
        if names & _COMPRESSORS or any(name.startswith("numcodecs.") for name in names):
            libraries["numcodecs"] = version("numcodecs")
        if names & _OF_PYTHON:
            libraries["python"] = ".".join(map(str, sys.version_info[:3]))
    if peer == "zarrita" and "zstd" in names:
        libraries["zstandard"] = version("zstandard")
    return Maker(peer, str(installed(peer)), libraries)


def written(peer: str, metadata: dict[str, JSON], values: Array) -> dict[str, bytes]:
    """Have a peer write an array; gives its files."""
    no_time = SimpleNamespace(time=lambda: 0.0)  # which zarrita would write into the headers of gzip
    with (
        tempfile.TemporaryDirectory() as folder,
        warnings.catch_warnings(),
        patch.object(gzip, "time", no_time),
    ):
        # A warning may be all that says that a peer had another one write: zarrs leaves to zarr-python what
        # it does not know.
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message="Numcodecs codecs are not in the Zarr version 3")
        warnings.filterwarnings("ignore", message="Combining a `sharding_indexed` codec")
        warnings.filterwarnings("ignore", message="The data type .* does not have a Zarr V3 specification")
        path = Path(folder) / "array.zarr"
        _WRITERS[peer](path, metadata, values)
        return read_files(path)


def _names(codecs: list[JSON]) -> list[str]:
    found: list[str] = []
    for codec in codecs:
        found.append(codec["name"])
        found += _names(codec.get("configuration", {}).get("codecs", []))
    return found


def _tensorstore(path: Path, metadata: dict[str, JSON], values: Array) -> None:
    import tensorstore

    keys = ("shape", "data_type", "chunk_grid", "chunk_key_encoding", "fill_value", "codecs")
    spec = {
        "driver": "zarr3",
        "kvstore": {"driver": "file", "path": str(path)},
        "metadata": {key: metadata[key] for key in keys},
        "create": True,
    }
    tensorstore.open(spec).result().write(values).result()


def _zarr_python(path: Path, metadata: dict[str, JSON], values: Array) -> None:
    import zarr
    from zarr.codecs import ShardingCodec

    codecs = metadata["codecs"]
    at = next(at for at, codec in enumerate(codecs) if codec["name"] == "sharding_indexed")
    encoding = metadata["chunk_key_encoding"]
    array = zarr.create_array(
        path,
        shape=tuple(metadata["shape"]),
        chunks=tuple(_shard_shape(metadata)),
        dtype=values.dtype,
        fill_value=_scalar(metadata, values),
        filters=tuple(codecs[:at]) or None,
        serializer=ShardingCodec.from_dict(codecs[at]),
        compressors=tuple(codecs[at + 1 :]) or None,
        chunk_key_encoding={"name": encoding["name"], **encoding["configuration"]},
    )
    array[...] = values


def _zarrs(path: Path, metadata: dict[str, JSON], values: Array) -> None:
    import zarr

    with zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline", "threading.max_workers": 1}):
        _zarr_python(path, metadata, values)


def _zarrita(path: Path, metadata: dict[str, JSON], values: Array) -> None:
    zarrita: Any = import_module("zarrita")
    encoding = metadata["chunk_key_encoding"]
    array = zarrita.Array.create(
        zarrita.LocalStore(path),
        shape=tuple(metadata["shape"]),
        dtype=values.dtype,
        chunk_shape=tuple(_shard_shape(metadata)),
        chunk_key_encoding=(encoding["name"], encoding["configuration"]["separator"]),
        fill_value=metadata["fill_value"],
        codecs=_zarrita_codecs(metadata["codecs"]),
    )
    array[(slice(None),) * values.ndim] = values


def _zarrita_codecs(codecs: list[JSON]) -> list[Any]:
    known: Any = import_module("zarrita.codecs")
    index_locations: Any = import_module("zarrita.metadata").ShardingCodecIndexLocation

    def sharding(chunk_shape: Any, codecs: Any, index_codecs: Any, index_location: str) -> Any:
        location = index_locations(index_location)
        inner, index = _zarrita_codecs(codecs), _zarrita_codecs(index_codecs)
        return known.sharding_codec(tuple(chunk_shape), inner, index, location)

    makers: dict[str, Any] = {
        "sharding_indexed": sharding,
        "bytes": known.bytes_codec,
        "crc32c": known.crc32c_codec,
        "gzip": known.gzip_codec,
        "zstd": known.zstd_codec,
        "blosc": known.blosc_codec,
        "transpose": lambda order: known.transpose_codec(tuple(order)),
    }
    return [makers[codec["name"]](**codec.get("configuration", {})) for codec in codecs]


def _shard_shape(metadata: dict[str, JSON]) -> list[int]:
    shape: list[int] = metadata["chunk_grid"]["configuration"]["chunk_shape"]
    return shape


def _scalar(metadata: dict[str, JSON], values: Array) -> Any:
    """Give the fill value as zarr-python takes it: a NumPy scalar."""
    return from_json([metadata["fill_value"]], metadata["data_type"], ())[()].astype(values.dtype)


_WRITERS: Final[dict[str, Callable[[Path, dict[str, JSON], Array], None]]] = {
    "tensorstore": _tensorstore,
    "zarr-python": _zarr_python,
    "zarrs": _zarrs,
    "zarrita": _zarrita,
}
