"""The run: which implementations do what, and what at the same time.

Owns the order. Each implementation has a process of its own and does one thing at a time; `jobs` of them work
at once.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from conformance.bench import machine
from conformance.cases.corpus import Case
from conformance.implementations import Place
from conformance.run import crossing
from conformance.run.arrays import Sample
from conformance.run.cost import prepare, run_cost
from conformance.run.crossing import Written
from conformance.run.results import Cell, Described, Part, Results, marked_hosts
from conformance.run.serving import LIMIT, Subject
from conformance.run.vectors import run_vectors


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run.

    Attributes
    ----------
    places
        The implementations that are judged, by name.
    judges
        Those of `crossing.ORACLES` that are not among them: they read, and have no cells.
    parts
        Of `results.PARTS`.
    cases
        Vectors.
    samples
        Arrays to write, of the matrix and the updates.
    jobs
        So many implementations work at once.
    limit
        Seconds that one operation may take.
    """

    places: dict[str, Place]
    judges: dict[str, Place]
    parts: Sequence[Part]
    cases: Sequence[Case]
    samples: Sequence[Sample]
    jobs: int
    limit: float = LIMIT


def run(plan: Plan, scratch: Path, announce: Callable[[str], None]) -> Results:
    """Run it all, in a folder for temporary files.

    Parameters
    ----------
    announce
        Is told when a part begins.
    """
    date = dt.datetime.now(dt.UTC).date().isoformat()
    results = Results({"date": date, **machine.describe(scratch)}, [], [])
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(plan.jobs))
        places = plan.places | plan.judges
        with _timed(results, "setting up", announce):
            everyone = list(pool.map(lambda name: Subject(name, places[name], plan.limit), places))
        for subject in everyone:
            stack.callback(subject.close)
        judged = [subject for subject in everyone if subject.name in plan.places]
        results.implementations.extend(map(_describe, judged))
        crew = _Crew(
            pool,
            [subject for subject in judged if subject.absent is None],
            [subject for subject in everyone if subject.absent is None],
            scratch,
        )
        if "vectors" in plan.parts:
            with _timed(results, "vectors", announce):
                results.cells.extend(crew.vectors(plan.cases))
        if "matrix" in plan.parts or "updates" in plan.parts:
            with _timed(results, "matrix", announce):
                arrays, cells = crew.matrix(plan.samples)
            if "matrix" in plan.parts:
                results.cells.extend(cells)
        if "updates" in plan.parts:
            with _timed(results, "updates", announce):
                results.cells.extend(crew.updates(arrays))
        if "cost" in plan.parts:
            with _timed(results, "cost", announce):
                results.cells.extend(crew.cost())
    return replace(results, cells=marked_hosts(results.cells))


@dataclass(frozen=True, slots=True)
class _Crew:
    """The implementations that are there.

    Attributes
    ----------
    judged
        Those whose cells are wanted.
    readers
        Those, and the oracles.
    """

    pool: ThreadPoolExecutor
    judged: list[Subject]
    readers: list[Subject]
    scratch: Path

    def vectors(self, cases: Sequence[Case]) -> Iterator[Cell]:
        return chain.from_iterable(self.pool.map(lambda one: run_vectors(one, cases), self.judged))

    def matrix(self, samples: Sequence[Sample]) -> tuple[list[Written], list[Cell]]:
        folder = self.scratch / "matrix"
        written = self.pool.map(lambda one: crossing.write_all(one, samples, folder), self.judged)
        return self._cross(list(chain.from_iterable(written)))

    def updates(self, arrays: Sequence[Written]) -> list[Cell]:
        folder = self.scratch / "updates"
        updated = self.pool.map(lambda one: crossing.update_all(one, arrays, folder), self.judged)
        return self._cross(list(chain.from_iterable(updated)))[1]

    def cost(self) -> Iterator[Cell]:
        measured = prepare(self.scratch)
        return chain.from_iterable(self.pool.map(lambda one: run_cost(one, measured), self.judged))

    def _cross(self, arrays: list[Written]) -> tuple[list[Written], list[Cell]]:
        """Have everyone read what was written."""
        found = self.pool.map(lambda one: crossing.read_all(one, arrays), self.readers)
        readings = dict(zip((one.name for one in self.readers), found, strict=True))
        arrays = crossing.confirmed(arrays, readings)
        wanted = {one.name for one in self.judged}
        cells = crossing.cells_of(arrays, {name: found for name, found in readings.items() if name in wanted})
        return arrays, list(cells)


def _describe(subject: Subject) -> Described:
    return Described(subject.name, subject.version, subject.language, subject.setup, subject.absent)


@contextmanager
def _timed(results: Results, part: str, announce: Callable[[str], None]) -> Iterator[None]:
    announce(part)
    began = time.perf_counter()
    yield
    results.seconds[part] = time.perf_counter() - began
