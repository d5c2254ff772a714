"""What happens in the process of one implementation: it is made, and serves requests.

Owns the form in which requests and answers travel.
"""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any, Final

import numpy as np

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
)
from conformance.processes import Process, ProcessDiedError, ProcessHungError, RemoteError
from conformance.run.judging import Answer, Array

LIMIT: Final = 10.0
"""Seconds that one operation may take."""
_SETTING_UP: Final = 180.0
"""Seconds that an implementation may take to be set up; npm is asked over the network."""

_Packed = tuple[str, tuple[int, ...], bytes]


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

    def read(self, path: str, selection: Index | None) -> _Packed | str:
        """Read; a text says what came instead of values."""
        try:
            return _pack(np.asarray(self._implementation.read(path, selection)))
        except GarbledError as error:
            return str(error)

    def write(self, path: str, metadata: Document, values: _Packed) -> None:
        """Write a new array."""
        self._implementation.write(path, metadata, _unpack(values).copy())

    def update(self, path: str, selection: Index, values: _Packed) -> None:
        """Change a part of an array."""
        self._implementation.update(path, selection, _unpack(values).copy())

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
        answer = self._ask("read", path, selection)
        if isinstance(answer, str):
            return Answer("garbled", message=answer)
        return answer if isinstance(answer, Answer) else Answer("values", _unpack(answer))

    def write(self, path: str, metadata: Document, values: Array) -> Answer:
        """Write a new array."""
        return self._ask("write", path, metadata, _pack(values)) or Answer("done")

    def update(self, path: str, selection: Index, values: Array) -> Answer:
        """Change a part of an array."""
        return self._ask("update", path, selection, _pack(values)) or Answer("done")

    def cost(self, path: str, selection: Index) -> Cost | Answer:
        """Read, and count; an answer says what came of it instead."""
        found: Cost | Answer = self._ask("cost", path, selection)
        return found

    def close(self) -> None:
        """End its process."""
        if self._process is not None:
            self._process.close()
            self._process = None

    def _ask(self, method: str, *arguments: Any) -> Any:
        try:
            return self._running().call(method, *arguments, timeout=self._limit)
        except RemoteError as error:
            return Answer("refusal", message=str(error))
        except ProcessDiedError as error:
            self._end()
            return Answer("crash", message=str(error))
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


def _pack(values: Array) -> _Packed:
    if values.dtype.hasobject:
        raise GarbledError(f"values of {values.dtype}")
    return values.dtype.str, values.shape, np.ascontiguousarray(values).tobytes()


def _unpack(packed: _Packed) -> Array:
    dtype, shape, data = packed
    return np.frombuffer(data, dtype).reshape(shape)
