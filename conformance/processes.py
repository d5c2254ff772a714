"""A process that answers calls, and how it can fail to: by an error, by dying, by taking too long.

Owns the process. What is called in it is the caller's business. A fresh interpreter, not a fork, so that no
library's threads, settings or memory come along.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import tempfile
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

_LAST_WORDS: Final = 2000
"""So many bytes of a dead process's stderr are read, for its message."""


class RemoteError(Exception):
    """What was called raised; the text is the error's class and message."""


class ProcessDiedError(Exception):
    """The process ended, or panicked, before it answered."""


class ProcessHungError(Exception):
    """No answer came in time. The process was ended."""


class Process:
    """An object in another process, and a way to call its methods.

    Parameters
    ----------
    make
        Makes the object, when it is first called. Must be picklable: a function of a module, or a partial.
    name
        For whoever lists processes.
    quiet
        Keep what it prints to itself; what it last wrote to stderr is then the message of its death.
    """

    def __init__(self, make: Callable[[], Any], name: str, *, quiet: bool = False) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._stderr = tempfile.NamedTemporaryFile(prefix="stderr-") if quiet else None  # noqa: SIM115
        words = None if self._stderr is None else self._stderr.name
        self._process = context.Process(target=_serve, args=(make, theirs, words), name=name, daemon=True)
        self._process.start()
        theirs.close()

    @property
    def pid(self) -> int | None:
        """The system's number of the process."""
        return self._process.pid

    def call(self, method: str, *args: Any, timeout: float | None = None, **options: Any) -> Any:
        """Call a method and wait for what it returns.

        Parameters
        ----------
        timeout
            Seconds to wait; None waits for ever.

        Raises
        ------
        RemoteError
            The method raised.
        ProcessDiedError, ProcessHungError
            There is no process any more.
        """
        try:
            self._connection.send((method, args, options))
            if not self._connection.poll(timeout):
                self.kill()
                raise ProcessHungError(f"no answer within {timeout:g} s")
            kind, result = self._connection.recv()
        except (EOFError, OSError):
            self._process.join()
            status = f"its process ended with status {self._process.exitcode}"
            raise ProcessDiedError(": ".join(filter(None, [status, self._last_words()]))) from None
        if kind is None:
            return result
        raise kind(result)

    def close(self) -> None:
        """End the process in good order, once it has answered."""
        with contextlib.suppress(OSError):
            self._connection.send(None)
        self._connection.close()
        self._process.join()
        self._forget()

    def kill(self) -> None:
        """End it now, and what it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if self._process.pid is not None and hasattr(os, "killpg"):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.join()
        self._connection.close()
        self._forget()

    def _forget(self) -> None:
        if self._stderr is not None:
            self._stderr.close()

    def _last_words(self) -> str:
        if self._stderr is None:
            return ""
        text = Path(self._stderr.name).read_bytes()[-_LAST_WORDS:].decode(errors="replace")
        return " ".join(text.split())


def _serve(make: Callable[[], Any], connection: Connection, stderr: str | None) -> None:
    if hasattr(os, "setpgrp"):
        os.setpgrp()  # so that what it starts can be ended with it
    if stderr is not None:
        _keep_quiet(stderr)
    target = None
    while True:
        try:
            message = connection.recv()
        except EOFError:
            return
        if message is None:
            return
        method, args, options = message
        answer: tuple[type[Exception] | None, Any]
        try:
            if target is None:
                target = make()
            answer = (None, getattr(target, method)(*args, **options))
        except ProcessDiedError as error:  # another one, that the target has
            answer = (ProcessDiedError, str(error))
        except Exception as error:  # noqa: BLE001 - whatever it raises is its result
            answer = (RemoteError, _told(error))
        except BaseException as error:  # a panic of Rust is none of Python's Exceptions
            if isinstance(error, SystemExit | KeyboardInterrupt):
                raise
            answer = (ProcessDiedError, _told(error))
        connection.send(answer)


def _told(error: BaseException) -> str:
    """Its class and its text, in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")


def _keep_quiet(stderr: str) -> None:
    for stream, target in ((1, os.devnull), (2, stderr)):
        descriptor = os.open(target, os.O_WRONLY | os.O_APPEND)
        os.dup2(descriptor, stream)
        os.close(descriptor)
