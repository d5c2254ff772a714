"""Results files, as `python -m conformance run --json` writes them: reading and checking.

Owns the form of a results file on the reader's side. Nothing here runs an implementation.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from conformance.report.outcomes import OUTCOMES

FORMAT: Final = 1
PARTS: Final = ("vectors", "matrix", "updates", "cost")
_KEYS: Final = frozenset(outcome.key for outcome in OUTCOMES)


class ResultsError(ValueError):
    """A file that is no results file."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one implementation did with one case, whole or one selection of it.

    Attributes
    ----------
    part
        One of `PARTS`.
    implementation
        The one that is judged: the reader.
    case
        The case's id within its part.
    selection
        Which of the case's selections; None for the whole array.
    writer, updater
        Who wrote the array, and who updated it, in the parts that have them.
    outcome
        The key of one of `OUTCOMES`.
    expected, got, message
        What was due, what came, and the error's text, where the outcome is not a pass. In the part `cost`,
        `got` has `requests`, `bytes`, `ideal_requests` and `ideal_bytes`.
    """

    part: str
    implementation: str
    case: str
    selection: int | None
    writer: str | None
    updater: str | None
    outcome: str
    expected: Any
    got: Any
    message: str | None


@dataclass(frozen=True, slots=True)
class Implementation:
    """A subject of the run. `absent` is the reason why it is not there, None if it is."""

    name: str
    version: str | None
    language: str | None
    setup: str | None
    absent: str | None


@dataclass(frozen=True, slots=True)
class Results:
    """A whole results file."""

    machine: dict[str, Any]
    implementations: tuple[Implementation, ...]
    results: tuple[Result, ...]
    requirements: dict[str, tuple[str, ...]]
    """Of each case among the vectors, the requirements that it holds."""

    def count(self, part: str, implementation: str) -> Counter[str]:
        """How many results of each outcome an implementation has in a part."""
        return Counter(result.outcome for result in self._of(part) if result.implementation == implementation)

    def _of(self, part: str) -> Iterable[Result]:
        return (result for result in self.results if result.part == part)


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
        results = _parse(document)
    except (KeyError, TypeError) as error:
        raise ResultsError(f"{path}: a result or an implementation lacks {error}") from error
    if not results.results:
        raise ResultsError(f"{path} has no results")
    return results


def _parse(document: dict[str, Any]) -> Results:
    implementations = tuple(
        Implementation(
            one["name"], one.get("version"), one.get("language"), one.get("setup"), one.get("absent")
        )
        for one in document["implementations"]
    )
    names = {one.name for one in implementations}
    requirements: dict[str, tuple[str, ...]] = {}
    results = []
    for cell in document["cells"]:
        result = Result(
            part=cell["part"],
            implementation=cell["implementation"],
            case=cell["case"],
            selection=cell.get("selection"),
            writer=cell.get("writer"),
            updater=cell.get("updater"),
            outcome=cell["outcome"],
            expected=cell.get("expected"),
            got=cell.get("got"),
            message=cell.get("message"),
        )
        for value, known, kind in (
            (result.outcome, _KEYS, "outcome"),
            (result.part, PARTS, "part"),
            (result.implementation, names, "implementation"),
        ):
            if value not in known:
                raise ResultsError(f"unknown {kind} {value!r}")
        if result.part == "vectors":
            requirements[result.case] = tuple(cell["requirements"])
        results.append(result)
    return Results(document["machine"], implementations, tuple(results), requirements)
