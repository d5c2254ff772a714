"""Bytes from one open file to the end of another: inside the kernel where it can, else a piece at a time.

Owns the copying alone. All functions raise plain `OSError`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from zarr_shard_codec.core.pieces import Extent, Part, cut_short
from zarr_shard_codec.core.ranges import Buffer
from zarr_shard_codec.stores import files
from zarr_shard_codec.stores.open_file import OpenFile

_HAS_COPY_FILE_RANGE: Final = hasattr(os, "copy_file_range")
_LARGEST: Final = 0x7FFFF000
"""Bytes that Linux copies in one call at most."""
_PIECE_NBYTES: Final = 1 << 20
_WORTH_A_CALL: Final = 1 << 16
"""Bytes that the kernel copies sooner between two files than they are read, and written with others."""


def append_parts(target: int, parts: Sequence[Part]) -> None:
    """Append parts to a file, extents of other files among them.

    Raises `CorruptShardError` (`object_changed`): a file is shorter than its extent says.
    """
    waiting: list[Buffer] = []
    read_nbytes = 0
    for part in parts:
        if not isinstance(part, Extent):
            waiting.append(part)
            continue
        if part.lies.nbytes >= _WORTH_A_CALL or read_nbytes >= _PIECE_NBYTES:
            files.write_parts(target, waiting)
            waiting, read_nbytes = [], 0
        if part.lies.nbytes < _WORTH_A_CALL:
            waiting.append(part.read())
            read_nbytes += part.lies.nbytes
            continue
        assert isinstance(part.source, OpenFile)
        if append_range(part.source.descriptor, target, *part.lies) < part.lies.nbytes:
            raise cut_short()
    files.write_parts(target, waiting)


def append_range(source: int, target: int, offset: int, nbytes: int) -> int:
    """Append up to so many bytes of one file to another; returns how many: fewer where the source ends."""
    done = _in_kernel(source, target, offset, nbytes)
    return done if done == nbytes else done + _by_hand(source, target, offset + done, nbytes - done)


def _in_kernel(source: int, target: int, offset: int, nbytes: int) -> int:
    """Append up to so many bytes from an offset on without having them here; returns how many.

    Fewer, where the source ends before, or the kernel does not copy between these two files.
    """
    if not _HAS_COPY_FILE_RANGE:
        return 0
    done = 0
    # What the kernel has against it, file systems say in many ways. If more than this call fails, so does the
    # copy by hand, and says why.
    with suppress(OSError):
        while done < nbytes:
            count = os.copy_file_range(source, target, nbytes - done, offset + done)
            done += count
            if count < _LARGEST:  # the most that the kernel copies at once; less is the end
                break
    return done


def _by_hand(source: int, target: int, offset: int, nbytes: int) -> int:
    """Append as `_in_kernel` does, by way of memory; where a read ends, the source ends."""
    done = 0
    while done < nbytes:
        piece = files.read_at(source, offset + done, min(_PIECE_NBYTES, nbytes - done))
        if len(piece) == 0:
            break
        files.write_parts(target, [piece])
        done += len(piece)
    return done
