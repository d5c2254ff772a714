"""Metadata documents as JSON: bytes ↔ parsed values, strictly.

Owns what makes a document readable at all, and how it is written. What stands in it is `metadata`'s business.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from zarr_shard_codec.core.protocols import JSON
from zarr_shard_codec.errors import MetadataError, Problem

MAX_DEPTH: Final = 128
"""Levels of nesting that are read. Python's parser takes thousands on some versions, its writer does not."""


def parse_document(document: bytes | Mapping[str, JSON]) -> dict[str, JSON]:
    """Parse a metadata document, or check one that is parsed already.

    Parameters
    ----------
    document
        UTF-8 bytes; or a mapping, such as a caller's `metadata=`.

    Returns
    -------
    dict
        A copy, to the last level: what the caller does to the argument later changes nothing.

    Raises
    ------
    MetadataError
        `invalid_json`: not UTF-8; not JSON as RFC 8259 has it (so no bare NaN, which Python's json writes and
        most other readers refuse); a name twice in an object, which readers resolve in different ways; a
        number past float64; nested deeper than `MAX_DEPTH`. `wrong_type`: JSON, but not an object.
    """
    try:
        # Mappings take the same way, for one set of rules (and lists for tuples).
        text = document.decode("utf-8") if isinstance(document, bytes) else json.dumps(_plain(document))
        value = json.loads(
            text, parse_constant=_refuse_constant, parse_float=_finite, object_pairs_hook=_without_doubles
        )
        _check_depth(value)
    except (ValueError, TypeError, RecursionError) as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else str(error)
        raise MetadataError([Problem("", "invalid_json", f"not a JSON document: {reason}")]) from None
    if not isinstance(value, dict):
        message = f"expected an object, found a {type(value).__name__}"
        raise MetadataError([Problem("", "wrong_type", message)])
    return value


def dump_document(value: Mapping[str, JSON]) -> bytes:
    """Write a metadata document as zarr-python does: indented by two, in ASCII."""
    # allow_nan=False: a bare NaN is not JSON. Documents that came through `parse_document` hold none.
    return json.dumps(value, indent=2, allow_nan=False).encode("ascii")


def _plain(document: object) -> Mapping[str, JSON]:
    if not isinstance(document, Mapping):
        raise TypeError(f"expected bytes or a mapping, found a {type(document).__name__}")
    return dict(document)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number; as a fill value it is written as a string")


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
