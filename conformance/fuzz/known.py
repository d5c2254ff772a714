"""Differences from tensorstore that are understood, each with its reason.

Owns the list, which should stay short: what stands here is not looked for any more. Only refusals can be
explained; other values, or a reader that dies, never.
"""

from __future__ import annotations

import re
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
    """

    why: str
    kind: Literal["ours refuses", "theirs refuses"]
    message: str


def explained(difference: Difference, ours: Answer, theirs: Answer) -> str | None:
    """Give the reason of a difference, or None if none is known."""
    refusal = {"ours refuses": ours, "theirs refuses": theirs}.get(difference.kind)
    if refusal is None:
        return None
    return next(
        (one.why for one in KNOWN if one.kind == difference.kind and re.search(one.message, refusal.message)),
        None,
    )


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
    Known(
        "tensorstore takes no short-hand names for codecs; the core specification does"
        ' ("Extension definition", Short-hand names)',
        "theirs refuses",
        r'Expected object, but received: "\w+"',
    ),
    Known(
        "tensorstore wants every parameter of a compressor, also to read; none of them matters to decoding",
        "theirs refuses",
        r'"(level|cname|clevel|shuffle|typesize|blocksize)": Expected .*(<discarded>|is missing)',
    ),
    Known(
        "tensorstore takes 2.0 for an integer; where the specification says integers, we want them written so"
        " (CHUNK-SHAPE-INTEGERS; fill values: without fraction or exponent)",
        "ours refuses",
        r"[0-9]\.0 is no fill value for u?int"
        r"|expected (an integer|a list of ([0-9]+ )?integers|[0-9]+), found .*[0-9]\.0",
    ),
    Known(
        "tensorstore takes a float of fewer hexadecimal digits than the type has; we want them all, as"
        ' the core specification shows them ("Permitted fill values")',
        "ours refuses",
        r"is no fill value for (float|complex)[0-9]+: expected .* digits",
    ),
)
