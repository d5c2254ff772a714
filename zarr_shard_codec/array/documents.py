"""Metadata documents as JSON: bytes ↔ parsed values, strictly.

Owns what makes a document readable at all, and how it is written. What stands in it is `metadata`'s business.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from zarr_shard_codec.core.protocols import JSON
from zarr_shard_codec.errors import MetadataError, Problem

MAX_DEPTH: Final = 128
"""Levels of nesting that are read. Python's parser takes thousands on some versions, its writer does not."""

USERS_MEMBERS: Final = frozenset({"attributes", "consolidated_metadata"})
"""Members of a v3 document in which a bare NaN is read: the user's attributes, and copies of them."""

_WHITESPACE: Final = " \t\n\r"


def parse_document(document: bytes | Mapping[str, JSON], *, users: bool = False) -> dict[str, JSON]:
    """Parse a metadata document, or check one that is parsed already.

    Parameters
    ----------
    document
        UTF-8 bytes; or a mapping, such as a caller's `metadata=`.
    users
        The whole document is the user's, as `.zattrs` is. In others, the members `USERS_MEMBERS` are.

    Returns
    -------
    dict
        A copy, to the last level: what the caller does to the argument later changes nothing.

    Raises
    ------
    MetadataError
        `invalid_json`: not UTF-8; not JSON as RFC 8259 has it; a name twice in an object, which readers
        resolve in different ways; a number past float64; nested deeper than `MAX_DEPTH`. `wrong_type`: JSON,
        but not an object. A bare NaN, Infinity or -Infinity, which is no JSON but what Python's json writes
        and reads, is a float in what is the user's (real data are full of them); elsewhere `invalid_json`.
    """
    constants: list[str] = []

    def constant(name: str) -> float:
        constants.append(name)
        return float(name)

    try:
        # Mappings take the same way, for one set of rules (and lists for tuples).
        text = document.decode("utf-8") if isinstance(document, bytes) else json.dumps(_plain(document))
        value = json.loads(
            text, parse_constant=constant, parse_float=_finite, object_pairs_hook=_without_doubles
        )
        _check_depth(value)
        if constants and not users:
            _check_constants(value)
    except (ValueError, TypeError, RecursionError) as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else str(error)
        raise MetadataError([Problem("", "invalid_json", f"not a JSON document: {reason}")]) from None
    if not isinstance(value, dict):
        message = f"expected an object, found a {type(value).__name__}"
        raise MetadataError([Problem("", "wrong_type", message)])
    return value


def bare_constants(value: JSON, path: str = "") -> Iterator[tuple[str, float]]:
    """Give the floats of a document that JSON has no number for, NaN and the infinities, with paths."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from bare_constants(part, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for at, part in enumerate(value):
            yield from bare_constants(part, f"{path}[{at}]")
    elif isinstance(value, float) and not math.isfinite(value):
        yield path, value


def dump_document(value: Mapping[str, JSON]) -> bytes:
    """Write a metadata document as zarr-python does: indented by two, in ASCII.

    Raises
    ------
    MetadataError
        `invalid_json`: a NaN or an infinity, with its path. JSON has no number for it: not every reader could
        open what would be written.
    """
    try:
        return json.dumps(value, indent=2, allow_nan=False).encode("ascii")
    except ValueError:
        message = "JSON has no number for NaN and infinities"
        found = bare_constants(dict(value))
        raise MetadataError([Problem(path, "invalid_json", message) for path, _ in found]) from None


def with_member(document: bytes, name: str, value: JSON) -> bytes:
    """Give a document another value for one of its members, and leave all other text of it as it is.

    Parameters
    ----------
    document
        The document.
    name, value
        The member, and its new value.

    Raises
    ------
    MetadataError
        As `parse_document`; `missing_key`: there is no such member.
    """
    if name not in parse_document(document):
        raise MetadataError([Problem(name, "missing_key", "expected this member, found none")])
    text = document.decode("utf-8")
    decoder = json.JSONDecoder()

    def skip(at: int) -> int:
        while text[at] in _WHITESPACE:
            at += 1
        return at

    at = skip(0)
    while True:
        found, at = decoder.raw_decode(text, skip(at + 1))  # past the brace, or the comma
        start = skip(skip(at) + 1)  # past the colon
        _, at = decoder.raw_decode(text, start)
        if found == name:
            return (text[:start] + json.dumps(value) + text[at:]).encode()
        at = skip(at)


def _plain(document: object) -> Mapping[str, JSON]:
    if not isinstance(document, Mapping):
        raise TypeError(f"expected bytes or a mapping, found a {type(document).__name__}")
    return dict(document)


def _check_constants(value: JSON) -> None:
    if isinstance(value, dict):
        value = {name: part for name, part in value.items() if name not in USERS_MEMBERS}
    for path, _ in bare_constants(value):
        message = "NaN and infinities are no JSON numbers; a fill value names them in a string"
        raise ValueError(f"{path}: {message}" if path else message)


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"the number {text:.40} is too large for a 64-bit float")
    return number


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        ((double, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"the name {double!r:.60} stands twice in one object")
    return value


def _check_depth(value: JSON) -> None:
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
        children = [v.values() if isinstance(v, dict) else v for v in level if isinstance(v, dict | list)]
        level = [child for family in children for child in family]
