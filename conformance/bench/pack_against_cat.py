"""How long `pack` takes on 4,096 chunk files of 64 KiB, against `cat` of the same files.

Both make as many files as there are shards, of the same bytes (pack adds indexes), from the page cache. They
run in turns, so that what else the machine does meets both. With `--command` each run of pack is a process
of its own, and its start, which takes a quarter of a second whatever is packed, counts.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path

from zarr_shard_codec.packing import pack

CHUNK_SHAPE = (32, 32, 64)
"""64 KiB of uint8."""
GRID = (16, 16, 16)
SHARD_SHAPES = {"4 shards of 64 MiB": (256, 256, 1024), "1 shard of 256 MiB": (512, 512, 1024)}


def make_source(folder: Path) -> Path:
    """Write an unsharded array of random bytes: Zarr v3, no compression."""
    source = folder / "source.zarr"
    document = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [n * size for n, size in zip(GRID, CHUNK_SHAPE, strict=True)],
        "data_type": "uint8",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(CHUNK_SHAPE)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
        "fill_value": 0,
        "codecs": [{"name": "bytes"}],
        "attributes": {},
    }
    source.mkdir()
    (source / "zarr.json").write_text(json.dumps(document))
    for coords in product(*map(range, GRID)):
        (source / ".".join(["c", *map(str, coords)])).write_bytes(os.urandom(1 << 16))
    return source


def chunks_by_shard(source: Path, shard_shape: tuple[int, ...]) -> list[list[Path]]:
    """Name the chunk files of each shard, in the order in which it holds them."""
    per_shard = [size // chunk for size, chunk in zip(shard_shape, CHUNK_SHAPE, strict=True)]
    shards: dict[tuple[int, ...], list[Path]] = {}
    for coords in product(*map(range, GRID)):
        shard = tuple(at // n for at, n in zip(coords, per_shard, strict=True))
        shards.setdefault(shard, []).append(source / ".".join(["c", *map(str, coords)]))
    return list(shards.values())


def run_cat(shards: list[list[Path]], target: Path) -> None:
    """Make one file of each shard's chunks."""
    target.mkdir()
    for at, chunks in enumerate(shards):
        with (target / str(at)).open("wb") as file:
            subprocess.run(["cat", *chunks], stdout=file, check=True)


def run_pack(source: Path, shard_shape: tuple[int, ...], target: Path) -> None:
    """Pack, called from here."""
    pack(source, target, shard_shape=shard_shape)


def run_command(source: Path, shard_shape: tuple[int, ...], target: Path) -> None:
    """Pack, as a process of its own."""
    main = "from zarr_shard_codec.cli import main; main()"
    shape = ",".join(map(str, shard_shape))
    arguments = ["pack", str(source), str(target), "--shard-shape", shape]
    subprocess.run([sys.executable, "-c", main, *arguments], check=True, stdout=subprocess.DEVNULL)


def seconds_of(work: Callable[[Path], None], target: Path) -> float:
    """Time one run, which finds nothing at its target."""
    shutil.rmtree(target, ignore_errors=True)
    start = time.perf_counter()
    work(target)
    return time.perf_counter() - start


def main() -> None:
    """Print the median ratio for each number of shards, and the peak memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--command", action="store_true", help="a process of its own for each run of pack")
    parser.add_argument("--folder", type=Path, help="where to work; default: the system's place for it")
    arguments = parser.parse_args()
    packer = run_command if arguments.command else run_pack
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        source = make_source(folder)
        for label, shard_shape in SHARD_SHAPES.items():
            shards = chunks_by_shard(source, shard_shape)
            work = {
                "cat": lambda target, shards=shards: run_cat(shards, target),
                "pack": lambda target, shape=shard_shape: packer(source, shape, target),
            }
            times: dict[str, list[float]] = {who: [] for who in work}
            for turn in range(arguments.runs + 1):
                # One run to warm up; then each is first every other time.
                for who in sorted(work, reverse=bool(turn % 2)):
                    seconds = seconds_of(work[who], folder / who)
                    if turn:
                        times[who].append(seconds)
            ratio = statistics.median(p / c for p, c in zip(times["pack"], times["cat"], strict=True))
            cat, packed = (statistics.median(times[who]) * 1000 for who in ("cat", "pack"))
            print(f"{label}: cat {cat:.0f} ms, pack {packed:.0f} ms, median ratio {ratio:.2f}")
    whose = resource.RUSAGE_CHILDREN if arguments.command else resource.RUSAGE_SELF
    print(f"peak memory {resource.getrusage(whose).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
