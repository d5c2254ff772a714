"""Byte ranges: what a plan asks for, and how near neighbours are merged into one read.

Owns the requests of a conversation and their coalescing. Who reads them is the engine's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class ByteRange:
    """`nbytes` bytes from `offset` on. Past the object's end there is nothing: the answer is shorter."""

    offset: int
    nbytes: int


@dataclass(frozen=True, slots=True)
class Suffix:
    """The last `nbytes` bytes; the whole object if that is shorter."""

    nbytes: int


@dataclass(frozen=True, slots=True)
class Whole:
    """The whole object."""


WHOLE: Final = Whole()

Request = ByteRange | Suffix | Whole
Buffer = bytes | bytearray | memoryview
"""Contiguous bytes. A plan slices them without a copy, so a store never reuses what it handed out."""
