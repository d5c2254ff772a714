"""The outcomes that a result can have, in words and signs for people, the gravest first.

Owns how an outcome is shown. What makes a result have one is `run`'s business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Outcome:
    """One kind of result.

    Attributes
    ----------
    key
        Its name in results files.
    sign
        One character, so that nobody needs colours to tell outcomes apart.
    label
        Its name for people.
    meaning
        What it says about the implementation, in one sentence.
    """

    key: str
    sign: str
    label: str
    meaning: str


GRAVE: Final = (
    Outcome(
        "wrong_data",
        "≠",
        "wrong data",
        "Gave values that are not the array's, and no error: nobody who reads this array would notice.",
    ),
    Outcome(
        "accepted",
        "A",
        "accepted",
        "Read what the specification forbids, or what is damaged, as if nothing were wrong.",
    ),
    Outcome("crash", "C", "crash", "The process died or panicked."),
    Outcome("hang", "H", "hang", "No answer within ten seconds."),
    Outcome(
        "refused",
        "R",
        "refused",
        "An error, where values are due: the array cannot be read, and the reader says so.",
    ),
)
"""What counts against an implementation, the gravest first."""

HOST: Final = Outcome(
    "host",
    "h",
    "the host's",
    "Runs inside another implementation, which does just this without it as well; counted there.",
)
UNTRIED: Final = (
    HOST,
    Outcome(
        "unsupported",
        "U",
        "unsupported",
        "The implementation says of itself that it does not do this (partial reads, say).",
    ),
    Outcome("absent", "–", "absent", "The implementation is not installed where this was run."),
)
"""What counts neither for nor against it."""

OUTCOMES: Final = (
    *GRAVE,
    *UNTRIED,
    Outcome("pass", "✓", "pass", "The right values, bit for bit, or an error where one is due."),
)
"""In the order in which they are shown: a cell shows itself as the first that it has."""
