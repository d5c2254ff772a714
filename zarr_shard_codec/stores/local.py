"""Objects as files under one folder.

Owns atomic replacement, exclusive creation, and the rule that nothing outside the folder is ever touched:

- Keys are checked (`keys`), so no name leads out of the folder.
- A folder's real place is looked up when a key in it is used, and kept if no link leads there; if it is
  not under the root, the key is refused. A file that is itself a symbolic link is noticed at no cost by
  the system call that opens it (O_NOFOLLOW), and only then looked up. Links that stay under the root are
  followed.
  This guards against a hostile *data set*; it does not guard against someone who swaps folders for links
  while this process runs.

Written files appear complete or not at all; a patch of a file that is there does not, and says so. Only a
durable store waits for the disk: else a power failure may still lose what was written last.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final, Self, TypeVar

from zarr_shard_codec.core.patching import Patch
from zarr_shard_codec.core.pieces import Extent, Part
from zarr_shard_codec.core.ranges import Buffer, Coalescing, Request
from zarr_shard_codec.errors import CorruptShardError, StoreError
from zarr_shard_codec.stores import file_locks, files, walk
from zarr_shard_codec.stores.copying import append_parts
from zarr_shard_codec.stores.file_errors import failure_of, leads_out
from zarr_shard_codec.stores.keys import check_key, check_prefix
from zarr_shard_codec.stores.open_file import OpenFile, version_of
from zarr_shard_codec.stores.protocols import ObjectInfo, Version
from zarr_shard_codec.stores.replaced import hold
from zarr_shard_codec.stores.temporary import TemporaryFile

_Listed = TypeVar("_Listed")
_KNOWN_FOLDERS: Final = 4096
"""So many folders' real places are kept; then the look-ups start anew."""

_NO_LOCKS: Final = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL}
"""What systems answer where the file system has no locks."""


