"""Results in a terminal: what each implementation has of each outcome, its cost, and what failed.

Owns how it looks. Wrong data stands out from every honest refusal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from conformance.implementations import HOSTS, is_ours
from conformance.run.judging import GRAVEST_FIRST, LOSSES, Outcome
from conformance.run.results import Cell, Results

_STYLES: Final[dict[str, str]] = {
    "wrong_data": "bold white on red",
    "accepted": "red",
    "crash": "red",
    "hang": "red",
    "refused": "yellow",
    "unsupported": "dim",
    "pass": "green",
}
_COLUMNS: Final[tuple[Outcome, ...]] = (
    "pass",
    *(one for one in GRAVEST_FIRST if one not in ("pass", "absent")),
)
_PARTS: Final = {"vectors": "vectors", "matrix": "writers × readers", "updates": "updates"}
_SHOWN: Final = 30
"""So many failures are listed; all of them stand in the files."""


def show(results: Results, console: Console, *, listed: Sequence[str]) -> None:
    """Show the results.

    Parameters
    ----------
    listed
        Implementations whose failures are listed one by one.
    """
    for part, title in _PARTS.items():
        cells = [one for one in results.cells if one.part == part]
        if cells:
            console.print(_outcomes(results, cells, title))
    cost = [one for one in results.cells if one.part == "cost"]
    if cost:
        console.print(_cost(results, cost))
    for implementation in results.implementations:
        if implementation.absent is not None:
            console.print(Text(f"absent: {implementation.name}: {implementation.absent}", style="dim"))
    failures = [
        one
        for one in results.cells
        if one.implementation in listed and one.outcome in LOSSES and not one.host
    ]
    for one in failures[:_SHOWN]:
        console.print(_failure(one))
    if len(failures) > _SHOWN:
        console.print(f"… and {len(failures) - _SHOWN} more")
    times = ", ".join(f"{part} {seconds:.0f} s" for part, seconds in results.seconds.items())
    console.print(Text(times, style="dim"))


def show_losses(results: Results, console: Console) -> None:
    """Say in a line how this package's own rows came out."""
    ours = [one.name for one in results.implementations if is_ours(one.name)]
    lost = losses(results, ours)
    own = sum(is_ours(one.implementation) for one in results.cells)
    if lost:
        console.print(Text(f"{lost} of this package's {own} cells are lost", style="bold red"))
    elif own:
        console.print(Text(f"none of this package's {own} cells is lost", style="bold green"))
    hosts = Counter(HOSTS[one.implementation] for one in results.cells if one.host)
    for host, count in hosts.items():
        console.print(f"({count} more, inside {host}, it loses without this package as well)")


def losses(results: Results, names: Collection[str]) -> int:
    """Count the cells that these implementations lost by their own doing."""
    return sum(
        one.implementation in names and one.outcome in LOSSES and not one.host for one in results.cells
    )


def _outcomes(results: Results, cells: Sequence[Cell], title: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("implementation", no_wrap=True)
    table.add_column("version")
    for outcome in _COLUMNS:
        table.add_column(outcome.replace("_", " "), justify="right")
    for one in results.implementations:
        if one.absent is not None:
            continue
        counts = Counter(cell.outcome for cell in cells if cell.implementation == one.name)
        numbers = [
            Text(str(counts[outcome]), style=_STYLES[outcome]) if counts[outcome] else Text("·", style="dim")
            for outcome in _COLUMNS
        ]
        table.add_row(one.name, one.version or "", *numbers)
    return table


def _cost(results: Results, cells: Sequence[Cell]) -> Table:
    table = Table(title="cost of a read: requests, bytes", title_justify="left", title_style="bold")
    names = list(dict.fromkeys(one.case for one in cells))
    table.add_column("implementation", no_wrap=True)
    for name in names:
        table.add_column(name, justify="right")
    ideals = {one.case: one.got for one in cells if isinstance(one.got, dict)}
    table.add_row("ideal", *(_numbers(ideals.get(name), "ideal_") for name in names), style="bold")
    for one in results.implementations:
        found = {cell.case: cell for cell in cells if cell.implementation == one.name}
        if any(cell.outcome != "unsupported" for cell in found.values()):
            table.add_row(one.name, *(_numbers(found[name].got, "") for name in names))
    return table


def _numbers(got: object, prefix: str) -> Text:
    if not isinstance(got, dict):
        return Text("–" if got is None else str(got), style="dim")
    more = got[f"{prefix}requests"] > got["ideal_requests"] or got[f"{prefix}bytes"] > got["ideal_bytes"]
    return Text(f"{got[f'{prefix}requests']}, {got[f'{prefix}bytes']:,}", style="yellow" if more else "")


def _failure(one: Cell) -> Text:
    text = Text(f"{one.outcome.replace('_', ' ')}", style=_STYLES[one.outcome])
    text.append(f" {one.implementation}: {one.name}\n", style="default on default not bold")
    text.append(f"    expected {one.expected}\n    got {one.got}", style="default on default not bold")
    if one.message:
        text.append(f"\n    {one.message}", style="dim default on default")
    return text
