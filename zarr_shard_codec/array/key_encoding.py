"""Chunk key encodings: grid coordinates ↔ the store key of a chunk, relative to its array.

Owns the two encodings of the core specification, `default` and `v2`, with either separator.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from zarr_shard_codec.core.extensions import parse_extension
from zarr_shard_codec.core.protocols import JSON
from zarr_shard_codec.errors import MetadataError, Problem

_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
"""An index as it is written: no sign, no leading zero, no digits but ASCII. 19 digits hold 2^63."""


@dataclass(frozen=True, slots=True)
class KeyEncoding:
    """How chunks are named.

    Attributes
    ----------
    name
        `default` (`c/1/2`) or `v2` (`1.2`).
    separator
        What stands between the parts of a key.
    """

    name: Literal["default", "v2"]
    separator: Literal["/", "."]

    def key(self, coords: Sequence[int]) -> str:
        """Name the chunk at grid coordinates `coords`, in chunks."""
        key = self.separator.join(map(str, coords))
        if self.name == "default":
            return f"c{self.separator}{key}" if key else "c"
        return key or "0"

    def coords(self, key: str, ndim: int) -> tuple[int, ...] | None:
        """Undo `key` for an array of `ndim` dimensions; None if no chunk has that key.

        Strict, so that a stray object is never taken for a chunk: only keys that `key` can return.
        """
        if self.name == "default":
            head, _, rest = key.partition(self.separator)
            if head != "c" or key.endswith(self.separator):
                return None
            parts = rest.split(self.separator) if rest else []
        elif ndim == 0:
            return () if key == "0" else None
        else:
            parts = key.split(self.separator)
        if len(parts) != ndim or not all(_INDEX.fullmatch(part) for part in parts):
            return None
        return tuple(map(int, parts))

    def to_json(self) -> dict[str, JSON]:
        """Give the `chunk_key_encoding` of a v3 document."""
        return {"name": self.name, "configuration": {"separator": self.separator}}


_ENCODINGS: Final = {"default": KeyEncoding("default", "/"), "v2": KeyEncoding("v2", ".")}
"""By name, each with the separator that it has when the document names none."""


def parse_key_encoding(json: JSON) -> KeyEncoding:
    """Read the `chunk_key_encoding` of a v3 document.

    Raises
    ------
    MetadataError
        `unknown_extension`, `unknown_key`, `wrong_value`, and what `parse_extension` raises.
    """
    path = "chunk_key_encoding"
    extension = parse_extension(json, path, ignorable=False)
    if extension.name not in _ENCODINGS:
        message = f"expected default or v2, found {reprlib.repr(extension.name)}"
        raise MetadataError([Problem(path, "unknown_extension", message)])
    encoding = _ENCODINGS[extension.name]
    problems = [
        Problem(f"{path}.configuration.{key}", "unknown_key", "the only parameter is separator")
        for key in extension.configuration
        if key != "separator"
    ]
    separator = extension.configuration.get("separator", encoding.separator)
    if separator not in ("/", "."):
        message = f'expected "/" or ".", found {reprlib.repr(separator)}'
        problems.append(Problem(f"{path}.configuration.separator", "wrong_value", message))
    if problems:
        raise MetadataError(problems)
    return replace(encoding, separator=separator)
