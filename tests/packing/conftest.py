"""Sources to pack, and other implementations to read what became of them."""

import json
import warnings

import numpy as np
import pytest
import tensorstore
import zarr

SHAPE, CHUNKS = (21, 13, 10), (4, 5, 3)


def _values(dtype, shape=SHAPE):
    """Elements whose every byte differs, with a run of zeros that is left out of the store."""
    dtype = np.dtype(dtype)
    if dtype.kind in "biufc":
        values = ((np.arange(np.prod(shape)) * 37 + 5) % 101).astype(dtype).reshape(shape)
    else:
        raw = np.arange(np.prod(shape) * dtype.itemsize, dtype="u1")
        values = raw.view(dtype).reshape(shape)
    if len(shape) == 3:
        values[4:12, :10] = np.zeros((), dtype)
    return values


@pytest.fixture
def values():
    """Make elements of a dtype (and shape)."""
    return _values


@pytest.fixture
def write():
    """Let zarr-python write an array at a path: `write(path, dtype, **options)`; returns its elements."""

    def write(path, dtype="uint16", *, shape=SHAPE, chunks=CHUNKS, zarr_format=2, **options):
        elements = _values(dtype, shape)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of types and codecs that v3 has no settled name for
            array = zarr.create_array(
                str(path), shape=shape, chunks=chunks, dtype=dtype, zarr_format=zarr_format, **options
            )
            array[...] = elements
        return elements

    return write


@pytest.fixture
def read_with_zarr():
    """Read an array as zarr-python does."""

    def read(path):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return np.asarray(zarr.open_array(str(path), mode="r")[...])

    return read


@pytest.fixture
def read_with_tensorstore():
    """Read an array as tensorstore does."""

    def read(path):
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{path}/"}}
        return tensorstore.open(spec).result().read().result()

    return read


def _chunk_files(path):
    """Bytes of every file below an array that is no metadata, by key."""
    return {
        file.relative_to(path).as_posix(): file.read_bytes()
        for file in path.rglob("*")
        if file.is_file() and file.name not in ("zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata")
    }


@pytest.fixture
def chunk_files():
    """Bytes of every chunk or shard file below an array, by key."""
    return _chunk_files


@pytest.fixture
def document():
    """Parse the `zarr.json` at a path."""
    return lambda path: json.loads((path / "zarr.json").read_text())
