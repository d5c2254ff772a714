"""Rounds of measurements: who is measured when, and whether all of them read and write the same.

Owns fairness: in each round every operation goes to one subject after the other, each round begins with
another one, and everyone works in the same folder on the same selections. Round 0 warms up and verifies.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from conformance.bench.bars import bar_of
from conformance.bench.clock import digest
from conformance.bench.matrix import Array, Case, Operation, chunks_with_data, selections
from conformance.bench.results import Cell, Times
from conformance.bench.runners import Folders, Measurement, value_to_write
from conformance.bench.subjects import OURS, STRATEGIES, Selection, is_peer
from conformance.bench.volumes import create, encoded_nbytes
from conformance.bench.workers import LIMIT, SubjectError, Worker

ALLOWANCE_SECONDS: Final = 2.0
"""A subject that takes `HOPELESS` times as long as the fastest peer gets no more time than this for one
operation; its median stands on fewer rounds then, and no ratio to the fastest peer on it."""
HOPELESS: Final = 3

CHEAP_SECONDS: Final = 0.2
"""An operation that takes less than this, all subjects together, is what noise hits most: it gets
`CHEAP_ROUNDS` times as many rounds."""
CHEAP_ROUNDS: Final = 2

WRITERS: Final = ("tensorstore", "zarr-python", OURS)
"""Who writes the arrays that everyone reads: the first that is there. A peer, so that nobody reads a layout
that was made for this package."""


class CaseRun:
    """Measures one case with all subjects.

    Parameters
    ----------
    workers
        By name; `LIMIT` is one of them or not.
    folder
        Where its arrays may be; it has to be empty.
    """

    def __init__(self, case: Case, workers: Mapping[str, Worker], folder: Path) -> None:
        self.case = case
        self._workers = workers
        self._folder = folder
        self._content = case.content()
        self._with_data = chunks_with_data(case, self._content)
        self._seconds: dict[tuple[Operation, str], list[float]] = {}
        self._sizes: dict[str, int] = {}
        self._notes: dict[Operation, dict[str, str]] = {operation: {} for operation in case.operations}

    def run(self, rounds: int) -> list[Cell]:
        """Measure all operations; at least so many rounds, and the one that warms up and verifies."""
        self._set_up()
        for round_ in range(CHEAP_ROUNDS * rounds + 1):
            for operation in self.case.operations:
                if round_ > rounds and not self._is_cheap(operation):
                    continue
                for name in _rotated(list(self._workers), round_):
                    if name not in self._notes[operation] and not self._is_spent(operation, name):
                        self._measure(operation, name, round_)
        return [self._cell(operation) for operation in self.case.operations]

    def _set_up(self) -> None:
        content = self._folder / "content.npy"
        np.save(content, self._content)
        writer = self._workers[next(name for name in WRITERS if name in self._workers)]
        shared, unsharded = self._folder / "shared.zarr", self._folder / "unsharded.zarr"
        create(shared, self.case.document())
        writer.call("write_whole", shared, content)
        if "pack" in self.case.operations:
            create(unsharded, self.case.document(sharded=False))
            writer.call("write_whole", unsharded, content)
        for name, worker in self._workers.items():
            folders = Folders(
                content=content,
                shared=shared,
                own=self._folder / f"{name}.zarr",
                unsharded=unsharded,
                packed=self._folder / f"{name}-packed.zarr",
            )
            if name != LIMIT and {"write", "chunk_write"} & set(self.case.operations):
                shutil.copytree(shared, folders.own)
            try:
                worker.call("prepare", self.case, folders)
            except SubjectError as error:
                self._fail(name, self.case.operations, str(error))

    def _measure(self, operation: Operation, name: str, round_: int) -> None:
        seconds = self._seconds.setdefault((operation, name), [])
        try:
            found: Measurement = self._workers[name].call("measure", operation, round_, verify=round_ == 0)
            if round_ == 0 and name != LIMIT:
                self._verify(operation, name, found)
        except SubjectError as error:
            self._fail(name, [operation], str(error))
            return
        if round_ == 1:
            seconds.clear()  # the warm-up counts for those alone who were too slow for another round
        seconds.append(found.seconds)

    def _verify(self, operation: Operation, name: str, found: Measurement) -> None:
        """Compare what a subject read with the data, or have another one read what it wrote."""
        todo = selections(self.case, operation, 0, self._with_data)
        if operation in ("write", "chunk_write", "pack"):
            path = self._folder / (f"{name}-packed.zarr" if operation == "pack" else f"{name}.zarr")
            got = self._reader_for(name).call("digest_of", path, todo)
        else:
            got = found.digest
        if got != digest(self._expected(operation, selection) for selection in todo):
            raise SubjectError("wrong values")
        if operation == "write":
            self._sizes[name] = encoded_nbytes(self._folder / f"{name}.zarr")

    def _expected(self, operation: Operation, selection: Selection) -> Array:
        return value_to_write(self._content, operation, selection)

    def _reader_for(self, name: str) -> Worker:
        others = [one for one in WRITERS if one in self._workers and one != name]
        return self._workers[(others or [name])[0]]

    def _is_spent(self, operation: Operation, name: str) -> bool:
        seconds = self._seconds.get((operation, name), [])
        peers = [
            min(times)
            for (of, peer), times in self._seconds.items()
            if of == operation and peer != LIMIT and is_peer(peer) and times
        ]
        if name in (OURS, LIMIT, *STRATEGIES.values()) or not seconds or not peers:
            return False
        repeats = len(selections(self.case, operation, 0, self._with_data))
        return min(seconds) > HOPELESS * min(peers) and sum(seconds) * repeats > ALLOWANCE_SECONDS

    def _is_cheap(self, operation: Operation) -> bool:
        repeats = len(selections(self.case, operation, 0, self._with_data))
        seconds = sum(min(times) for (of, _), times in self._seconds.items() if of == operation and times)
        return seconds * repeats < CHEAP_SECONDS

    def _fail(self, name: str, operations: Sequence[Operation], note: str) -> None:
        if name == LIMIT:
            raise SubjectError(f"{self.case.name}: the limit cannot be measured: {note}")
        for operation in operations:
            self._notes[operation][name] = note

    def _cell(self, operation: Operation) -> Cell:
        times = {
            name: Times.of(seconds)
            for (of, name), seconds in self._seconds.items()
            if of == operation and seconds and name not in self._notes[operation]
        }
        todo = selections(self.case, operation, 0, self._with_data)
        return Cell(
            name=self.case.cell(operation),
            nbytes=self._content[todo[0]].nbytes,
            limit=times.pop(LIMIT, None),
            times=times,
            bar=bar_of(self.case, operation),
            encoded_nbytes=dict(self._sizes) if operation == "write" else {},
            notes=self._notes[operation],
        )


def run_cases(
    cases: Sequence[Case],
    workers: Mapping[str, Worker],
    rounds: int,
    folder: Path,
    on_start: Callable[[Case], None] = lambda _case: None,
) -> list[Cell]:
    """Measure all cases, one after the other; each one's files are deleted before the next."""
    cells = []
    for case in cases:
        on_start(case)
        inside = folder / case.name.replace("/", "-")
        inside.mkdir()
        cells += CaseRun(case, workers, inside).run(rounds)
        shutil.rmtree(inside)
    return cells


def _rotated(names: list[str], by: int) -> list[str]:
    by %= len(names)
    return names[by:] + names[:by]
