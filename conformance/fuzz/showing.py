"""A disagreement for people, as the least that shows it; and as a vector for the suite.

Owns the words. Whether the vector expects the right thing is for a person to judge.
"""

from __future__ import annotations

from collections.abc import Iterator

from conformance.cases.corpus import Expect, Selection
from conformance.cases.draft import Draft
from conformance.fuzz.breaking import METADATA
from conformance.fuzz.comparing import Disagreement, Reading
from conformance.run.judging import Answer


def shown(found: Disagreement) -> str:
    """Say what differs, with the array's files and what each of the two said."""
    return "\n".join(_lines(found))


def _lines(found: Disagreement) -> Iterator[str]:
    yield found.difference
    yield f"Written by {found.drawn.writer}; broken: {list(found.drawn.damage) or 'nothing after that'}."
    yield "Its files, in Python:"
    for key, body in sorted(found.files.items()):
        if key == METADATA:
            compact = " ".join(body.decode(errors="replace").split())
            yield f"  {key!r}: {compact!r}.encode(),"
        else:
            yield f"  {key!r}: bytes.fromhex({body.hex()!r}),"
    for reading in found.answers:
        part = "whole" if reading.selection is None else f"[{', '.join(map(_axis, reading.selection))}]"
        yield f"{part}: zarr_shard_codec {_answer(reading.ours)}"
        yield f"{part}: tensorstore {_answer(reading.theirs)}"


def _axis(axis: slice | int) -> str:
    return str(axis) if isinstance(axis, int) else f"{axis.start}:{axis.stop}:{axis.step}"


def _answer(answer: Answer) -> str:
    return f"{answer.kind}: {answer.message}" if answer.values is None else f"reads {answer.values.tolist()}"


def vector(found: Disagreement, seed: int) -> Draft:
    """Make a vector that expects what tensorstore said."""
    drawn = found.drawn
    whole, *parts = found.answers
    values = drawn.values if whole.theirs.values is None else whole.theirs.values
    return Draft(
        name="found",  # until it is saved
        title=f"Found by fuzzing (seed {seed}): {found.difference.partition(':')[0]}",
        requirements=("CHAIN-DECODE", "PARTIAL-DECODING"),
        files=found.files,
        values=values,
        data_type=drawn.document["data_type"],
        selections=tuple(
            Selection(one.selection, _expect(one)) for one in parts if one.selection is not None
        ),
        expect=_expect(whole),
        why="This is what tensorstore says; by which clause, is to be judged.",
        reason=whole.reason,
    )


def _expect(reading: Reading) -> Expect:
    return "refuse" if reading.theirs.values is None else "values"
