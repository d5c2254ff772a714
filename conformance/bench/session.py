"""One run: which cells there are, and everything that measures them, in its order.

Owns the processes of a run and its scratch folder. What a run is for is `command`'s business.
"""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Collection
from contextlib import ExitStack
from fnmatch import fnmatchcase
from pathlib import Path

from rich.console import Console

from conformance.bench import machine
from conformance.bench.contention import measure_contention, measure_lock
from conformance.bench.hosted import measure_rows, rows_cases
from conformance.bench.matrix import Case, matrix, pick, quick_cells
from conformance.bench.memory import measure_memory, memory_cases
from conformance.bench.results import Requirement, Results
from conformance.bench.rounds import CHEAP_ROUNDS, run_cases
from conformance.bench.scaling import measure_growth, measure_million
from conformance.bench.strategies import run_strategies, strategy_cases, strategy_cells
from conformance.bench.subjects import HOSTED, NAMES, Description, version_of
from conformance.bench.workers import LIMIT, Worker


def all_cells() -> set[str]:
    """Names of the cells of a whole run."""
    cells = {case.cell(operation) for case in matrix() for operation in case.operations}
    return cells | {name for case in strategy_cases() for name in strategy_cells(case).values()}


def cells_in_brief() -> set[str]:
    """Names of the cells of a run of two minutes: what is quick to set up, and each strategy once."""
    return quick_cells(matrix()) | set(strategy_cells(strategy_cases()[0]).values())


def matching(pattern: str) -> set[str]:
    """Cells whose name contains a pattern of `*`, `?` and `[…]`."""
    return {name for name in all_cells() if fnmatchcase(name, f"*{pattern}*")}


def measure(cells: Collection[str], rounds: int, folder: Path | None, *, whole: bool) -> Results:
    """Measure some cells with every subject that is installed.

    Parameters
    ----------
    folder
        Work in a temporary folder in here; None: where the system has its own.
    whole
        Measure all that is no cell, too: memory, growth, and what has a bar in seconds.
    """
    progress = Console(stderr=True, highlight=False)

    def announce(case: Case) -> None:
        progress.print(case.name)

    cases = matrix()
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", dir=folder)))
        names = [name for name in NAMES if version_of(name) is not None]
        workers = {name: Worker(name) for name in [*names, LIMIT]}
        for worker in workers.values():
            stack.callback(worker.close)
        subjects = [
            Description(name, version_of(name), workers[name].call("setup") if name in workers else None)
            for name in NAMES
        ]
        strategies = [one for one in strategy_cases() if set(strategy_cells(one).values()) & set(cells)]
        measured = [
            *run_cases(pick(cases, cells), workers, rounds, scratch, announce),
            *run_strategies(strategies, workers, rounds, scratch, announce),
        ]
        if whole:
            progress.print("memory, rows, locks, a million inner chunks, growth")
        return Results(
            date=dt.datetime.now(dt.UTC).date().isoformat(),
            machine=machine.describe(scratch),
            subjects=subjects,
            rounds=rounds,
            cells=[cell for cell in measured if cell.name in cells],
            memory=measure_memory(memory_cases(cases), names, scratch) if whole else [],
            requirements=_requirements(workers, rounds, scratch) if whole else [],
            growth=measure_growth(scratch, rounds) if whole else [],
        )


def _requirements(workers: dict[str, Worker], rounds: int, scratch: Path) -> list[Requirement]:
    reader = workers.get("tensorstore", workers[NAMES[0]])
    hosted = measure_rows(rows_cases(matrix()), scratch, CHEAP_ROUNDS * rounds) if HOSTED in workers else []
    return [
        *measure_million(scratch),
        measure_contention(scratch, reader),
        measure_lock(scratch),
        *hosted,
    ]
