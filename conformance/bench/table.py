"""Results as a maintainer reads them in a terminal.

Owns the form alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, groupby

from rich.console import Console
from rich.table import Table
from rich.text import Text

from conformance.bench.form import human_ratio, human_seconds, megabytes
from conformance.bench.hosted import PIPELINES, Comparison, comparisons
from conformance.bench.matrix import OPERATIONS
from conformance.bench.regressions import Regression
from conformance.bench.results import Cell, Growth, Memory, Requirement, Results, Times
from conformance.bench.strategies import TITLES
from conformance.bench.subjects import OURS
from conformance.bench.verdict import misses


def show(results: Results, console: Console) -> None:
    """Print everything that was measured, and at the end what is under its bar."""
    _show_circumstances(results, console)
    peers = [one.name for one in results.subjects if one.version is not None and one.name != OURS]
    if results.cells:
        console.print(_cells_table(results.cells, peers))
    if compared := comparisons(results.cells):
        console.print(_hosted_table(compared))
    if results.memory:
        console.print(_memory_table(results.memory, [OURS, *peers]))
    for growth in results.growth:
        _show_growth(growth, console)
    _show_verdict(results, console)


def _show_circumstances(results: Results, console: Console) -> None:
    machine = results.machine
    console.print(
        f"{results.date}: {machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, "
        f"{machine['kernel']}, {machine['file_system']}, {machine['python']}"
    )
    console.print(", ".join(f"{name} {version}" for name, version in machine["packages"].items()))
    for one in results.subjects:
        state = "absent" if one.version is None else f"{one.version}: {one.setup}"
        console.print(f"  [bold]{one.name}[/bold] {state}")


def _cells_table(cells: Iterable[Cell], peers: list[str]) -> Table:
    table = Table(
        title="Time of this package; how many times as long peers take (above 1: this package is faster)",
        title_justify="left",
        caption="± is half the spread between the quartiles. limit: how much of our time the bare codec, "
        "memory copy or file copy takes, on all cores, without Zarr.",
        caption_justify="left",
    )
    table.add_column("operation", no_wrap=True)
    table.add_column("time", justify="right", no_wrap=True)
    table.add_column("±", justify="right")
    table.add_column("MB/s", justify="right")
    for peer in peers:
        table.add_column(peer, justify="right")
    table.add_column("bar", justify="right")
    table.add_column("limit", justify="right")
    for case, group in groupby(cells, key=lambda cell: cell.name.rpartition("/")[0]):
        table.add_section()
        table.add_row(Text(case, style="bold"))
        for cell in group:
            _add_cell(table, cell, peers)
    return table


def _add_cell(table: Table, cell: Cell, peers: list[str]) -> None:
    title = f"  {_title(cell.name)}"
    if OURS not in cell.times:
        table.add_row(title, Text(cell.notes.get(OURS, "not measured"), style="red"))
        return
    ours = cell.times[OURS]
    table.add_row(
        title,
        human_seconds(ours.median),
        f"{_spread(ours):.0%}",
        f"{cell.nbytes / ours.median / 1e6:.0f}",
        *(_ratio(cell, peer) for peer in peers),
        _bar(cell),
        "" if cell.limit is None else f"{cell.limit.median / ours.median:.0%}",
    )


def _ratio(cell: Cell, peer: str) -> Text:
    if peer in cell.notes:
        return Text("fails", style="dim")
    if peer not in cell.ratios:
        return Text("–", style="dim")
    return Text(human_ratio(cell.ratios[peer]), style="bold" if peer == cell.fastest_peer else "dim")


def _bar(cell: Cell) -> Text:
    if cell.bar is None:
        return Text("–", style="dim")
    return _judged(f"{cell.bar:g}", good=cell.reaches_bar)


def _hosted_table(rows: Iterable[Comparison]) -> Table:
    table = Table(
        title="zarr-python with this package; how many times as long its own pipelines take without it",
        title_justify="left",
    )
    table.add_column("cell", no_wrap=True)
    table.add_column("time", justify="right", no_wrap=True)
    for peer in PIPELINES:
        table.add_column(peer, justify="right")
        table.add_column("bar", justify="right")
    for case, group in groupby(rows, key=lambda row: row.name.rpartition("/")[0]):
        table.add_section()
        table.add_row(Text(case, style="bold"))
        for row in group:
            judged = (text for peer in PIPELINES for text in _ratio_and_bar(row, peer))
            table.add_row(f"  {_title(row.name)}", human_seconds(row.times.median), *judged)
    return table


def _ratio_and_bar(row: Comparison, peer: str) -> tuple[Text, Text]:
    ratio = row.ratios.get(peer)
    shown = "–" if ratio is None else human_ratio(ratio)
    return Text(shown), _judged(f"{row.bars[peer]:g}", good=peer not in row.misses)


def _memory_table(rows: Iterable[Memory], names: list[str]) -> Table:
    table = Table(
        title="Peak memory of a full read, MB, the output included (bar behind the stroke)",
        title_justify="left",
    )
    for column in ("array", "output", *names):
        table.add_column(column, justify="left" if column == "array" else "right")
    for row in rows:
        table.add_row(row.case, megabytes(row.output_nbytes), *(_peak(row, name) for name in names))
    return table


def _peak(row: Memory, name: str) -> Text:
    peak = megabytes(row.peak_nbytes.get(name))
    if name not in row.bars_nbytes:
        return Text(peak, style="dim")
    return _judged(f"{peak} / {megabytes(row.bars_nbytes[name])}", good=name not in row.misses)


def _judged(text: str, *, good: bool) -> Text:
    return Text(text, style="green" if good else "bold red")


def _show_growth(growth: Growth, console: Console) -> None:
    points = ", ".join(f"{count:,}: {human_seconds(seconds)}" for count, seconds in growth.points)
    console.print(f"Full read by {growth.name}: {points}; slope {growth.slope:.2f} (1 is in proportion)")


def _show_verdict(results: Results, console: Console) -> None:
    with_bar = [cell for cell in results.cells if cell.bar is not None]
    reached = sum(cell.reaches_bar and OURS in cell.times for cell in with_bar)
    console.print(f"\n[bold]{reached} of {len(with_bar)} cells reach their bar[/bold]")
    for requirement in results.requirements:
        console.print(_requirement_line(requirement))
    for miss in misses(results):
        console.print(f"  {miss.name}: {miss.found}", markup=False)
        console.print(f"    {miss.reason or 'no reason is given'}", markup=False)
    for line in _oddities(results.cells):
        console.print(f"  {line}", markup=False)


def _oddities(cells: Iterable[Cell]) -> Iterator[str]:
    """What keeps a peer's figure from meaning what it seems to."""
    for cell in cells:
        for name, note in cell.notes.items():
            if name != OURS:
                yield f"{cell.name}: {name} {note}"
        for peer in cell.sizes_differ:
            sizes = f"{cell.encoded_nbytes[peer]:,} bytes, this package {cell.encoded_nbytes[OURS]:,}"
            yield f"{cell.name}: {peer} writes {sizes}"


def _requirement_line(requirement: Requirement) -> Text:
    bar = human_seconds(requirement.bar_seconds)
    if requirement.seconds is None:
        return Text(f"{requirement.name}: not measured", style="red")
    text = f"{requirement.name}: {human_seconds(requirement.seconds)}; the bar is {bar}"
    return Text(text, style="green" if requirement.is_met else "red")


def show_regressions(found: Iterable[Regression], console: Console) -> None:
    """Print cells that have become far slower."""
    for one in found:
        now = "could not be measured" if one.now is None else f"is now {one.now:.2f}"
        console.print(f"slower: {one.name}: the ratio to the fastest peer was {one.before:.2f}, {now}")


def _title(cell: str) -> str:
    """What a cell's operation is called."""
    operation = cell.rpartition("/")[2]
    return next(title for name, title in chain(OPERATIONS.items(), TITLES.items()) if name == operation)


def _spread(times: Times) -> float:
    return (times.high - times.low) / 2 / times.median
