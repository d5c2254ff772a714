"""The names at the top of the package: a snapshot, so that none comes or goes by accident."""

import subprocess
import sys

import pytest

import zarr_shard_codec as zsc

NAMES = [
    "CorruptShardError",
    "LocalStore",
    "MemoryStore",
    "MetadataError",
    "NodeExistsError",
    "NodeNotFoundError",
    "ObjectStore",
    "PackingError",
    "Problem",
    "SelectionError",
    "ShardedArray",
    "ShardingCodec",
    "StoreError",
    "UsageError",
    "ZarrShardError",
    "compact",
    "create",
    "create_async",
    "enable",
    "inspect",
    "open",
    "open_async",
    "pack",
    "repair",
    "unpack",
    "verify",
]


def test_the_public_names_are_these():
    """Who adds or removes one says so here."""
    assert zsc.__all__ == NAMES
    assert set(NAMES) <= set(dir(zsc))


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_there_and_explained(name):
    """Each is loaded when it is asked for, is the same thing every time, and has a docstring."""
    assert getattr(zsc, name) is getattr(zsc, name)
    assert getattr(zsc, name).__doc__.strip()


def test_other_names_are_not_there():
    """A misspelt name is an error, as in any module."""
    with pytest.raises(AttributeError, match="opne"):
        zsc.opne  # noqa: B018


CODE = """
import sys
import zarr_shard_codec as zsc
print([name for name in ("numpy", "click", "asyncio", "concurrent.futures") if name in sys.modules])
from zarr_shard_codec import *
print(set(zsc.__all__) <= set(dir()), open is zsc.open)
"""


def test_importing_the_package_loads_next_to_nothing():
    """Neither NumPy nor any other package comes with the package itself; a star brings all names."""
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\nTrue True\n"
