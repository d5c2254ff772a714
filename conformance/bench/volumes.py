"""The arrays that are measured: what is in them, and their metadata.

Owns the data and the documents, so that all subjects work on the same bytes under the same settings: a
document is written here, and opened by everyone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

import zarr_shard_codec as zsc

Array = np.ndarray[Any, Any]

BRAIN: Final = Path(__file__).parent.parent / "data" / "brain_v2.zarr"

BYTES: Final = {"name": "bytes", "configuration": {"endian": "little"}}
CODECS: Final[dict[str, list[dict[str, Any]]]] = {
    "none": [BYTES],
    "zstd": [BYTES, {"name": "zstd", "configuration": {"level": 1, "checksum": False}}],
    "blosc": [
        BYTES,
        {
            "name": "blosc",
            "configuration": {
                "cname": "lz4",
                "clevel": 5,
                "shuffle": "shuffle",
                "typesize": 2,
                "blocksize": 0,
            },
        },
    ],
    "gzip": [BYTES, {"name": "gzip", "configuration": {"level": 1}}],
}
"""Codec chains of inner chunks, by the name that results use."""


def brain(shape: Sequence[int]) -> Array:
    """Return the real volume as uint16, tiled: two thirds of it are air, all 0."""
    volume = np.asarray(zsc.open(str(BRAIN))[...], "uint16")
    tiles = [-(-size // tile) for size, tile in zip(shape, volume.shape, strict=True)]
    tiled = np.tile(volume, tiles)
    starts = [(have - want) // 2 for have, want in zip(tiled.shape, shape, strict=True)]
    middle = tuple(slice(start, start + size) for start, size in zip(starts, shape, strict=True))
    return np.ascontiguousarray(tiled[middle])


def smooth(shape: Sequence[int]) -> Array:
    """Return waves of long period and a little noise, as uint16: like a camera's picture, nowhere 0."""
    axes = np.ogrid[tuple(map(slice, shape))]
    waves = sum(np.sin(axis / (17 + 7 * n)) for n, axis in enumerate(axes)) * 400
    noise = np.random.default_rng(5).normal(0, 8, tuple(shape)).astype("float32")
    return np.asarray(2000 + waves + noise, "uint16")


def image(shape: Sequence[int]) -> Array:
    """Return the same as float32, in sixteenths, as calibrated detectors give."""
    return np.asarray(smooth(shape) / 16, "float32")


def sparse(shape: Sequence[int], chunk_shape: Sequence[int]) -> Array:
    """Return a volume that is 0 but for one inner chunk in twenty."""
    volume = np.zeros(tuple(shape), "uint16")
    counts = [size // chunk for size, chunk in zip(shape, chunk_shape, strict=True)]
    picked = np.random.default_rng(5).permutation(int(np.prod(counts)))[: int(np.prod(counts)) // 20]
    content = smooth(chunk_shape)
    for at in np.stack(np.unravel_index(picked, counts), axis=1):
        volume[tuple(slice(c * s, (c + 1) * s) for c, s in zip(at, chunk_shape, strict=True))] = content
    return volume


CONTENT: Final[dict[str, Callable[..., Array]]] = {
    "brain": brain,
    "smooth": smooth,
    "image": image,
    "tiny": smooth,
    "writes": smooth,
}


def document(
    shape: Sequence[int],
    dtype: str,
    chunk_shape: Sequence[int],
    codec: str,
    shard_shape: Sequence[int] | None,
) -> dict[str, Any]:
    """Write the metadata of an array; without a shard shape, of an unsharded one of the same chunks."""
    codecs = CODECS[codec]
    if shard_shape is not None:
        configuration = {
            "chunk_shape": list(chunk_shape),
            "codecs": codecs,
            "index_codecs": [BYTES, {"name": "crc32c"}],
            "index_location": "end",
        }
        codecs = [{"name": "sharding_indexed", "configuration": configuration}]
    grid = chunk_shape if shard_shape is None else shard_shape
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(shape),
        "data_type": dtype,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(grid)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": codecs,
        "attributes": {},
    }


def create(path: Path | str, metadata: dict[str, Any]) -> None:
    """Write an array's metadata into a new folder."""
    folder = Path(path)
    folder.mkdir(parents=True)
    (folder / "zarr.json").write_text(json.dumps(metadata))


def encoded_nbytes(path: Path) -> int:
    """Sum the bytes of an array's objects, metadata aside."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file() and file.name != "zarr.json")
