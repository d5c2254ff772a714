"""Objects in S3, Google Cloud Storage, Azure, behind HTTP: whatever obstore opens.

Owns how our requests are put to obstore, and what its answers mean. obstore is an optional extra: it is
imported when a store is made, never before. Where the objects are and who may read them is obstore's
business, and so are retries after a failure of the network.

One call of `read` sends each request on its own, at the same time as the others; that all answers, of one
call or of several, belong to one state of the object is seen from the entity tag, size and time of change
that come with each. (If-Match would say the same, and fail for good on servers whose tags are weak.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Final, cast

from zarr_shard_codec.core.ranges import Buffer, Coalescing, Request
from zarr_shard_codec.errors import StoreError
from zarr_shard_codec.stores.keys import check_key, check_prefix
from zarr_shard_codec.stores.protocols import ObjectInfo, Version
from zarr_shard_codec.stores.remote_object import (
    Answer,
    NoStates,
    RemoteObject,
    Reply,
    States,
    UnsteadyError,
    ask_one,
    enough_of,
)

_PARALLEL: Final = 16
"""So many requests of one call are under way at once. The threads of the sync half wait, they don't work."""
_TRIES: Final = 4
"""How often a read is begun anew because the object was replaced while it was read."""
_ONE_PUT: Final = 32 << 20
"""Objects up to this size go up in one request; larger ones in parts, which costs two requests more."""
_PIECE_NBYTES: Final = 1 << 16
"""So much at least of an object that is too large is taken at once."""

_NO_BUCKET: Final = ("NoSuchBucket", "bucket does not exist", "ContainerNotFound")
"""By these words S3, Google and Azure say that more is missing than an object."""

_PLACES: Final = (
    ("S3Store", "s3", "bucket"),
    ("GCSStore", "gs", "bucket"),
    ("AzureStore", "az", "container_name"),
)
"""Class of obstore, scheme, and the setting that names what a URL begins with."""


