"""Reading the vectors: `corpus()` gives them all, `load(folder)` one.

Owns the meaning of `case.json`. A corpus that is missing or empty is an error: a suite without cases would
pass everything.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from conformance.cases.elements import JSON, dtype_of, from_json

VECTORS: Final = Path(__file__).parents[1] / "vectors"
"""Where the vectors are; `python -m conformance generate` writes them and nothing else does."""

Expect = Literal["values", "refuse", "either"]
"""What is right: these values, an error, or (where the specification is silent) one of the two."""


@dataclass(frozen=True, slots=True)
class Maker:
    """Who wrote an array.

    Attributes
    ----------
    name
        `hand` (byte by byte, by `conformance.cases.hand`), `tensorstore`, `zarr-python`, `zarrs`, `zarrita`
        or `zarr_shard_codec`.
    version
        Its version.
    libraries
        Versions of other packages that the bytes may depend on.
    """

    name: str
    version: str
    libraries: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Selection:
    """A part to read.

    Attributes
    ----------
    axes
        An integer or a slice (step at least 1) for each axis; a NumPy basic selection.
    expect
        What is right for this part.
    """

    axes: tuple[int | slice, ...]
    expect: Expect

    @property
    def json(self) -> list[JSON]:
        """As `case.json` has it: an integer, or start, stop and step, for each axis."""
        return [[a.start, a.stop, a.step] if isinstance(a, slice) else a for a in self.axes]


@dataclass(frozen=True, slots=True)
class Case:
    """One vector.

    Attributes
    ----------
    name
        Its folder's name.
    folder
        Its folder.
    title
        What it is about, in a line.
    requirements
        Ids of `spec/requirements.toml` that it holds.
    made_by
        Who wrote the array.
    expect
        What is right when all of the array is read.
    why
        For `refuse` and `either`: by which clause.
    reason
        For `refuse`: the `reason` of this package's error.
    shape
        Elements along each axis.
    data_type
        As in `zarr.json`.
    values
        All elements, little-endian. Where the array is broken, those that an intact one would have.
    selections
        Parts to read.
    """

    name: str
    folder: Path
    title: str
    requirements: tuple[str, ...]
    made_by: Maker
    expect: Expect
    why: str | None
    reason: str | None
    shape: tuple[int, ...]
    data_type: JSON
    values: np.ndarray[Any, np.dtype[Any]]
    selections: tuple[Selection, ...]

    @property
    def array_path(self) -> Path:
        """The Zarr array."""
        return self.folder / "array.zarr"


def load(folder: Path) -> Case:
    """Read the vector in `folder`."""
    document = json.loads((folder / "case.json").read_text("utf-8"))
    shape = tuple(document["shape"])
    if "values_file" in document:
        values = np.fromfile(folder / document["values_file"], dtype_of(document["data_type"])).reshape(shape)
    else:
        values = from_json(document["values"], document["data_type"], shape)
    return Case(
        name=folder.name,
        folder=folder,
        title=document["title"],
        requirements=tuple(document["requirements"]),
        made_by=Maker(**document["made_by"]),
        expect=document["expect"],
        why=document.get("why"),
        reason=document.get("reason"),
        shape=shape,
        data_type=document["data_type"],
        values=values,
        selections=tuple(
            Selection(tuple(slice(*a) if isinstance(a, list) else a for a in s["selection"]), s["expect"])
            for s in document["selections"]
        ),
    )


def corpus(vectors: Path = VECTORS) -> list[Case]:
    """Read all vectors, by name. Raises `FileNotFoundError` where there are none."""
    folders = sorted(path.parent for path in vectors.glob("*/case.json"))
    if not folders:
        raise FileNotFoundError(f"no vectors in {vectors}: run `python -m conformance generate`")
    return [load(folder) for folder in folders]
