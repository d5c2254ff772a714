"""Peak memory of a full read, each subject in a process of its own.

Owns the measurement, in the parent (`measure_memory`) and in the child (`python -m
conformance.bench.memory SUBJECT PATH`), which prints two numbers of bytes: the peak before and after.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from conformance.bench.bars import MEMORY_SLACK_NBYTES
from conformance.bench.machine import cores
from conformance.bench.matrix import Case
from conformance.bench.results import Memory
from conformance.bench.subjects import HOSTED, OURS, load
from conformance.bench.volumes import create

CASES: Final = ("image/256/zstd", "smooth/32/none", "smooth/32/zstd", "smooth/32/gzip")
"""One large shard, and several."""


def peak_nbytes() -> int:
    """Return the most memory that this process has held so far."""
    try:
        # Not ru_maxrss, where it can be helped: that begins at the peak of the process that started this one.
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def measure_memory(cases: Sequence[Case], names: Sequence[str], folder: Path) -> list[Memory]:
    """Read each case's array whole in a new process for each subject."""
    return [_measure(case, names, folder) for case in cases]


def memory_cases(cases: Sequence[Case]) -> list[Case]:
    """Pick the cases whose memory is measured."""
    return [case for case in cases if case.name in CASES]


def memory_name(case: str, subject: str) -> str:
    """What a bar of memory is called."""
    return f"{'hosted/' if subject == HOSTED else ''}memory/{case}"


def _measure(case: Case, names: Sequence[str], folder: Path) -> Memory:
    array = folder / "memory.zarr"
    create(array, case.document())
    content = case.content()
    writer = load(OURS)
    writer.write(writer.open(str(array)), tuple(slice(0, size) for size in case.shape), content)
    shards = [file.stat().st_size for file in array.rglob("*") if file.is_file() and file.name != "zarr.json"]
    found = {name: peak for name in names if (peak := _peak_of(name, array)) is not None}
    shutil.rmtree(array)
    chunk_nbytes = int(np.prod(case.chunk_shape)) * content.itemsize
    bars = {OURS: content.nbytes + max(shards) + cores() * chunk_nbytes + MEMORY_SLACK_NBYTES}
    if HOSTED in names:
        # Two shards as they are decoded, and nothing on top of that.
        bars[HOSTED] = content.nbytes + 2 * (content.nbytes // case.shards)
    return Memory(case.name, found, content.nbytes, bars)


def _peak_of(name: str, array: Path) -> int | None:
    command = [sys.executable, "-m", __name__, name, str(array)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return None
    before, after = map(int, done.stdout.split())
    return after - before


def main(name: str, path: str) -> None:
    """Read an array whole; print the peaks before and after."""
    subject = load(name)
    array = subject.open(path)
    shape = tuple(array.shape)
    before = peak_nbytes()
    result = subject.read(array, tuple(slice(0, size) for size in shape))
    print(before, peak_nbytes())
    assert result.shape == shape


if __name__ == "__main__":
    main(*sys.argv[1:])
