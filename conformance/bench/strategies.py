"""Writes of one inner chunk into a shard: each write strategy of this package beside what peers do.

Owns what is measured of strategies. Each is a subject of its own, with its own process and its own copy of
the array; peers have one way to write, with which every strategy is compared. Appended files grow by a third
during a run, which costs an append nothing: they are compacted when all is measured.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import zarr_shard_codec as zsc
from conformance.bench.bars import STRATEGY_RATIOS
from conformance.bench.clock import digest
from conformance.bench.matrix import Array, Case, chunks_with_data, selections
from conformance.bench.results import Cell
from conformance.bench.rounds import CaseRun
from conformance.bench.runners import value_to_write
from conformance.bench.subjects import OURS, STRATEGIES, is_peer
from conformance.bench.workers import LIMIT, SubjectError, Worker

SUBJECTS: Final = {"replace": OURS, **STRATEGIES}
TITLES: Final = {
    "replace": "one inner chunk: replace",
    "append": "one inner chunk: append",
    "in_place": "one inner chunk: in_place",
    "hosted_append": "one inner chunk: append, in zarr-python",
}
WRITES: Final = 20
"""In one measurement."""


def strategy_cases() -> list[Case]:
    """64 KiB inner chunks in shards of 4 MiB."""
    plain = Case("writes", "32", "none", (256,) * 3, "uint16", (32,) * 3, (128,) * 3, ("chunk_write",))
    return [replace(plain, writes=WRITES, codec=codec) for codec in ("none", "zstd")]


def strategy_cells(case: Case) -> dict[str, str]:
    """Names of a case's cells, by strategy. Compressed inner chunks have no fixed size, and so no place."""
    return {one: f"{case.name}/{one}" for one in SUBJECTS if one != "in_place" or case.codec == "none"}


def run_strategies(
    cases: Sequence[Case],
    workers: Mapping[str, Worker],
    rounds: int,
    folder: Path,
    on_start: Callable[[Case], None] = lambda _case: None,
) -> list[Cell]:
    """Measure each case with each strategy that it can have, beside the peers among the workers."""
    cells: list[Cell] = []
    with ExitStack() as stack:
        everyone = dict(workers)
        for name in STRATEGIES.values() if cases else ():
            everyone[name] = Worker(name)
            stack.callback(everyone[name].close)
        for case in cases:
            on_start(case)
            able = [SUBJECTS[strategy] for strategy in strategy_cells(case)]
            chosen = {name: one for name, one in everyone.items() if is_peer(name) or name in able}
            inside = folder / case.name.replace("/", "-")
            inside.mkdir()
            (together,) = CaseRun(case, chosen, inside).run(rounds)
            for name in able:
                if name in together.times:
                    _check_end(case, name, together, chosen, inside)
            cells += [_cell(case, strategy, together) for strategy in strategy_cells(case)]
            shutil.rmtree(inside)
    return cells


def _check_end(case: Case, name: str, cell: Cell, workers: Mapping[str, Worker], folder: Path) -> None:
    """Have another implementation read what all rounds left; what is wrong goes into the cell's notes."""
    array = str(folder / f"{name}.zarr")
    expected = _content_after(case, cell.times[name].rounds)
    peers = [one for one in workers if one != LIMIT and is_peer(one)]
    try:
        if name == STRATEGIES["append"]:
            zsc.compact(array)
        found = workers[peers[0] if peers else name].call("digest_of", array, [_whole(case)])
    except (zsc.ZarrShardError, SubjectError) as error:
        cell.notes[name] = f"in the end: {error}"
    else:
        if found != digest([expected]):
            cell.notes[name] = "in the end: wrong values"


def _content_after(case: Case, rounds: int) -> Array:
    content = case.content()
    with_data = chunks_with_data(case, content)
    after = content.copy()
    for round_ in range(rounds + 1):  # the first one warmed up
        for selection in selections(case, "chunk_write", round_, with_data):
            after[selection] = value_to_write(content, "chunk_write", selection)
    return after


def _whole(case: Case) -> tuple[slice, ...]:
    return tuple(slice(0, size) for size in case.shape)


def _cell(case: Case, strategy: str, together: Cell) -> Cell:
    """Cut a strategy's cell out of the one in which all subjects are."""
    mine = SUBJECTS[strategy]

    def renamed(by_subject: Mapping[str, Any]) -> dict[str, Any]:
        others = {name: found for name, found in by_subject.items() if is_peer(name)}
        return {OURS: by_subject[mine], **others} if mine in by_subject else others

    notes = renamed(together.notes)
    times = {name: found for name, found in renamed(together.times).items() if name not in notes}
    return replace(
        together,
        name=strategy_cells(case)[strategy],
        times=times,
        notes=notes,
        bar=STRATEGY_RATIOS[strategy],
        limit=together.limit if strategy == "replace" else None,  # which writes whole shards
    )
