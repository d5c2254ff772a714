"""The array→array codecs under `numcodecs.*` names.

Delta, bitround, fixedscaleoffset, quantize, astype, packbits. Owns their configurations, data types and
shapes; the arithmetic is numcodecs', since every bit on disk depends on it. zarr-python hands numcodecs an
array in native byte order, so a data type in a configuration names a kind and a size. Its byte order
counts for nothing, except that a big-endian `dtype` makes zarr-python itself read other values than it
wrote; that is refused here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar, Final

import numpy as np

from zarr_shard_codec.codecs.configuration import REQUIRED, Fields
from zarr_shard_codec.core.protocols import JSON, ChunkSpec, Kind
from zarr_shard_codec.errors import CorruptShardError, UsageError

MANTISSA_BITS: Final = {2: 10, 4: 23, 8: 52}
"""Stored bits of an IEEE 754 mantissa, by the size of the number in bytes."""

ARITHMETIC_FAILURES: Final = (ArithmeticError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class FilterCodec:
    """One of numcodecs' filters.

    Attributes
    ----------
    name
        As in the metadata.
    configuration
        As in the metadata, with what zarr-python fills in.
    numcodec
        numcodecs' object; it has no state.
    decoded_spec
        The array that it encodes.
    encoded_spec
        What comes out, in the shape that goes in (numcodecs flattens it), but for packbits.
    """

    kind: ClassVar[Kind] = "array_array"

    name: str
    configuration: dict[str, JSON]
    numcodec: Any
    decoded_spec: ChunkSpec
    encoded_spec: ChunkSpec

    def to_metadata(self) -> dict[str, JSON]:
        """Give the codec object."""
        return {"name": self.name, "configuration": dict(self.configuration)}

    def encode(self, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Encode.

        Raises
        ------
        UsageError
            `invalid_argument` where the arithmetic fails for these values.
        """
        try:
            return _apply(self.numcodec.encode, array, self.decoded_spec, self.encoded_spec)
        except ARITHMETIC_FAILURES as error:
            raise UsageError("invalid_argument", f"{self.name} cannot encode this array: {error}") from error

    def decode(self, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Decode; lossy filters give back what they kept.

        Raises
        ------
        CorruptShardError
            `inner_chunk_undecodable`.
        """
        try:
            return _apply(self.numcodec.decode, array, self.encoded_spec, self.decoded_spec)
        except ARITHMETIC_FAILURES as error:
            raise CorruptShardError("inner_chunk_undecodable", f"{self.name}: {error}") from error


def _apply(
    function: Any, array: np.ndarray[Any, Any], source: ChunkSpec, target: ChunkSpec
) -> np.ndarray[Any, Any]:
    """Call numcodecs with a native, contiguous, flat array, and give its answer `target`'s form."""
    if 0 in source.shape or 0 in target.shape:
        return np.zeros(target.shape, target.dtype)  # numcodecs looks at the first element
    # Contiguous, because numcodecs flattens in memory order, which would transpose the elements.
    flat = np.ascontiguousarray(array, dtype=source.dtype).reshape(-1)
    # A cast that overflows does so as in zarr-python, but without a warning to every reader.
    with np.errstate(all="ignore"):
        result: np.ndarray[Any, Any] = function(flat)
    # The size may be wrong only if the bytes are: packbits stores how many bits it padded.
    return result.view(target.dtype).reshape(target.shape)


def build(name: str, configuration: Mapping[str, JSON], spec: ChunkSpec) -> FilterCodec:
    """Build the filter of that name. What zarr-python fills in from the array's data type is filled in."""
    fields = Fields(configuration)
    decoded = spec.dtype
    encoded = decoded
    shape = spec.shape
    written: dict[str, JSON] = {}
    match name:
        case "numcodecs.delta":
            _expect_kind(fields, decoded, "iufcmM")
            # numcodecs has no delta of times; they are given to it as counts of their unit.
            number = np.dtype(np.int64) if decoded.kind in "mM" else decoded
            written["dtype"] = _same_dtype(fields, "dtype", number, default=REQUIRED)
            encoded = _other_dtype(fields, "astype", number, "c" if decoded.kind == "c" else "iuf", written)
        case "numcodecs.fixedscaleoffset":
            _expect_kind(fields, decoded, "iuf")
            written["offset"], written["scale"] = fields.number("offset"), fields.number("scale")
            if written["scale"] == 0:
                fields.problem("scale", "wrong_value", "expected a number other than 0, by which to divide")
            written["dtype"] = _same_dtype(fields, "dtype", decoded)
            encoded = _other_dtype(fields, "astype", decoded, "iuf", written)
        case "numcodecs.quantize":
            _expect_kind(fields, decoded, "f")
            written["digits"] = fields.integer("digits", minimum=-300, maximum=300)
            written["dtype"] = _same_dtype(fields, "dtype", decoded)
            written["astype"] = _same_dtype(fields, "astype", decoded)
        case "numcodecs.astype":
            _expect_kind(fields, decoded, "biufc")
            # Complex numbers have no cast to real ones that loses nothing unsaid.
            kinds = "c" if decoded.kind == "c" else "biufc"
            encoded = _other_dtype(fields, "encode_dtype", decoded, kinds, written, default=REQUIRED)
            if encoded.kind == "c" and decoded.kind != "c":
                fields.problem("encode_dtype", "codec_data_type_mismatch", f"no way back to {decoded}")
            written["decode_dtype"] = _same_dtype(fields, "decode_dtype", decoded)
        case "numcodecs.bitround":
            _expect_kind(fields, decoded, "f")
            bits = MANTISSA_BITS.get(decoded.itemsize, 0)
            written["keepbits"] = fields.integer("keepbits", minimum=0, maximum=bits)
        case _:
            _expect_kind(fields, decoded, "b")
            encoded = np.dtype(np.uint8)
            shape = (1 + -(-_size(spec) // 8),)  # the first byte counts the bits of padding
    fields.finish()
    with np.errstate(all="ignore"):
        fill_value = spec.fill_value.astype(encoded)
    decoded_spec = ChunkSpec(spec.shape, decoded, spec.fill_value)
    encoded_spec = ChunkSpec(shape, encoded, fill_value)
    codec = FilterCodec(name, written, _numcodec(name, written), decoded_spec, encoded_spec)
    _expect_arithmetic(fields, codec)
    return codec


def _size(spec: ChunkSpec) -> int:
    return spec.nbytes // spec.dtype.itemsize


def _numcodec(name: str, configuration: dict[str, JSON]) -> Any:
    native = {
        key: np.dtype(value).newbyteorder("=").str if key.endswith("type") else value
        for key, value in configuration.items()
    }
    return import_module("numcodecs.registry").get_codec({"id": name.removeprefix("numcodecs."), **native})


def _expect_arithmetic(fields: Fields, codec: FilterCodec) -> None:
    """Try the filter on one element: numbers that do not fit the data types fail for every element."""
    if codec.name == "numcodecs.packbits":
        return
    decoded = np.zeros(1, codec.decoded_spec.dtype)
    try:
        with np.errstate(all="ignore"):
            codec.numcodec.decode(codec.numcodec.encode(decoded).view(codec.encoded_spec.dtype))
    except ARITHMETIC_FAILURES as error:
        fields.problem("", "codec_data_type_mismatch", f"{decoded.dtype} cannot be filtered so: {error}")
    fields.finish()


def _expect_kind(fields: Fields, dtype: np.dtype[Any], kinds: str) -> None:
    if dtype.kind not in kinds:
        names = {"b": "bool", "i": "integers", "u": "unsigned integers", "f": "floats", "c": "complex"}
        expected = ", ".join(
            [*(names[kind] for kind in kinds if kind in names), *(["times"] * ("M" in kinds))]
        )
        fields.problem("", "codec_data_type_mismatch", f"expected {expected}, found {dtype}")


def _same_dtype(fields: Fields, key: str, dtype: np.dtype[Any], *, default: Any = None) -> str:
    """Read a data type that can only be the array's own; null or nothing is filled in."""
    value = _dtype_value(fields, key, default)
    if value is None:
        return str(dtype)
    found = _dtype(fields, key, value, "biufc")
    if found is not None and found != dtype:
        fields.problem(key, "codec_data_type_mismatch", f"expected the array's {dtype}, found {value!r}")
    return str(value)


def _other_dtype(
    fields: Fields,
    key: str,
    dtype: np.dtype[Any],
    kinds: str,
    written: dict[str, JSON],
    *,
    default: Any = None,
) -> np.dtype[Any]:
    """Read the data type of what comes out; where it is left out, the array's own comes out."""
    value = _dtype_value(fields, key, default)
    if value is None:
        return dtype
    written[key] = value
    found = _dtype(fields, key, value, kinds)
    return dtype if found is None else found.newbyteorder("=")


def _dtype_value(fields: Fields, key: str, default: Any) -> JSON:
    value = fields.any(key, default=default)
    if value is None and default is REQUIRED and fields.has(key):
        fields.problem(key, "wrong_type", "expected a NumPy data type's name, found null")
    return value


def _dtype(fields: Fields, key: str, value: JSON, kinds: str) -> np.dtype[Any] | None:
    if not isinstance(value, str):
        fields.problem(key, "wrong_type", f"expected a NumPy data type's name, found {value!r}")
        return None
    try:
        dtype = np.dtype(value)
    except (TypeError, ValueError, SyntaxError):
        fields.problem(key, "wrong_value", f"expected a NumPy data type's name, found {value!r}")
        return None
    if dtype.kind not in kinds or dtype.itemsize > 16:
        fields.problem(
            key, "codec_data_type_mismatch", f"{value!r} is no data type that this codec takes here"
        )
        return None
    return dtype
