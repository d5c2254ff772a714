"""Reading a results file, and making sure that all of it is understood.

Owns the checks. The form of the file is `conformance.run.results`' business.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from conformance.run.judging import GRAVEST_FIRST
from conformance.run.results import FORMAT, PARTS, Cell, Described, Results


class ResultsError(ValueError):
    """A file that is no results file."""


def load(path: Path) -> Results:
    """Read a results file.

    Raises
    ------
    ResultsError
        It is not JSON, of another format, empty, or has an outcome, a part or an implementation that
        nobody knows.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ResultsError(f"{path} is not JSON: {error}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ResultsError(f"{path} is no results file of format {FORMAT}")
    try:
        implementations = [Described(**one) for one in document["implementations"]]
        cells = list(_cells(document["cells"]))
        results = Results(document["machine"], implementations, cells)
    except (KeyError, TypeError) as error:
        raise ResultsError(f"{path} is not as expected: {error}") from error
    if not cells:
        raise ResultsError(f"{path} has no results")
    names = [one.name for one in implementations]
    for cell in cells:
        _known("outcome", cell.outcome, GRAVEST_FIRST)
        _known("part", cell.part, PARTS)
        _known("implementation", cell.implementation, names)
    return results


def _cells(documents: list[dict[str, Any]]) -> Iterator[Cell]:
    # A vector's requirements stand with the reading of its whole array alone.
    held = {one["case"]: tuple(one["requirements"]) for one in documents if "requirements" in one}
    for one in documents:
        yield Cell(**{**one, "requirements": held.get(one["case"], ()) if one["part"] == "vectors" else ()})


def _known(kind: str, value: str, among: Sequence[str]) -> None:
    if value not in among:
        raise ResultsError(f"unknown {kind} {value!r}")
