"""`python -m conformance bench`: measure, show, save, draw, and compare with results from before.

Owns the options and the order of things.
"""

from __future__ import annotations

import datetime as dt
import tempfile
from contextlib import ExitStack
from pathlib import Path

import click
from rich.console import Console

from conformance.bench import machine
from conformance.bench.matrix import Case, matching, matrix, pick, quick_cells
from conformance.bench.memory import measure_memory, memory_cases
from conformance.bench.results import Results, regressions
from conformance.bench.rounds import run_cases
from conformance.bench.scaling import measure_growth, measure_million
from conformance.bench.subjects import NAMES, Description, version_of
from conformance.bench.table import show, show_regressions
from conformance.bench.workers import LIMIT, Worker

ROUNDS = 7
QUICK_ROUNDS = 3
TABLE_WIDTH = 132
SLOWER = 1
"""Exit status: something is far slower than it was."""

_FILE = click.Path(path_type=Path, dir_okay=False)
_EXISTING = click.Path(path_type=Path, dir_okay=False, exists=True)
_FOLDER = click.Path(path_type=Path, file_okay=False, exists=True)


@click.command()
@click.option("--quick", is_flag=True, help="Some cells only, in about two minutes.")
@click.option(
    "--only", metavar="PATTERN", help="Cells whose name contains it, as in 'smooth/32/zstd' or '/read'."
)
@click.option("--rounds", type=click.IntRange(min=1), help=f"Default: {ROUNDS}; quick: {QUICK_ROUNDS}.")
@click.option("--dir", "folder", type=_FOLDER, help="Measure in a temporary folder in here.")
@click.option("--from", "source", type=_EXISTING, help="Measure nothing, take results from this file.")
@click.option("--json", "target", type=_FILE, help="Save the results.")
@click.option("--plot", type=_FILE, help="Draw the chart (PNG or SVG), and growth beside it as NAME-growth.")
@click.option(
    "--check", type=_EXISTING, help="Fail if a cell's ratio is less than half of that in this file."
)
def command(
    *,
    quick: bool,
    only: str | None,
    rounds: int | None,
    folder: Path | None,
    source: Path | None,
    target: Path | None,
    plot: Path | None,
    check: Path | None,
) -> None:
    """Measure this package and every peer that is installed, side by side.

    Needs `pip install 'zarr-shard-codec[bench]'`. Exit status: 0 good, 1 slower than --check allows.
    """
    console = _console()
    try:
        before = None if check is None else Results.load(check)
        given = None if source is None else Results.load(source)
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    results = given or _measure(quick, only, rounds or (QUICK_ROUNDS if quick else ROUNDS), folder)
    show(results, console)
    if target is not None:
        results.save(target)
    if plot is not None:
        from conformance.bench.plot import draw, draw_growth

        draw(results, plot)
        if results.growth:
            draw_growth(results, plot.with_stem(f"{plot.stem}-growth"))
    if before is not None:
        slower = regressions(results.cells, before.cells)
        show_regressions(slower, console)
        if slower:
            click.get_current_context().exit(SLOWER)


def _measure(quick: bool, only: str | None, rounds: int, folder: Path | None) -> Results:
    cases = matrix()
    if quick:
        cases = pick(cases, quick_cells(cases))
    if only is not None:
        cases = pick(cases, matching(cases, only))
        if not cases:
            raise click.UsageError(f"no cell's name contains {only!r}")
    progress = Console(stderr=True, highlight=False)

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

        def announce(case: Case) -> None:
            progress.print(f"{case.name}: {', '.join(case.operations)}")

        cells = run_cases(cases, workers, rounds, scratch, announce)
        whole = only is None and not quick
        if whole:
            progress.print("memory, a million inner chunks, growth")
        return Results(
            date=dt.datetime.now(dt.UTC).date().isoformat(),
            machine=machine.describe(scratch),
            subjects=subjects,
            rounds=rounds,
            cells=cells,
            memory=measure_memory(memory_cases(cases), names, scratch) if whole else [],
            requirements=measure_million(scratch) if whole else [],
            growth=measure_growth(scratch, rounds) if whole else [],
        )


def _console() -> Console:
    """Write to the terminal; where there is none, tables get the width they need."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=TABLE_WIDTH)
