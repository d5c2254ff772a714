"""Array elements ↔ the fill-value JSON of their data type, bit for bit, as the vectors write them.

Owns the suite's own reading of `data_type`: the package under test has no say in what a vector expects.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

JSON = Any
"""Parsed JSON."""

_NAN: Final = {2: 0x7E00, 4: 0x7FC00000, 8: 0x7FF8000000000000}
"""The NaN that "NaN" stands for, by item size in bytes (core specification, "Permitted fill values")."""
_TIMES: Final = {"numpy.datetime64": "M8", "numpy.timedelta64": "m8"}


def dtype_of(data_type: JSON) -> np.dtype[Any]:
    """Give the little-endian NumPy dtype of a `data_type` of `zarr.json`; raw types are `V…`."""
    name = data_type if isinstance(data_type, str) else data_type["name"]
    if raw := re.fullmatch(r"r([0-9]+)", name):
        return np.dtype(f"V{int(raw[1]) // 8}")
    if name == "raw_bytes":
        return np.dtype(f"V{data_type['configuration']['length_bytes']}")
    if name in _TIMES:
        configuration = data_type["configuration"]
        return np.dtype(f"<{_TIMES[name]}[{configuration['scale_factor']}{configuration['unit']}]")
    return np.dtype(name).newbyteorder("<")


def to_json(array: np.ndarray[Any, Any]) -> list[JSON]:
    """Give the elements in C order. Raw types are lists of bytes, times are counts of their unit."""
    flat = np.ascontiguousarray(array).reshape(-1)
    flat = flat.astype(flat.dtype.newbyteorder("<"), copy=False)
    match flat.dtype.kind:
        case "f":
            return _floats_to_json(flat)
        case "c":
            parts = _floats_to_json(flat.view(f"<f{flat.dtype.itemsize // 2}"))
            return [list(pair) for pair in zip(parts[::2], parts[1::2], strict=True)]
        case "V":
            return [list(element.tobytes()) for element in flat]
        case "m" | "M":
            counts: list[JSON] = flat.view("<i8").tolist()
            return counts
        case _:
            elements: list[JSON] = flat.tolist()
            return elements


def from_json(
    elements: Sequence[JSON], data_type: JSON, shape: Sequence[int]
) -> np.ndarray[Any, np.dtype[Any]]:
    """Undo `to_json`. Raw types may also be base64, as zarr-python writes them."""
    dtype = dtype_of(data_type)
    encoded = b"".join(_element_bytes(element, dtype) for element in elements)
    return np.frombuffer(encoded, dtype).reshape(shape)


def _floats_to_json(flat: np.ndarray[Any, Any]) -> list[JSON]:
    itemsize = flat.dtype.itemsize
    bits = flat.view(f"<u{itemsize}").tolist()
    return [_float_to_json(float(number), bits[at], itemsize) for at, number in enumerate(flat)]


def _float_to_json(number: float, bits: int, itemsize: int) -> JSON:
    if np.isnan(number):
        return "NaN" if bits == _NAN[itemsize] else f"0x{bits:0{2 * itemsize}x}"
    if np.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    return number


def _element_bytes(element: JSON, dtype: np.dtype[Any]) -> bytes:
    match dtype.kind:
        case "f":
            return _float_bytes(element, dtype.itemsize)
        case "c":
            return b"".join(_float_bytes(part, dtype.itemsize // 2) for part in element)
        case "V":
            return base64.b64decode(element) if isinstance(element, str) else bytes(element)
        case "b":
            return bytes([element])
        case kind:
            number = -(2**63) if element == "NaT" else int(element)
            return number.to_bytes(dtype.itemsize, "little", signed=kind != "u")


def _float_bytes(element: JSON, itemsize: int) -> bytes:
    if isinstance(element, str):
        if element.startswith("0x"):
            return int(element, 16).to_bytes(itemsize, "little")
        if element == "NaN":
            return _NAN[itemsize].to_bytes(itemsize, "little")
        element = float(element)  # "Infinity", "-Infinity"
    with np.errstate(over="ignore"):
        return np.array(float(element)).astype(f"<f{itemsize}").tobytes()
