"""Results: one cell for each thing that was judged, and their file.

Owns the form of the file, which `python -m conformance report` reads.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal

from conformance.implementations import HOSTS
from conformance.run.judging import LOSSES, Outcome, Verdict

FORMAT: Final = 1
Part = Literal["vectors", "matrix", "updates", "cost"]
PARTS: Final[tuple[Part, ...]] = ("vectors", "matrix", "updates", "cost")


@dataclass(frozen=True, slots=True)
class Cell:
    """One thing that was judged.

    Attributes
    ----------
    part
        Of the run.
    implementation
        The one that is judged.
    case
        Id of the vector, or of the array.
    outcome
        As `judging` has it.
    operation
        What it is judged for.
    selection
        Which of the case's selections; None for all of the array.
    requirements
        Ids that the case holds, for vectors.
    writer, updater
        Who wrote the array, and who changed it since, in the parts that have them.
    expected, got, message
        What was due and what came, if they are not the same. For cost, `got` has the numbers.
    """

    part: Part
    implementation: str
    case: str
    outcome: Outcome
    operation: Literal["read", "write", "update"] = "read"
    selection: int | None = None
    requirements: tuple[str, ...] = ()
    writer: str | None = None
    updater: str | None = None
    host: bool = False
    """The implementation runs inside another one, which has the same outcome without it: that one's doing."""
    expected: str = ""
    got: str | dict[str, int] = ""
    message: str = ""

    @property
    def name(self) -> str:
        """The cell in words, without its outcome."""
        words = [self.case]
        if self.selection is not None:
            words.append(f"part {self.selection}")
        if self.operation != "read":
            words.append(self.operation)
        if self.writer is not None and self.operation != "write":
            words.append(f"written by {self.writer}")
        if self.updater is not None and self.operation != "update":
            words.append(f"updated by {self.updater}")
        return ", ".join(words)

    def to_json(self) -> dict[str, Any]:
        """What the file has: only what is not as in most cells."""
        document: dict[str, Any] = {
            "part": self.part,
            "implementation": self.implementation,
            "case": self.case,
            "outcome": self.outcome,
        }
        if self.operation != "read":
            document["operation"] = self.operation
        if self.requirements and self.selection is None:  # those of the parts are the same
            document["requirements"] = list(self.requirements)
        for name in ("selection", "writer", "updater"):
            if getattr(self, name) is not None:
                document[name] = getattr(self, name)
        for name in ("host", "expected", "got", "message"):
            if getattr(self, name):
                document[name] = getattr(self, name)
        return document


def cell(part: Part, implementation: str, case: str, verdict: Verdict, **others: Any) -> Cell:
    """Make a cell of a verdict."""
    return Cell(
        part,
        implementation,
        case,
        verdict.outcome,
        expected=verdict.expected,
        got=verdict.got,
        message=verdict.message,
        **others,
    )


@dataclass(frozen=True, slots=True)
class Described:
    """An implementation as the results name it; `absent` is the reason why it is not there."""

    name: str
    version: str | None
    language: str | None
    setup: str | None
    absent: str | None


@dataclass(frozen=True, slots=True)
class Results:
    """All of a run.

    Attributes
    ----------
    machine
        What it ran on: no host name and no paths, as results are published.
    implementations
        Those asked for, absent ones too.
    cells
        In the order of the parts.
    seconds
        How long each part took; not in the file, which is the same for the same outcomes.
    """

    machine: dict[str, Any]
    implementations: list[Described]
    cells: list[Cell]
    seconds: dict[str, float] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write the file: one cell a line, so that a diff shows what changed."""
        head = {
            "format": FORMAT,
            "machine": self.machine,
            "implementations": [
                {name: getattr(one, name) for name in Described.__slots__} for one in self.implementations
            ],
        }
        lines = ",\n".join(_dump(one.to_json()) for one in self.cells)
        opening = json.dumps(head, ensure_ascii=False, indent=1).removesuffix("\n}")
        path.write_text(f'{opening},\n "cells": [\n{lines}\n]}}\n', encoding="utf-8")


def marked_hosts(cells: Iterable[Cell]) -> list[Cell]:
    """Mark what is a host's doing: it has the same outcome, with the same values, where it runs alone."""
    found = list(cells)
    alone = {
        (one.implementation, one.part, one.name): one for one in found if one.implementation in HOSTS.values()
    }
    marked = []
    for one in found:
        host = HOSTS.get(one.implementation)
        other = None if host is None else alone.get((host, one.part, one.name))
        same = other is not None and (other.outcome, other.got) == (one.outcome, one.got)
        marked.append(replace(one, host=True) if same and one.outcome in LOSSES else one)
    return marked


def _dump(document: dict[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))
