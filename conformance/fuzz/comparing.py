"""One drawn array: written, read by this package and by tensorstore, and what they said compared.

Owns what a disagreement is: other values than the other one, or an error where the other one has none. Where
nothing is broken, the values must also be those that were written.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from conformance.cases.draft import read_files, write_files
from conformance.fuzz.drawing import Drawn
from conformance.fuzz.known import Difference, explained
from conformance.implementations import OURS, PLACES, Index
from conformance.run.judging import Answer, compare
from conformance.run.serving import Subject
from zarr_shard_codec import ZarrShardError


class Disagreement(AssertionError):  # noqa: N818 - it is what is looked for, and an error only to Hypothesis
    """The two differ, and nothing that is known explains it.

    Attributes
    ----------
    drawn, files
        The array, and its files as they were read.
    answers
        What each said: this package's answers and tensorstore's, by selection (None for the whole array).
    difference
        In words.
    """

    def __init__(
        self, drawn: Drawn, files: dict[str, bytes], answers: list[Reading], difference: str
    ) -> None:
        super().__init__(difference)
        self.drawn = drawn
        self.files = files
        self.answers = answers
        self.difference = difference


@dataclass(frozen=True, slots=True)
class Reading:
    """What both said about one selection; None is the whole array. `reason` is that of our refusal."""

    selection: Index | None
    ours: Answer
    theirs: Answer
    reason: str | None


class Readers:
    """Our package, in this process, and tensorstore in its own: it may die of what it is given."""

    def __init__(self) -> None:
        self.theirs: Final = Subject("tensorstore", PLACES["tensorstore"])
        if self.theirs.absent is not None:
            raise RuntimeError(f"tensorstore is not there: {self.theirs.absent}")
        self._ours = PLACES[OURS].make()
        self.explained: dict[str, int] = {}
        """How often each known difference came."""

    def close(self) -> None:
        """End tensorstore's process."""
        self.theirs.close()

    def check(self, drawn: Drawn) -> None:
        """Write an array, break it as drawn, and have both read it.

        Raises
        ------
        Disagreement
            They differ.
        """
        with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
            path = Path(folder) / "array.zarr"
            if not self._write(drawn, path):
                return
            files = read_files(path)
            if drawn.damage:
                for damage in drawn.damage:
                    damage.change(files)
                path = Path(folder) / "broken.zarr"
                write_files(path, files)
            readings = [self._read(path, None)]
            whole = readings[0].ours.values
            readings += [self._read(path, one) for one in drawn.selections if fits(one, whole)]
        for reading in readings:
            difference = _difference(drawn, reading)
            if difference is None:
                continue
            why = explained(difference, reading.ours, reading.theirs, files)
            if why is None:
                raise Disagreement(drawn, files, readings, difference.words)
            self.explained[why] = self.explained.get(why, 0) + 1

    def _write(self, drawn: Drawn, path: Path) -> bool:
        """Write it; False where the writer does not take such metadata, which reading then has to say."""
        if drawn.writer == "hand":
            write_files(path, drawn.files)
            return True
        if drawn.writer == "tensorstore":
            return self.theirs.write(str(path), drawn.document, drawn.values).kind == "done"
        self._ours.write(str(path), drawn.document, drawn.values)
        return True

    def _read(self, path: Path, selection: Index | None) -> Reading:
        reason = None
        try:
            ours = Answer("values", np.asarray(self._ours.read(str(path), selection)))
        except ZarrShardError as error:
            ours, reason = Answer("refusal", message=str(error)), error.reason
        except Exception as error:  # noqa: BLE001 - nothing but our own errors is a refusal
            ours = Answer("crash", message=repr(error))
        return Reading(selection, ours, self.theirs.read(str(path), selection), reason)


def fits(selection: Index, whole: np.ndarray[Any, Any] | None) -> bool:
    """Whether a selection lies in the array as it was read: its metadata may have another shape now.

    Where another axis selects nothing, tensorstore takes what is out of bounds for what it says; NumPy takes
    no such index, and cuts such a slice.
    """
    if whole is None:
        return True
    try:
        whole[selection]
    except IndexError:
        return False
    return all(
        not isinstance(one, slice) or one.stop is None or one.stop <= size
        for one, size in zip(selection, whole.shape, strict=False)
    )


def _difference(drawn: Drawn, reading: Reading) -> Difference | None:
    ours, theirs = reading.ours, reading.theirs
    for name, answer in (("zarr_shard_codec", ours), ("tensorstore", theirs)):
        if answer.kind not in ("values", "refusal"):
            return Difference("failure", f"{name}: {answer.kind}: {answer.message}")
    if not drawn.broken:
        right = np.asarray(drawn.values if reading.selection is None else drawn.values[reading.selection])
        for name, answer in (("zarr_shard_codec", ours), ("tensorstore", theirs)):
            if answer.values is not None and (wrong := compare(answer.values, right)) is not None:
                return Difference("wrong", f"{name} reads other values than {drawn.writer} wrote: {wrong}")
        if ours.values is None:
            return Difference("wrong", f"zarr_shard_codec refuses a good array: {ours.message}")
    if ours.values is None:
        if theirs.values is None:
            return None
        return Difference("ours refuses", f"only zarr_shard_codec refuses: {ours.message}")
    if theirs.values is None:
        return Difference("theirs refuses", f"only tensorstore refuses: {theirs.message}")
    wrong = compare(ours.values, theirs.values)
    return None if wrong is None else Difference("values", f"zarr_shard_codec is not tensorstore: {wrong}")
