"""What is asked of a remote object: one request in the words of obstore, and several of one state.

Owns conversations that know no network, so that the sync and the async half of `object_store` share them.
"""

from __future__ import annotations

from collections.abc import Generator, Hashable, Sequence
from typing import Any, Final, Protocol, TypeAlias

from zarr_shard_codec.core.ranges import Buffer, ByteRange, Request, Suffix, Whole, clamp
from zarr_shard_codec.errors import StoreError

State: TypeAlias = tuple[Any, ...]
Answer: TypeAlias = tuple[Buffer, State]
"""The bytes of one request, and the state of the object that they are from."""
Options: TypeAlias = "dict[str, Any] | None"
"""The options of obstore's `get`; None asks for its `head`."""
Reply: TypeAlias = tuple[Any, Buffer] | Exception
"""What obstore knows of the object, and the bytes; or the exception by which it refused."""
Conversation: TypeAlias = Generator[Options, Reply, Answer]

_KNOWN_STATES: Final = 1 << 16
"""So many objects' states are kept; then they are learnt anew."""
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

    @property
    def states(self) -> States:
        """In which states objects were seen."""
        ...


class States:
    """In which state each object of a store was last seen, if its states can be told apart for sure."""

    def __init__(self) -> None:
        self._known: dict[str, State] = {}

    def get(self, key: str) -> State | None:
        """The last one; None if there is none to rely on."""
        return self._known.get(key)

    def put(self, key: str, state: State) -> None:
        """Note a state, if it has a tag that another state can't have, too."""
        if not state[0] or state[0].startswith("W/"):
            return
        if len(self._known) >= _KNOWN_STATES and key not in self._known:
            self._known.clear()
        self._known[key] = state

    def forget(self, key: str) -> None:
        """It is another one now."""
        self._known.pop(key, None)


class NoStates(States):
    """Of a store whose tags prove nothing: made from times, by whole seconds perhaps."""

    def put(self, key: str, state: State) -> None:
        """Note nothing."""


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

    nbytes: None = None

    def __init__(self, store: Asking, key: str) -> None:
        self._store = store
        self._key = key
        self._state: State | None = None
        self.version: tuple[tuple[str, str], ...] | None = None

    @property
    def identity(self) -> Hashable | None:
        """The state, or before the first read that in which the object was last seen: see `rely`."""
        states = self._store.states
        state = states.get(self._key)
        return None if state is None or self._state not in (None, state) else (states, self._key, state)

    def rely(self) -> None:
        """From now on take the state in which the object was last seen for its state."""
        if self._state is None:
            self._state = self._store.states.get(self._key)

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
            self._store.states.forget(self._key)
            if self._state is not None:
                raise UnsteadyError(self._key)
            return None
        for _, state in answers:
            if self._state is None:
                self._state = state
                self._store.states.put(self._key, state)
            if state != self._state:
                self._store.states.forget(self._key)
                raise UnsteadyError(self._key)
            if self.version is None:
                known = zip(("e_tag", "version"), state, strict=False)
                self.version = tuple((name, value) for name, value in known if value is not None)
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


def enough_of(request: Request) -> int:
    """How many bytes of an object suffice: of a larger one only so many are taken."""
    return request.enough_nbytes if isinstance(request, Whole) else _LAST


def _options(request: Request) -> Options:
    match request:
        case ByteRange(offset, nbytes):
            stop = min(offset + nbytes, _LAST)
            return {"range": (offset, stop)} if offset < stop else None
        case Suffix(nbytes):
            return {"range": {"suffix": min(nbytes, _LAST)}} if nbytes else None
        case _:
            return {}
