"""Data types and fill values: their JSON forms ↔ NumPy dtypes and zero-dimensional arrays, bit for bit.

Owns both directions of `data_type` and `fill_value` in Zarr v3 documents (core specification, "Data Types"
and "Permitted fill values"; the numpy.datetime64, numpy.timedelta64 and raw_bytes extensions as zarr-python
writes them). The byte order of stored bytes is the bytes codec's business: every dtype here is native.
"""

from __future__ import annotations

import base64
import binascii
import re
import reprlib
import sys
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike

from zarr_shard_codec.core.extensions import Extension, parse_extension
from zarr_shard_codec.core.protocols import JSON
from zarr_shard_codec.errors import MetadataError, Problem, Reason

_NUMERIC: Final = {
    name: np.dtype(name)
    for name in (
        "bool",
        *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        *("float16", "float32", "float64", "complex64", "complex128"),
    )
}
_RAW: Final = re.compile(r"r([1-9][0-9]{0,10})")
_TIME: Final = {"numpy.datetime64": "M8", "numpy.timedelta64": "m8"}
_TIME_UNITS: Final = ("Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as", "generic")
_MAX_NUMPY_INT: Final = 2**31 - 1
"""NumPy keeps item sizes and scale factors in a C int."""
_NAT: Final = -(2**63)
_CANONICAL_NAN: Final = {2: 0x7E00, 4: 0x7FC00000, 8: 0x7FF8000000000000}
"""The one NaN that "NaN" stands for, by item size in bytes: positive, quiet, no payload."""
_SPECIAL_FLOATS: Final = {"Infinity": float("inf"), "-Infinity": float("-inf")}


def parse_data_type(json: JSON, path: str = "data_type") -> np.dtype[Any]:
    """Read a v3 `data_type`.

    Parameters
    ----------
    json
        A name, or an object with `name` and `configuration`. Raw types go by `r16` (core specification) and
        by `{"name": "raw_bytes", "configuration": {"length_bytes": 2}}` (zarr-python, tensorstore).
    path
        Where it stands in its document, for the problems.

    Returns
    -------
    dtype
        In native byte order; raw types as `V2`.

    Raises
    ------
    MetadataError
        `unsupported_data_type`, which names the type; `wrong_type`, `missing_key`, `unknown_key`,
        `wrong_value` for an object of the wrong form.
    """
    extension = parse_extension(json, path, ignorable=False)
    name = extension.name
    if name in _TIME:
        return _parse_time(extension, path)
    if name == "raw_bytes":
        (nbytes,) = _integers(extension, path, ("length_bytes",), others=())
        return np.dtype(f"V{nbytes}")
    dtype = _NUMERIC.get(name)
    if (raw := _RAW.fullmatch(name)) and int(raw[1]) % 8 == 0 and int(raw[1]) // 8 <= _MAX_NUMPY_INT:
        dtype = np.dtype(f"V{int(raw[1]) // 8}")
    if dtype is None:
        raise _error(path, "unsupported_data_type", f"the data type {reprlib.repr(name)} is not supported")
    _no_other_keys(extension, path, ())
    return dtype


def data_type_to_json(dtype: np.dtype[Any]) -> JSON:
    """Write a dtype as v3 `data_type`, as zarr-python does (so raw types are `raw_bytes`, not `r16`).

    Raises
    ------
    MetadataError
        `unsupported_data_type`.
    """
    dtype = as_dtype(dtype)
    if dtype.kind == "V":
        return {"name": "raw_bytes", "configuration": {"length_bytes": dtype.itemsize}}
    if dtype.kind in "mM":
        unit, scale_factor = np.datetime_data(dtype)
        name = "numpy.datetime64" if dtype.kind == "M" else "numpy.timedelta64"
        return {"name": name, "configuration": {"unit": unit, "scale_factor": scale_factor}}
    return dtype.name


