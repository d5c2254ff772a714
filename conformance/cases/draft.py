"""A vector before it is written: what the modules of cases define, and the files that it becomes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from conformance.cases.corpus import Expect, Maker, Selection
from conformance.cases.elements import JSON, dtype_of, to_json

HAND: Final = Maker("hand", "1")
"""The maker of arrays assembled by `hand`, whose bytes depend on no library's version."""
MOST_VALUES: Final = 1000
"""Elements that `case.json` lists; more stand in a file of their own."""

Files = Mapping[str, bytes]
"""The files of an array by their path below it, `zarr.json` among them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """One vector to be; see `corpus.Case` for what is not explained here.

    Attributes
    ----------
    files
        The array.
    intact
        For what is broken: the same array without the one thing that is wrong.
    """

    name: str
    title: str
    requirements: tuple[str, ...]
    files: Files
    values: np.ndarray[Any, Any]
    data_type: JSON
    selections: tuple[Selection, ...]
    expect: Expect = "values"
    why: str | None = None
    reason: str | None = None
    made_by: Maker = HAND
    intact: Files = field(default_factory=dict)

    def tree(self) -> dict[str, bytes]:
        """Give all files of the vector by their path below its folder."""
        files = {f"array.zarr/{path}": content for path, content in self.files.items()}
        case: dict[str, JSON] = {
            "title": self.title,
            "requirements": sorted(self.requirements),
            "made_by": {"name": self.made_by.name, "version": self.made_by.version},
            "expect": self.expect,
            "shape": list(self.values.shape),
            "data_type": self.data_type,
            "selections": [{"selection": s.json, "expect": s.expect} for s in self.selections],
        }
        if self.made_by.libraries:
            case["made_by"]["libraries"] = dict(self.made_by.libraries)
        case |= {key: text for key in ("why", "reason") if (text := getattr(self, key)) is not None}
        if self.values.size > MOST_VALUES:
            case["values_file"] = "values.bin"
            files["values.bin"] = self.values.astype(dtype_of(self.data_type)).tobytes()
        else:
            case["values"] = to_json(self.values)
        files["case.json"] = json_bytes(case)
        return files

    def write(self, folder: Path) -> None:
        """Write the vector as `folder`, which must not exist."""
        write_files(folder, self.tree())


def json_bytes(document: JSON) -> bytes:
    """Give the one text that a JSON document has here."""
    return (json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def write_files(folder: Path, files: Files) -> None:
    """Write files below `folder`, which must not exist."""
    folder.mkdir(parents=True)
    for path, content in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def read_files(folder: Path) -> dict[str, bytes]:
    """Read all files below `folder`."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def parts(
    shape: Sequence[int],
    inner: Sequence[int],
    expect: Expect = "values",
) -> tuple[Selection, ...]:
    """Choose parts of an array of inner chunks of shape `inner`.

    Up to five, none of them all of the array: the first inner chunk; all of the last axis, elsewhere one
    index; every third element; one element; the far corner, from the middle of an inner chunk on.
    """
    whole = tuple(slice(0, n, 1) for n in shape)
    candidates = [
        tuple(slice(0, min(c, n), 1) for n, c in zip(shape, inner, strict=True)),
        tuple(n // 2 if axis < len(shape) - 1 else slice(0, n, 1) for axis, n in enumerate(shape)),
        tuple(slice(n > 1, n, 3) for n in shape),
        tuple(n * 2 // 3 for n in shape),
        tuple(slice(max(0, n - c - (c + 1) // 2), n, 1) for n, c in zip(shape, inner, strict=True)),
    ]
    chosen: list[tuple[int | slice, ...]] = []
    for candidate in map(tuple, map(_plain, candidates)):
        if candidate not in (*chosen, whole) and 0 not in shape and shape:
            chosen.append(candidate)
    return tuple(Selection(axes, expect) for axes in chosen)


def select(*axes: int | tuple[int, int] | tuple[int, int, int], expect: Expect = "values") -> Selection:
    """Name a part by integers and by pairs of start and stop, or triples with a step."""
    return Selection(tuple(a if isinstance(a, int) else slice(*(*a, 1)[:3]) for a in axes), expect)


def _plain(axes: Sequence[int | slice]) -> Iterator[int | slice]:
    for axis in axes:
        yield slice(int(axis.start), axis.stop, axis.step) if isinstance(axis, slice) else axis
