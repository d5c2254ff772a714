"""Vectors for every data type, in both byte orders, with the elements that conversions lose."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from conformance.cases import hand
from conformance.cases.draft import Draft
from conformance.cases.elements import dtype_of
from conformance.cases.hand import BIG, LITTLE, document, sharded, sharding, vector

INTEGERS: Final = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
FLOATS: Final = {
    "float16": [0x7E00, 0x7E01, 0xFE00, 0x7C01, 0x8000, 0x7C00, 0xFC00, 0x0001, 0x7BFF, 0x3C00],
    "float32": [
        *(0x7FC00000, 0x7FC00001, 0xFFC00000, 0xFF812345, 0x80000000),
        *(0x7F800000, 0xFF800000, 0x00000001, 0x7F7FFFFF, 0x3F800000),
    ],
    "float64": [
        *(0x7FF8000000000000, 0x7FF8000000000001, 0xFFF8000000000000, 0xFFF0000000012345, 1 << 63),
        *(0x7FF0000000000000, 0xFFF0000000000000, 1, 0x7FEFFFFFFFFFFFFF, 0x3FF0000000000000),
    ],
}
"""As bits: NaNs (plain, with payload, negative, signalling), -0.0, infinities, least and greatest, 1."""

TIMES: Final = [0, 1, -1, 2**62, -(2**63), 5, -6, 7]
"""Counts of a unit; -2^63 is "not a time"."""


def elements(data_type: Any) -> np.ndarray[Any, Any]:
    """Give a 2 × 4 or 2 × 5 array of a type's telling elements."""
    dtype = dtype_of(data_type)
    match dtype.kind:
        case "b":
            return np.array([[True, False, False, True], [False, True, True, True]])
        case "i" | "u":
            info = np.iinfo(dtype)
            flat = [info.min, info.max, info.max - 1, info.min + 1, 0, 1, 2, info.max // 3]
            return np.array(flat, dtype).reshape(2, 4)
        case "f":
            bits = np.array(FLOATS[str(data_type)], f"<u{dtype.itemsize}")
            return bits.view(dtype).reshape(2, 5)
        case "c":
            part = f"float{dtype.itemsize * 4}"
            floats = elements(part).reshape(-1)
            return np.stack([floats, floats[::-1]], axis=1).reshape(-1).view(dtype).reshape(2, 5)
        case "V":
            return np.arange(8 * dtype.itemsize, dtype="u1").view(dtype).reshape(2, 4)
        case _:
            return np.array(TIMES, "<i8").view(dtype).reshape(2, 4)


def drafts() -> Iterator[Draft]:
    """Give the vectors."""
    yield _type("bool", "bool", {"name": "bytes"}, fill_value=False)
    for name in INTEGERS:
        # Little-endian ones are many elsewhere, those of other makers (`peer_cases`) above all.
        order, codec = ("", {"name": "bytes"}) if name.endswith("t8") else ("-big", BIG)
        yield _type(f"{name}{order}", name, codec, fill_value=3)
    for name in (*FLOATS, "complex64", "complex128"):
        for order, codec in (("-little", LITTLE), ("-big", BIG)):
            yield _type(f"{name}{order}", name, codec, fill_value=[0.5, -1.5] if name[0] == "c" else 0.5)
    for nbits in (8, 24, 128):
        yield _type(f"r{nbits}", f"r{nbits}", {"name": "bytes"}, fill_value=[7] * (nbits // 8))
    for kind, unit, scale_factor in (("datetime64", "ms", 10), ("timedelta64", "ns", 1)):
        data_type = {"name": f"numpy.{kind}", "configuration": {"unit": unit, "scale_factor": scale_factor}}
        yield _type(kind, data_type, LITTLE, fill_value="NaT")


def _type(name: str, data_type: Any, codec: Any, *, fill_value: Any) -> Draft:
    values = elements(data_type)
    inner = [1, 2] if values.shape[1] == 4 else [1, 5]
    return vector(
        f"type-{name}",
        f"Elements of {name.replace('-', ', ')}{'-endian' if '-' in name else ''}",
        ["CHAIN-DECODE", "CHAIN-ENCODE", "PARTIAL-DECODING"],
        document(values.shape, values.shape, [sharding(inner, [codec])], data_type, fill_value),
        values,
        sharded(inner, hand.big if codec is BIG else hand.little),
    )
