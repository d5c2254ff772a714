"""An array's metadata: the v3 `zarr.json` ↔ a frozen object.

Owns the document's members and their agreement with each other. What the codecs mean is the chain's business,
data types and fill values are `core.data_types`'; v2 documents become the same object in `metadata_v2`.
"""

from __future__ import annotations

import json
import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Self, TypeVar

import numpy as np

from zarr_shard_codec.array.documents import dump_document, parse_document
from zarr_shard_codec.array.key_encoding import KeyEncoding, parse_key_encoding
from zarr_shard_codec.codecs.chain import CodecChain
from zarr_shard_codec.core.data_types import (
    data_type_to_json,
    fill_value_to_json,
    parse_data_type,
    parse_fill_value,
)
from zarr_shard_codec.core.extensions import parse_extension
from zarr_shard_codec.core.protocols import JSON, ChunkSpec
from zarr_shard_codec.errors import MetadataError, Problem

_REQUIRED: Final = (
    "zarr_format",
    "node_type",
    "shape",
    "data_type",
    "chunk_grid",
    "chunk_key_encoding",
    "fill_value",
    "codecs",
)
_OPTIONAL: Final = ("attributes", "dimension_names", "storage_transformers")
_MAX_NDIM: Final = 32
"""NumPy 1 has arrays of no more dimensions."""
_MAX_SIZE: Final = 2**63 - 1
"""NumPy, files and every store count in 64 bits."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ArrayMetadata:
    """What an array is. Two are equal if their documents say the same, bit for bit, in whatever order.

    Attributes
    ----------
    shape
        Elements along each axis; may be 0.
    dtype
        In native byte order.
    chunk_shape
        Elements along each axis of the outer chunk grid: the shard shape where the array is sharded.
    fill_value
        Zero-dimensional, read-only; its bits are what counts.
    codecs
        The codec chain as JSON objects; `chain` is what they mean.
    key_encoding
        How chunks are named.
    attributes
        The user's, as parsed JSON. Not to be changed in place.
    dimension_names
        One name or None for each axis; None if the document gives no names.
    extra
        Members that the document marks as ignorable (`"must_understand": false`), kept as they are.
    spelling
        `data_type` and `fill_value` as the document writes them, kept so that a new version of the document
        (after `resize`) still opens for those who could read the old one. None: ours.
    fill_value_is_null
        The document is v2's and leaves the fill value undefined; `fill_value` is what is read all the same.
    zarr_format
        Of the document it came from; `to_json` writes 3 in any case.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunk_shape: tuple[int, ...]
    fill_value: np.ndarray[Any, Any]
    codecs: tuple[dict[str, JSON], ...]
    key_encoding: KeyEncoding
    attributes: Mapping[str, JSON] = field(default_factory=dict)
    dimension_names: tuple[str | None, ...] | None = None
    extra: Mapping[str, JSON] = field(default_factory=dict)
    spelling: tuple[JSON, JSON] | None = None
    fill_value_is_null: bool = False
    zarr_format: Literal[2, 3] = 3

    @classmethod
    def from_json(cls, document: bytes | Mapping[str, JSON]) -> Self:
        """Read a v3 array document.

        Parameters
        ----------
        document
            The bytes of `zarr.json`, or the object in it.

        Raises
        ------
        MetadataError
            With every problem of the document at once, each with its path: `invalid_json`, `missing_key`,
            `unknown_key`, `wrong_type`, `wrong_value`, `invalid_shape`, `chunk_shape_mismatch`,
            `unknown_extension`, `unsupported_data_type`, `invalid_fill_value`.
        """
        reader = _Reader(parse_document(document))
        if reader.problems:
            raise MetadataError(reader.problems)
        return cls(
            shape=reader.shape,
            dtype=reader.dtype,
            chunk_shape=reader.chunk_shape,
            fill_value=reader.fill_value,
            codecs=reader.codecs,
            key_encoding=reader.key_encoding,
            attributes=reader.attributes,
            dimension_names=reader.dimension_names,
            extra=reader.extra,
            spelling=(reader.document.get("data_type"), reader.document.get("fill_value")),
        )

    @property
    def chain(self) -> CodecChain:
        """The codec chain of a chunk of the outer grid, built anew. Raises `MetadataError`."""
        return CodecChain.from_metadata(self.codecs, ChunkSpec(self.chunk_shape, self.dtype, self.fill_value))

    def to_json(self) -> dict[str, JSON]:
        """Give the v3 document, its members in the order in which zarr-python writes them."""
        data_type, fill_value = self.spelling or self._own_spelling()
        document = {
            "shape": list(self.shape),
            "data_type": data_type,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(self.chunk_shape)}},
            "chunk_key_encoding": self.key_encoding.to_json(),
            "fill_value": fill_value,
            "codecs": list(self.codecs),
            "attributes": dict(self.attributes),
        }
        if self.dimension_names is not None:
            document["dimension_names"] = list(self.dimension_names)
        return document | {
            "zarr_format": 3,
            "node_type": "array",
            "storage_transformers": [],
            **self.extra,
        }

    def to_bytes(self) -> bytes:
        """Give the bytes of `zarr.json`."""
        return dump_document(self.to_json())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ArrayMetadata) and self._canonical() == other._canonical()

    def __hash__(self) -> int:
        return hash(self._canonical())

    def _own_spelling(self) -> tuple[JSON, JSON]:
        return data_type_to_json(self.dtype), fill_value_to_json(self.fill_value)

    def _canonical(self) -> str:
        # As text: in Python 0.0 == -0.0 and 1 == True.
        data_type, fill_value = self._own_spelling()
        document = self.to_json() | {"data_type": data_type, "fill_value": fill_value}
        return json.dumps([self.zarr_format, document], sort_keys=True)


