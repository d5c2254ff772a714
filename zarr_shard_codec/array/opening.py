"""Opening and creating arrays.

Owns what happens when something is there already: nothing is ever overwritten unless asked for, and data
that was written under another layout is never read under a new one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Literal

import numpy as np

from zarr_shard_codec.array.array import Mode, ShardedArray, check_mode
from zarr_shard_codec.array.group import GroupMetadata
from zarr_shard_codec.array.metadata import ArrayMetadata
from zarr_shard_codec.array.nodes import (
    DOCUMENTS,
    V2_ARRAY,
    V2_GROUP,
    V3_DOCUMENT,
    Node,
    find_node,
    join_key,
    names_array,
    names_group,
    read_document,
    require_array,
)
from zarr_shard_codec.array.write_options import Locking, WriteStrategy
from zarr_shard_codec.core.config import DEFAULT_INDEX_CODECS
from zarr_shard_codec.core.config import NAME as SHARDING
from zarr_shard_codec.core.data_types import (
    as_dtype,
    coerce_fill_value,
    data_type_to_json,
    fill_value_to_json,
)
from zarr_shard_codec.core.grid import ChunkOrder
from zarr_shard_codec.core.protocols import JSON
from zarr_shard_codec.errors import MetadataError, NodeExistsError, StoreError, UsageError
from zarr_shard_codec.stores.protocols import Store
from zarr_shard_codec.stores.resolve import resolve

Exist = Literal["error", "match", "replace"]

DEFAULT_COMPRESSOR: Final = {"name": "zstd", "configuration": {"level": 1, "checksum": True}}
"""With a checksum, which costs a few percent: without one, a frame still decoded, to other data, after every
fourth change of a byte in a trial."""

_CHUNK_KEY: Final = re.compile(r"(c|\d+)([/.]\d+)*", re.ASCII)
"""What a chunk of any array, in any key encoding, can be named."""


def open(  # noqa: A001 - the field's name for it, used as zsc.open
    path_or_store: Any,
    mode: Mode = "r",
    *,
    path: str = "",
    metadata: ArrayMetadata | Mapping[str, JSON] | bytes | None = None,
    chunk_order: ChunkOrder = "lexicographic",
    write_strategy: WriteStrategy = "replace",
    durable: bool = False,
    lock: Locking = "auto",
) -> ShardedArray:
    """Open an array: sharded or not, Zarr v3 or v2.

    Parameters
    ----------
    path_or_store
        A local path, a URL (`file://`, `s3://`, `gs://`, `az://`, `http://`, …), a `Store`, or a store of
        obstore.
    mode
        `r` to read, `r+` to read and write.
    path
        The array's path below that.
    metadata
        The array's metadata (a v3 document: bytes, parsed, or `ArrayMetadata`), if it is known: the store
        is then not touched.
    chunk_order
        In which order new shards hold their inner chunks: `lexicographic`, `morton` or `reverse`.
    write_strategy
        How a shard is changed in part. It never enters the metadata, and every reader reads the result.

        - `replace`: the shard is written anew and takes the old one's place, atomically.
        - `append` (local files): new inner chunks and a new index go to the end of the file; nothing old is
          overwritten, and nothing but the index and inner chunks that change in part is read. The file grows
          until it is compacted.
        - `in_place` (local files, inner chunks of fixed encoded size): inner chunks are overwritten where
          they stand. Not atomic: a reader in between, or a crash, may find a mixture of old and new bytes.

        Shards that are new, that the write covers, or that an `in_place` write has no place in, are replaced.
    durable
        Whether a write waits until the disk has it (local files). Without, a power failure may lose what was
        written last; a killed process never does.
    lock
        How writers of one shard take turns, besides the threads and coroutines of this process, which
        always do. `"auto"`: on local files, by a lock that holds across processes and dies with its holder;
        on stores with conditional requests, by those; on others, writes to a part of a shard are refused.
        None: not at all, so that of two writers at the same moment one loses its update. A factory, such as
        `dask.distributed.Lock`: called with the shard's name, it returns a context manager. A write holds
        those of several names at once: each name needs a lock of its own, or all the very same object.

    Returns
    -------
    ShardedArray

    Raises
    ------
    NodeNotFoundError
        `not_found`: there is nothing, or a group.
    MetadataError
        All problems of the metadata at once.
    UsageError
        `invalid_argument`.
    StoreError
        `store_failure`, `missing_extra`.
    """
    if not isinstance(path, str):
        raise UsageError("invalid_argument", f"path: expected a string, found {path!r:.80}")
    check_mode(mode)  # "w" where there is nothing is not that there is nothing
    store = resolve(path_or_store)
    if metadata is None:
        metadata = require_array(store, path)
    elif not isinstance(metadata, ArrayMetadata):
        metadata = ArrayMetadata.from_json(metadata)
    return ShardedArray(
        store,
        path,
        metadata,
        mode=mode,
        chunk_order=chunk_order,
        write_strategy=write_strategy,
        durable=durable,
        lock=lock,
    )


async def open_async(path_or_store: Any, mode: Mode = "r", **options: Any) -> ShardedArray:
    """Open an array as `open` does, without holding up the event loop."""
    import asyncio

    return await asyncio.to_thread(open, path_or_store, mode, **options)


def create(
    path_or_store: Any,
    *,
    shape: int | Sequence[int],
    dtype: Any,
    shard_shape: int | Sequence[int],
    inner_chunk_shape: int | Sequence[int],
    codecs: Sequence[JSON] | None = None,
    index_codecs: Sequence[JSON] | None = None,
    index_location: Literal["start", "end"] = "end",
    fill_value: Any = 0,
    dimension_names: Sequence[str | None] | None = None,
    attributes: Mapping[str, JSON] | None = None,
    chunk_key_encoding: JSON = None,
    exist: Exist = "error",
    path: str = "",
    chunk_order: ChunkOrder = "lexicographic",
    write_strategy: WriteStrategy = "replace",
    durable: bool = False,
    lock: Locking = "auto",
) -> ShardedArray:
    """Create a sharded array; only its metadata is written.

    Parameters
    ----------
    path_or_store, path, chunk_order, write_strategy, durable, lock
        As for `open`.
    shape
        Elements along each axis; an integer for one axis.
    dtype
        A NumPy data type, or the name of a Zarr v3 one. Its byte order says nothing: `codecs` do.
    shard_shape, inner_chunk_shape
        Elements along each axis of a shard, and of an inner chunk, which divides it.
    codecs
        The inner codec chain as metadata has it: `[{"name": "bytes", …}, {"name": "zstd", …}]`. Default:
        little-endian bytes, zstd level 1 with a checksum.
    index_codecs
        The index codec chain. Default: little-endian bytes, crc32c (INDEX-CODECS-RECOMMENDED).
    index_location
        Where the index stands in a shard.
    fill_value
        A scalar, or a fill value as Zarr v3 metadata writes it.
    dimension_names
        One name or None for each axis.
    attributes
        The user's, JSON.
    chunk_key_encoding
        `"default"` or `"v2"`, or the object with a `separator`. Default: `c/0/1`.
    exist
        What to do if something is there. `error`: refuse. `match`: open it if its metadata is the same to
        the last bit, else refuse; safe from many processes at once, and deletes nothing. `replace`:
        delete the array that is there, metadata first, and create this one.

    Returns
    -------
    ShardedArray
        Open for reading and writing.

    Raises
    ------
    MetadataError
        The arguments make no array; all problems at once.
    NodeExistsError
        `already_exists`: also an array that this one would lie in; `node_mismatch`; `stale_data`: there are
        chunks without metadata, which would be read as this array's.
    UsageError, StoreError
        As `open`.
    """
    if exist not in ("error", "match", "replace"):
        raise UsageError(
            "invalid_argument", f'exist: expected "error", "match" or "replace", found {exist!r}'
        )
    np_dtype = as_dtype(dtype)
    endian = {} if np_dtype.itemsize == 1 or np_dtype.kind == "V" else {"configuration": {"endian": "little"}}
    sharding = {
        "chunk_shape": _sizes(inner_chunk_shape),
        "codecs": _listed("codecs", codecs, [{"name": "bytes", **endian}, DEFAULT_COMPRESSOR]),
        "index_codecs": _listed("index_codecs", index_codecs, DEFAULT_INDEX_CODECS),
        "index_location": index_location,
    }
    document = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": _sizes(shape),
        "data_type": data_type_to_json(np_dtype),
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": _sizes(shard_shape)}},
        "chunk_key_encoding": chunk_key_encoding or {"name": "default"},
        "fill_value": fill_value_to_json(coerce_fill_value(fill_value, np_dtype)),
        "codecs": [{"name": SHARDING, "configuration": sharding}],
        "attributes": {} if attributes is None else attributes,
    }
    if dimension_names is not None:
        # A name alone is no list of names; the document's reader says so.
        listed = isinstance(dimension_names, Iterable) and not isinstance(dimension_names, str)
        document["dimension_names"] = list(dimension_names) if listed else dimension_names
    metadata = ArrayMetadata.from_json(document)
    # What codecs fill in (blosc's typesize) is written as well.
    metadata = replace(metadata, codecs=tuple(metadata.chain.to_metadata()))
    array = open(
        path_or_store,
        "r+",
        path=path,
        metadata=metadata,
        chunk_order=chunk_order,
        write_strategy=write_strategy,
        durable=durable,
        lock=lock,
    )
    store = array.store
    written = metadata.to_bytes()  # or refused, before anything is deleted

    if exist == "replace":
        _require_groups_above(store, path)
        _delete_array(store, path)
    else:
        there = find_node(store, path)
        if there is None:
            _require_groups_above(store, path)
            there = _find_behind_chunks(store, path)
        if there is not None:
            _require_same(there, array, exist)
            return array
    if not store.create(join_key(path, V3_DOCUMENT), [written]):
        _require_same(find_node(store, path), array, exist)  # another process was faster
    return array


async def create_async(path_or_store: Any, **options: Any) -> ShardedArray:
    """Create an array as `create` does, without holding up the event loop."""
    import asyncio

    return await asyncio.to_thread(create, path_or_store, **options)


def _sizes(shape: int | Sequence[int]) -> list[JSON]:
    # NumPy's integers are welcome; anything else goes on, to be refused with its place in the document.
    if isinstance(shape, np.ndarray):
        shape = shape.tolist()  # an integer, if it has no axes
    sizes = shape if isinstance(shape, Iterable) else [shape]
    return [size.item() if isinstance(size, np.integer) else size for size in sizes]


def _listed(name: str, codecs: Sequence[JSON] | None, default: Sequence[JSON]) -> list[JSON]:
    if codecs is None:
        return list(default)
    if not isinstance(codecs, list | tuple):
        raise UsageError("invalid_argument", f"{name}: expected a list of codecs, found {codecs!r:.80}")
    return list(codecs)


def _find_behind_chunks(store: Store, path: str) -> Node | None:
    """Refuse a path without metadata if there are chunks, unless their metadata has come in the meantime."""
    for key in _chunk_keys(store, path):
        node = find_node(store, path)
        if node is None:
            raise NodeExistsError(
                "stale_data",
                "there is a chunk, but no metadata: it would be read as the new array's",
                key=key,
                hint='Remove the data, or create the array with exist="replace", which does.',
            )
        return node
    return None


def _require_same(there: Node | None, array: ShardedArray, exist: Exist) -> None:
    key, place, metadata = array.path or None, array.store, array.metadata
    if there is None:
        message = f"another process made something at {place}, and removed it"
        raise NodeExistsError("node_mismatch", message, key=key)
    if exist != "match":
        kind = "an array" if isinstance(there, ArrayMetadata) else "a group"
        raise NodeExistsError(
            "already_exists",
            f"there is {kind} at {place} already",
            key=key,
            hint='exist="match" opens an array that is the same; exist="replace" deletes what is there.',
        )
    if not isinstance(there, ArrayMetadata):
        raise NodeExistsError("node_mismatch", f"expected the same array, found a group at {place}", key=key)
    if there != metadata:
        old, new = there.to_json(), metadata.to_json()
        names = [name for name in new | old if old.get(name) != new.get(name)]
        found = "; ".join(
            f"{name}: asked {new.get(name)!r:.120}, found {old.get(name)!r:.120}" for name in names
        )
        message = f"the array that is at {place} is another one: {found or 'of Zarr v2'}"
        raise NodeExistsError("node_mismatch", message, key=key)


def _delete_array(store: Store, path: str) -> None:
    """Delete an array, its metadata first: a crash in between leaves chunks that nothing reads."""
    _require_no_group(store, path)
    chunks = list(_chunk_keys(store, path))
    for name in sorted(DOCUMENTS):
        store.delete(join_key(path, name))
    for key in chunks:
        store.delete(key)


def _require_no_group(store: Store, path: str) -> None:
    """Refuse a group, one that is broken or implied by a node below it included."""
    try:
        group = isinstance(find_node(store, path), GroupMetadata)
    except MetadataError:  # broken metadata may be replaced, but not a group's
        document = read_document(store, join_key(path, V3_DOCUMENT))
        group = names_group(document) or read_document(store, join_key(path, V2_GROUP)) is not None
    if group:
        message = f"a group is never replaced by an array, and there is one at {store}"
        raise NodeExistsError("already_exists", message, key=path or None)
    own = {join_key(path, name) for name in DOCUMENTS}
    for found in store.list(path):
        if found.key.rpartition("/")[2] in DOCUMENTS and found.key not in own:
            message = (
                f"what has other nodes in it is never replaced by an array: there is {found.key} at {store}"
            )
            raise NodeExistsError("already_exists", message, key=path or None)


def _require_groups_above(store: Store, path: str) -> None:
    """Refuse a path within an array: what is written there could be taken for its chunks."""
    parts = path.split("/") if path else []
    for depth in range(len(parts)):
        above = "/".join(parts[:depth])
        try:
            document = read_document(store, join_key(above, V3_DOCUMENT))
            v2_array = document is None and read_document(store, join_key(above, V2_ARRAY)) is not None
        except StoreError:  # who may read, and write, only further below is no less welcome there
            continue
        if v2_array or names_array(document):
            message = f"there is an array at {store} already, and only groups have other nodes in them"
            raise NodeExistsError("already_exists", message, key=above or "/")


def _chunk_keys(store: Store, path: str) -> Iterator[str]:
    """Keys below a path that a chunk of some array there could have."""
    prefix = len(join_key(path, ""))
    return (found.key for found in store.list(path) if _CHUNK_KEY.fullmatch(found.key[prefix:]))
