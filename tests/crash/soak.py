"""Readers and writers of one array, for as long as is wanted: no leak, no file handle left, no wrong value.

    python tests/crash/soak.py --minutes 10

Two processes, each with three threads, work on one local array: they read and write all of it, shards, inner
chunks and any boxes, with the strategies `replace` and `append`; they open it anew, let it grow and shrink,
verify and compact it. Each element says where it belongs, so that a reader knows what cannot be there. At the
end each process must have as much memory as it had after the first fifth of the time, within 5%, and no file
open that was not.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np

ROOT: Final = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # this tree's package, not one that is installed

import zarr_shard_codec as zsc  # noqa: E402

ROWS: Final = 192
COLUMNS: Final = 128
MORE_ROWS: Final = 64
"""Come and go as the array is resized; nobody looks at them."""
PLACES: Final = np.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS)
_PROCESSES: Final = 2
_THREADS: Final = 3


class Soak:
    """What one process does."""

    def __init__(self, path: str, seconds: float, seed: int) -> None:
        self.done: Counter[str] = Counter()
        self.failures: list[BaseException] = []
        self.resident_nbytes: list[int] = []
        self._path = path
        self._until = time.monotonic() + seconds
        self._seed = seed
        self._array = zsc.open(path, "r+")

    def run(self) -> None:
        """Work until the time is over. Raises the first thing that went wrong in any thread."""
        threads = [
            threading.Thread(target=self._work, args=(_THREADS * self._seed + at,)) for at in range(_THREADS)
        ]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            time.sleep(0.2)
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            self.resident_nbytes.append(pages * resource.getpagesize())
        if self.failures:
            raise self.failures[0]

    def _work(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        actions = {
            self._read: 50,
            self._write: 44,
            self._reopen: 3,
            self._resize: 1,
            self._verify: 1,
            self._compact: 1,
        }
        chances = np.array(list(actions.values())) / sum(actions.values())
        try:
            while time.monotonic() < self._until and not self.failures:
                action = list(actions)[random.choice(len(actions), p=chances)]
                action(random)
                self.done[action.__name__.removeprefix("_")] += 1
        except BaseException as error:  # noqa: BLE001 - the main thread tells of it
            self.failures.append(error)

    def _read(self, random: np.random.Generator) -> None:
        box = _box(random)
        found = self._array[box]
        assert np.array_equal(found % PLACES.size, PLACES[box]), "an element is where another belongs"

    def _write(self, random: np.random.Generator) -> None:
        box = _box(random)
        with self._turn(fcntl.LOCK_SH):
            self._array[box] = PLACES[box] + PLACES.size * random.integers(1 << 30)

    def _reopen(self, random: np.random.Generator) -> None:
        strategies: tuple[Any, ...] = ("replace", "append")
        self._array = zsc.open(self._path, "r+", write_strategy=strategies[random.integers(2)])

    def _resize(self, random: np.random.Generator) -> None:
        rows = ROWS + MORE_ROWS * int(random.integers(2))
        with self._turn(fcntl.LOCK_SH):
            zsc.open(self._path, "r+").resize((rows, COLUMNS))

    def _verify(self, random: np.random.Generator) -> None:
        with self._turn(fcntl.LOCK_EX):  # it takes the sizes of all objects first, and believes them later
            report = zsc.verify(self._path, index_only=bool(random.integers(2)))
        assert not report.errors, report.errors

    def _compact(self, _: np.random.Generator) -> None:
        with self._turn(fcntl.LOCK_SH):
            zsc.open(self._path, "r+").compact()

    @contextmanager
    def _turn(self, how: int) -> Iterator[None]:
        """Change the array together with others, or have it to oneself."""
        with Path(self._path).with_name("turn").open() as file:
            fcntl.flock(file, how)
            yield


def _box(random: np.random.Generator) -> tuple[slice, slice]:
    """All, a shard, an inner chunk, or any part."""
    kind = random.integers(8)
    if kind == 0:
        return slice(0, ROWS), slice(0, COLUMNS)
    unit = 64 if kind < 3 else 16 if kind < 6 else 1
    size = unit if unit > 1 else int(random.integers(1, 80))
    row, column = (int(random.integers(end // unit)) * unit for end in (ROWS, COLUMNS))
    return slice(row, min(ROWS, row + size)), slice(column, min(COLUMNS, column + size))


def _open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


def inside(path: str, seconds: float, seed: int) -> None:
    """Be one of the processes; prints what it has seen."""
    zsc.open(path)[0, 0]
    before = _open_files()
    soak = Soak(path, seconds, seed)
    soak.run()
    fifth = len(soak.resident_nbytes) // 5
    memory = [median(soak.resident_nbytes[fifth : 2 * fifth]), median(soak.resident_nbytes[-fifth:])]
    print(json.dumps({"done": soak.done, "memory": memory, "files": [before, _open_files()]}))


def soak(seconds: float) -> list[dict[str, Any]]:
    """Let the processes work on a new array; what each has seen."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "array.zarr")
        path.with_name("turn").touch()
        array = zsc.create(
            path, shape=(ROWS, COLUMNS), dtype="int64", shard_shape=(64, 64), inner_chunk_shape=(16, 16)
        )
        array[:] = PLACES
        command = [sys.executable, __file__, "--inside", str(path), str(seconds)]
        working = [
            subprocess.Popen([*command, str(seed)], stdout=subprocess.PIPE, text=True)
            for seed in range(_PROCESSES)
        ]
        answers = [process.communicate()[0] for process in working]
        assert not any(process.returncode for process in working), "a process failed, see above"
        assert np.array_equal(array[:ROWS] % PLACES.size, PLACES)
        assert not zsc.verify(path).errors
        left = list(path.rglob(".zsc-tmp-*"))
        assert not left, f"temporary files are left: {left}"
        return [json.loads(answer) for answer in answers]


def main() -> int:
    """Run what the command line says; 1 if anything leaks."""
    parser = argparse.ArgumentParser(
        description="Readers and writers of one array: what do they leave behind?"
    )
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument(
        "--growth", type=float, default=0.05, help="of memory that is accepted; default: 0.05"
    )
    arguments = parser.parse_args()
    broken = 0
    for answer in soak(60 * arguments.minutes):
        (early, late), (before, after) = answer["memory"], answer["files"]
        words = ", ".join(f"{count} {what}" for what, count in answer["done"].items())
        growth = late / early - 1
        memory = f"{early / 1e6:.1f} MB, then {late / 1e6:.1f} MB ({growth:+.1%})"
        print(f"{words}; {memory}; {before} files open, then {after}")
        broken |= growth > arguments.growth or after != before
    return int(broken)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        inside(sys.argv[2], float(sys.argv[3]), int(sys.argv[4]))
    else:
        sys.exit(main())
