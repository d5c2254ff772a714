"""Cut shards that were appended to at every byte, and see what `repair` makes of each.

    python tests/crash/cut_appends.py --images 20

An image is a shard of an array of its own after one to three appends: of one or two axes, with raw,
compressed or checked inner chunks, indexes of either byte order, some with shards within. Whatever is left of
the append under way, `repair` restores the newest state that is complete: all values of it, for this package
and tensorstore alike. The damaged original is kept as it was, and a shard that is whole is left alone.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, Final

import numpy as np
import tensorstore as ts

ROOT: Final = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # this tree's package, not one that is installed

import zarr_shard_codec as zsc  # noqa: E402
from zarr_shard_codec.core.ranges import WHOLE  # noqa: E402
from zarr_shard_codec.stores.memory import MemoryStore  # noqa: E402

LITTLE, BIG = ({"name": "bytes", "configuration": {"endian": endian}} for endian in ("little", "big"))
CRC: Final = {"name": "crc32c"}
GZIP: Final = {"name": "gzip", "configuration": {"level": 1}}
ZSTD: Final = {"name": "zstd", "configuration": {"level": 1, "checksum": True}}
BLOSC: Final = {
    "name": "blosc",
    "configuration": {"cname": "lz4", "clevel": 1, "shuffle": "shuffle", "typesize": 4, "blocksize": 0},
}
INNER_CODECS: Final = [
    [LITTLE],
    [LITTLE, ZSTD],
    [LITTLE, GZIP],
    [BIG, BLOSC],
    [LITTLE, CRC],
    [LITTLE, ZSTD, CRC],
]


class Image:
    """One shard, and what it held after each append."""

    def __init__(self, path: Path, number: int) -> None:
        self.path = path
        self.key = "/".join("c" + "0" * (1 + number % 2))
        random = np.random.default_rng(number)
        ndim = 1 + number % 2
        codecs: list[dict[str, Any]] = INNER_CODECS[number % len(INNER_CODECS)]
        inner = [int(random.integers(1, 4)) for _ in range(ndim)]
        counts = [int(random.integers(2, 5)) for _ in range(ndim)]
        if number % 5 == 4:
            configuration = {"chunk_shape": [1] * ndim, "codecs": codecs, "index_codecs": [LITTLE, CRC]}
            codecs = [{"name": "sharding_indexed", "configuration": configuration}]
            # An inner index as large as the outer one could be taken for it: `append` refuses that.
            counts[0] += np.prod(counts) == np.prod(inner)
        shape = tuple(size * count for size, count in zip(inner, counts, strict=True))
        array = zsc.create(
            path,
            shape=shape,
            dtype="int32",
            shard_shape=shape,
            inner_chunk_shape=inner,
            codecs=codecs,
            index_codecs=[[LITTLE, CRC], [BIG, CRC]][number % 3 == 2],
            write_strategy="append",
        )
        shard = path / self.key
        array[...] = random.integers(1, 1 << 30, shape)
        self.states = [(shard.stat().st_size, array[...])]
        for _ in range(random.integers(1, 4)):
            starts = [int(random.integers(0, size)) for size in shape]
            box = tuple(
                slice(start, int(random.integers(start, size)) + 1)
                for start, size in zip(starts, shape, strict=True)
            )
            # A write of everything would replace the file.
            array[tuple(starts) if array[box].shape == shape else box] = int(random.integers(1, 1 << 30))
            self.states.append((shard.stat().st_size, array[...]))
        self.bytes = shard.read_bytes()
        sizes = [size for size, _ in self.states]
        assert sizes == sorted(set(sizes)), "nothing was appended"

    def cut(self, nbytes: int) -> str:
        """Leave so many bytes, repair and look; returns what came of it. Raises `AssertionError`."""
        # In memory, as readers of a file that has just changed wait: it could be in the middle of an append.
        store = MemoryStore()
        store.write("zarr.json", [(self.path / "zarr.json").read_bytes()])
        store.write(self.key, [self.bytes[:nbytes]])
        size, expected = [state for state in self.states if state[0] <= nbytes][-1]
        report = zsc.repair(store, apply=True)
        assert not report.findings
        assert [repair.action for repair in report.repairs] == ["restore_index"] * (nbytes != size)
        assert np.array_equal(zsc.open(store)[...], expected)
        assert not zsc.verify(store).errors
        for repair in report.repairs:
            assert bytes(store.read(repair.kept, [WHOLE])[0]) == self.bytes[:nbytes]
        (self.path / self.key).write_bytes(store.read(self.key, [WHOLE])[0])
        kvstore = {"driver": "file", "path": f"{self.path}/"}
        theirs = ts.open({"driver": "zarr3", "kvstore": kvstore}).result()
        assert np.array_equal(theirs.read().result(), expected)
        return "restored" if report.repairs else "whole"


def cut_appends(n_images: int) -> Counter[str]:
    """Cut so many images at every byte, and give counts of what was seen. Raises `AssertionError`."""
    seen: Counter[str] = Counter()
    for number in range(n_images):
        with tempfile.TemporaryDirectory() as folder:
            image = Image(Path(folder) / "array.zarr", number)
            seen["images"] += 1
            seen["appends"] += len(image.states) - 1
            for nbytes in range(image.states[0][0], len(image.bytes) + 1):
                seen["cuts"] += 1
                seen[image.cut(nbytes)] += 1
    return seen


def main() -> None:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(description="Cut appended shards at every byte, and repair them.")
    parser.add_argument("--images", type=int, default=20)
    seen = cut_appends(parser.parse_args().images)
    print(", ".join(f"{count} {what}" for what, count in sorted(seen.items())))


if __name__ == "__main__":
    main()
