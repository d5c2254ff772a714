"""What becomes of attributes: the user's, and those with which xarray says what v2 says elsewhere.

Owns the attributes of what is written. Nothing in them may be lost, and every v3 reader must be able to open
the document that they stand in.
"""

from __future__ import annotations

import base64
import struct
from typing import Final

import numpy as np

from zarr_shard_codec.array.documents import bare_constants
from zarr_shard_codec.array.metadata import ArrayMetadata
from zarr_shard_codec.array.nodes import Node
from zarr_shard_codec.core.protocols import JSON
from zarr_shard_codec.errors import MetadataError, Problem

_MASK: Final = "_FillValue"
"""Where xarray finds in v3 which elements are missing; in v2 it takes the fill value for that."""


def attributes_for_v3(source: Node) -> dict[str, JSON]:
    """Give the attributes of an array or a group as they are written in v3.

    They are the source's, with one addition: a v2 array with xarray's dimension names and a fill value gets
    `_FillValue`, as xarray writes it. Without it xarray would show as numbers what was missing.

    Raises
    ------
    MetadataError
        `no_exact_translation`: each NaN or infinity. JSON has none; tensorstore does not open a document with
        a bare NaN in it, and any other spelling would be another value.
    """
    attributes = dict(source.attributes)
    if isinstance(source, ArrayMetadata) and source.zarr_format == 2 and source.dimension_names is not None:
        mask = _mask(source)
        if mask is not None:
            attributes[_MASK] = mask
    problems = [
        Problem(
            path,
            "no_exact_translation",
            f"{_WORDS[str(value)]} is no JSON, and not every v3 reader opens a document with it; "
            f'write null, or the text "{_WORDS[str(value)]}", in its place in the source',
        )
        for path, value in bare_constants(attributes, "attributes")
    ]
    if problems:
        raise MetadataError(problems)
    return attributes


_WORDS: Final = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def _mask(source: ArrayMetadata) -> JSON:
    """What stands for missing elements, in xarray's v3 form; None if nothing does, or it has no form."""
    value = source.attributes.get(_MASK) if source.fill_value_is_null else source.fill_value.item()
    kind = source.dtype.kind
    if kind == "f" and isinstance(value, int | float):
        return _double(value)
    if kind == "c" and isinstance(value, complex | float | int):
        value = complex(value)
        return [_double(value.real), _double(value.imag)]
    if kind in "iu" and isinstance(value, int | float) and np.isfinite(value):
        return int(value)
    return bool(value) if kind == "b" and value is not None else None


def _double(value: float) -> str:
    return base64.standard_b64encode(struct.pack("<d", value)).decode()