class ObjectStore:
    """An `AsyncStore` over a store of obstore.

    Parameters
    ----------
    store
        Any of `obstore.store`. Keys are relative to its prefix.

    Raises
    ------
    StoreError
        `missing_extra`: obstore is not installed.
    """

    coalescing: Coalescing = Coalescing(largest_gap=1 << 20, largest_read=16 << 20)
    """A request takes tens of milliseconds before its first byte comes: the time of about 1 MiB."""

    def __init__(self, store: Any) -> None:
        self._obstore: Any = import_obstore()
        self._store = store
        self._is_http = isinstance(store, self._obstore.store.HTTPStore)
        self.conditional = not (self._is_http or isinstance(store, self._obstore.store.LocalStore))
        self.states: Final[States] = States() if self.conditional else NoStates()
        errors = self._obstore.exceptions
        self._refusals = (errors.GenericError, errors.NotSupportedError)

    def __repr__(self) -> str:
        return f"ObjectStore({self._store!r})"

    def __str__(self) -> str:
        return _url_of(self._store)

    def require_writable(self) -> None:
        """Raise `StoreError` (`read_only`) for a plain HTTP server, without asking it."""
        if self._is_http:
            raise StoreError(
                "read_only",
                f"{self} is not writable: a plain HTTP server gives objects, and takes none",
                hint="Give a local path, or the URL of an object store (s3://, gs://, az://).",
            )

    def __reduce__(self) -> tuple[type[ObjectStore], tuple[Any]]:
        return type(self), (self._store,)

    def read(self, key: str, requests: Sequence[Request]) -> list[Buffer] | None:
        """One buffer a request, in order; None if there is no such object. See `Store.read`.

        Raises
        ------
        StoreError
            `invalid_key`; `object_changed`: it was replaced again and again while it was read;
            `store_failure`, in obstore's words.
        """
        for _ in range(_TRIES):
            with suppress(UnsteadyError):
                return self.open_object(key).read(requests)
        raise UnsteadyError(key)

    async def read_async(self, key: str, requests: Sequence[Request]) -> list[Buffer] | None:
        """As `read`, without a thread."""
        for _ in range(_TRIES):
            with suppress(UnsteadyError):
                return await self.open_object(key).read_async(requests)
        raise UnsteadyError(key)

    def open_object(self, key: str) -> RemoteObject:
        """Name an object whose state is to be the same in all reads; asks for nothing."""
        return RemoteObject(self, check_key(key))

    def ask(self, key: str, requests: Sequence[Request]) -> list[Answer] | None:
        """The bytes of each request, and the state that they are from; None if there is no such object."""
        try:
            with self._translated("read", key):
                if len(requests) == 1:
                    return [self._ask(key, requests[0])]
                ask = partial(self._ask, key)
                answers: Iterator[Answer]
                with ThreadPoolExecutor(min(_PARALLEL, max(1, len(requests)))) as threads:
                    try:
                        answers = threads.map(ask, requests)
                    except RuntimeError:  # no thread can be started, as once the main thread has ended
                        answers = map(ask, requests)
                    return list(answers)
        except FileNotFoundError:
            return None

    async def ask_async(self, key: str, requests: Sequence[Request]) -> list[Answer] | None:
        """As `ask`, without a thread."""
        limit = asyncio.Semaphore(_PARALLEL)
        try:
            with self._translated("read", key):
                asked = (self._ask_async(key, request, limit) for request in requests)
                # All of them, after an error, too: the loop could be closed while others still go on.
                answers = await asyncio.gather(*asked, return_exceptions=True)
                for failed in answers:
                    if isinstance(failed, BaseException):
                        raise failed
                return cast("list[Answer]", answers)
        except FileNotFoundError:
            return None

    def _ask(self, key: str, request: Request) -> Answer:
        conversation, enough = ask_one(request), enough_of(request)
        options = next(conversation)
        reply: Reply
        while True:
            try:
                if options is None:
                    reply = self._obstore.head(self._store, key), b""
                else:
                    result = self._obstore.get(self._store, key, options=options)
                    data = _first(result, enough) if result.meta["size"] > enough else result.bytes()
                    reply = result.meta, memoryview(data)
            except self._refusals as error:
                reply = error
            try:
                options = conversation.send(reply)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]

    async def _ask_async(self, key: str, request: Request, limit: asyncio.Semaphore) -> Answer:
        conversation, enough = ask_one(request), enough_of(request)
        options = next(conversation)
        reply: Reply
        while True:
            async with limit:
                try:
                    if options is None:
                        reply = await self._obstore.head_async(self._store, key), b""
                    else:
                        result = await self._obstore.get_async(self._store, key, options=options)
                        large = result.meta["size"] > enough
                        data = await (_first_async(result, enough) if large else result.bytes_async())
                        reply = result.meta, memoryview(data)
                except self._refusals as error:
                    reply = error
            try:
                options = conversation.send(reply)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]

    def write(self, key: str, parts: Sequence[Buffer]) -> None:
        """Replace the object. See `Store.write`.

        Raises
        ------
        StoreError
            `invalid_key`; `read_only`: the store is a plain HTTP server; `store_failure`.
        """
        with self._translated("write", self._check_writable(key)):
            self._obstore.put(self._store, key, **_upload(parts))

    def write_if(self, key: str, parts: Sequence[Buffer], version: Version | None) -> bool:
        """Replace the object if it still is as it was read, by a conditional request.

        One request whatever the size is: no service takes conditions for uploads in parts.

        Raises
        ------
        StoreError
            As `write`; `store_failure` also where the service knows no conditional requests.
        """
        if version is None:
            return self.create(key, parts)
        exceptions = self._obstore.exceptions
        with self._translated("write", self._check_writable(key)):
            try:
                mode = dict(cast("tuple[tuple[str, str], ...]", version))
                self._obstore.put(self._store, key, b"".join(parts), mode=mode, use_multipart=False)
            except (exceptions.PreconditionError, exceptions.AlreadyExistsError, FileNotFoundError):
                return False
        return True

    def create(self, key: str, parts: Sequence[Buffer]) -> bool:
        """Add the object unless there is one, by a conditional request. See `Store.create`.

        Raises as `write`; `store_failure` also where the service knows no conditional requests.
        """
        with self._translated("create", self._check_writable(key)):
            try:
                self._obstore.put(self._store, key, b"".join(parts), mode="create", use_multipart=False)
            except self._obstore.exceptions.AlreadyExistsError:
                return False
        return True

    def delete(self, key: str) -> None:
        """Remove the object; it need not exist. Raises as `write`."""
        try:
            with self._translated("delete", self._check_writable(key)):
                self._obstore.delete(self._store, key)
        except FileNotFoundError:
            pass

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Every object under the folder. See `Store.list`. A plain HTTP server has no lists: StoreError."""
        self._check_listable(prefix)
        with self._translated("list", prefix):
            for batch in self._obstore.list(self._store, prefix or None, chunk_size=1000):
                yield from (ObjectInfo(meta["path"], meta["size"]) for meta in batch)

    def list_folders(self, prefix: str) -> Iterator[str]:
        """Full keys of the folders directly under the folder. Raises as `list`."""
        self._check_listable(prefix)
        with self._translated("list", prefix):
            yield from self._obstore.list_with_delimiter(self._store, prefix or None)["common_prefixes"]

    def _check_writable(self, key: str) -> str:
        self.require_writable()
        return check_key(key)

    def _check_listable(self, prefix: str) -> None:
        if self._is_http:
            raise StoreError(
                "store_failure",
                f"{self} is on a plain HTTP server, which cannot say what objects it has",
                key=prefix or None,
                hint="A group there: name one of its arrays. An array: it has no metadata at this URL.",
            )
        check_prefix(prefix)

    @contextmanager
    def _translated(self, verb: str, key: str) -> Iterator[None]:
        """Turn what obstore raises into a `StoreError`; leave a missing object where that is no failure."""
        try:
            yield
        except StoreError:
            raise
        except NotImplementedError as error:
            message = f"{self} knows no conditional requests, which keep other writers off"
            hint = "Give lock=None if nobody else writes, or a factory of locks that all writers share."
            raise StoreError("store_failure", message, key=key, hint=hint) from error
        except (self._obstore.exceptions.BaseError, OSError, ValueError) as error:
            words = str(error).partition("\n\nDebug source")[0]
            missing = isinstance(error, FileNotFoundError)
            if missing and verb in ("read", "delete") and not any(name in words for name in _NO_BUCKET):
                raise
            raise StoreError("store_failure", f"cannot {verb} the object: {words}", key=key) from error


def _first(result: Any, nbytes: int) -> Buffer:
    """The first bytes of an answer; the rest is not waited for, whether or not the server knows ranges."""
    taken = bytearray()
    for piece in result.stream(min_chunk_size=_PIECE_NBYTES):
        taken += piece
        if len(taken) >= nbytes:
            break
    return memoryview(taken)[:nbytes]


async def _first_async(result: Any, nbytes: int) -> Buffer:
    """As `_first`, without a thread."""
    taken = bytearray()
    async for piece in result.stream(min_chunk_size=_PIECE_NBYTES):
        taken += piece
        if len(taken) >= nbytes:
            break
    return memoryview(taken)[:nbytes]


def _url_of(store: Any) -> str:
    """The URL by which people know a store of obstore."""
    name = type(store).__name__
    if name == "HTTPStore":
        return str(store.url).rstrip("/")
    for of, scheme, container in _PLACES:
        if name == of and container in store.config:
            return "/".join(filter(None, (f"{scheme}://{store.config[container]}", store.prefix)))
    return repr(store)


def import_obstore() -> Any:
    """Import obstore, or say how to get it (`missing_extra`)."""
    try:
        import obstore
        import obstore.exceptions
        import obstore.store
    except ImportError as error:
        raise StoreError(
            "missing_extra",
            "stores other than local files need the package obstore, which is not installed",
            hint="pip install 'zarr-shard-codec[remote]'",
        ) from error
    return obstore


def _upload(parts: Sequence[Buffer]) -> dict[str, Any]:
    if sum(map(len, parts)) <= _ONE_PUT:
        return {"file": b"".join(parts), "use_multipart": False}
    return {"file": parts, "use_multipart": True}
