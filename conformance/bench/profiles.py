"""`python -m conformance.bench.profiles`: where this package's own time goes, in cells that miss their bar.

Owns `profiles.md`, the evidence for `reasons.toml`: for each cell the functions that take the most time
themselves. On one thread, so that nobody waits for anybody; what NumPy copies counts for the function that
asks for it. Profiling makes calls of Python functions dearer, by a third to a half.
"""

from __future__ import annotations

import cProfile
import os
import platform
import pstats
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

os.environ["ZARR_SHARD_THREADS"] = "1"

import numpy as np

from conformance.bench.matrix import Case, Operation, matrix
from conformance.bench.runners import Folders, SubjectRunner
from conformance.bench.subjects import OURS, load
from conformance.bench.volumes import create

FILE: Final = Path(__file__).with_name("profiles.md")
CELLS: Final = (
    "smooth/64/none/read",
    "smooth/32/zstd/read",
    "smooth/32/blosc/read",
    "smooth/32/gzip/read",
    "smooth/16/blosc/read",
    "smooth/64/none/write",
    "smooth/32/blosc/write",
    "smooth/32/zstd/write",
    "smooth/32/none/chunk_write",
    "smooth/32/none/chunk",
    "smooth/32/zstd/chunk",
    "smooth/32/none/box",
    "smooth/32/zstd/box",
    "smooth/16/none/plane",
    "smooth/16/zstd/pack",
)
"""One of each kind that misses its bar somewhere."""
_INTRODUCTION: Final = (
    "Written by `python -m conformance.bench.profiles` (Python {}): this package alone, on one thread. "
    "Shares of the time that a cell takes, by function, without what it calls; copies that NumPy makes count "
    "for the function that asks for them."
)
_ROUNDS: Final = 5
_SHOWN: Final = 7


def main() -> None:
    """Profile all cells, and write the file."""
    lines = [
        "# Where the time goes",
        "",
        _INTRODUCTION.format(platform.python_version()),
    ]
    with tempfile.TemporaryDirectory() as folder:
        for name in CELLS:
            case = next(case for case in matrix() if name.startswith(f"{case.name}/"))
            operation = next(one for one in case.operations if case.cell(one) == name)
            lines += ["", f"## {name}", "", "| share | calls | function |", "|---|---|---|"]
            lines += _rows(_profile(case, operation, Path(folder) / name.replace("/", "-")))
    FILE.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _profile(case: Case, operation: Operation, folder: Path) -> pstats.Stats:
    folder.mkdir()
    paths = Folders(*(folder / part for part in ("content.npy", "shared", "own", "unsharded", "packed")))
    np.save(paths.content, case.content())
    runner = SubjectRunner(load(OURS))
    create(paths.shared, case.document())
    runner.write_whole(paths.shared, paths.content)
    shutil.copytree(paths.shared, paths.own)
    if operation == "pack":
        create(paths.unsharded, case.document(sharded=False))
        runner.write_whole(paths.unsharded, paths.content)
    runner.prepare(case, paths)
    runner.measure(operation, 0, verify=False)
    profile = cProfile.Profile()
    for round_ in range(1, _ROUNDS + 1):
        profile.enable()
        runner.measure(operation, round_, verify=False)
        profile.disable()
    shutil.rmtree(folder)
    return pstats.Stats(profile)


def _rows(found: pstats.Stats) -> Iterator[str]:
    stats: dict[tuple[str, int, str], tuple[Any, ...]] = vars(found)["stats"]
    own = {where: times[2] for where, times in stats.items() if not where[2].startswith("<method 'acquire'")}
    total = sum(own.values())
    for where in sorted(own, key=own.__getitem__, reverse=True)[:_SHOWN]:
        file, _, function = where
        place = "" if file == "~" else f"{Path(file).parent.name}/{Path(file).name}: "
        yield f"| {own[where] / total:.0%} | {stats[where][0] / _ROUNDS:,.0f} | {place}`{function}` |"
    python = sum(seconds for (file, *_), seconds in own.items() if file != "~")
    calls = sum(times[0] for times in stats.values())
    yield f"| {python / total:.0%} | {calls / _ROUNDS:,.0f} | all functions in Python; and all calls |"


if __name__ == "__main__":
    main()
