"""What the local store asks of the operating system, the fast way where there is one.

Owns the differences between platforms. Paths come in resolved; which of them may be touched is `local`'s
business. All functions raise plain `OSError`.
"""

from __future__ import annotations

import errno
import io
import os
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

from zarr_shard_codec.core import memory
from zarr_shard_codec.core.ranges import Buffer, ByteRange

_EXISTING_FLAGS: Final = (
    getattr(os, "O_BINARY", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)  # a named pipe in a data set must not make its reader wait for ever
)
_CREATE_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)

_HAS_PREAD: Final = hasattr(os, "preadv")
_HAS_WRITEV: Final = hasattr(os, "writev")
_MAX_PARTS: Final = os.sysconf("SC_IOV_MAX") if _HAS_WRITEV else 1
_SMALL: Final = 8 << 10
"""Bytes; below this, reading into `bytes` is as fast. NumPy's memory may be written to, so that who wants to
keep an uncompressed chunk need not copy it."""

NO_LINKS: Final = {errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.EXDEV}
"""What systems answer where the file system has no hard links."""

_position = threading.Lock()

_REPLACE_TRIES: Final = 50
_REPLACE_PAUSE: Final = 0.02


def open_existing(path: str, access: int = os.O_RDONLY) -> int:
    """Open the file, by default for reading; not through a symbolic link as its last part, which fails."""
    if not hasattr(os, "O_NOFOLLOW") and os.path.islink(path):
        raise OSError(f"{path} is a symbolic link")
    return os.open(path, access | _EXISTING_FLAGS)


def read_at(descriptor: int, offset: int, nbytes: int) -> Buffer:
    """Read `nbytes` bytes from `offset` on into new memory; fewer where the file ends before."""
    if _HAS_PREAD and nbytes < _SMALL:
        read = os.pread(descriptor, nbytes, offset)
        if len(read) == nbytes:
            return read
    buffer = memory.take(nbytes)
    return buffer[: _fill(descriptor, buffer, offset)]


def read_joined(descriptor: int, ranges: Sequence[ByteRange]) -> Buffer | None:
    """Read ranges into one new buffer, one behind the other; None where the file ends before."""
    buffer = memory.take(sum([nbytes for _, nbytes in ranges]))
    at = 0
    for offset, nbytes in ranges:
        if _fill(descriptor, buffer[at : at + nbytes], offset) < nbytes:
            return None
        at += nbytes
    return buffer


def read_into(descriptor: int, offset: int, buffers: Sequence[memoryview]) -> bool:
    """Fill buffers, one after the other, from `offset` on; False where the file ends before."""
    at_once = _HAS_PREAD and len(buffers) <= _MAX_PARTS
    if at_once and os.preadv(descriptor, buffers, offset) == sum(map(len, buffers)):
        return True
    # Too many for one system call, or it was interrupted: one by one, then.
    for buffer in buffers:
        if _fill(descriptor, buffer, offset) < len(buffer):
            return False
        offset += len(buffer)
    return True


def _fill(descriptor: int, buffer: memoryview, offset: int) -> int:
    """Read as many bytes as the buffer takes and the file has; how many that were."""
    done = _read_into(descriptor, buffer, offset)
    while 0 < done < len(buffer):
        count = _read_into(descriptor, buffer[done:], offset + done)
        if count == 0:  # somebody cut the file short after its size was taken
            break
        done += count
    return done


def _read_into(descriptor: int, buffer: memoryview, offset: int) -> int:
    if _HAS_PREAD:
        return os.preadv(descriptor, [buffer], offset)
    # All who have the descriptor, or a duplicate of it, share one position.
    with _position, io.FileIO(descriptor, closefd=False) as file:
        file.seek(offset)
        return file.readinto(buffer) or 0


