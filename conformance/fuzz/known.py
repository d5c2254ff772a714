"""Differences from tensorstore that are understood, each with its reason.

Owns the list, which should stay short: what stands here is not looked for any more. Only refusals can be
explained; other values, or a reader that dies, never.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from conformance.run.judging import Answer

Kind = Literal["failure", "wrong", "values", "ours refuses", "theirs refuses"]


@dataclass(frozen=True, slots=True)
class Difference:
    """That the two differ: how, and in words."""

    kind: Kind
    words: str


@dataclass(frozen=True, slots=True)
class Known:
    """A difference that is understood.

    Attributes
    ----------
    why
        Who does what, and by which clause.
    kind
        Who refuses.
    message
        What its error says, as a regular expression.
    where
        What the array's files are like.
    """

    why: str
    kind: Literal["ours refuses", "theirs refuses"]
    message: str
    where: Callable[[dict[str, bytes]], bool] = lambda files: True  # noqa: ARG005


def explained(difference: Difference, ours: Answer, theirs: Answer, files: dict[str, bytes]) -> str | None:
    """Give the reason of a difference, or None if none is known."""
    refusal = {"ours refuses": ours, "theirs refuses": theirs}.get(difference.kind)
    for known in KNOWN:
        if (
            refusal is not None
            and known.kind == difference.kind
            and re.search(known.message, refusal.message)
            and known.where(files)
        ):
            return known.why
    return None


KNOWN: Final = (
    Known(
        "tensorstore takes no bytes→bytes codec after a shard; the core specification does (CHAIN-ORDER)",
        "theirs refuses",
        "is not compatible with subsequent bytes -> bytes codecs",
    ),
    Known(
        "tensorstore takes no must_understand beside a codec's name; the core specification does"
        " (EXTENSION-UNKNOWN)",
        "theirs refuses",
        'Object includes extra members: "must_understand"',
    ),
)
