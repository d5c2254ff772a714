"""An example of `command`: a program that prints an array, here with this package as the implementation.

Copy it, or write the same in your language: `PROGRAM --array_path=PATH` prints the elements of the array in
the folder PATH, one a line in C order, as the fill-value JSON of its data type, and exits with status 0; or
says on stderr why not, and exits with another.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np

import zarr_shard_codec as zsc


def main() -> int:
    """Read one array, and print it."""
    (option,) = sys.argv[1:]
    try:
        values = np.asarray(zsc.open(option.removeprefix("--array_path="))[...])
    except zsc.ZarrShardError as error:
        print(error, file=sys.stderr)
        return 1
    for element in values.reshape(-1):
        print(json.dumps(fill_value(element)))
    return 0


def fill_value(element: Any) -> Any:
    """Write one element as metadata would write it as the fill value, such that no bit is lost."""
    match element.dtype.kind:
        case "c":
            return [fill_value(element.real), fill_value(element.imag)]
        case "V":
            return list(element.tobytes())
        case "m" | "M":
            return int(element.view("i8"))
        case "f" if np.isnan(element):  # every NaN by its bits
            return f"0x{element.tobytes()[:: -1 if sys.byteorder == 'little' else 1].hex()}"
        case "f" if np.isinf(element):
            return "Infinity" if element > 0 else "-Infinity"
        case _:
            return element.item()


if __name__ == "__main__":
    sys.exit(main())
