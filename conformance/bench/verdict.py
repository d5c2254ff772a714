"""The verdict: which bars there are, which are missed, and what stops those.

Owns the names of everything that has a bar; reasons are given by these.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from conformance.bench import bars, contention, hosted, memory, scaling
from conformance.bench.form import human_seconds, megabytes
from conformance.bench.matrix import matrix
from conformance.bench.reasons import load_reasons, pattern_of
from conformance.bench.results import Cell, Results
from conformance.bench.strategies import strategy_cases, strategy_cells
from conformance.bench.subjects import HOSTED, OURS


@dataclass(frozen=True, slots=True)
class Miss:
    """A bar that is missed.

    Attributes
    ----------
    found
        What was measured, and what the bar is.
    reason
        What stops it; None if nobody has said so yet.
    """

    name: str
    found: str
    reason: str | None


def misses(results: Results) -> list[Miss]:
    """Everything that is under its bar."""
    reasons = load_reasons()
    found = chain(_cells(results), _hosted(results), _memory(results), _requirements(results))
    return [Miss(name, what, reasons.get(pattern_of(name, reasons) or "")) for name, what in found]


def names_with_bar() -> set[str]:
    """Names of everything in a full run that has a bar."""
    cases = matrix()
    cells = {case.cell(operation) for case in cases for operation in case.operations}
    names = {
        case.cell(operation)
        for case in cases
        for operation in case.operations
        if bars.bar_of(case, operation) is not None
    }
    names |= {name for case in strategy_cases() for name in strategy_cells(case).values()}
    names |= {hosted.name_of(cell, peer) for cell in cells for peer in hosted.bars_of(cell)}
    names |= {hosted.rows_name(case) for case in hosted.rows_cases(cases)}
    names |= {
        memory.memory_name(case.name, subject)
        for case in memory.memory_cases(cases)
        for subject in (OURS, HOSTED)
    }
    return names | {
        scaling.CHUNK_NAME,
        scaling.INSPECT_NAME,
        contention.CONTENTION_NAME,
        contention.LOCK_NAME,
    }


def _cells(results: Results) -> Iterator[tuple[str, str]]:
    for cell in results.cells:
        if OURS not in cell.times:
            yield cell.name, cell.notes.get(OURS, "not measured")
        elif not cell.reaches_bar:
            yield cell.name, _found(cell)


def _found(cell: Cell) -> str:
    return f"{cell.ratio:.2f} times as fast as {cell.fastest_peer}, the bar is {cell.bar:g}"


def _hosted(results: Results) -> Iterator[tuple[str, str]]:
    for one in hosted.comparisons(results.cells):
        for peer in one.misses:
            found = f"{one.ratios[peer]:.2f} times as fast, the bar is {one.bars[peer]:g}"
            yield hosted.name_of(one.name, peer), found


def _memory(results: Results) -> Iterator[tuple[str, str]]:
    for row in results.memory:
        for subject in row.misses:
            found = f"{megabytes(row.peak_nbytes.get(subject))} MB, the bar is "
            yield memory.memory_name(row.case, subject), found + f"{megabytes(row.bars_nbytes[subject])} MB"


def _requirements(results: Results) -> Iterator[tuple[str, str]]:
    for one in results.requirements:
        if one.seconds is None:
            yield one.name, f"not measured: {one.note}"
        elif not one.is_met:
            yield one.name, f"{human_seconds(one.seconds)}, the bar is {human_seconds(one.bar_seconds)}"
