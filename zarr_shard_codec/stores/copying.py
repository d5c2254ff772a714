"""Bytes from one open file to the end of another: inside the kernel where it does so well, else in pieces.

Owns the copying alone. All functions raise plain `OSError`.
"""

from __future__ import annotations

import mmap
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
"""Bytes held in memory at once."""
_POPULATE: Final[int | None] = getattr(mmap, "MAP_POPULATE", None)
_WORTH_A_MAP: Final = 1 << 19
"""Bytes; above this, writing from a memory map is faster than a copy that splits pages."""
_MAPPED_NBYTES: Final = 1 << 22
"""Bytes mapped at once."""
_WORTH_A_CALL: Final = 1 << 16
"""Bytes; below this, a piece is read, and written together with others: faster than a copy in the kernel."""


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
    """Append up to `nbytes` bytes of one file to another; returns how many: fewer where the source ends."""
    copy = _in_kernel if nbytes < _WORTH_A_MAP or _in_step(source, target, offset) else _mapped
    done = copy(source, target, offset, nbytes)
    return done if done == nbytes else done + _by_hand(source, target, offset + done, nbytes - done)


def _in_step(source: int, target: int, offset: int) -> bool:
    """Whether both offsets lie alike in their pages: then the kernel copies, or shares, whole pages.

    If not, it splits every page, which takes half as long again as writing from a memory map. Also true where
    there is no such map, or the file is not on a disk.
    """
    if _POPULATE is None or not files.is_on_disk(os.fstat(source)):
        return True
    return (offset - os.lseek(target, 0, os.SEEK_CUR)) % mmap.PAGESIZE == 0


def _in_kernel(source: int, target: int, offset: int, nbytes: int) -> int:
    """Append up to `nbytes` bytes from an offset on without having them here; returns how many.

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


def _mapped(source: int, target: int, offset: int, nbytes: int) -> int:
    """Append as `_in_kernel` does, out of a map of the file.

    Only the kernel reads that: where a file was cut short, it fails the call. To read it here would end us.
    """
    assert _POPULATE is not None
    done = 0
    with suppress(OSError, ValueError):  # which says that the file ends before
        while done < nbytes:
            before = (offset + done) % mmap.ALLOCATIONGRANULARITY
            size = before + min(_MAPPED_NBYTES, nbytes - done)
            flags = mmap.MAP_SHARED | _POPULATE
            with (
                mmap.mmap(source, size, flags, mmap.PROT_READ, offset=offset + done - before) as pages,
                memoryview(pages)[before:] as piece,
            ):
                count = os.write(target, piece)
            done += count
            if count < size - before:
                break
    # A map goes on with zeros to the end of the file's last page.
    return max(0, min(done, os.fstat(source).st_size - offset))


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
