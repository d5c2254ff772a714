"""System calls that change files, one of which fails halfway: the writer is killed, or the disk is full.

Owns what is left of such a call. A writer that is killed does nothing more: every later call fails, too, by
an exception that is no `Exception`. On a full disk later writes fail, and nothing else.
"""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack, suppress
from unittest import mock

from hypothesis import strategies as st

WRITES = ("write", "writev", "pwrite", "pwritev", "copy_file_range")
CHANGES = (*WRITES, "replace", "rename", "link", "unlink", "ftruncate")
FAULTS = st.sampled_from(
    [None] * 200
    + [
        (kind, step, part)
        for part in range(0, 257, 8)
        for step in (1, 1, 1, 1, 2, 3, 5)
        for kind in ("killed", "killed", "full")
    ]
)
"""What happens, in which call that changes a file, and of how much of it, in 256ths."""

_WRITE, _PWRITE = os.write, os.pwrite


class Killed(BaseException):
    """Ends a writer."""


class Disk:
    """The calls that change files, one of which strikes."""

    def __init__(self, fault):
        self._kind, self._left, self._part = fault or (None, 0, 0)
        self.struck = False
        self._patches = ExitStack()

    def __enter__(self):
        if self._kind is not None:
            for name in CHANGES if self._kind == "killed" else WRITES:
                call = self._struck_by(name, getattr(os, name))
                self._patches.enter_context(mock.patch.object(os, name, call))
        return self

    def __exit__(self, *_):
        self._patches.close()

    def _struck_by(self, name, real):
        def call(*arguments, **options):
            self._left -= 1
            if not self.struck and self._left:
                return real(*arguments, **options)
            if not self.struck:
                self.struck = True
                if name == "copy_file_range":
                    source, target, nbytes, *offset = arguments
                    nbytes = min(nbytes, os.fstat(source).st_size)
                    real(source, target, nbytes * self._part // 256, *offset)
                elif name in WRITES:
                    descriptor, given, *offset = arguments
                    given = b"".join(given) if name.endswith("v") else bytes(given)
                    part = given[: len(given) * self._part // 256]
                    (_PWRITE if offset else _WRITE)(descriptor, part, *offset)
                elif self._part > 127:
                    with suppress(OSError):
                        real(*arguments, **options)
            raise Killed if self._kind == "killed" else OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        return call
