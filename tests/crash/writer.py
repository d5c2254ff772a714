"""A process that makes writers, which write parts of an array until they are killed.

Owns the writers' side of `kill_writers`, and the memory both share: what every element was before the write
that is under way, and what it will be after it. Started by `kill_writers`; imports no other implementation,
so that it can fork.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

import zarr_shard_codec as zsc

CHUNK: Final = 2048
CHUNKS_PER_SHARD: Final = 16
N_SHARDS: Final = 3
SIZE: Final = CHUNK * CHUNKS_PER_SHARD * N_SHARDS
_WRITES: Final = ("write", "writev", "pwrite", "pwritev")


class Shared:
    """Memory that outlives a killed writer: elements before and after the write under way, and counts."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        mode: Any = "w+" if create else "r+"
        words = np.memmap(path, np.uint32, mode, shape=(2 * SIZE + 2,))
        self.old, self.new, self.counts = words[:SIZE], words[SIZE : 2 * SIZE], words[2 * SIZE :]

    @property
    def n_writes(self) -> int:
        """Writes that have been finished."""
        return int(self.counts[0])

    @property
    def is_writing(self) -> bool:
        """Whether a write is under way."""
        return bool(self.counts[1])


def write_for_ever(array: zsc.ShardedArray, shared: Shared, seed: int) -> None:
    """Write random values to random ranges, within one inner chunk or over many, one after the other."""
    random = np.random.default_rng(seed)
    while True:
        kind = random.integers(4)
        if kind == 0:  # one inner chunk
            start = int(random.integers(SIZE // CHUNK)) * CHUNK
            stop = start + CHUNK
        else:  # a part of one; some; perhaps of two shards
            start = int(random.integers(SIZE))
            stop = min(SIZE, start + 1 + int(random.integers((CHUNK // 2, 3 * CHUNK, 20 * CHUNK)[kind - 1])))
        value = random.integers(0, 1 << 16, stop - start, np.uint32)
        shared.new[start:stop] = value
        shared.counts[1] = 1
        array[start:stop] = value
        shared.old[start:stop] = value
        shared.counts[1] = 0
        shared.counts[0] += 1


def die_inside(step: int, random: np.random.Generator) -> None:
    """Let this process be killed within the n-th call that changes a file, of which a part is done."""
    left = step

    def deadly(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if left > 0:
                return real(*arguments, **options)
            if name in real_writes:
                descriptor, data, *offset = arguments
                joined = b"".join(data) if name.endswith("v") else bytes(data)
                part = joined[: int(random.integers(len(joined) + 1))]
                real_writes["pwrite" if offset else "write"](descriptor, part, *offset)
            elif random.integers(2):
                real(*arguments, **options)
            return os.kill(os.getpid(), signal.SIGKILL)

        return call

    real_writes = {name: getattr(os, name) for name in _WRITES}
    for name in (*_WRITES, "replace", "link", "unlink"):
        setattr(os, name, deadly(name, getattr(os, name)))


def main(path: str, memory: str, strategy: str) -> None:
    """Make a writer for each line of input, `seed step`; step 0: it is killed from outside."""
    shared = Shared(Path(memory))
    for line in sys.stdin:
        seed, step = map(int, line.split())
        writer = os.fork()
        if not writer:
            array = zsc.open(path, "r+", write_strategy=strategy)
            if step:
                die_inside(step, np.random.default_rng(seed))
            write_for_ever(array, shared, seed)
        sys.stdout.write(f"{writer}\n")
        sys.stdout.flush()
        _, status = os.waitpid(writer, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
