"""One process for each subject, and calls into it.

Owns the processes. A subject has one to itself, idle while the others are measured: memory, threads and
settings of one library cannot speed up or slow down another.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import traceback
from multiprocessing.connection import Connection
from typing import Any, Final

LIMIT: Final = "limit"
"""The name of the worker that does not go through Zarr."""


class SubjectError(Exception):
    """A subject failed; the text is its traceback's last line."""


class Worker:
    """A process, and a way to call methods of the runner in it.

    Parameters
    ----------
    name
        A subject's name, or `LIMIT`.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        context = multiprocessing.get_context("spawn")  # a fork would share what was imported here
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(name, theirs), name=name, daemon=True)
        self._process.start()
        theirs.close()

    def call(self, method: str, *args: Any, **options: Any) -> Any:
        """Call a method and wait for what it returns.

        Raises
        ------
        SubjectError
            The method raised, or the process ended.
        """
        try:
            self._connection.send((method, args, options))
            good, result = self._connection.recv()
        except (EOFError, OSError):
            self._process.join()
            raise SubjectError(f"its process ended with status {self._process.exitcode}") from None
        if not good:
            raise SubjectError(result)
        return result

    def close(self) -> None:
        """End the process."""
        with contextlib.suppress(OSError):
            self._connection.send(None)
        self._connection.close()
        self._process.join()


def _serve(name: str, connection: Connection) -> None:
    runner = None
    while True:
        try:
            message = connection.recv()
        except EOFError:
            return
        if message is None:
            return
        method, args, options = message
        try:
            if runner is None:
                runner = _make_runner(name)
            answer = (True, getattr(runner, method)(*args, **options))
        except Exception as error:  # noqa: BLE001 - whatever a subject raises is its result
            answer = (False, traceback.format_exception_only(error)[-1].strip())
        connection.send(answer)


def _make_runner(name: str) -> Any:
    if name == LIMIT:
        from conformance.bench.limits import LimitRunner

        return LimitRunner()
    from conformance.bench.runners import SubjectRunner
    from conformance.bench.subjects import load

    return SubjectRunner(load(name))
