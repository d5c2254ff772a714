"""v2 array documents, `.zarray` and `.zattrs` → `ArrayMetadata`, in v3's terms.

Owns the translation of everything but the codecs, which is `codecs_v2`'s. What comes out describes the same
chunks under the same keys: nothing has to be written anew to be read by way of it.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np

from zarr_shard_codec.array.codecs_v2 import translate_codecs
from zarr_shard_codec.array.documents import parse_document
from zarr_shard_codec.array.key_encoding import KeyEncoding
from zarr_shard_codec.array.metadata import ArrayMetadata, check_constant, read_shape
from zarr_shard_codec.core.data_types import as_dtype, coerce_fill_value
from zarr_shard_codec.core.protocols import JSON
from zarr_shard_codec.errors import MetadataError, Problem

_REQUIRED: Final = ("zarr_format", "shape", "chunks", "dtype", "compressor", "fill_value", "order")
_TYPE: Final = re.compile(
    r"\|(?:[biu]1|V[0-9]{1,10})|[<>](?:[biufcV][0-9]{1,10}|[mM]8(?:\[[0-9]{0,10}[A-Za-zμ]+\])?)"
)
"""v2's type strings of use here. NumPy takes more, such as "|i4", whose meaning depends on the machine."""
_XARRAY_DIMENSIONS: Final = "_ARRAY_DIMENSIONS"
"""Where xarray keeps dimension names in v2, which has no place of its own for them."""


def metadata_from_v2(
    zarray: bytes | Mapping[str, JSON], zattrs: bytes | Mapping[str, JSON] | None
) -> ArrayMetadata:
    """Read a v2 array.

    Parameters
    ----------
    zarray
        The bytes of `.zarray`, or the object in it. Members that v2 does not know are ignored, as v2 asks.
    zattrs
        `.zattrs` likewise; None if there is none.

    Returns
    -------
    ArrayMetadata
        With `zarr_format` 2. A null fill value, which in v2 leaves missing chunks undefined, becomes what
        zarr-python reads there: NaT for times, zero for all else. xarray's `_ARRAY_DIMENSIONS` become the
        dimension names.

    Raises
    ------
    MetadataError
        With every problem at once: `no_exact_translation` for a type or codec that v3 has no equal of (its
        message names it); otherwise as `ArrayMetadata.from_json`.
    """
    document = parse_document(zarray)
    problems = [
        Problem(key, "missing_key", "every .zarray needs it") for key in _REQUIRED if key not in document
    ]

    def member(key: str, read: Callable[[JSON], Any], default: JSON = None) -> Any:
        if key in document or key not in _REQUIRED:
            try:
                return read(document.get(key, default))
            except MetadataError as error:
                problems.extend(error.problems)
        return None  # nothing that was read; only looked at again if there is no problem

    member("zarr_format", lambda json: check_constant(json, "zarr_format", 2))
    shape = member("shape", lambda json: read_shape(json, "shape", least=0))
    chunk_shape = member("chunks", lambda json: _read_chunks(json, shape))
    stored = member("dtype", _read_dtype)
    fill_value = member(
        "fill_value", lambda json: None if stored is None else _read_fill_value(json, as_dtype(stored))
    )
    order = member("order", lambda json: _one_of(json, "order", ("C", "F")))
    separator = member(
        "dimension_separator", lambda json: _one_of(json, "dimension_separator", (".", "/")), "."
    )
    filters = member("filters", _read_filters)
    codecs: tuple[dict[str, JSON], ...] = ()
    if stored is not None and shape is not None and filters is not None:
        try:
            codecs = translate_codecs(
                stored,
                ndim=len(shape),
                order=order or "C",
                filters=filters,
                compressor=document.get("compressor"),
            )
        except MetadataError as error:
            problems += error.problems
    attributes, dimension_names = _read_zattrs(zattrs, shape, problems)
    if problems:
        raise MetadataError(problems)
    return ArrayMetadata(
        shape=shape,
        dtype=as_dtype(stored),
        chunk_shape=chunk_shape,
        fill_value=fill_value,
        codecs=codecs,
        key_encoding=KeyEncoding("v2", separator),
        attributes=attributes,
        dimension_names=dimension_names,
        fill_value_is_null=document["fill_value"] is None,
        zarr_format=2,
    )


def _read_dtype(json: JSON) -> np.dtype[Any]:
    """Give the type with the byte order of the stored bytes."""
    try:
        if isinstance(json, str) and _TYPE.fullmatch(json):
            stored = np.dtype(json)
            as_dtype(stored)
            return stored
    except (TypeError, ValueError):  # NumPy's, or ours: MetadataError is one
        pass
    message = f"v3 has no equal of v2's data type {reprlib.repr(json)} here"
    raise MetadataError([Problem("dtype", "no_exact_translation", message)])


def _read_chunks(json: JSON, shape: tuple[int, ...] | None) -> tuple[int, ...]:
    chunks = read_shape(json, "chunks", least=0)
    if shape is None:
        return chunks
    if len(chunks) != len(shape):
        message = f"expected {len(shape)} sizes, as many as `shape` has; found {len(chunks)}"
        raise MetadataError([Problem("chunks", "chunk_shape_mismatch", message)])
    problems = [
        Problem(f"chunks[{axis}]", "invalid_shape", "expected at least 1, found 0")
        for axis, (chunk, size) in enumerate(zip(chunks, shape, strict=True))
        if chunk == 0 and size > 0
    ]
    if problems:
        raise MetadataError(problems)
    # zarr-python 2 wrote 0 along axes without elements. No chunk is there, so any size describes them all.
    return tuple(chunk or 1 for chunk in chunks)


def _read_fill_value(json: JSON, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    if json is None:
        # Undefined in v2. What zarr-python reads, so that nobody's numbers change.
        return coerce_fill_value("NaT" if dtype.kind in "mM" else 0, dtype)
    # As a caller's value rather than v3's JSON: v2 says nothing of the forms, and 0.0 for integers, 0 for
    # booleans and 0 for raw bytes have all been written.
    return coerce_fill_value(json, dtype)


def _one_of(json: JSON, path: str, expected: tuple[str, ...]) -> str:
    if json not in expected:
        message = f"expected {' or '.join(expected)}, found {reprlib.repr(json)}"
        raise MetadataError([Problem(path, "wrong_value", message)])
    return str(json)


def _read_filters(json: JSON) -> list[JSON]:
    if json is not None and not isinstance(json, list):
        message = f"expected a list or null, found {reprlib.repr(json)}"
        raise MetadataError([Problem("filters", "wrong_type", message)])
    return json or []


def _read_zattrs(
    zattrs: bytes | Mapping[str, JSON] | None, shape: tuple[int, ...] | None, problems: list[Problem]
) -> tuple[dict[str, JSON], tuple[str, ...] | None]:
    if zattrs is None:
        return {}, None
    try:
        attributes = parse_document(zattrs, users=True)
    except MetadataError as error:
        problems += [replace(problem, path=".zattrs") for problem in error.problems]
        return {}, None
    names = attributes.get(_XARRAY_DIMENSIONS)
    if (
        shape is None
        or not isinstance(names, list)
        or len(names) != len(shape)
        or not all(isinstance(name, str) for name in names)
    ):
        return attributes, None
    # The attribute goes: in v3 xarray reads `dimension_names` alone, would show the attribute as one of the
    # user's own, and refuses to write a variable that has it. Both would also be free to disagree.
    del attributes[_XARRAY_DIMENSIONS]
    return attributes, tuple(names)
