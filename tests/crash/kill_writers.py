"""Kill writers at random moments, and look at what every reader sees then.

    python tests/crash/kill_writers.py --strategy replace --kills 500

Every second writer is killed from outside at a random moment; the others are killed within a system call of
theirs, of which a random part is done. After each kill, this package and tensorstore read every inner chunk:
it must be what it was before the write under way, or what it was to become. For `append`, a shard may first
need `repair`; for `in_place`, inner chunks of the write under way may be torn, and are known to be by their
checksums. The next write must find no lock in its way.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

import numpy as np
import tensorstore as ts

ROOT: Final = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # this tree's package, not one that is installed
sys.path.insert(0, str(Path(__file__).parent))

from writer import CHUNK, CHUNKS_PER_SHARD, SIZE, Shared  # noqa: E402

import zarr_shard_codec as zsc  # noqa: E402

BYTES: Final = {"name": "bytes", "configuration": {"endian": "little"}}
ZSTD: Final = {"name": "zstd", "configuration": {"level": 1, "checksum": True}}
CODECS: Final = {
    "replace": [BYTES, ZSTD],
    "append": [BYTES, ZSTD],
    "in_place": [BYTES, {"name": "crc32c"}],
}
_PATIENCE_SECONDS: Final = 60
"""For a write that has nothing to wait for: past that, it waits for a lock that a dead writer holds."""


class Killing:
    """One array, its writers, and what was seen of it."""

    def __init__(self, folder: Path, strategy: str, seed: int) -> None:
        self.strategy = strategy
        self.random = np.random.default_rng(seed)
        self.seen: Counter[str] = Counter()
        self._path = folder / "array.zarr"
        self._shared = Shared(folder / "memory", create=True)
        self._array = zsc.create(
            self._path,
            shape=SIZE,
            dtype="uint32",
            shard_shape=CHUNK * CHUNKS_PER_SHARD,
            inner_chunk_shape=CHUNK,
            codecs=CODECS[strategy],
            write_strategy=strategy,
        )
        first = np.arange(SIZE, dtype=np.uint32)
        for state in (self._array, self._shared.old, self._shared.new):
            state[:] = first
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(self._path)}}
        self._other = ts.open(spec, read=True, recheck_cached_data=True).result()
        command = [
            sys.executable,
            Path(__file__).parent / "writer.py",
            self._path,
            folder / "memory",
            strategy,
        ]
        self._nursery = subprocess.Popen(
            command,
            env=os.environ | {"PYTHONPATH": str(ROOT), "ZARR_SHARD_THREADS": "2"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def close(self) -> None:
        """End the process that makes writers."""
        self._nursery.stdin.close()
        self._nursery.wait()
        self._nursery.stdout.close()

    def kill_one(self, number: int) -> None:
        """Let a writer write, kill it, and look. Raises `AssertionError`: what must not be."""
        before = self._shared.n_writes
        self._shared.counts[1] = 0
        step = int(self.random.integers(1, 40)) if number % 2 else 0
        self._nursery.stdin.write(f"{self.random.integers(1 << 30)} {step}\n")
        self._nursery.stdin.flush()
        writer = int(self._nursery.stdout.readline())
        if not step:
            deadline = time.monotonic() + _PATIENCE_SECONDS
            while not (self._shared.is_writing or self._shared.n_writes > before):
                assert time.monotonic() < deadline, "a writer waits for a lock that nobody holds"
            time.sleep(self.random.uniform(0, 0.03))
            os.kill(writer, signal.SIGKILL)
        code = int(self._nursery.stdout.readline())
        assert code == -signal.SIGKILL, f"the writer ended by itself, with {code}"
        self.seen["kills"] += 1
        self.seen["writes finished"] += self._shared.n_writes - before
        self.seen["killed within a write"] += self._shared.is_writing
        left = list(self._path.rglob(".zsc-tmp-*"))
        self.seen["temporary files left"] += len(left)
        self._look()
        for path in left:  # no reader minded, and each is counted once
            path.unlink()

    def _look(self) -> None:
        old, new = self._shared.old.reshape(-1, CHUNK), self._shared.new.reshape(-1, CHUNK)
        ours = self._chunks(lambda at: self._array[at], zsc.CorruptShardError)
        if self.strategy == "append" and any(chunk is None for chunk in ours):
            report = zsc.repair(self._path, apply=True)
            self.seen["shards repaired"] += len(report.repairs)
            ours = self._chunks(lambda at: self._array[at], zsc.CorruptShardError)
        theirs = self._chunks(lambda at: self._other[at].read().result(), ValueError)
        state = np.array(old)
        for at, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
            if mine is None:
                may_tear = self.strategy == "in_place" and not np.array_equal(old[at], new[at])
                assert may_tear, f"inner chunk {at} cannot be read"
                self.seen["inner chunks torn"] += 1
                state[at] = new[at]
                self._array[at * CHUNK : (at + 1) * CHUNK] = new[at]
                continue
            assert np.array_equal(mine, old[at]) or np.array_equal(mine, new[at]), (
                f"inner chunk {at} is neither what it was nor what it was to become"
            )
            agrees = other is not None and np.array_equal(mine, other)
            assert agrees, f"tensorstore disagrees on inner chunk {at}"
            state[at] = mine
        self._shared.old[:] = self._shared.new[:] = state.reshape(-1)
        self._write_freely(state)

    def _chunks(self, read: Any, failure: type[Exception]) -> list[np.ndarray[Any, Any] | None]:
        """All inner chunks; None for those that cannot be read."""
        try:
            return list(np.asarray(read(slice(None))).reshape(-1, CHUNK))
        except failure:
            pass
        chunks: list[np.ndarray[Any, Any] | None] = []
        for start in range(0, SIZE, CHUNK):
            try:
                chunks.append(np.asarray(read(slice(start, start + CHUNK))))
            except failure:
                chunks.append(None)
        return chunks

    def _write_freely(self, state: np.ndarray[Any, Any]) -> None:
        """No dead writer's lock is in the way of a write to any shard."""

        def impatient(*_: object) -> None:
            raise AssertionError("a write waits for the lock of a dead writer")

        signal.signal(signal.SIGALRM, impatient)
        signal.alarm(_PATIENCE_SECONDS)
        try:
            for start in range(0, SIZE, CHUNK * CHUNKS_PER_SHARD):
                self._array[start : start + CHUNK] = state[start // CHUNK]
        finally:
            signal.alarm(0)


def kill_writers(strategy: str, kills: int, seed: int = 0) -> Counter[str]:
    """Kill so many writers, and give counts of what was seen. Raises `AssertionError`."""
    with tempfile.TemporaryDirectory() as folder:
        killing = Killing(Path(folder), strategy, seed)
        try:
            for number in range(kills):
                killing.kill_one(number)
        finally:
            killing.close()
        return killing.seen


def main() -> None:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(description="Kill writers, and see what every reader sees.")
    parser.add_argument("--strategy", choices=CODECS, default="replace")
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    seen = kill_writers(arguments.strategy, arguments.kills, arguments.seed)
    print(f"{arguments.strategy}: " + ", ".join(f"{count} {what}" for what, count in sorted(seen.items())))


if __name__ == "__main__":
    main()