def as_dtype(dtype_like: DTypeLike | Mapping[str, JSON], path: str = "data_type") -> np.dtype[Any]:
    """Take a data type as a Python caller gives it: any NumPy dtype, or a v3 `data_type`.

    Returns
    -------
    dtype
        In native byte order, whatever order was given: the order of stored bytes is the bytes codec's.

    Raises
    ------
    MetadataError
        `unsupported_data_type`, which names the type.
    """
    if isinstance(dtype_like, Mapping) or (isinstance(dtype_like, str) and _RAW.fullmatch(dtype_like)):
        return parse_data_type(dtype_like, path)
    unsupported = _error(
        path, "unsupported_data_type", f"the data type {reprlib.repr(dtype_like)} is not supported"
    )
    if dtype_like is None:  # NumPy would take it for float64
        raise unsupported
    try:
        dtype = np.dtype(dtype_like).newbyteorder("=")
    except (TypeError, ValueError) as error:
        raise unsupported from error
    # By equality with the plain type, which leaves out structured types, metadata and foreign scalar types
    # (ml_dtypes' bfloat16 has kind "V") and makes one of NumPy's two 64-bit integers.
    plain = np.dtype(dtype.str) if dtype.kind in "mM" else np.dtype(f"{dtype.kind}{dtype.itemsize}")
    known = dtype.kind in "mMV" or plain in _NUMERIC.values()
    if plain != dtype or plain.type is np.object_ or not known or plain.itemsize == 0:
        raise unsupported
    return plain


def parse_fill_value(json: JSON, dtype: np.dtype[Any], path: str = "fill_value") -> np.ndarray[Any, Any]:
    """Read a `fill_value`.

    Parameters
    ----------
    json
        Its JSON form. Integers must be written as such: `1.0` is refused, as the specification asks, though
        tensorstore and zarr-python read it. Raw types take a list of bytes (core specification) or base64
        (zarr-python, tensorstore).
    dtype
        The array's data type, in native byte order.
    path
        Where it stands in its document, for the problems.

    Returns
    -------
    ndarray
        Zero-dimensional, read-only, of exactly the bits that the document names.

    Raises
    ------
    MetadataError
        `invalid_fill_value`.
    """
    try:
        return _scalar(_fill_bytes(json, dtype), dtype)
    except _UnfitError as unfit:
        message = f"{reprlib.repr(json)} is no fill value for {dtype}: expected {unfit}"
        raise _error(path, "invalid_fill_value", message) from None


def fill_value_to_json(fill_value: np.ndarray[Any, Any]) -> JSON:
    """Write a zero-dimensional array as `fill_value`, such that every bit comes back.

    As zarr-python writes it, except for NaNs with a sign or a payload: those are hexadecimal here, while
    zarr-python writes "NaN" for them all.
    """
    dtype, raw = fill_value.dtype, fill_value.tobytes()
    if dtype.kind == "f":
        return _float_to_json(raw, dtype.itemsize)
    if dtype.kind == "c":
        half = dtype.itemsize // 2
        return [_float_to_json(raw[:half], half), _float_to_json(raw[half:], half)]
    if dtype.kind == "V":
        return base64.standard_b64encode(raw).decode("ascii")
    if dtype.kind == "b":
        return bool(fill_value)
    return int.from_bytes(raw, sys.byteorder, signed=dtype.kind != "u")


