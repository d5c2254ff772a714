"""What an answer is worth: the answer, what was due, the outcome.

Owns the rules. The specification's own words come with each case; what it leaves open counts against nobody,
except for values that are not the array's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from conformance.cases.elements import to_json

Outcome = Literal["pass", "wrong_data", "accepted", "refused", "crash", "hang", "unsupported", "absent"]
Expect = Literal["values", "refuse", "either"]
Array = np.ndarray[Any, Any]

GRAVEST_FIRST: Final[tuple[Outcome, ...]] = (
    "wrong_data",
    "accepted",
    "crash",
    "hang",
    "refused",
    "unsupported",
    "absent",
    "pass",
)
LOSSES: Final = frozenset(GRAVEST_FIRST[:5])
"""Outcomes that this package's own rows must not have."""

_MESSAGE: Final = 300
_SHOWN: Final = 6
"""So many elements stand in a text."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one operation.

    Attributes
    ----------
    kind
        `values`; `done` for an operation that gives none; `refusal`, an error; `unsupported`, an error that
        says in so many words that this is not supported; `garbled`, no array; `crash`; `hang`.
    values
        What was read.
    message
        Of an error, or a death.
    """

    kind: Literal["values", "done", "refusal", "unsupported", "garbled", "crash", "hang"]
    values: Array | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """An outcome, with what was due and what came; these are empty for a pass."""

    outcome: Outcome
    expected: str = ""
    got: str = ""
    message: str = ""


PASS: Final = Verdict("pass")


def judge(expect: Expect, right: Array, answer: Answer, *, why: str | None, beyond: str | None) -> Verdict:
    """Judge a read.

    Parameters
    ----------
    expect
        What is due.
    right
        The array's values: what is due, or what an intact array would have.
    answer
        What came.
    why
        The clause by which a refusal is due.
    beyond
        What this asks for that the implementation says it cannot; None if nothing. Excuses a refusal.
    """
    expected = _expected(expect, right, why)
    message = answer.message[:_MESSAGE]
    match answer.kind:
        case "crash" | "hang":
            return Verdict(answer.kind, expected, answer.kind, message)
        case "refusal" | "unsupported" if expect != "values":
            return PASS
        case "refusal" | "unsupported":
            return _refused(answer, expected, beyond)
        case "garbled":
            return Verdict("wrong_data", expected, "no array", message)
    assert answer.values is not None
    difference = compare(answer.values, right)
    if difference is not None:
        return Verdict("wrong_data", expected, difference)
    if expect == "refuse":
        return Verdict("accepted", expected, "the values that an intact array would have")
    return PASS


def judge_done(answer: Answer, *, beyond: str | None) -> Verdict:
    """Judge a write, or an update, by its own word; what it wrote is then read."""
    if answer.kind == "done":
        return PASS
    message = answer.message[:_MESSAGE]
    if answer.kind in ("crash", "hang"):
        return Verdict(answer.kind, "written", answer.kind, message)
    return _refused(answer, "written", beyond)


def compare(found: Array, right: Array) -> str | None:
    """Say how values differ, bit by bit; None if they do not."""
    native = right.astype(right.dtype.newbyteorder("="), copy=False)
    if (
        native.dtype.kind == "V"
        and found.dtype == np.uint8
        and found.shape == (*native.shape, native.itemsize)
    ):
        found = np.ascontiguousarray(found).view(native.dtype)[..., 0]  # bytes as one more axis
    if found.dtype.newbyteorder("=") != native.dtype:
        return f"data type {found.dtype}, not {native.dtype}"
    if found.shape != native.shape:
        return f"shape {list(found.shape)}, not {list(native.shape)}"
    found = np.ascontiguousarray(found.astype(native.dtype, copy=False))
    bits = np.dtype((np.void, native.itemsize))
    differs = found.reshape(-1).view(bits) != np.ascontiguousarray(native).reshape(-1).view(bits)
    if not differs.any():
        return None
    count, first = int(differs.sum()), int(differs.argmax())
    place = [int(at) for at in np.unravel_index(first, native.shape)] if native.shape else []
    (was,), (due,) = (to_json(one.reshape(-1)[first : first + 1]) for one in (found, native))
    return f"{count} of {native.size} elements differ, the first at {place}: {was}, not {due}"


def _refused(answer: Answer, expected: str, beyond: str | None) -> Verdict:
    message = answer.message[:_MESSAGE]
    if answer.kind == "unsupported":
        return Verdict("unsupported", expected, "an error that says so", message)
    if beyond is not None:
        return Verdict("unsupported", expected, f"no {beyond}", message)
    return Verdict("refused", expected, "an error", message)


def _expected(expect: Expect, right: Array, why: str | None) -> str:
    if expect == "refuse":
        return f"an error: {why}"
    some = to_json(right.reshape(-1)[:_SHOWN])
    more = ", …" if right.size > _SHOWN else ""
    values = f"{', '.join(map(str, some))}{more}"
    return values if expect == "values" else f"{values}; or an error: {why}"