@dataclass(frozen=True, slots=True)
class ForeignMetadata:
    """A v3 array of a data type or a codec that this package lacks: its objects can be copied, and no more.

    Attributes
    ----------
    document
        The bytes of `zarr.json`.
    shape, chunk_shape, key_encoding
        As of `ArrayMetadata`.
    lacking
        What is lacking, in words.
    """

    document: bytes
    shape: tuple[int, ...]
    chunk_shape: tuple[int, ...]
    key_encoding: KeyEncoding
    lacking: str
    zarr_format: Literal[3] = 3

    @classmethod
    def from_bytes(cls, document: bytes) -> Self | None:
        """Read a v3 array document; None if nothing is lacking, or if anything else is wrong with it."""
        reader = _Reader(parse_document(document))
        lacking = MetadataError(reader.problems).lacking if reader.problems else None
        if lacking is None:
            return None
        return cls(document, reader.shape, reader.chunk_shape, reader.key_encoding, lacking)

    def to_json(self) -> dict[str, JSON]:
        """Give the v3 document."""
        return parse_document(self.document)

    def to_bytes(self) -> bytes:
        """Give the bytes of `zarr.json`: those that were read."""
        return self.document


class _Reader:
    """Reads each member by itself, collecting problems; a member with a problem has a harmless value."""

    def __init__(self, document: dict[str, JSON]) -> None:
        self.document = document
        self.problems = [
            Problem(key, "missing_key", "every array document needs it")
            for key in _REQUIRED
            if key not in document
        ]
        self._constant("zarr_format", 3)
        self._constant("node_type", "array")
        self.shape = self._member("shape", lambda json: read_shape(json, "shape", least=0), ())
        self.chunk_shape = self._member("chunk_grid", self._read_chunk_grid, None)
        self.dtype = self._member("data_type", parse_data_type, None)
        self.fill_value = self._member("fill_value", self._read_fill_value, None)
        self.codecs = self._member("codecs", _read_codecs, ())
        self.key_encoding = self._member("chunk_key_encoding", parse_key_encoding, None)
        self.attributes = self._member("attributes", read_attributes, {})
        self.dimension_names = self._member("dimension_names", self._read_dimension_names, None)
        self._member("storage_transformers", _refuse_storage_transformers, None)
        self.extra = read_extra(document, (*_REQUIRED, *_OPTIONAL), self.problems)
        if self.codecs and self.chunk_shape is not None:
            self._check_codecs()

    def _check_codecs(self) -> None:
        # Where the data type is not known, another in its place: the codecs' own problems still show.
        dtype = np.dtype(np.uint8) if self.dtype is None else self.dtype
        fill_value = np.zeros((), dtype) if self.fill_value is None else self.fill_value
        try:
            CodecChain.from_metadata(self.codecs, ChunkSpec(self.chunk_shape, dtype, fill_value))
        except MetadataError as error:
            self.problems += [
                problem
                for problem in error.problems
                if self.dtype is not None or problem.reason != "codec_data_type_mismatch"
            ]
        except RecursionError:
            self.problems.append(Problem("codecs", "invalid_json", "shards are nested too deep"))

    def _member(self, key: str, read: Callable[[JSON], _T], otherwise: Any) -> _T:
        if key in self.document:
            try:
                return read(self.document[key])
            except MetadataError as error:
                self.problems += error.problems
        return otherwise  # type: ignore[no-any-return]

    def _constant(self, key: str, expected: object) -> None:
        self._member(key, lambda json: check_constant(json, key, expected), None)

    def _read_chunk_grid(self, json: JSON) -> tuple[int, ...]:
        grid = parse_extension(json, "chunk_grid", ignorable=False)
        if grid.name != "regular":
            raise _error("chunk_grid", "unknown_extension", f"expected regular, found {grid.name!r:.60}")
        path = "chunk_grid.configuration"
        problems = [
            Problem(f"{path}.{key}", "unknown_key", "the only parameter is chunk_shape")
            for key in grid.configuration
            if key != "chunk_shape"
        ]
        if "chunk_shape" not in grid.configuration:
            problems.append(Problem(f"{path}.chunk_shape", "missing_key", "a regular grid needs it"))
        if problems:
            raise MetadataError(problems)
        chunk_shape = read_shape(grid.configuration["chunk_shape"], f"{path}.chunk_shape", least=1)
        self._check_rank(f"{path}.chunk_shape", len(chunk_shape), "sizes")
        return chunk_shape

    def _read_fill_value(self, json: JSON) -> Any:
        # Without a data type nothing can be said of it.
        return None if self.dtype is None else parse_fill_value(json, self.dtype)

    def _read_dimension_names(self, json: JSON) -> tuple[str | None, ...]:
        path = "dimension_names"
        if not isinstance(json, list) or not all(name is None or isinstance(name, str) for name in json):
            message = f"expected a list of names and nulls, found {reprlib.repr(json)}"
            raise _error(path, "wrong_type", message)
        self._check_rank(path, len(json), "names")
        return tuple(json)

    def _check_rank(self, path: str, found: int, what: str) -> None:
        shape = self.document.get("shape")
        if isinstance(shape, list) and len(shape) != found:
            reason = "chunk_shape_mismatch" if what == "sizes" else "wrong_value"
            raise _error(path, reason, f"expected {len(shape)} {what}, as many as `shape` has; found {found}")


