"""The second and third part: what one implementation wrote, and another changed, all others read.

Owns whose fault it is. Everyone first writes, then reads everything. What was written is right if one of two
readers that share no code finds it right, tensorstore or this package. If none of those that can read such
an array does, the writer's cell says so, and nobody is judged for reading it; else, whoever reads other
values is wrong himself.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from conformance.implementations import OURS, Index
from conformance.run.arrays import Sample
from conformance.run.judging import GRAVEST_FIRST, PASS, Array, Verdict, judge, judge_done
from conformance.run.results import Cell, Part, cell
from conformance.run.serving import Subject
from conformance.run.vectors import impossible, missing

ORACLES: Final = ("tensorstore", OURS)
"""Who is asked whether something was written rightly."""
CHANGED: Final = (
    "codec-zstd-crc32c",
    "index-start-zstd",
    "nested",
    "transposed",
    "gzip-after",
    "mostly-empty",
)
"""The samples that are updated."""


@dataclass(frozen=True, slots=True)
class Written:
    """An array that somebody wrote, and perhaps somebody else changed.

    Attributes
    ----------
    path
        Where it is.
    right
        What must be in it.
    verdict
        On the writing, or the change, as far as whoever did it says.
    updater
        None if nobody changed it.
    """

    sample: Sample
    path: Path
    right: Array
    verdict: Verdict
    writer: str
    updater: str | None = None


Reading = tuple[Verdict, int | None]
"""The worst of what one reader read of one array, and in which of its parts that was."""


def write_all(writer: Subject, samples: Sequence[Sample], folder: Path) -> list[Written]:
    """Have one implementation write all samples into a folder of its own."""
    return [_write(writer, sample, folder / writer.name / sample.name) for sample in samples]


def update_all(updater: Subject, arrays: Sequence[Written], folder: Path) -> list[Written]:
    """Have one implementation change a copy of each array that is to be changed."""
    return [
        _update(updater, array, folder / updater.name / array.writer / array.sample.name)
        for array in arrays
        if array.sample.name in CHANGED and array.verdict.outcome == "pass"
    ]


def read_all(reader: Subject, arrays: Sequence[Written]) -> list[Reading]:
    """Have one implementation read all that was written, whole and in parts."""
    return [_read(reader, array) if array.verdict.outcome == "pass" else (PASS, None) for array in arrays]


def confirmed(arrays: Sequence[Written], readings: dict[str, list[Reading]]) -> list[Written]:
    """Judge what was written by what the oracles among the readers found."""
    oracles = [name for name in ORACLES if name in readings]
    return [
        replace(array, verdict=_confirm(array, {name: readings[name][at][0] for name in oracles}))
        for at, array in enumerate(arrays)
    ]


def cells_of(arrays: Sequence[Written], readings: dict[str, list[Reading]]) -> Iterator[Cell]:
    """Make the cells: of each writing or change, and, where that is right, of each reading."""
    for at, array in enumerate(arrays):
        case, names = array.sample.name, {"writer": array.writer}
        part: Part = "matrix" if array.updater is None else "updates"
        if array.updater is None:
            yield cell(part, array.writer, case, array.verdict, operation="write", **names)
        else:
            names["updater"] = array.updater
            yield cell(part, array.updater, case, array.verdict, operation="update", **names)
        if array.verdict.outcome == "pass":
            for reader, found in readings.items():
                verdict, place = found[at]
                yield cell(part, reader, case, verdict, selection=place, **names)


def _write(writer: Subject, sample: Sample, path: Path) -> Written:
    if writer.capabilities.writes:
        answer = writer.write(str(path), sample.document, sample.values)
        verdict = judge_done(answer, beyond=writer.capabilities.missing(sample.document))
    else:
        verdict = Verdict("unsupported", got="no writing of shards")
    return Written(sample, path, sample.values, verdict, writer.name)


def _update(updater: Subject, array: Written, path: Path) -> Written:
    sample, right = array.sample, array.right.copy()
    right[sample.changed] = sample.changes()
    if updater.capabilities.updates:
        shutil.copytree(array.path, path)
        answer = updater.update(str(path), sample.changed, sample.changes())
        verdict = judge_done(answer, beyond=updater.capabilities.missing(sample.document))
    else:
        verdict = Verdict("unsupported", got="no updates of shards")
    return Written(sample, path, right, verdict, array.writer, updater.name)


def _confirm(array: Written, found: dict[str, Verdict]) -> Verdict:
    telling = {name: verdict for name, verdict in found.items() if verdict.outcome != "unsupported"}
    if array.verdict.outcome != "pass" or not telling:
        return array.verdict
    if any(verdict.outcome == "pass" for verdict in telling.values()):
        return array.verdict
    if list(telling) == [OURS]:
        return array.verdict  # our word alone convicts nobody: the reading is then our own failure
    worst = min(telling.values(), key=lambda verdict: GRAVEST_FIRST.index(verdict.outcome))
    got = f"as {' and '.join(telling)} read it: {worst.got}"
    return Verdict("wrong_data", worst.expected, got, worst.message)


def _read(reader: Subject, array: Written) -> Reading:
    selections = [None, *array.sample.parts]
    verdicts = [_verdict(reader, array, selection) for selection in selections]
    # Who takes no parts is judged by the whole.
    judged = [at for at, one in enumerate(verdicts) if one.outcome != "unsupported"] or [0]
    worst = min(judged, key=lambda at: GRAVEST_FIRST.index(verdicts[at].outcome))
    return verdicts[worst], None if worst == 0 else worst - 1


def _verdict(reader: Subject, array: Written, selection: Index | None) -> Verdict:
    verdict = impossible(reader.capabilities, selection)
    if verdict is not None:
        return verdict
    answer = reader.read(str(array.path), selection)
    beyond = missing(reader.capabilities, array.sample.document, selection)
    right = array.right if selection is None else array.right[selection]
    return judge("values", right, answer, why=None, beyond=beyond)
