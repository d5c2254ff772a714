"""A shard's bytes as a bar of letters: where each inner chunk lies, the index, gaps, shared bytes.

Owns how it looks. Letters alone tell everything, so it reads without colours, too.
"""

from __future__ import annotations

from colorsys import hls_to_rgb
from typing import Any, Final

import numpy as np
from rich.color import Color
from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.style import Style
from rich.text import Text

from zarr_shard_codec.cli.output import human_nbytes
from zarr_shard_codec.core.coverage import GAP, INDEX, SHARED, cells, segments
from zarr_shard_codec.core.findings import StoredShard
from zarr_shard_codec.core.grid import all_to_coords

_LETTERS: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_MARKS: Final = {
    INDEX: ("#", Style(reverse=True)),
    GAP: (".", Style(dim=True)),
    SHARED: ("%", Style(bold=True, color="white", bgcolor="red")),
}
_CELLS_PER_CHUNK: Final = 4
_MAX_ROWS: Final = 16
_BYTE_BY_BYTE_ROWS: Final = 4
"""Rows; a shard whose single bytes fit into this many is shown byte by byte."""


def picture(shard: StoredShard, width: int) -> RenderableType:
    """Draw a shard whose entries are sound, `width` columns wide."""
    present = shard.index.present
    parts = segments(shard.index, shard.nbytes, shard.index_start, shard.index_nbytes)
    gutter = len(human_nbytes(shard.nbytes)) + 3
    per_row = max(8, width - gutter - 2)
    rows = min(_MAX_ROWS, -(-len(present) * _CELLS_PER_CHUNK // per_row) or 1)
    if shard.nbytes <= _BYTE_BY_BYTE_ROWS * per_row:
        rows = _BYTE_BY_BYTE_ROWS
    n_cells = min(shard.nbytes, rows * per_row)
    owners = cells(parts, n_cells)
    bar = Text()
    for start in range(0, n_cells, per_row):
        offset = human_nbytes(start * shard.nbytes // n_cells)
        bar.append(f"{offset:>{gutter - 1}} ", "dim").append("|")
        bar.append_text(_row(owners[start : start + per_row], present)).append("|\n")
    return Group(bar, _legend(shard, parts.owners, owners))


def _row(owners: np.ndarray[Any, Any], present: np.ndarray[Any, Any]) -> Text:
    row = Text()
    for owner in owners.tolist():
        letter, style = _MARKS.get(owner) or _mark(int(np.searchsorted(present, owner)), len(present))
        row.append(letter, style)
    return row


def _mark(rank: int, count: int) -> tuple[str, Style]:
    """Letter and colour of the chunk at a rank in C order, of `count` that are present."""
    # From blue over green to yellow: first and last are never alike, and black letters read on all.
    hue = 0.62 - 0.48 * rank / max(1, count - 1)
    # Neighbours in C order alternate a little in lightness, so that their border shows.
    red, green, blue = (int(255 * part) for part in hls_to_rgb(hue, 0.62 + 0.12 * (rank % 2), 0.7))
    return _LETTERS[rank % len(_LETTERS)], Style(color="black", bgcolor=Color.from_rgb(red, green, blue).name)


def _legend(shard: StoredShard, owners: np.ndarray[Any, Any], shown: np.ndarray[Any, Any]) -> RenderableType:
    scale = shard.nbytes / len(shown)
    words = {
        INDEX: f" index, {shard.index_nbytes:,} bytes at {shard.index_start:,}   ",
        GAP: " unused   ",
        SHARED: " shared   ",
    }
    marks = Text("one letter is one byte; " if scale == 1 else f"one letter is {human_nbytes(scale)}; ")
    for owner, meaning in words.items():
        if (owners == owner).any():
            marks.append(*_MARKS[owner]).append(meaning)
    present = shard.index.present
    if len(present) > len(_LETTERS):
        marks.append(
            f"\nThe {len(present):,} inner chunks are a-z A-Z 0-9, then a again, in C order of their "
            "coordinates; a letter stands for the one with the most bytes there."
        )
        return marks
    if not np.isin(present, shown).all():
        marks.append(
            "\nA letter stands for the inner chunk with the most bytes there; small ones are hidden."
        )
    everywhere = all_to_coords(present, shard.index.chunks_per_shard)
    chunks = []
    for rank, (coords, (offset, nbytes)) in enumerate(
        zip(everywhere, shard.index.entries[present].tolist(), strict=True)
    ):
        place = ",".join(map(str, coords)) or "()"
        chunks.append(Text(no_wrap=True).append(*_mark(rank, len(present))).append(f" {place}"))
        chunks[-1].append(f"  {nbytes:,} at {offset:,}", "dim")
    return Group(marks, Columns(chunks, equal=True, column_first=True, padding=(0, 3)))