def write_at(descriptor: int, offset: int, parts: Sequence[Buffer]) -> None:
    """Write the parts one after the other from `offset` on, in one system call where it takes them all."""
    if not _HAS_PREAD:
        os.lseek(descriptor, offset, os.SEEK_SET)
        write_parts(descriptor, parts)
        return
    rest = [memoryview(part) for part in parts if len(part)]
    while rest:
        written = os.pwritev(descriptor, rest[:_MAX_PARTS], offset)
        offset += written
        while rest and written >= len(rest[0]):
            written -= len(rest.pop(0))
        if written:
            rest[0] = rest[0][written:]


def is_on_disk(status: os.stat_result) -> bool:
    """Whether a file's system has a disk of this machine to itself, and is no network's."""
    return os.name != "nt" and os.major(status.st_dev) != 0


def wait_for_disk(descriptor: int) -> None:
    """Wait until the disk has what was written to the file."""
    if hasattr(fcntl, "F_FULLFSYNC"):  # macOS, where all other calls leave it in the drive's cache
        with suppress(OSError):  # a file system that has no such call
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
    getattr(os, "fdatasync", os.fsync)(descriptor)


def wait_for_folder(path: str) -> None:
    """Wait until the disk has the names of a folder's files, where the system lets one ask for that."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folders(path: str, *, durable: bool) -> None:
    """Make a folder and those above it, unless they exist; if `durable`, wait until the disk has them."""
    missing = [path]
    while durable and not os.path.isdir(missing[-1]):
        missing.append(os.path.dirname(missing[-1]))
    os.makedirs(path, exist_ok=True)
    for parent in missing[1:]:
        wait_for_folder(parent)


def create_exclusively(path: str) -> int:
    """Open a new file for writing and reading, with the permissions that the umask leaves."""
    return os.open(path, _CREATE_FLAGS, 0o666)


def create_noted(path: str, opened: list[int]) -> None:
    """As `create_exclusively`; the descriptor is added to a list."""
    # In one call, as Ctrl-C can come between two: either there is no file, or it is noted that there is.
    opened.extend(map(os.open, [path], [_CREATE_FLAGS], [0o666]))


def write_parts(descriptor: int, parts: Sequence[Buffer]) -> None:
    """Write the parts one after the other, without joining them."""
    if not _HAS_WRITEV:
        for part in parts:
            _write_all(descriptor, part)
        return
    for start in range(0, len(parts), _MAX_PARTS):
        batch = parts[start : start + _MAX_PARTS]
        written = os.writev(descriptor, batch)
        # A file on a nearly full disk, or more than 2 GiB at once: the system takes a part, and says so.
        for part in batch:
            size = len(part)
            if written < size:
                _write_all(descriptor, memoryview(part)[max(0, written) :])
            written -= size


def _write_all(descriptor: int, part: Buffer) -> None:
    rest = memoryview(part)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def replace(source: str, target: str) -> None:
    """Put the file in the other's place, atomically."""
    if os.name != "nt":
        os.replace(source, target)
        return
    # Windows refuses while anyone has the target open; readers have it open for moments only.
    for _ in range(_REPLACE_TRIES):
        with suppress(PermissionError):
            os.replace(source, target)
            return
        time.sleep(_REPLACE_PAUSE)
    os.replace(source, target)


def put_new(source: str, target: str) -> bool:
    """Give the file the other name unless that is taken; whether it got it. The first name may stay."""
    try:
        if os.name == "nt":
            os.rename(source, target)  # which replaces nothing there
        else:
            os.link(source, target)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        return _put_new_without_links(source, target)
    return True


def _put_new_without_links(source: str, target: str) -> bool:
    # FAT and some network file systems have no links. An empty file takes the name, and is replaced at once:
    # for that moment a reader sees an empty object, which no metadata document and no shard is.
    try:
        os.close(create_exclusively(target))
    except FileExistsError:
        return False
    try:
        os.replace(source, target)
    except OSError:
        os.unlink(target)
        raise
    return True