def check_constant(json: JSON, path: str, expected: object) -> None:
    """Check a member that has only one value. Raises `MetadataError`: `wrong_value`."""
    if json != expected or type(json) is not type(expected):
        raise _error(path, "wrong_value", f"expected {expected!r}, found {reprlib.repr(json)}")


def read_shape(json: JSON, path: str, *, least: int) -> tuple[int, ...]:
    """Read a list of sizes, none below `least`. Raises `MetadataError`: `wrong_type`, `invalid_shape`."""
    if not isinstance(json, list):
        raise _error(path, "wrong_type", f"expected a list of integers, found {reprlib.repr(json)}")
    if len(json) > _MAX_NDIM:
        raise _error(path, "invalid_shape", f"expected at most {_MAX_NDIM} dimensions, found {len(json)}")
    problems = []
    for axis, size in enumerate(json):
        here = f"{path}[{axis}]"
        if type(size) is not int:
            problems.append(Problem(here, "wrong_type", f"expected an integer, found {reprlib.repr(size)}"))
        elif not least <= size <= _MAX_SIZE:
            message = f"expected a size from {least} to 2^63-1, found {reprlib.repr(size)}"
            problems.append(Problem(here, "invalid_shape", message))
    if problems:
        raise MetadataError(problems)
    return tuple(json)


def read_attributes(json: JSON) -> dict[str, JSON]:
    """Read `attributes`. Raises `MetadataError`: `wrong_type`."""
    if not isinstance(json, dict):
        raise _error("attributes", "wrong_type", f"expected an object, found {reprlib.repr(json)}")
    return json


def read_extra(
    document: Mapping[str, JSON], known: Sequence[str], problems: list[Problem]
) -> dict[str, JSON]:
    """Give the members not in `known`; those that must be understood are added to `problems`."""
    extra = {key: value for key, value in document.items() if key not in known}
    for key, value in extra.items():
        if not isinstance(value, dict) or value.get("must_understand") is not False:
            message = 'only an object with "must_understand": false may stand here besides what is known'
            problems.append(Problem(key, "unknown_key", message))
    return extra


def _read_codecs(json: JSON) -> tuple[dict[str, JSON], ...]:
    if not isinstance(json, list) or not json:
        raise _error("codecs", "wrong_type", f"expected a list of codecs, found {reprlib.repr(json)}")
    problems: list[Problem] = []
    codecs: list[dict[str, JSON]] = []
    for at, codec in enumerate(json):
        try:
            extension = parse_extension(codec, f"codecs[{at}]", ignorable=True)
        except MetadataError as error:
            problems += error.problems
        else:
            # The object form: readers of v3.0 do not know the short one.
            codecs.append(dict(codec) if isinstance(codec, Mapping) else {"name": extension.name})
    if problems:
        raise MetadataError(problems)
    return tuple(codecs)


def _refuse_storage_transformers(json: JSON) -> None:
    if not isinstance(json, list):
        raise _error("storage_transformers", "wrong_type", f"expected a list, found {reprlib.repr(json)}")
    problems = [
        Problem(f"storage_transformers[{at}]", "unknown_extension", f"none is known: {reprlib.repr(item)}")
        for at, item in enumerate(json)
    ]
    if problems:
        raise MetadataError(problems)


def _error(path: str, reason: Any, message: str) -> MetadataError:
    return MetadataError([Problem(path, reason, message)])
