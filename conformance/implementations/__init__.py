"""Implementations of Zarr v3 that the suite compares: one file each, all behind one protocol.

Owns the protocol and the list. A file is imported only in the process that runs its implementation, so that
an absent library, a crash or a setting of one says nothing about the others.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final, Protocol, runtime_checkable

import numpy as np

Array = np.ndarray[Any, Any]
Document = dict[str, Any]
"""Array metadata: a parsed zarr.json."""
Index = tuple[slice | int, ...]
"""What to read: for each axis a slice with start, stop and positive step, or an integer."""

INTEGERS: Final = frozenset({"bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))})
FLOATS: Final = frozenset({"float16", "float32", "float64", "complex64", "complex128"})
CODECS: Final = frozenset({"blosc", "bytes", "crc32c", "gzip", "sharding_indexed", "transpose", "zstd"})
"""Those that the specification and its registry of extensions describe, and everybody has."""

OURS: Final = "zarr-shard-codec"


class AbsentError(Exception):
    """The implementation cannot run here; the text says why."""


class UnsupportedError(Exception):
    """The implementation says in so many words that it does not support what it is asked for."""


class GarbledError(Exception):
    """The implementation says that it read the array, and what it gave is no array at all."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an implementation says of itself that it can do. A refusal of anything else is no failure.

    Values that are not the right ones are a failure whatever stands here.

    Attributes
    ----------
    parts
        It reads parts of an array.
    integers, steps
        It reads single integers, and slices whose step is not 1.
    writes, updates
        It writes sharded arrays, and changes parts of them.
    data_types
        Names of the data types it knows; None is all. `r*` stands for `r8`, `r16`, …
    codecs
        Names of the codecs it knows; None is all.
    """

    parts: bool = True
    integers: bool = True
    steps: bool = True
    writes: bool = True
    updates: bool = True
    data_types: frozenset[str] | None = None
    codecs: frozenset[str] | None = None

    def missing(self, document: Document) -> str | None:
        """Say what an array asks for that is beyond these; None if nothing is."""
        name = _type_name(document.get("data_type"))
        if self.data_types is not None and name not in self.data_types:
            return f"data type {name}"
        unknown = [] if self.codecs is None else sorted(_codec_names(document.get("codecs")) - self.codecs)
        return f"codec {', '.join(unknown)}" if unknown else None


@dataclass(frozen=True, slots=True)
class Cost:
    """What a read asked of its store, metadata aside.

    Attributes
    ----------
    requests
        Byte ranges and whole objects, after the implementation merged what it merges.
    nbytes
        How many bytes came back.
    """

    requests: int
    nbytes: int


class Implementation(Protocol):
    """A reader of Zarr v3 arrays in folders, and perhaps a writer. Whatever it raises is a refusal."""

    language: str
    setup: str
    """How it is set up, for a reader of the results: one line."""
    capabilities: Capabilities

    def version(self) -> str:
        """Version of the library, or of the program."""
        ...

    def read(self, path: str, selection: Index | None) -> Array:
        """Open the array in a folder and read a part of it, or with None all.

        Parameters
        ----------
        path
            The folder with zarr.json.
        selection
            What to read: shape and values must be those that NumPy gives for `whole[selection]`.
        """
        ...

    def write(self, path: str, metadata: Document, values: Array) -> None:
        """Create an array in a new folder, and write all of it.

        Parameters
        ----------
        path
            A folder that does not exist.
        metadata
            What zarr.json must mean; the implementation writes it in its own words.
        values
            Of the array's shape and type.
        """
        ...

    def update(self, path: str, selection: Index, values: Array) -> None:
        """Open an array and write a part of it."""
        ...


@runtime_checkable
class Counting(Protocol):
    """An implementation whose requests can be counted."""

    def cost(self, path: str, selection: Index) -> Cost:
        """Open an array, read a part of it, and count what the reading asked of the store."""
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """Where an implementation is.

    Attributes
    ----------
    module
        Its module, which defines `make`.
    options
        Arguments of `make`.
    """

    module: str
    options: dict[str, Any] = field(default_factory=dict)

    def make(self) -> Implementation:
        """Set it up, for the rest of this process's life. Raises AbsentError or ImportError."""
        made: Implementation = import_module(self.module).make(**self.options)
        return made


def _here(module: str, **options: str) -> Place:
    return Place(f"{__name__}.{module}", options)


PLACES: Final = {
    OURS: _here("this_package"),
    f"{OURS}-async": _here("this_package_async"),
    f"{OURS}-in-zarr-python": _here("this_package_in_zarr_python"),
    "tensorstore": _here("tensorstore_"),
    "zarr-python-batched": _here("zarr_python", pipeline="BatchedCodecPipeline"),
    "zarr-python-fused": _here("zarr_python", pipeline="FusedCodecPipeline"),
    "zarrs": _here("zarrs_"),
    "zarrita": _here("zarrita_"),
    "zarrita-js": _here("zarrita_js_"),
}
"""Every implementation that comes with the suite, by the name that results use."""


HOSTS: Final = {f"{OURS}-in-zarr-python": "zarr-python-batched"}
"""What runs inside another implementation, and that one's row: the host parses the metadata before our codec
is asked, and what it then refuses, or gets wrong, it does so without us as well."""


def is_ours(name: str) -> bool:
    """Whether an implementation is this package."""
    return name.startswith(OURS)


def command_place(program: Sequence[str], version: str) -> Place:
    """Place of any program that follows the contract of `command`."""
    return Place(f"{__name__}.command", {"program": list(program), "version": version})


def _type_name(data_type: Any) -> str:
    name = data_type.get("name") if isinstance(data_type, dict) else data_type
    return "r*" if re.fullmatch("r[0-9]+", str(name)) else str(name)


def _codec_names(codecs: Any) -> set[str]:
    """Names of all codecs of a chain, of inner chunks and indexes too, whatever else may be wrong there."""
    names = set()
    for codec in codecs if isinstance(codecs, list) else []:
        name = codec.get("name") if isinstance(codec, dict) else codec
        names.add(str(name))
        configuration = codec.get("configuration") if isinstance(codec, dict) else None
        if isinstance(configuration, dict):
            names |= _codec_names(configuration.get("codecs"))
            names |= _codec_names(configuration.get("index_codecs"))
    return names
