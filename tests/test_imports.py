"""Opening an array and reading one inner chunk loads only what that needs."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

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