def coerce_fill_value(value: object, dtype: np.dtype[Any], path: str = "fill_value") -> np.ndarray[Any, Any]:
    """Take a fill value as a Python caller gives it: a Python or NumPy scalar, or a JSON form.

    A NumPy scalar of the array's own type keeps its bits. The number 0 is every type's zero.

    Raises
    ------
    MetadataError
        `invalid_fill_value`: the value is not one of the type's, or would change when it became one.
    """
    if isinstance(value, np.ndarray):
        if value.ndim:
            message = f"expected one element, found an array of shape {value.shape}"
            raise _error(path, "invalid_fill_value", message)
        value = value[()]
    if isinstance(value, np.generic):
        if value.dtype.newbyteorder("=") == dtype:
            return _scalar(np.asarray(value).astype(dtype).tobytes(), dtype)
        if isinstance(value, np.datetime64 | np.timedelta64):
            return _convert_time(value, dtype, path)
        value = value.item()
    if type(value) is int and value == 0:
        return _scalar(bytes(dtype.itemsize), dtype)
    if dtype.kind == "b" and isinstance(value, int | float) and value in (0, 1):
        value = bool(value)
    elif dtype.kind in "iu" and isinstance(value, float) and value.is_integer():
        value = int(value)
    elif dtype.kind == "c" and isinstance(value, complex):
        value = [value.real, value.imag]
    elif dtype.kind == "c" and isinstance(value, int | float) and not isinstance(value, bool):
        value = [value, 0.0]
    elif dtype.kind == "V" and isinstance(value, bytes | bytearray | memoryview):
        value = list(bytes(value))
    return parse_fill_value(list(value) if isinstance(value, tuple) else value, dtype, path)


class _UnfitError(Exception):
    """The message says what was expected."""


