"""The first part: every reader over every vector, whole and in each of its selections."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from conformance.cases.corpus import Case
from conformance.implementations import Capabilities, Document, Index
from conformance.run.judging import Verdict, judge
from conformance.run.results import Cell, cell
from conformance.run.serving import Subject


def run_vectors(subject: Subject, cases: Sequence[Case]) -> list[Cell]:
    """Have one implementation read all cases."""
    return [one for case in cases for one in _read_case(subject, case)]


def _read_case(subject: Subject, case: Case) -> Iterator[Cell]:
    document = _document(case)
    selections = [(None, case.expect), *((one.axes, one.expect) for one in case.selections)]
    for number, (selection, expect) in enumerate(selections):
        right = case.values if selection is None else case.values[selection]
        verdict = impossible(subject.capabilities, selection)
        if verdict is None:
            answer = subject.read(str(case.array_path), selection)
            beyond = missing(subject.capabilities, document, selection)
            verdict = judge(expect, right, answer, why=case.why, beyond=beyond)
        yield cell(
            "vectors",
            subject.name,
            case.name,
            verdict,
            requirements=case.requirements,
            selection=None if selection is None else number - 1,
        )


def impossible(capabilities: Capabilities, selection: Index | None) -> Verdict | None:
    """Judge a read that there is no way to ask for; None if there is one."""
    if selection is None or capabilities.parts:
        return None
    return Verdict("unsupported", got="no partial reads")


def missing(capabilities: Capabilities, document: Document, selection: Index | None) -> str | None:
    """Say what a read asks for that an implementation says it cannot; None if it says no such thing."""
    if not capabilities.integers and any(isinstance(axis, int) for axis in selection or ()):
        return "integers"
    steps = any(isinstance(axis, slice) and axis.step not in (None, 1) for axis in selection or ())
    if steps and not capabilities.steps:
        return "steps"
    return capabilities.missing(document)


def _document(case: Case) -> Document:
    """Metadata of a case, as far as there is any that can be read."""
    try:
        document = json.loads((case.array_path / "zarr.json").read_bytes())
    except (ValueError, FileNotFoundError):
        return {}
    return document if isinstance(document, dict) else {}
