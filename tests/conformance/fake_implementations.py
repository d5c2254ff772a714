"""Implementations that do one thing wrong each, on purpose."""

from __future__ import annotations

import os
import time

import numpy as np

import zarr_shard_codec as zsc
from conformance.implementations import AbsentError, Capabilities, GarbledError, UnsupportedError


class Panic(BaseException):
    """As pyo3's, it is none of Python's Exceptions."""


class Fake:
    """Reads and writes with this package, and spoils it."""

    language = "Python"
    setup = "on purpose"

    def __init__(self, fault, capabilities):
        self.fault = fault
        self.capabilities = capabilities

    def version(self):
        """Any."""
        return "0"

    def read(self, path, selection):
        """Read, in the way that the fault is about."""
        match self.fault:
            case "refuses":
                raise ValueError("I will not")
            case "says so":
                raise UnsupportedError("not in this version")
            case "garbles":
                raise GarbledError("here is a potato")
            case "dies":
                os.abort()
            case "panics":
                raise Panic("index out of range")
            case "hangs":
                time.sleep(60)
        values = np.asarray(zsc.open(path)[... if selection is None else selection])
        return values + 1 if self.fault == "reads wrongly" else values

    def write(self, path, metadata, values):
        """Write; wrongly, if that is the fault."""
        if self.fault == "refuses to write":
            raise ValueError("I will not")
        sharding = metadata["codecs"][0]["configuration"]
        array = zsc.create(
            path,
            shape=metadata["shape"],
            dtype=metadata["data_type"],
            shard_shape=metadata["chunk_grid"]["configuration"]["chunk_shape"],
            inner_chunk_shape=sharding["chunk_shape"],
        )
        array[...] = values + 1 if self.fault == "writes wrongly" else values

    def update(self, path, selection, values):
        """Write a part; another one, if that is the fault."""
        array = zsc.open(path, "r+")
        array[... if self.fault == "updates wrongly" else selection] = (
            0 if self.fault == "updates wrongly" else values
        )


def make(fault="none", **capabilities):
    """Set one up."""
    if fault == "absent":
        raise AbsentError("it was never here")
    return Fake(fault, Capabilities(**capabilities))
