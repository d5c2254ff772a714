"""zarr-python with this package in it, beside zarr-python without: what its users gain.

Owns the comparison of that one subject with the pipelines that zarr-python has, out of the cells that all
subjects have, and the one measurement that only zarr-python can make: a list of rows.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from conformance.bench.bars import HOSTED_RATIOS
from conformance.bench.clock import settle, timed
from conformance.bench.matrix import Case
from conformance.bench.results import Cell, Requirement, Times
from conformance.bench.subjects import HOSTED, OURS, load
from conformance.bench.volumes import create
from conformance.processes import Process, ProcessDiedError, RemoteError

PIPELINES: Final = ("zarr-python", "zarrs")
"""Subjects that zarr-python is with its own pipelines."""
CODECS: Final = ("none", "zstd", "blosc")
ROWS: Final = (3, 6, 11, 13, 17, 22, 26, 31)
"""All within one layer of inner chunks of 32³, so that the slice around them decodes no more than they do."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One cell, with zarr-python's own pipelines in it.

    Attributes
    ----------
    ratios, bars
        By pipeline: how many times as long it takes, and has to take.
    """

    name: str
    times: Times
    ratios: dict[str, float]
    bars: dict[str, float]

    @property
    def misses(self) -> list[str]:
        """Pipelines under whose bar it is."""
        return [peer for peer, ratio in self.ratios.items() if ratio < self.bars[peer]]


def comparisons(cells: Iterable[Cell]) -> list[Comparison]:
    """Compare where there is a bar, and zarr-python was measured with this package."""
    found = []
    for cell in cells:
        bars = bars_of(cell.name)
        if not bars or HOSTED not in cell.times:
            continue
        times = cell.times[HOSTED]
        ratios = {peer: cell.times[peer].median / times.median for peer in bars if peer in cell.times}
        found.append(Comparison(cell.name, times, ratios, bars))
    return found


def bars_of(cell: str) -> dict[str, float]:
    """The bars of a cell of the volumes, by pipeline; empty if it has none."""
    data, edge, codec, operation = cell.split("/")
    if data not in ("brain", "smooth") or codec not in CODECS:
        return {}
    return HOSTED_RATIOS.get(edge, {}).get(operation, {})


def name_of(cell: str, peer: str) -> str:
    """What a comparison of one cell with one pipeline is called."""
    return f"hosted/{cell}/{peer}"


def rows_name(case: Case) -> str:
    """What the measurement of a list of rows is called."""
    return f"hosted/{case.name}/rows"


def rows_cases(cases: Iterable[Case]) -> list[Case]:
    """Pick the cases of which a list of rows is read."""
    return [
        case
        for case in cases
        if case.data == "smooth" and case.label in HOSTED_RATIOS and case.codec in CODECS
    ]


class RowsReader:
    """Times `oindex` with a list of rows, and the slice that covers them."""

    def measure(self, path: str, content: Any, rounds: int) -> tuple[list[float], list[float]]:
        """Return the seconds of each, by round; they take turns."""
        array = load(HOSTED).open(path)
        covering = slice(ROWS[0], ROWS[-1] + 1)
        if not np.array_equal(array.oindex[list(ROWS)], np.load(content)[list(ROWS)]):
            raise ValueError("wrong values")
        settle()
        rows, whole = [], []
        for _ in range(rounds):
            rows.append(timed(lambda: array.oindex[list(ROWS)])[0])
            whole.append(timed(lambda: array[covering])[0])
        return rows, whole


def measure_rows(cases: Sequence[Case], folder: Path, rounds: int) -> list[Requirement]:
    """Measure each case in a process of its own; the bar is what the slice takes."""
    return [_measure_rows(case, folder, rounds) for case in cases]


def _measure_rows(case: Case, folder: Path, rounds: int) -> Requirement:
    path, content = folder / "rows.zarr", folder / "rows.npy"
    values = case.content()
    np.save(content, values)
    create(path, case.document())
    writer = load(OURS)
    writer.write(writer.open(str(path)), tuple(slice(0, size) for size in case.shape), values)
    process = Process(RowsReader, "rows")
    try:
        rows, whole = process.call("measure", str(path), content, rounds)
    except (RemoteError, ProcessDiedError) as error:
        return Requirement(rows_name(case), None, 0, str(error))
    finally:
        process.close()
        shutil.rmtree(path)
        content.unlink()
    return Requirement(rows_name(case), Times.of(rows).median, Times.of(whole).median)
