"""What can be broken in an array: entries of an index, bytes of an object, members of the metadata.

Owns the ways of breaking. A corruption of entries comes before the index is encoded, so its checksum holds.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from hypothesis import strategies as st

from conformance.cases.draft import json_bytes
from conformance.cases.hand import EMPTY, Entry
from conformance.fuzz.encoding import Corruption
from conformance.implementations import Document

METADATA: Final = "zarr.json"
_ALL_ONES: Final = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Damage:
    """One change of an array's files.

    Attributes
    ----------
    words
        What it does.
    change
        Changes the files.
    """

    words: str
    change: Callable[[dict[str, bytes]], None]

    def __repr__(self) -> str:
        return self.words


@st.composite
def corruptions(draw: st.DrawFn) -> Corruption:
    """Change one entry of each shard of a level."""
    which, other = draw(st.integers(0, 30)), draw(st.integers(0, 30))
    by = draw(st.sampled_from([1, -1, 4, -4, 8]))
    number = draw(st.sampled_from([0, 1, 2**63, _ALL_ONES - 1, 2**32]))
    kind = draw(st.sampled_from(list(_ENTRIES)))

    def corrupt(entries: list[Entry]) -> list[Entry]:
        at = which % len(entries)
        entries[at] = _ENTRIES[kind](entries[at], entries[other % len(entries)], by, number)
        return entries

    return corrupt


def _within(number: int) -> int:
    return min(max(number, 0), _ALL_ONES)


_ENTRIES: Final[dict[str, Callable[[Entry, Entry, int, int], Entry]]] = {
    "shared": lambda _, other, by, number: other,  # noqa: ARG005
    "empty": lambda entry, other, by, number: EMPTY,  # noqa: ARG005
    "moved": lambda entry, other, by, number: (_within(entry[0] + by), entry[1]),  # noqa: ARG005
    "longer": lambda entry, other, by, number: (entry[0], _within(entry[1] + by)),  # noqa: ARG005
    "half empty": lambda entry, other, by, number: (entry[0], _ALL_ONES),  # noqa: ARG005
    "other half empty": lambda entry, other, by, number: (_ALL_ONES, entry[1]),  # noqa: ARG005
    "no bytes": lambda entry, other, by, number: (entry[0], 0),  # noqa: ARG005
    "another offset": lambda entry, other, by, number: (number, entry[1]),  # noqa: ARG005
    "another length": lambda entry, other, by, number: (entry[0], number),  # noqa: ARG005
}


@st.composite
def damages(draw: st.DrawFn, document: Document) -> Damage:
    """One change of a chunk's object; more rarely, of the metadata."""
    if draw(st.integers(0, 3)) == 3:
        return draw(_metadata_damages(document))
    which, at = draw(st.integers(0, 8)), draw(st.integers(0, 2000))
    bits = draw(st.sampled_from([0x01, 0x80, 0xFF]))
    kind = draw(st.sampled_from(list(_BYTES)))

    def change(files: dict[str, bytes]) -> None:
        keys = sorted(set(files) - {METADATA})
        if keys:
            key = keys[which % len(keys)]
            files[key] = _BYTES[kind](files[key], at % (len(files[key]) + 1), bits)

    return Damage(f"object {which}: {kind} at {at}, {bits:#x}", change)


_BYTES: Final[dict[str, Callable[[bytes, int, int], bytes]]] = {
    "flip": lambda body, at, bits: body[:at] + bytes(b ^ bits for b in body[at : at + 1]) + body[at + 1 :],
    "cut": lambda body, at, bits: body[:at],  # noqa: ARG005
    "cut from the end": lambda body, at, bits: body[: max(len(body) - at, 0)],  # noqa: ARG005
    "append": lambda body, at, bits: body + bytes([bits]) * (at % 20 + 1),
    "insert": lambda body, at, bits: body[:at] + bytes([bits]) + body[at:],
    "remove": lambda body, at, bits: body[:at] + body[at + 1 :],  # noqa: ARG005
    "all zero": lambda body, at, bits: bytes(len(body)),  # noqa: ARG005
}


@st.composite
def _metadata_damages(draw: st.DrawFn, document: Document) -> Damage:
    """Remove a member of the metadata, or put another value in its place: often one that may be good."""
    path = draw(st.sampled_from(_paths(document)))
    value = draw(st.sampled_from(_likely(_at(document, path))) | st.sampled_from(_ANYTHING))

    def change(files: dict[str, bytes]) -> None:
        metadata = json.loads(files[METADATA])
        try:
            inside = _at(metadata, path[:-1])
            if value is _REMOVED:
                del inside[path[-1]]
            else:
                inside[path[-1]] = value
        except (KeyError, IndexError, TypeError):
            return  # the damage before this one, or the writer, left no such place
        files[METADATA] = json_bytes(metadata)

    return Damage(f"metadata: {'.'.join(map(str, path))} = {value!r}", change)


_REMOVED: Final = "(removed)"
_ANYTHING: Final[tuple[Any, ...]] = (
    *(_REMOVED, 0, 1, -1, 2**63, 1.5, None, True, "", "x", "NaN", "0x01", "bool", "float32"),
    *([], {}, [1], [0], [0, 1], [1, 0], {"name": "crc32c"}, {"name": "x"}, {"name": "bytes"}),
)
_WORDS: Final = (
    ("little", "big"),
    ("start", "end"),
    ("default", "v2"),
    ("/", ".", ""),
    ("uint8", "int8", "bool"),
    ("uint16", "int16", "float16"),
    ("uint32", "int32", "float32", "complex64"),
    ("uint64", "int64", "float64", "complex64"),
    ("shuffle", "noshuffle", "bitshuffle"),
    ("lz4", "zstd", "zlib", "blosclz"),
    ("gzip", "zstd", "crc32c", "blosc", "bytes", "transpose"),
)
"""Words that may stand for each other."""


def _likely(value: Any) -> list[Any]:
    """Other values of the same kind."""
    match value:
        case bool():
            return [not value, int(value)]
        case int() | float():
            return [value + 1, value - 1, 2 * value, float(value), str(value)]
        case str():
            return [word for words in _WORDS if value in words for word in words if word != value] or ["x"]
        case list():
            return [value[::-1], value[:-1], [*value, *value[-1:]], [*value[:1], *value], [*value, 1]]
        case dict():
            return [{**value, "must_understand": False}, {**value, "unknown": 1}, value.get("name", "x")]
    return [{"must_understand": False}, {"name": "x", "must_understand": False}, 1]


def _at(inside: Any, path: tuple[str | int, ...]) -> Any:
    """What stands at a place; None for a member that is not there."""
    for step in path:
        inside = None if step == "unknown" else inside[step]
    return inside


def _paths(inside: Any, above: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """All places within a JSON document, and one more for a member that is not there."""
    found: list[tuple[str | int, ...]] = []
    if isinstance(inside, dict):
        steps: list[str | int] = [*inside, "unknown"]
    elif isinstance(inside, list):
        steps = list(range(len(inside)))
    else:
        return []
    for step in steps:
        found.append((*above, step))
        if step != "unknown":
            found += _paths(inside[step], (*above, step))
    return found
