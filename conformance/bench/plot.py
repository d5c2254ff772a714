"""Charts of results: how much longer peers take, and how reads grow.

Owns the pictures. Needs matplotlib, and draws without a display.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from conformance.bench.matrix import OPERATIONS, Operation
from conformance.bench.results import Cell, Results
from conformance.bench.strategies import TITLES
from conformance.bench.subjects import OURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STYLES: Final = {
    "tensorstore": ("#d1495b", "o"),
    "zarrs": ("#edae49", "s"),
    "zarr-python": ("#30638e", "D"),
    "zarrita": ("#7a7a7a", "^"),
}
"""Colour and mark of each peer: apart for the colour-blind too."""
_OURS: Final = "#00798c"
_PANELS: Final[tuple[Operation, ...]] = ("read", "write", "chunk", "chunk_write", "box", "plane", "pack")
_EDGES: Final = ("64", "32", "16", "8")
_CODECS: Final = {"none": "uncompressed", "zstd": "zstd", "blosc": "Blosc LZ4", "gzip": "gzip"}
_DATA: Final = ("smooth", "brain")

Row = tuple[str, str]
"""Edge of the inner chunk, or write strategy, and codec."""


def draw(results: Results, path: Path) -> None:
    """Draw how many times as long each peer takes: one panel an operation, one row an inner chunk and codec.

    Parameters
    ----------
    path
        `.png` or `.svg`.

    Raises
    ------
    ValueError
        There are no cells of the volumes.
    """
    figures = _pyplot()
    worst = _worst_of_data(results.cells)
    rows = [
        (edge, codec)
        for edge in _EDGES
        for codec in _CODECS
        if any((edge, codec) in w for w in worst.values())
    ]
    if not rows:
        raise ValueError("there is nothing to draw: the results have no cells of the volumes")
    panels = [operation for operation in _PANELS if worst[operation]]
    across = min(4, len(panels))
    down = -(-len(panels) // across)
    figure, axes = figures.subplots(
        down,
        across,
        figsize=(1.2 + 2.75 * across, 1.5 + 0.27 * len(rows) * down + 0.3 * down),
        squeeze=False,
        layout="constrained",
    )
    peers = [peer for peer in _STYLES if any(peer in times for w in worst.values() for times in w.values())]
    for place, operation in zip(axes.flat, panels, strict=False):
        _draw_panel(place, worst[operation], rows, peers)
        place.set_title(OPERATIONS[operation][0].upper() + OPERATIONS[operation][1:], fontsize=10, loc="left")
    _label_rows(axes, rows, len(panels))
    rest = list(axes.flat[len(panels) :])
    strategies = _strategies(results.cells)
    if rest and strategies:
        _draw_strategies(rest.pop(0), strategies, peers)
    for place in rest:
        place.set_visible(False)
    _draw_frame(figure, peers, results)
    figure.savefig(path, dpi=160)
    figures.close(figure)


def draw_growth(results: Results, path: Path) -> None:
    """Draw the time of full reads against what grows, both axes logarithmic.

    Parameters
    ----------
    path
        `.png` or `.svg`.
    """
    figures = _pyplot()
    figure, axes = figures.subplots(
        1, len(results.growth), figsize=(3.6 * len(results.growth), 3.2), squeeze=False, layout="constrained"
    )
    for place, growth in zip(axes.flat, results.growth, strict=True):
        counts = [count for count, _ in growth.points]
        times = [seconds * 1000 for _, seconds in growth.points]
        place.loglog(counts, times, "o-", color=_OURS, markersize=5)
        place.loglog(
            [counts[0], counts[-1]],
            [times[-1] * counts[0] / counts[-1], times[-1]],
            "--",
            color="#999999",
            linewidth=1,
            zorder=0,
        )
        place.set_xticks(counts, [f"{count:,}" for count in counts], fontsize=8)
        place.minorticks_off()
        place.set_xlabel(growth.name)
        place.set_title(f"slope of the upper half: {growth.slope:.2f}", fontsize=9, loc="left")
        place.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
        _tidy(place)
    axes[0, 0].set_ylabel("full read, ms")
    figure.suptitle("Full reads as the work grows (dashed: in proportion)", fontsize=10)
    figure.savefig(path, dpi=160)
    figures.close(figure)


def _pyplot() -> Any:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    return plt


def _worst_of_data(cells: Iterable[Cell]) -> dict[Operation, dict[Row, dict[str, float]]]:
    """Ratios of each peer, by operation and row: the lower ones, if there are two kinds of data."""
    found: dict[Operation, dict[Row, dict[str, float]]] = {operation: {} for operation in _PANELS}
    for cell in cells:
        data, edge, codec, name = cell.name.split("/")
        if data not in _DATA:
            continue
        for operation in _PANELS:
            if operation == name and cell.peers:
                row = found[operation].setdefault((edge, codec), {})
                for peer, ratio in cell.peers.items():
                    row[peer] = min(ratio, row.get(peer, ratio))
    return found


def _strategies(cells: Iterable[Cell]) -> dict[Row, dict[str, float]]:
    names = [(cell.name.split("/"), cell.peers) for cell in cells]
    return {(strategy, codec): peers for (data, _, codec, strategy), peers in names if data == "writes"}


def _draw_panel(
    place: Axes, ratios: dict[Row, dict[str, float]], rows: Sequence[Row], peers: Sequence[str]
) -> None:
    from matplotlib.ticker import LogLocator, NullLocator

    for n, row in enumerate(rows):
        found = ratios.get(row, {})
        if found:
            fastest, slowest = min(found.values()), max(found.values())
            place.plot([min(1, fastest), slowest], [n, n], color="#dddddd", linewidth=1.5, zorder=1)
            place.text(
                1.01,
                n,
                f"{fastest:.1f}×" if fastest < 10 else f"{fastest:.0f}×",
                transform=place.get_yaxis_transform(),  # beside the panel
                va="center",
                fontsize=8,
                color=_OURS if fastest >= 1 else _STYLES["tensorstore"][0],
            )
    for peer in peers:
        colour, mark = _STYLES[peer]
        at = [n for n, row in enumerate(rows) if peer in ratios.get(row, {})]
        found_at = [ratios[rows[n]][peer] for n in at]
        place.scatter(found_at, at, c=colour, marker=mark, s=26, zorder=3, edgecolors="white", linewidths=0.5)
    place.axvline(1, color=_OURS, linewidth=2, zorder=2)
    place.set_xscale("log")
    highest = max((ratio for found in ratios.values() for ratio in found.values()), default=1)
    lowest = min((ratio for found in ratios.values() for ratio in found.values()), default=1)
    place.set_xlim(min(0.55, lowest * 0.7), max(12, highest * 1.5))
    place.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=12))
    place.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    place.xaxis.set_minor_locator(NullLocator())
    place.tick_params(labelsize=8)
    place.tick_params(axis="y", length=0)
    _tidy(place)


def _draw_strategies(place: Axes, ratios: dict[Row, dict[str, float]], peers: Sequence[str]) -> None:
    """One inner chunk written, by strategy: rows of their own, named within the panel."""
    _draw_panel(place, ratios, list(ratios), peers)
    place.set_title("One written, by strategy (32³)", fontsize=10, loc="left")
    place.set_yticks([])
    place.set_ylim(len(ratios) - 0.6, -0.7)
    for n, (strategy, codec) in enumerate(ratios):
        title = TITLES[strategy].partition(": ")[2]
        place.text(1.08, n - 0.14, f"{title}, {_CODECS[codec]}", fontsize=8, va="bottom")


def _label_rows(axes: Any, rows: Sequence[Row], panels: int) -> None:
    labels = [f"{edge}³ {_CODECS[codec]}" for edge, codec in rows]
    for place in axes.flat[:panels]:
        place.set_yticks(range(len(rows)), labels if place in axes[:, 0] else [""] * len(rows))
        place.set_ylim(len(rows) - 0.4, -0.6)
        for n in range(1, len(rows)):
            if rows[n][0] != rows[n - 1][0]:
                place.axhline(n - 0.5, color="#cccccc", linewidth=0.6, zorder=0)


def _draw_frame(figure: Any, peers: Sequence[str], results: Results) -> None:
    from matplotlib.lines import Line2D

    versions = {one.name: one.version for one in results.subjects}
    marks = [Line2D([], [], color=_OURS, linewidth=2, label=f"{OURS} = 1")]
    for peer in peers:
        colour, mark = _STYLES[peer]
        label = f"{peer} {versions.get(peer) or ''}"
        marks.append(Line2D([], [], color=colour, marker=mark, linestyle="", label=label))
    figure.legend(handles=marks, loc="outside lower center", ncols=len(marks), fontsize=8, frameon=False)
    machine = results.machine
    kinds = {cell.name.split("/")[0] for cell in results.cells} & set(_DATA)
    data = " or ".join(sorted(kinds)) + (" data, whichever is worse for us" if len(kinds) > 1 else " data")
    figure.suptitle(
        "How many times as long the others take: right of the line, this package is faster\n"
        f"256³ uint16, shards of 128³, {data}; {machine['cpu']}, {machine['cores']} cores; {results.date}; "
        "numbers: the fastest peer",
        fontsize=9,
    )


def _tidy(place: Axes) -> None:
    for side in ("top", "right"):
        place.spines[side].set_visible(False)
    place.grid(visible=True, axis="x", color="#eeeeee", zorder=0)
    place.set_axisbelow(True)
