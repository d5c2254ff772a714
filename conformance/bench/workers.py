"""One process for each subject, and calls into it.

Owns which runner a process has. A subject has one to itself, idle while the others are measured: memory,
threads and settings of one library cannot speed up or slow down another.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from conformance.processes import Process, ProcessDiedError, RemoteError

LIMIT: Final = "limit"
"""The name of the worker that does not go through Zarr."""


class SubjectError(Exception):
    """A subject failed; the text is the error's class and message."""


class Worker:
    """A process, and a way to call methods of the runner in it.

    Parameters
    ----------
    name
        A subject's name, or `LIMIT`.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._process = Process(partial(_make_runner, name), name)

    def call(self, method: str, *args: Any, **options: Any) -> Any:
        """Call a method and wait for what it returns.

        Raises
        ------
        SubjectError
            The method raised, or the process ended.
        """
        try:
            return self._process.call(method, *args, **options)
        except (RemoteError, ProcessDiedError) as error:
            raise SubjectError(str(error)) from None

    def close(self) -> None:
        """End the process."""
        self._process.close()


def _make_runner(name: str) -> Any:
    if name == LIMIT:
        from conformance.bench.limits import LimitRunner

        return LimitRunner()
    from conformance.bench.runners import SubjectRunner
    from conformance.bench.subjects import load

    return SubjectRunner(load(name))
