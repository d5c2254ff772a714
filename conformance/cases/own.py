"""Vectors that this package writes: one array in each order in which it puts inner chunks down."""

from __future__ import annotations

import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

import numpy as np

import zarr_shard_codec as zsc
from conformance.cases.corpus import Maker
from conformance.cases.draft import Draft, parts, read_files
from conformance.cases.hand import CRC32C, LITTLE

NAME: Final = "zarr_shard_codec"
ORDERS: Final[tuple[Literal["lexicographic", "morton", "reverse"], ...]] = (
    "lexicographic",
    "morton",
    "reverse",
)


def drafts() -> Iterator[Draft]:
    """Give the vectors. No compressor is in them, whose version would change bytes."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))["project"]
    values = np.arange(80, dtype="<i4").reshape(8, 10)
    values[2:4, 4:8] = 0
    for order in ORDERS:
        with tempfile.TemporaryDirectory() as folder:
            array = zsc.create(
                folder,
                shape=values.shape,
                dtype=values.dtype,
                shard_shape=(8, 8),
                inner_chunk_shape=(2, 4),
                codecs=[LITTLE, CRC32C],
                chunk_order=order,
                lock=None,  # the lock's file is no part of an array
            )
            array[...] = values
            files = read_files(Path(folder))
        yield Draft(
            name=f"{NAME}-order-{order}",
            title=f"Inner chunks in {order} order, which the metadata does not tell, written by this package",
            requirements=("RUNTIME-OPTIONS", "ORDER-ANY", "EDGE-FILL", "INDEX-CODECS-RECOMMENDED"),
            files=files,
            values=values,
            data_type="int32",
            selections=parts(values.shape, (2, 4)),
            made_by=Maker(NAME, project["version"]),
        )
