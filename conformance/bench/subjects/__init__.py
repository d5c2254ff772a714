"""What is measured: one implementation a file, each set up at its best.

Owns the protocol and the list. A file is imported only in the process that measures its subject, so that
no library's threads, settings or memory touch another's figures.
"""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final, Protocol

import numpy as np

OURS: Final = "zarr-shard-codec"
HOSTED: Final = "zarr-python with us"
"""zarr-python, its shards read and written by this package: measured beside the peers, and none of them."""
STRATEGIES: Final = {
    "append": f"{OURS}, append",
    "in_place": f"{OURS}, in_place",
    "hosted_append": f"{HOSTED}, append",
}
"""This package, alone and within zarr-python, with another write strategy than the one that it comes with."""

Selection = tuple[slice, ...]
"""Slices with start and stop, one for each axis."""


class Subject(Protocol):
    """An implementation that opens arrays on disk, reads them and writes them."""

    setup: str
    """How it is set up, for a reader of the results: one line."""

    def open(self, path: str) -> Any:
        """Open the array in a folder, for reading and writing."""
        ...

    def read(self, array: Any, selection: Selection) -> np.ndarray[Any, Any]:
        """Read into new memory."""
        ...

    def write(self, array: Any, selection: Selection, value: np.ndarray[Any, Any]) -> None:
        """Write; done when every file has its bytes."""
        ...

    def pack(self, source: str, target: str, document: dict[str, Any]) -> None:
        """Make a sharded array, which `document` describes, of an unsharded one of the same chunks.

        Parameters
        ----------
        source
            The unsharded array's folder.
        target
            The sharded array's folder; it does not exist.
        document
            The sharded array's metadata.
        """
        ...


@dataclass(frozen=True, slots=True)
class Description:
    """A subject as the results name it."""

    name: str
    version: str | None
    """None if it is not installed."""
    setup: str | None
    """None if it is not installed."""


@dataclass(frozen=True, slots=True)
class _Place:
    module: str
    requires: str
    """Name of the module to look for."""
    distribution: str
    arguments: tuple[str, ...] = ()
    """For the module's `make`."""


_PLACES: dict[str, _Place] = {
    OURS: _Place("this_package", "zarr_shard_codec", "zarr-shard-codec"),
    HOSTED: _Place("zarr_python_with_us", "zarr", "zarr"),
    "tensorstore": _Place("tensorstore_", "tensorstore", "tensorstore"),
    "zarr-python": _Place("zarr_python", "zarr", "zarr"),
    "zarrs": _Place("zarrs_pipeline", "zarrs", "zarrs"),
    "zarrita": _Place("zarrita_", "zarrita", "zarrita"),
}
NAMES: Final = tuple(_PLACES)
"""This package, alone and within zarr-python, then its peers."""
_PLACES |= {
    STRATEGIES["append"]: replace(_PLACES[OURS], arguments=("append",)),
    STRATEGIES["in_place"]: replace(_PLACES[OURS], arguments=("in_place",)),
    STRATEGIES["hosted_append"]: replace(_PLACES[HOSTED], arguments=("append",)),
}


def is_peer(name: str) -> bool:
    """Whether a subject is an implementation other than this package."""
    return name not in (OURS, HOSTED, *STRATEGIES.values())


def is_installed(name: str) -> bool:
    """Whether a subject can be measured here."""
    return find_spec(_PLACES[name].requires) is not None


def version_of(name: str) -> str | None:
    """Return a subject's version; None if it is not installed."""
    if not is_installed(name):
        return None
    try:
        return importlib.metadata.version(_PLACES[name].distribution)
    except importlib.metadata.PackageNotFoundError:
        return "source tree"  # this package, run where it is developed


def load(name: str) -> Subject:
    """Import a subject and set it up, for the rest of this process's life."""
    place = _PLACES[name]
    subject: Subject = import_module(f"{__name__}.{place.module}").make(*place.arguments)
    return subject
