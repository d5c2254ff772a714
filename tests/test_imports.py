"""Opening an array and reading one inner chunk loads only what that needs."""

from __future__ import annotations

import subprocess
import sys

import numcodecs
import numpy as np
import pytest
import zarr

import zarr_shard_codec as zsc

HEAVY = "dask", "zarr", "obstore", "rich", "numcodecs", "click", "asyncio", "tensorstore"
READ = f"""
import sys
import zarr_shard_codec as zsc
assert zsc.open(sys.argv[1])[5, 5] == 55
print([name for name in {HEAVY} if name in sys.modules])
"""


def test_reading_one_inner_chunk_loads_no_heavy_package(tmp_path):
    """A fresh process that opens an array and reads one zstd chunk imports none of the slow packages."""
    array = zsc.create(tmp_path, shape=(10, 10), dtype="i4", shard_shape=(10, 10), inner_chunk_shape=(5, 5))
    array[...] = np.arange(100).reshape(10, 10)
    done = subprocess.run(
        [sys.executable, "-c", READ, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


PACK = """
import sys
from zarr_shard_codec.cli import main
try:
    main(sys.argv[1:])
except SystemExit as status:
    print([name for name in {names} if name in sys.modules], status.code)
"""


def _run(*arguments, names):
    done = subprocess.run(
        [sys.executable, "-c", PACK.format(names=names), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    "compressor", [numcodecs.Blosc(), numcodecs.Zlib(), numcodecs.LZ4(), numcodecs.Zstd(), numcodecs.BZ2()]
)
def test_packing_loads_no_codec_and_no_bar(tmp_path, compressor):
    """Bytes are moved: numcodecs is not needed for that, nor, without a terminal, what draws bars."""
    array = zarr.create_array(
        str(tmp_path / "v2"), shape=(40,), chunks=(5,), dtype="i4", zarr_format=2, compressors=compressor
    )
    array[...] = np.arange(40)
    names = "numcodecs", "rich", "dask", "zarr", "obstore", "asyncio"
    options = "--shard-shape", "20", "--check"
    assert _run("pack", tmp_path / "v2", tmp_path / "target", *options, names=names) == "[] 0"
    assert np.array_equal(zsc.open(tmp_path / "target")[...], np.arange(40))


def test_help_loads_no_verb():
    """A list of verbs needs neither NumPy nor rich."""
    assert _run("--help", names=("numpy", "rich", "zarr_shard_codec.packing")) == "[] 0"