def _fill_bytes(json: JSON, dtype: np.dtype[Any]) -> bytes:
    """Give the element's bytes, in native order."""
    if dtype.kind == "b":
        if not isinstance(json, bool):
            raise _UnfitError("true or false")
        return bytes([json])
    if dtype.kind in "iu":
        return _integer_bytes(json, dtype.itemsize, signed=dtype.kind == "i")
    if dtype.kind in "mM":
        return _integer_bytes(_NAT if isinstance(json, str) and json == "NaT" else json, 8, signed=True)
    if dtype.kind == "f":
        return _float_bytes(json, dtype.itemsize)
    if dtype.kind == "c":
        if not isinstance(json, list) or len(json) != 2:
            raise _UnfitError("a list of the real and the imaginary part")
        return b"".join(_float_bytes(part, dtype.itemsize // 2) for part in json)
    return _raw_bytes(json, dtype.itemsize)


def _integer_bytes(json: JSON, itemsize: int, *, signed: bool) -> bytes:
    if not isinstance(json, int) or isinstance(json, bool):
        raise _UnfitError("an integer, without fraction or exponent")
    try:
        return json.to_bytes(itemsize, sys.byteorder, signed=signed)
    except OverflowError:
        bits = 8 * itemsize
        span = f"-2^{bits - 1} to 2^{bits - 1}-1" if signed else f"0 to 2^{bits}-1"
        raise _UnfitError(f"an integer from {span}") from None


def _float_bytes(json: JSON, itemsize: int) -> bytes:
    if isinstance(json, str):
        if json == "NaN":
            return _CANONICAL_NAN[itemsize].to_bytes(itemsize, sys.byteorder)
        if re.fullmatch(f"0x[0-9a-fA-F]{{{2 * itemsize}}}", json):
            return int(json, 16).to_bytes(itemsize, sys.byteorder)
        if json not in _SPECIAL_FLOATS:
            digits = 2 * itemsize
            raise _UnfitError(f'a number, "NaN", "Infinity", "-Infinity" or "0x" and {digits} digits')
        json = _SPECIAL_FLOATS[json]
    if not isinstance(json, int | float) or isinstance(json, bool):
        raise _UnfitError("a number or a string")
    try:
        number = float(json)
    except OverflowError:  # an integer past float64: it rounds to infinity, as a float that large does
        number = float("inf") if json > 0 else float("-inf")
    with np.errstate(all="ignore"):
        return np.array(number).astype(f"f{itemsize}").tobytes()


def _raw_bytes(json: JSON, itemsize: int) -> bytes:
    unfit = _UnfitError(f"a list of {itemsize} integers from 0 to 255, or base64 of {itemsize} bytes")
    if isinstance(json, str):
        try:
            raw = base64.b64decode(json, validate=True)
        except (binascii.Error, ValueError):
            raise unfit from None
    elif isinstance(json, list) and all(type(byte) is int and 0 <= byte <= 255 for byte in json):
        raw = bytes(json)
    else:
        raise unfit
    if len(raw) != itemsize:
        raise unfit
    return raw


def _float_to_json(raw: bytes, itemsize: int) -> JSON:
    number = float(np.frombuffer(raw, f"f{itemsize}")[0])
    if number != number:  # noqa: PLR0124  # only a NaN differs from itself
        bits = int.from_bytes(raw, sys.byteorder)
        return "NaN" if bits == _CANONICAL_NAN[itemsize] else f"0x{bits:0{2 * itemsize}x}"
    if number in _SPECIAL_FLOATS.values():
        return "Infinity" if number > 0 else "-Infinity"
    # The nearest double of a shorter float is the float itself, and JSON's shortest form of it parses back.
    return number


def _scalar(raw: bytes, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    return np.frombuffer(raw, dtype=dtype).reshape(())


def _convert_time(
    value: np.datetime64 | np.timedelta64, dtype: np.dtype[Any], path: str
) -> np.ndarray[Any, Any]:
    unfit = _error(path, "invalid_fill_value", f"{value!r} cannot be written exactly as {dtype}")
    if value.dtype.kind != dtype.kind:
        raise unfit
    try:
        converted = np.asarray(value).astype(dtype)
        exact = np.isnat(value) or (not np.isnat(converted) and converted.astype(value.dtype) == value)
    except OverflowError:  # NumPy before 2.5 lets it wrap
        exact = False
    if not exact:
        raise unfit
    return _scalar(converted.tobytes(), dtype)


def _parse_time(extension: Extension, path: str) -> np.dtype[Any]:
    unit = extension.configuration.get("unit")
    unit = "us" if unit == "\u03bcs" else unit
    (scale_factor,) = _integers(extension, path, ("scale_factor",), others=("unit",))
    if unit not in _TIME_UNITS:
        message = f"expected one of {', '.join(_TIME_UNITS)}; found {reprlib.repr(unit)}"
        raise _error(f"{path}.configuration.unit", "wrong_value", message)
    if unit != "generic":
        return np.dtype(f"{_TIME[extension.name]}[{scale_factor}{unit}]")
    if scale_factor != 1:
        message = f"NumPy knows no {extension.name} with a scale factor but without a unit"
        raise _error(path, "unsupported_data_type", message)
    return np.dtype(_TIME[extension.name])


def _integers(
    extension: Extension, path: str, keys: tuple[str, ...], *, others: tuple[str, ...]
) -> list[int]:
    """Read positive integers of the configuration, which must have `keys` and `others` and nothing else."""
    _no_other_keys(extension, path, (*keys, *others))
    for key in keys:
        value = extension.configuration[key]
        if type(value) is not int or not 1 <= value <= _MAX_NUMPY_INT:
            message = f"expected an integer from 1 to 2^31-1, found {reprlib.repr(value)}"
            raise _error(f"{path}.configuration.{key}", "wrong_value", message)
    return [extension.configuration[key] for key in keys]


def _no_other_keys(extension: Extension, path: str, keys: tuple[str, ...]) -> None:
    place = f"{path}.configuration"
    problems = [
        Problem(f"{place}.{key}", "unknown_key", f"{extension.name} has no such parameter")
        for key in extension.configuration
        if key not in keys
    ]
    problems += [
        Problem(f"{place}.{key}", "missing_key", f"{extension.name} needs it")
        for key in keys
        if key not in extension.configuration
    ]
    if problems:
        raise MetadataError(problems)


def _error(path: str, reason: Reason, message: str) -> MetadataError:
    return MetadataError([Problem(path, reason, message)])
