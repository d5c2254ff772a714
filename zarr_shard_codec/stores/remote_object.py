"""What is asked of a remote object: one request in the words of obstore, and several of one state.

Owns conversations that know no network, so that the sync and the async half of `object_store` share them.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, Final, Protocol, TypeAlias

from zarr_shard_codec.core.ranges import Buffer, ByteRange, Request, Suffix, clamp
from zarr_shard_codec.errors import StoreError

State: TypeAlias = tuple[Any, ...]
Answer: TypeAlias = tuple[Buffer, State]
"""The bytes of one request, and the state of the object that they are from."""
Options: TypeAlias = "dict[str, Any] | None"
"""The options of obstore's `get`; None asks for its `head`."""
Reply: TypeAlias = tuple[Any, Buffer] | Exception
"""What obstore knows of the object, and the bytes; or the exception by which it refused."""
Conversation: TypeAlias = Generator[Options, Reply, Answer]

_LAST: Final = 2**63 - 1
"""No object is larger than this, in bytes, and obstore's numbers end soon after."""


class Asking(Protocol):
    """The store, as an object of it sees it."""

    def ask(self, key: str, requests: Sequence[Request]) -> list[Answer] | None:
        """The bytes of each request, and the state that they are from; None if there is no such object."""
        ...

    async def ask_async(self, key: str, requests: Sequence[Request]) -> list[Answer] | None:
        """As `ask`, without a thread."""
        ...


class RemoteObject:
    """The state of an object that the first read finds: later reads that find another one fail.

    Parameters
    ----------
    store
        Where it is.
    key
        Its key.
    """

    __slots__ = ("_key", "_state", "_store", "version")

    identity: None = None
    """Known only after a request that could have asked for the index as well."""
    nbytes: None = None

    def __init__(self, store: Asking, key: str) -> None:
        self._store = store
        self._key = key
        self._state: State | None = None
        self.version: tuple[tuple[str, str], ...] | None = None

    def read(self, requests: Sequence[Request]) -> list[Buffer] | None:
        """As `ObjectStore.read`; `object_changed` if it is not what it was."""
        return self._accept(self._store.ask(self._key, requests))

    async def read_async(self, requests: Sequence[Request]) -> list[Buffer] | None:
        """As `read`, without a thread."""
        return self._accept(await self._store.ask_async(self._key, requests))

    def close(self) -> None:
        """Nothing is held."""

    def _accept(self, answers: Sequence[Answer] | None) -> list[Buffer] | None:
        if answers is None:
            if self._state is not None:
                raise UnsteadyError(self._key)
            return None
        for _, state in answers:
            if self._state is None:
                self._state = state
                known = zip(("e_tag", "version"), state, strict=False)
                self.version = tuple((name, value) for name, value in known if value is not None)
            if state != self._state:
                raise UnsteadyError(self._key)
        return [data for data, _ in answers]


class UnsteadyError(StoreError):
    """The error of an object that is not what it was when a read of it began."""

    def __init__(self, key: str) -> None:
        super().__init__(
            "object_changed",
            "the object was replaced while it was read, each time that was tried",
            key=key,
            hint="Read it when its writer has finished.",
        )


def ask_one(request: Request) -> Conversation:
    """Ask obstore for one request's bytes, clamped to what the object has.

    Stores differ past the object's end: some answer with less, some refuse; Azure refuses every suffix. Only
    a refusal costs a second question, for the object's size.
    """
    options = _options(request)
    reply = yield options
    if isinstance(reply, Exception):
        refusal = reply
        reply = yield None
        if isinstance(reply, Exception):
            raise refusal
        start, stop = clamp(request, reply[0]["size"])
        if start < stop:
            if options == {"range": (start, stop)}:
                raise refusal
            reply = yield {"range": (start, stop)}
            if isinstance(reply, Exception):
                raise reply
    meta, data = reply
    return data, (meta["e_tag"], meta["version"], meta["size"], meta["last_modified"])


def _options(request: Request) -> Options:
    match request:
        case ByteRange(offset, nbytes):
            stop = min(offset + nbytes, _LAST)
            return {"range": (offset, stop)} if offset < stop else None
        case Suffix(nbytes):
            return {"range": {"suffix": min(nbytes, _LAST)}} if nbytes else None
        case _:
            return {}
