"""`python -m conformance bench`: measure, show, save, draw, and compare with results from before.

Owns the options and the order of things.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import click
from rich.console import Console

from conformance.bench.regressions import Regression, regressions
from conformance.bench.results import Results
from conformance.bench.session import all_cells, cells_in_brief, matching, measure
from conformance.bench.table import show, show_regressions

ROUNDS = 7
QUICK_ROUNDS = 3
SECOND_LOOKS = 2
"""So many times a cell that is far slower than before is measured again, before that counts."""
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
    "--check",
    type=_EXISTING,
    help="Fail if a cell's ratio is less than half of that in this file, also when it is measured again.",
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
    rounds = rounds or (QUICK_ROUNDS if quick else ROUNDS)
    whole = only is None and not quick
    results = given or measure(_chosen(quick, only), rounds, folder, whole=whole)
    show(results, console)
    if target is not None:
        results.save(target)
    if plot is not None:
        from conformance.bench.plot import draw, draw_growth

        draw(results, plot)
        if results.growth:
            draw_growth(results, plot.with_stem(f"{plot.stem}-growth"))
    if before is not None:
        again = None if given else partial(measure, rounds=ROUNDS, folder=folder, whole=False)
        slower = _slower(results, before, again, console)
        show_regressions(slower, console)
        if slower:
            click.get_current_context().exit(SLOWER)


def _chosen(quick: bool, only: str | None) -> set[str]:
    cells = cells_in_brief() if quick else all_cells()
    if only is not None:
        cells &= matching(only)
        if not cells:
            raise click.UsageError(f"no cell's name contains {only!r}")
    return cells


def _slower(
    results: Results,
    before: Results,
    measure_again: Callable[[set[str]], Results] | None,
    console: Console,
) -> list[Regression]:
    """Find what is far slower than before, each time that it is measured; what is so once was noise."""
    compared, slower = regressions(results, before)
    if not compared:
        raise click.ClickException("--check: the two runs have no cell with the same peer, set up alike")
    console.print(f"{compared} cells compared with {before.date}: {len(slower)} far slower")
    for _ in range(SECOND_LOOKS):
        if not slower or measure_again is None:
            break
        _, slower = regressions(measure_again({one.name for one in slower}), before)
        console.print(f"measured once more: {len(slower)} far slower")
    return slower


def _console() -> Console:
    """Write to the terminal; where there is none, tables get the width they need."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=TABLE_WIDTH)
