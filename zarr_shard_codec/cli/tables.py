"""Tables of what arrays have stored: one array, or a tree of them.

Owns how wide they are. A terminal's width is kept to, at the cost of the least important column, and never
of a name; where there is none, nothing is folded, and no line ends with blanks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import click
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from zarr_shard_codec.array.inspection import ArrayInspection
from zarr_shard_codec.cli.output import counted, human_nbytes, printable
from zarr_shard_codec.core.config import NAME as SHARDING

_UNBOUNDED: Final = 1 << 16


def print_array(console: Console, report: ArrayInspection) -> None:
    """Print all that is known of one array, a number a line."""
    array, codec = report.array, report.array.codec
    table = Table.grid(padding=(0, 3))
    table.add_column(style="bold", no_wrap=True)
    table.add_column()

    def row(name: str, value: str) -> None:
        table.add_row(name, Text(printable(value)))

    row("Array", f"{times(array.shape)} {array.dtype}, Zarr v{array.metadata.zarr_format}")
    what = "inner chunks" if codec else "chunks"
    if codec is not None:
        row("Shards", f"{report.shards_present:,} of {report.shards_possible:,}, {times(array.shard_shape)}")
    row(
        what.capitalize(),
        f"{report.inner_chunks_present:,} of {report.inner_chunks_possible:,}, "
        f"{times(array.inner_chunk_shape)}",
    )
    chain = array.chain.to_metadata()
    if codec is None:
        row("Codecs", _codec_words(chain))
    else:
        if len(chain) > 1:
            row("Shard codecs", _codec_words(chain))
        row("Inner codecs", _codec_words(codec.inner.to_metadata()))
        row("Index codecs", f"{_codec_words(codec.index_chain.to_metadata())}, at the {codec.index_location}")
    row("Stored", f"{human_nbytes(report.stored_nbytes)} in {counted(report.shards_present, 'object')}")
    if report.chunk_nbytes is not None:
        least, median, most = map(human_nbytes, report.chunk_nbytes)
        row("Encoded size", f"min {least}, median {median}, max {most}")
        row("Compression", f"{_ratio(report)} ({human_nbytes(report.decoded_nbytes)} decoded)")
    if codec is not None:
        row("Unused", f"{human_nbytes(report.unused_nbytes)}{_percent(report.unused_nbytes, report)}")
        if report.shared_nbytes:
            row("Shared", f"{human_nbytes(report.shared_nbytes)} that several inner chunks use")
        row("Index overhead", f"{human_nbytes(report.index_nbytes)}{_percent(report.index_nbytes, report)}")
        row("Write order", report.write_order or "nothing written")
    print_lines(table, _room(console))


def print_tree(console: Console, reports: Sequence[ArrayInspection]) -> None:
    """Print a row an array; in a terminal that is too narrow for it, its name above the row."""
    room = _room(console)
    for names, orders in ((True, True), (True, False)):
        table = _tree_table(reports, names=names, orders=orders)
        if console.measure(table, options=console.options.update(width=_UNBOUNDED)).maximum <= room:
            print_lines(table, room)
            return
    lines = iter(_lines(_tree_table(reports, names=False, orders=False), _UNBOUNDED))
    for _ in range(_HEADER_LINES):
        click.echo(f"  {next(lines)}")
    for report, line in zip(reports, lines, strict=True):
        click.echo(f"{_name(report)}\n  {line}")


_HEADER_LINES: Final = 2


def _tree_table(reports: Sequence[ArrayInspection], *, names: bool, orders: bool) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1))
    for name in ("Array",) * names + ("Shape", "Type"):
        table.add_column(name, no_wrap=True)
    for name in ("Shards", "Inner\nchunks", "Stored", "Ratio", "Unused"):
        table.add_column(name, justify="right", no_wrap=True)
    if orders:
        table.add_column("Order", no_wrap=True)
    for report in reports:
        array = report.array
        sharded = array.codec is not None
        cells = [
            *([_name(report)] if names else []),
            times(array.shape, "×"),
            str(array.dtype),
            f"{report.shards_present:,}/{report.shards_possible:,}" if sharded else "-",
            f"{report.inner_chunks_present:,}/{report.inner_chunks_possible:,}",
            human_nbytes(report.stored_nbytes),
            _ratio(report),
            human_nbytes(report.unused_nbytes) if sharded else "-",
            *([report.write_order or "-"] if orders else []),
        ]
        table.add_row(*map(Text, cells))
    return table


def _name(report: ArrayInspection) -> str:
    return printable(report.array.path or "/")


def _room(console: Console) -> int:
    return console.width if console.is_terminal else _UNBOUNDED


def print_lines(what: RenderableType, width: int) -> None:
    """Print, `width` columns wide, without blanks at the ends of lines."""
    for line in _lines(what, width):
        click.echo(line)


def _lines(what: RenderableType, width: int) -> list[str]:
    console = Console(highlight=False, width=width)
    with console.capture() as captured:
        console.print(what)
    return [line.rstrip() for line in captured.get().splitlines()]


def _codec_words(chain: Sequence[dict[str, Any]]) -> str:
    words = []
    for codec in chain:
        settings = codec.get("configuration", {})
        if codec["name"] == SHARDING:
            inside = f"({times(settings['chunk_shape'])}: {_codec_words(settings['codecs'])})"
        else:
            inside = ", ".join(f"{name}={value}" for name, value in settings.items())
            inside = f"({inside})" if inside else ""
        words.append(codec["name"] + inside)
    return " → ".join(words)


def times(shape: Sequence[int], sign: str = " × ") -> str:
    """A shape in words."""
    return sign.join(map(str, shape)) or "no axes"


def _ratio(report: ArrayInspection) -> str:
    ratio = report.compression_ratio
    return "-" if ratio is None else f"{ratio:.2f}" if ratio < 100 else f"{ratio:,.0f}"


def _percent(nbytes: int, report: ArrayInspection) -> str:
    return f", {nbytes / report.stored_nbytes:.1%} of what is stored" if nbytes else ""
