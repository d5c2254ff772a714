"""Results: what was measured, and what it amounts to.

Owns the JSON form. Ratios are how many times as long a peer takes: above 1, this package is faster.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from conformance.bench.subjects import OURS, Description, is_peer

SCHEMA: Final = 2
"""Changes when results from before can no longer be read."""

SIZE_TOLERANCE: Final = 0.02
"""Encoded sizes that differ by more than this of ours are not the same settings."""


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of one operation, over the rounds.

    Attributes
    ----------
    median, low, high
        Low and high are the quartiles.
    rounds
        How many rounds; fewer for a subject too slow to matter, more for an operation that is over at once.
    """

    median: float
    low: float
    high: float
    rounds: int

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Self:
        """Sum up measurements."""
        low, median, high = (
            statistics.quantiles(seconds, n=4, method="inclusive") if len(seconds) > 1 else [seconds[0]] * 3
        )
        return cls(median, low, high, len(seconds))


@dataclass(frozen=True, slots=True)
class Cell:
    """One operation on one array.

    Attributes
    ----------
    name
        Data, edge of the inner chunk, codec, operation.
    nbytes
        How much of the array the operation reads or writes, decoded.
    times
        By subject.
    limit
        Without Zarr; see `limits`.
    bar
        What the ratio has to be.
    encoded_nbytes
        By subject: what its shards come to, after a full write.
    notes
        By subject: what went wrong. Such a subject does not count in this cell.
    """

    name: str
    nbytes: int
    times: dict[str, Times]
    limit: Times | None
    bar: float | None
    encoded_nbytes: dict[str, int] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def ratios(self) -> dict[str, float]:
        """How many times as long every other subject takes."""
        if OURS not in self.times:
            return {}
        ours = self.times[OURS].median
        return {name: times.median / ours for name, times in self.times.items() if name != OURS}

    @property
    def fastest_peer(self) -> str | None:
        """The peer that takes the least time."""
        return min(self.peers, key=self.peers.__getitem__, default=None)

    @property
    def ratio(self) -> float | None:
        """How many times as long the fastest peer takes."""
        return min(self.peers.values(), default=None)

    @property
    def peers(self) -> dict[str, float]:
        """How many times as long each peer takes; this package within zarr-python is none of them."""
        return {name: ratio for name, ratio in self.ratios.items() if is_peer(name)}

    @property
    def reaches_bar(self) -> bool:
        """Whether it is as fast as it has to be; a cell without a bar is."""
        return self.bar is None or self.ratio is None or self.ratio >= self.bar

    @property
    def sizes_differ(self) -> list[str]:
        """Peers whose shards differ in size from ours by more than the tolerance."""
        ours = self.encoded_nbytes.get(OURS)
        if ours is None:
            return []
        return [n for n, found in self.encoded_nbytes.items() if abs(found - ours) > SIZE_TOLERANCE * ours]

    def to_json(self) -> dict[str, Any]:
        """Give the cell with what follows from it, for readers of the file."""
        return {
            **asdict(self),
            "fastest_peer": self.fastest_peer,
            "ratio": self.ratio,
            "ratios": self.ratios,
            "reaches_bar": self.reaches_bar,
        }

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Self:
        """Read a cell."""
        return cls(
            name=given["name"],
            nbytes=given["nbytes"],
            times={name: Times(**times) for name, times in given["times"].items()},
            limit=None if given["limit"] is None else Times(**given["limit"]),
            bar=given["bar"],
            encoded_nbytes=dict(given["encoded_nbytes"]),
            notes=dict(given["notes"]),
        )


@dataclass(frozen=True, slots=True)
class Memory:
    """Peak memory of a full read, in bytes, beyond what there was before it."""

    case: str
    peak_nbytes: dict[str, int]
    """By subject."""
    output_nbytes: int
    bars_nbytes: dict[str, int]
    """By subject, of those that have one."""

    @property
    def misses(self) -> list[str]:
        """Subjects above their bar, or not measured."""
        return [name for name, bar in self.bars_nbytes.items() if self.peak_nbytes.get(name, bar + 1) > bar]


@dataclass(frozen=True, slots=True)
class Requirement:
    """A bar in seconds.

    Attributes
    ----------
    seconds
        None if it could not be measured; `note` says why.
    """

    name: str
    seconds: float | None
    bar_seconds: float
    note: str | None = None

    @property
    def is_met(self) -> bool:
        """Whether it takes no longer than it may."""
        return self.seconds is not None and self.seconds <= self.bar_seconds


@dataclass(frozen=True, slots=True)
class Growth:
    """Times of full reads while one thing grows.

    Attributes
    ----------
    points
        Count and seconds.
    slope
        Of the straight line through the upper half of the points, both axes logarithmic: 1 is in
        proportion.
    """

    name: str
    points: list[tuple[int, float]]
    slope: float


@dataclass(frozen=True, slots=True)
class Results:
    """All of one run."""

    date: str
    machine: dict[str, Any]
    subjects: list[Description]
    rounds: int
    cells: list[Cell]
    memory: list[Memory] = field(default_factory=list)
    requirements: list[Requirement] = field(default_factory=list)
    growth: list[Growth] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """Write the file."""
        document = {"schema": SCHEMA, **asdict(self), "cells": [cell.to_json() for cell in self.cells]}
        path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file.

        Raises
        ------
        ValueError
            It is no results file, or one of another schema.
        """
        document = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(document, dict) or document.get("schema") != SCHEMA:
            raise ValueError(f"{path.name}: expected benchmark results of schema {SCHEMA}")
        return cls(
            date=document["date"],
            machine=document["machine"],
            subjects=[Description(**one) for one in document["subjects"]],
            rounds=document["rounds"],
            cells=[Cell.from_json(one) for one in document["cells"]],
            memory=[Memory(**one) for one in document["memory"]],
            requirements=[Requirement(**one) for one in document["requirements"]],
            growth=[
                Growth(one["name"], [(n, seconds) for n, seconds in one["points"]], one["slope"])
                for one in document["growth"]
            ],
        )
