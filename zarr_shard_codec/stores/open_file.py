"""A file that is open for reading: one state of an object.

Owns when two of them are known to be the same state. Which file it is, and whether it may be read at all, is
`local`'s business.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Hashable, Sequence
from typing import Final

from zarr_shard_codec.core.ranges import Buffer, ByteRange, Request, clamp
from zarr_shard_codec.stores import files
from zarr_shard_codec.stores.file_errors import failure_of
from zarr_shard_codec.stores.protocols import Version

_SETTLED_NS: Final = 100_000_000
"""A tick of a file system's clock takes 10 ms at most, and a tenth of a second is many."""
_SETTLED_COARSE_NS: Final = 2_100_000_000
"""Except where it counts whole seconds, or every other one (FAT)."""


class OpenFile:
    """A file, open for reading: one state of an object, as long as writers replace files.

    Parameters
    ----------
    root
        The folder that keys are relative to, with a separator at its end; for messages.
    key
        Its key, for messages.
    descriptor
        The open file.
    status
        What `fstat` says of it.
    """

    __slots__ = ("_root", "_status", "descriptor", "identity", "key")

    def __init__(self, root: str, key: str, descriptor: int, status: os.stat_result) -> None:
        self._root = root
        self.key = key
        self.descriptor = descriptor
        self._status = status
        self.identity: Final = self._identity()
        """The file, and when it was last changed; None if that was a moment ago. See `StoredObject`."""

    @property
    def nbytes(self) -> int:
        """Size of the file in bytes."""
        return self._status.st_size

    @property
    def version(self) -> Version:
        """See `version_of`."""
        return version_of(self._status)

    def rely(self) -> None:
        """Nothing is to be done: an open file stays what it is."""

    def _identity(self) -> Hashable | None:
        # Two writes within one tick of the file system's clock leave the same time behind, and a new file
        # may get the number of a deleted one. So a file is only known for sure once its time is in the past.
        # Tools that unpack and copy files set the time of the last write to what they like; not so that of
        # the last change (Windows, where this is the time of creation, has to believe the former).
        status = self._status
        changed = max(status.st_mtime_ns, status.st_ctime_ns)
        settled = _SETTLED_NS if changed % 1_000_000_000 else _SETTLED_COARSE_NS
        return None if time.time_ns() - changed < settled else self.version

    def read(self, requests: Sequence[Request]) -> list[Buffer]:
        """One fresh buffer a request, in order. Raises `StoreError` (`store_failure`)."""
        try:
            ranges = [clamp(request, self.nbytes) for request in requests]
            return [files.read_at(self.descriptor, start, stop - start) for start, stop in ranges]
        except OSError as error:
            raise failure_of("read", self._root, self.key, error) from error

    def read_joined(self, ranges: Sequence[ByteRange]) -> Buffer | None:
        """See `JoiningObject`. Raises `StoreError` (`store_failure`)."""
        if max(map(sum, ranges)) > self.nbytes:
            return None
        try:
            return files.read_joined(self.descriptor, ranges)
        except OSError as error:
            self._require_forgotten(error)
            return None

    def read_into(self, offset: int, buffers: Sequence[memoryview]) -> bool:
        """See `JoiningObject`. Raises `StoreError` (`store_failure`)."""
        try:
            return files.read_into(self.descriptor, offset, buffers)
        except OSError as error:
            self._require_forgotten(error)
            return False

    def _require_forgotten(self, error: OSError) -> None:
        if error.errno != errno.ESTALE:  # replaced by another machine, and forgotten by the file server
            raise failure_of("read", self._root, self.key, error) from error

    def held(self) -> HeldFile:
        """See `JoiningObject`."""
        try:
            descriptor = os.dup(self.descriptor)
        except OSError as error:
            raise failure_of("read", self._root, self.key, error) from error
        return HeldFile(self._root, self.key, descriptor, self._status)

    def was_written_into(self) -> bool:
        """Whether its bytes have changed since it was opened, as far as its size and time tell.

        Not if another file has taken its place.
        """
        before, now = self._status, os.fstat(self.descriptor)
        return (before.st_size, before.st_mtime_ns) != (now.st_size, now.st_mtime_ns)

    def close(self) -> None:
        """Close the file."""
        os.close(self.descriptor)


class HeldFile(OpenFile):
    """The same, closed as soon as nobody refers to it, or before."""

    __slots__ = ()

    def close(self) -> None:
        """Close the file, if that was not done yet."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __del__(self) -> None:
        self.close()


def version_of(status: os.stat_result) -> Version:
    """The file, and its size and times: all that tells two states of it apart, young ones perhaps not."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