class LocalStore:
    """A `Store` over the files under a folder, which need not exist before the first write.

    Parameters
    ----------
    root
        The folder. A relative path is taken from the current folder now, not later.
    durable
        Whether whatever is changed waits for the disk before it is done.
    """

    coalescing: Coalescing = Coalescing(largest_gap=16 << 10, largest_read=8 << 20)
    """One more `pread`, with its Python, costs about what reading 16 KiB costs."""

    def __init__(self, root: str | os.PathLike[str], *, durable: bool = False) -> None:
        self.durable = durable
        self.root: Final = os.path.realpath(os.fspath(root))
        self._base = self.root.rstrip(os.sep) + os.sep
        self._folders: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"LocalStore({self.root!r})"

    def __str__(self) -> str:
        return self.root

    def __reduce__(self) -> tuple[Callable[..., LocalStore], tuple[object, ...]]:
        return _rebuild, (type(self), self.root, self.durable)

    def made_durable(self) -> Self:
        """Return the same store, waiting for the disk."""
        store = object.__new__(type(self))
        store.__dict__ |= self.__dict__ | {"durable": True}
        return store

    def path_of(self, key: str) -> str:
        """Return where the file of this key is, or would be, with links of its folders resolved.

        Raises
        ------
        StoreError
            `invalid_key`: the key cannot be one, or its folder is a link that leads out of the root.
        """
        folder, _, name = check_key(key).rpartition("/")
        if os.name == "nt" and ":" in key:  # a drive, or a stream of a file
            raise StoreError("invalid_key", "Windows has no files with ':' in their names", key=key)
        return (self._folders.get(folder) or self._find_folder(key, folder)) + name

    def _find_folder(self, key: str, folder: str) -> str:
        real = os.path.realpath(self._base + folder)
        found = real.rstrip(os.sep) + os.sep
        if not found.startswith(self._base):
            raise leads_out(key, found)
        if real == os.path.normpath(self._base + folder) and os.path.isdir(found):
            if len(self._folders) >= _KNOWN_FOLDERS:
                self._folders.clear()
            self._folders[folder] = found
        return found

    def read(self, key: str, requests: Sequence[Request]) -> list[Buffer] | None:
        """One fresh buffer a request, in order; None if there is no such file. See `Store.read`.

        The file is opened once, so all buffers come from one state of it, as long as writers replace it.

        Raises
        ------
        StoreError
            `invalid_key`, also where a symbolic link leads out of the root; `store_failure`.
        """
        opened = self.open_object(key)
        if opened is None:
            return None
        try:
            return opened.read(requests)
        finally:
            opened.close()

    def open_object(self, key: str) -> OpenFile | None:
        """Open the object's file for reading; None if there is none. Raises as `read`."""
        try:
            descriptor = self._open(key)
            if descriptor is None:
                return None
            try:
                status = os.fstat(descriptor)
            except OSError:  # a file server that has forgotten the file
                os.close(descriptor)
                raise
        except StoreError:
            raise
        except OSError as error:
            raise failure_of("read", self._base, key, error) from error
        if stat.S_ISREG(status.st_mode):
            return OpenFile(self._base, key, descriptor, status)
        os.close(descriptor)
        if stat.S_ISDIR(status.st_mode):
            return None
        raise StoreError("store_failure", f"cannot read {self._base}{key}: not a regular file", key=key)

    def _open(self, key: str, access: int = os.O_RDONLY) -> int | None:
        path = self.path_of(key)
        try:
            return files.open_existing(path, access)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError:
            if os.path.islink(path):
                return self._open_link(key, path, access)
            if os.path.isdir(path):  # Windows opens no folders
                return None
            raise

    def _open_link(self, key: str, path: str, access: int) -> int | None:
        try:
            target = os.path.realpath(path, strict=True)
            if not target.startswith(self._base):
                raise leads_out(key, target)
            return files.open_existing(target, access)
        except FileNotFoundError:
            return None

    def write(self, key: str, parts: Sequence[Buffer]) -> None:
        """Replace the file by the parts, atomically. See `Store.write`.

        Raises
        ------
        StoreError
            `invalid_key`; `store_failure` (full disk, no permission, …; `errno` is the system's): the old
            file is as it was, and nothing else is left. Only if a durable store could not wait for the folder
            the new one is there, and the text says so.
        """
        with self.atomic_writer(key) as descriptor:
            files.write_parts(descriptor, parts)

    @contextmanager
    def atomic_writer(self, key: str) -> Iterator[int]:
        """Give a descriptor of a new file, which takes the object's place when the block ends well.

        If the block raises, nothing is left. The descriptor can be read and written, and is closed here.
        An `OSError` out of the block is taken for a failure to write this object: it becomes a `StoreError`.
        """
        with self._temporary(key) as file:
            yield file.descriptor
            self._put(file, key)

    def put_together(self, key: str, parts: Sequence[Part]) -> Callable[[], None] | None:
        """As `write`, of extents as well. See `AssemblingStore`.

        Extents are copied inside the kernel where it can. Raises `CorruptShardError` (`object_changed`), too:
        a file was cut short before all of its extents were copied.
        """
        sources = {part.source for part in parts if isinstance(part, Extent)}
        with self._temporary(key) as file:
            try:
                append_parts(file.descriptor, parts)
                space = hold(file.path)
            except CorruptShardError as error:
                raise error.at(key=key) from None
            finally:
                # They are the file that is replaced: open, it cannot be on Windows, and not at one stroke on
                # a network file system.
                for source in sources:
                    assert isinstance(source, OpenFile)
                    source.close()
            try:
                self._put(file, key)
            except BaseException:
                if space is not None:
                    space.close()
                raise
            return None if space is None else space.close

    def _put(self, file: TemporaryFile, key: str) -> None:
        file.replace()
        self._keep_names(key, file.path, "written")

    def create(self, key: str, parts: Sequence[Buffer]) -> bool:
        """Add the file unless there is one; whether it was added. See `Store.create`.

        Raises as `write`; `store_failure` also where a folder has that name.
        """
        path = self.path_of(key)
        if not os.path.lexists(path):
            with self._temporary(key) as file:
                files.write_parts(file.descriptor, parts)
                file.finish()
                if files.put_new(file.name, file.path):
                    self._keep_names(key, file.path, "written")
                    return True
        if os.path.isdir(path) and not os.path.islink(path):
            raise StoreError("store_failure", f"cannot create {path}: a folder has its name", key=key)
        return False

    @contextmanager
    def _temporary(self, key: str) -> Iterator[TemporaryFile]:
        try:
            file = TemporaryFile(self.path_of(key), durable=self.durable)
            try:
                try:
                    file.make()
                    yield file
                finally:
                    file.remove()
            finally:
                file.remove()  # Ctrl-C came in the middle of the other, or it did nothing
        except StoreError:
            raise
        except OSError as error:
            raise failure_of("write", self._base, key, error) from error

    def delete(self, key: str) -> None:
        """Remove the file; it need not exist. A folder of that name is no object, and stays."""
        path = self.path_of(key)
        try:
            os.unlink(path)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            if not os.path.isdir(path):
                raise failure_of("delete", self._base, key, error) from error
            return
        self._keep_names(key, path, "deleted")

    def patch(self, key: str, patch: Patch, version: Version | None) -> bool:
        """Write into the file, if it still is as it was seen; whether it was. See `PatchingStore.patch`.

        Raises
        ------
        StoreError
            `invalid_key`; `store_failure`: its text says what of the patch is in the file. Nothing is, where
            it was to be appended.
        """
        if not patch.writes:
            return True
        done = "nothing of it was written"
        try:
            descriptor = self._open(key, os.O_RDWR)
            if descriptor is None:
                return False
            try:
                if version_of(os.fstat(descriptor)) != version:
                    return False
                done = "the file may hold a part of what was to be written: write it again"
                path = self.path_of(key)
                try:
                    _patched.append(path)
                    file_locks.mark(descriptor)
                    for offset, parts in patch.writes:
                        files.write_at(descriptor, offset, parts)
                    if self.durable:
                        files.wait_for_disk(descriptor)
                except BaseException:
                    if patch.writes[0][0] == patch.nbytes:
                        done = f"it has to be cut back to {patch.nbytes} bytes, and could not be: repair it"
                        os.ftruncate(descriptor, patch.nbytes)
                        done = "it was cut back to what it was before"
                    raise
                finally:
                    file_locks.unmark(descriptor)
                    with suppress(ValueError):  # interrupted before it was there
                        _patched.remove(path)
            finally:
                os.close(descriptor)
        except OSError as error:
            if isinstance(error, StoreError):
                raise
            raise failure_of("write into", self._base, key, error, done) from error
        return True

    def is_in_change(self, key: str) -> bool:
        """Whether this process writes into it, or another, where the system tells. See `PatchingStore`."""
        if self.path_of(key) in _patched:
            return True
        with suppress(OSError):  # whoever reads it will hear of that
            descriptor = self._open(key)
            if descriptor is not None:
                try:
                    return file_locks.is_marked(descriptor)
                finally:
                    os.close(descriptor)
        return False

    def lock(self, folder: str, name: str) -> Callable[[], None]:
        """Wait for a lock that all processes on this file system see; returns what lets go of it.

        Raises
        ------
        StoreError
            `store_failure`: there are no locks on this file system, or no file may be made in the folder.
        """
        inside = f"{folder}/{file_locks.LOCK_FILE}" if folder else file_locks.LOCK_FILE
        path = self.path_of(inside)
        try:
            try:
                return file_locks.take(path, name)
            except FileNotFoundError:
                files.make_folders(os.path.dirname(path), durable=self.durable)
                return file_locks.take(path, name)
        except OSError as error:
            failure = failure_of("lock", self._base, inside, error)
            if error.errno in _NO_LOCKS:
                failure.hint = (
                    "This file system has no locks. Give lock=None if nobody else writes, or a factory of "
                    "locks that all writers share, such as dask.distributed.Lock."
                )
            raise failure from error

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Every file under the folder, temporary ones included, but not those of locks. See `Store.list`.

        Symbolic links: see `walk.walk`.
        """
        return (info for info in self._listed(walk.walk, prefix) if not file_locks.is_lock(info.key))

    def list_folders(self, prefix: str) -> Iterator[str]:
        """Full keys of the folders directly under the folder, empty ones too."""
        return self._listed(walk.child_folders, prefix)

    def _listed(self, lister: Callable[[str, str, str], Iterator[_Listed]], prefix: str) -> Iterator[_Listed]:
        folder = self._find_folder(prefix, check_prefix(prefix)) if prefix else self._base
        try:
            yield from lister(self._base, prefix, folder.rstrip(os.sep) or os.sep)
        except OSError as error:
            raise failure_of("list", self._base, prefix, error) from error

    def _keep_names(self, key: str, path: str, done: str) -> None:
        if not self.durable:
            return
        try:
            files.wait_for_folder(os.path.dirname(path))
        except OSError as error:
            done = f"it is {done}, but a power failure may still undo that"
            raise failure_of("wait for the disk to have", self._base, key, error, done) from error


_patched: Final[list[str]] = []
"""Paths of the files that this process is writing into."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_patched.clear)


def _rebuild(cls: type[LocalStore], root: str, durable: bool) -> LocalStore:
    store = cls(root)
    store.durable = durable
    return store
