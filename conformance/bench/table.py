"""Results as a maintainer reads them in a terminal.

Owns the form alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from rich.console import Console
from rich.table import Table
from rich.text import Text

from conformance.bench.matrix import OPERATIONS
from conformance.bench.results import Cell, Growth, Memory, Regression, Requirement, Results, Times
from conformance.bench.subjects import OURS


def show(results: Results, console: Console) -> None:
    """Print everything that was measured, and at the end what is under its bar."""
    _show_circumstances(results, console)
    peers = [one.name for one in results.subjects if one.version is not None and one.name != OURS]
    if results.cells:
        console.print(_cells_table(results.cells, peers))
    if results.memory:
        console.print(_memory_table(results.memory, peers))
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
    title = f"  {operation_of(cell)}"
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
    text = f"{cell.ratios[peer]:.2f}" if cell.ratios[peer] < 100 else f"{cell.ratios[peer]:.0f}"
    return Text(text, style="bold" if peer == cell.fastest_peer else "dim")


def _bar(cell: Cell) -> Text:
    if cell.bar is None:
        return Text("–", style="dim")
    return Text(f"{cell.bar:g}", style="green" if cell.reaches_bar else "bold red")


def _memory_table(rows: Iterable[Memory], peers: list[str]) -> Table:
    table = Table(title="Peak memory of a full read, MB, the output included", title_justify="left")
    for column in ("array", "output", "this package", "bar", *peers):
        table.add_column(column, justify="left" if column == "array" else "right")
    for row in rows:
        ours = row.peak_nbytes.get(OURS)
        good = ours is not None and ours <= row.bar_nbytes
        table.add_row(
            row.case,
            _megabytes(row.output_nbytes),
            _megabytes(ours),
            Text(_megabytes(row.bar_nbytes), style="green" if good else "bold red"),
            *(_megabytes(row.peak_nbytes.get(peer)) for peer in peers),
        )
    return table


def _show_growth(growth: Growth, console: Console) -> None:
    points = ", ".join(f"{count:,}: {human_seconds(seconds)}" for count, seconds in growth.points)
    console.print(f"Full read by {growth.name}: {points}; slope {growth.slope:.2f} (1 is in proportion)")


def _show_verdict(results: Results, console: Console) -> None:
    lines = [_verdict_of(cell) for cell in results.cells if not cell.reaches_bar or OURS not in cell.times]
    lines += [
        f"{cell.name}: {name} {note}"
        for cell in results.cells
        for name, note in cell.notes.items()
        if name != OURS
    ]
    lines += [
        f"{cell.name}: {peer} writes {cell.encoded_nbytes[peer]:,} bytes, this package "
        f"{cell.encoded_nbytes[OURS]:,}"
        for cell in results.cells
        for peer in cell.sizes_differ
    ]
    for row in results.memory:
        ours = row.peak_nbytes.get(OURS)
        if ours is None or ours > row.bar_nbytes:
            lines.append(
                f"memory of {row.case}: {_megabytes(ours)} MB, the bar is {_megabytes(row.bar_nbytes)} MB"
            )
    with_bar = [cell for cell in results.cells if cell.bar is not None]
    reached = sum(cell.reaches_bar for cell in with_bar)
    console.print(f"\n[bold]{reached} of {len(with_bar)} cells reach their bar[/bold]")
    for requirement in results.requirements:
        console.print(_requirement_line(requirement))
    for line in lines:
        console.print(f"  {line}", markup=False)


def _verdict_of(cell: Cell) -> str:
    if OURS not in cell.times:
        return f"{cell.name}: {cell.notes.get(OURS, 'not measured')}"
    return f"{cell.name}: {cell.ratio:.2f} times as fast as {cell.fastest_peer}, the bar is {cell.bar:g}"


def _requirement_line(requirement: Requirement) -> Text:
    bar = human_seconds(requirement.bar_seconds)
    if requirement.seconds is None:
        return Text(f"{requirement.name}: not measured ({requirement.note}); the bar is {bar}", style="red")
    good = requirement.seconds <= requirement.bar_seconds
    text = f"{requirement.name}: {human_seconds(requirement.seconds)}; the bar is {bar}"
    return Text(text, style="green" if good else "red")


def show_regressions(found: Iterable[Regression], console: Console) -> None:
    """Print cells that have become far slower."""
    for one in found:
        now = "could not be measured" if one.now is None else f"is now {one.now:.2f}"
        console.print(f"slower: {one.name}: the ratio to the fastest peer was {one.before:.2f}, {now}")


def operation_of(cell: Cell) -> str:
    """What a cell's operation is called."""
    name = cell.name.rpartition("/")[2]
    return next(title for operation, title in OPERATIONS.items() if operation == name)


def human_seconds(seconds: float) -> str:
    """Show three digits, and a unit that suits."""
    unit, factor = next(
        ((unit, factor) for unit, factor in (("s", 1.0), ("ms", 1e3)) if seconds * factor >= 1), ("µs", 1e6)
    )
    value = seconds * factor
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f} {unit}"


def _spread(times: Times) -> float:
    return (times.high - times.low) / 2 / times.median


def _megabytes(nbytes: int | None) -> str:
    return "–" if nbytes is None else f"{nbytes / 1e6:.0f}"
