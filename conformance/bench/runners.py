"""What happens in the process of one subject: arrays are opened, operations are timed.

Owns the measurement of a subject. Which process it happens in is `workers`' business, how often and in
which order is `rounds`'.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from conformance.bench.clock import digest, settle, timed
from conformance.bench.matrix import Array, Case, Operation, chunks_with_data, selections
from conformance.bench.subjects import Selection, Subject


@dataclass(frozen=True, slots=True)
class Folders:
    """Where a case's arrays are.

    Attributes
    ----------
    content
        A file of the data, as `numpy.save` writes it.
    shared
        The sharded array that everyone reads.
    own
        A copy of it that one subject writes.
    unsharded
        An array of the same chunks that everyone packs.
    packed
        Where one subject packs it to.
    """

    content: Path
    shared: Path
    own: Path
    unsharded: Path
    packed: Path


@dataclass(frozen=True, slots=True)
class Measurement:
    """One operation, timed once.

    Attributes
    ----------
    seconds
        For one of the selections that the operation takes.
    digest
        What was read; None if it was not asked for, or nothing was read.
    """

    seconds: float
    digest: str | None = None


def value_to_write(content: Array, operation: Operation, selection: Selection) -> Array:
    """What an operation writes: the content, or for a single inner chunk something else than is there."""
    value = content[selection]
    return np.ascontiguousarray(value[::-1] if operation == "chunk_write" else value)


class SubjectRunner:
    """Times one implementation."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject

    def prepare(self, case: Case, folders: Folders) -> None:
        """Load the content and open the arrays."""
        self._case, self._folders = case, folders
        self._content = np.load(folders.content)
        self._with_data = chunks_with_data(case, self._content)
        self._shared = self._subject.open(str(folders.shared))
        self._own = self._subject.open(str(folders.own)) if folders.own.exists() else None
        settle()

    def measure(self, operation: Operation, round_: int, *, verify: bool) -> Measurement:
        """Time one operation over its selections."""
        todo = selections(self._case, operation, round_, self._with_data)
        if operation == "pack":
            return self._measure_pack()
        if operation in ("write", "chunk_write"):
            values = [value_to_write(self._content, operation, selection) for selection in todo]
            seconds, _ = timed(lambda: self._write(todo, values))
            return Measurement(seconds / len(todo))
        seconds, results = timed(lambda: self._read(todo, keep=verify))
        return Measurement(seconds / len(todo), digest(results) if verify else None)

    def write_whole(self, path: Path, content: Path) -> None:
        """Fill an array, untimed."""
        values = np.load(content)
        array = self._subject.open(str(path))
        self._subject.write(array, tuple(slice(0, size) for size in values.shape), values)

    def digest_of(self, path: Path, todo: list[Selection]) -> str:
        """Sum up what is in an array, untimed."""
        array = self._subject.open(str(path))
        return digest(self._subject.read(array, selection) for selection in todo)

    def setup(self) -> str:
        """How the subject is set up."""
        return self._subject.setup

    def _read(self, todo: list[Selection], *, keep: bool) -> list[Array]:
        """Read one after the other; who is timed lets go of each, as who uses them would."""
        kept: list[Array] = []
        for selection in todo:
            result = self._subject.read(self._shared, selection)
            if keep:
                kept.append(result)
        return kept

    def _write(self, todo: list[Selection], values: list[Array]) -> None:
        for selection, value in zip(todo, values, strict=True):
            self._subject.write(self._own, selection, value)

    def _measure_pack(self) -> Measurement:
        source, target = str(self._folders.unsharded), self._folders.packed
        if target.exists():
            shutil.rmtree(target)
        document: dict[str, Any] = self._case.document()
        seconds, _ = timed(lambda: self._subject.pack(source, str(target), document))
        return Measurement(seconds)
