"""What happens in the process of one implementation: it is made, and serves requests.

Owns the two ends of the pipe between them: what travels is pickled, NumPy arrays too.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from conformance.implementations import (
    AbsentError,
    Capabilities,
    Cost,
    Counting,
    Document,
    GarbledError,
    Implementation,
    Index,
    Place,
    UnsupportedError,
)
from conformance.processes import Process, ProcessDiedError, ProcessHungError, RemoteError
from conformance.run.judging import Answer, Array

LIMIT: Final = 10.0
"""Seconds that one operation may take."""
_SETTING_UP: Final = 180.0
"""Seconds that an implementation may take to be set up; npm is asked over the network."""


class Server:
    """An implementation in its own process.

    Parameters
    ----------
    place
        Where it is.
    """

    def __init__(self, place: Place) -> None:
        warnings.simplefilter("ignore")
        try:
            self._made: Implementation | str = place.make()
        except (AbsentError, ImportError) as error:
            self._made = str(error)

    def describe(self) -> dict[str, Any]:
        """Say what it is, or why it is not there."""
        if isinstance(self._made, str):
            return {"absent": self._made}
        return {
            "absent": None,
            "version": self._made.version(),
            "language": self._made.language,
            "setup": self._made.setup,
            "capabilities": self._made.capabilities,
            "counts": isinstance(self._made, Counting),
        }

    def read(self, path: str, selection: Index | None) -> Answer:
        """Read a part of an array, or all."""
        try:
            values = self._implementation.read(path, selection)
        except UnsupportedError as error:
            return Answer("unsupported", message=str(error))
        except GarbledError as error:
            return Answer("garbled", message=str(error))
        return Answer("values", values)

    def write(self, path: str, metadata: Document, values: Array) -> Answer:
        """Write a new array."""
        return _done(lambda: self._implementation.write(path, metadata, values))

    def update(self, path: str, selection: Index, values: Array) -> Answer:
        """Change a part of an array."""
        return _done(lambda: self._implementation.update(path, selection, values))

    def cost(self, path: str, selection: Index) -> Cost:
        """Read, and count."""
        assert isinstance(self._implementation, Counting)
        return self._implementation.cost(path, selection)

    @property
    def _implementation(self) -> Implementation:
        assert not isinstance(self._made, str), self._made
        return self._made


class Subject:
    """An implementation as the suite sees it: whatever happens to it is an answer.

    Parameters
    ----------
    name
        The name that results use.
    place
        Where it is.
    limit
        Seconds that one operation may take.
    """

    def __init__(self, name: str, place: Place, limit: float = LIMIT) -> None:
        self.name = name
        self._place = place
        self._limit = limit
        self._process: Process | None = None
        try:
            described = self._running().call("describe", timeout=_SETTING_UP)
        except (RemoteError, ProcessDiedError, ProcessHungError) as error:
            self._end()
            described = {"absent": f"it cannot be set up: {error}"}
        self.absent: str | None = described["absent"]
        """Why it is not there; None if it is."""
        self.version: str | None = described.get("version")
        self.language: str | None = described.get("language")
        self.setup: str | None = described.get("setup")
        self.capabilities: Capabilities = described.get("capabilities", Capabilities())
        self.counts: bool = described.get("counts", False)

    def read(self, path: str, selection: Index | None) -> Answer:
        """Read a part of an array, or all."""
        answer: Answer = self._ask("read", path, selection)
        return answer

    def write(self, path: str, metadata: Document, values: Array) -> Answer:
        """Write a new array."""
        answer: Answer = self._ask("write", path, metadata, values)
        return answer

    def update(self, path: str, selection: Index, values: Array) -> Answer:
        """Change a part of an array."""
        answer: Answer = self._ask("update", path, selection, values)
        return answer

    def cost(self, path: str, selection: Index) -> Cost | Answer:
        """Read, and count; an answer says what came of it instead."""
        found: Cost | Answer = self._ask("cost", path, selection)
        return found

    def close(self) -> None:
        """End its process."""
        if self._process is not None:
            self._process.close()
            self._process = None

    def _ask(self, method: str, path: str, *arguments: Any) -> Any:
        try:
            return self._running().call(method, path, *arguments, timeout=self._limit)
        except RemoteError as error:
            return Answer("refusal", message=_placeless(error, path))
        except ProcessDiedError as error:
            self._end()
            return Answer("crash", message=_placeless(error, path))
        except ProcessHungError as error:
            self._end()
            return Answer("hang", message=str(error))

    def _running(self) -> Process:
        if self._process is None:
            self._process = Process(partial(Server, self._place), self.name, quiet=True)
            # Set up before anything is timed.
            self._process.call("describe", timeout=_SETTING_UP)
        return self._process

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process = None


def _placeless(error: Exception, path: str) -> str:
    """Leave out where the array is: results are published, and compared with others from elsewhere."""
    return str(error).replace(path, "ARRAY")


def _done(work: Callable[[], None]) -> Answer:
    try:
        work()
    except UnsupportedError as error:
        return Answer("unsupported", message=str(error))
    return Answer("done")
