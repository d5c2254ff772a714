"""Finding nodes: which array or group, v3 or v2, stands at a path of a store, and what lies below it.

Owns the names of metadata documents. What they say is the business of `metadata`, `metadata_v2`, `group`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from zarr_shard_codec.array.documents import parse_document
from zarr_shard_codec.array.group import GroupMetadata
from zarr_shard_codec.array.metadata import ArrayMetadata, ForeignMetadata
from zarr_shard_codec.array.metadata_v2 import metadata_from_v2
from zarr_shard_codec.core.ranges import ByteRange, Whole
from zarr_shard_codec.errors import (
    MetadataError,
    NodeNotFoundError,
    Problem,
    StoreError,
    ZarrShardError,
)
from zarr_shard_codec.stores.local import LocalStore
from zarr_shard_codec.stores.protocols import Store, waits_for_network

V3_DOCUMENT: Final = "zarr.json"
V2_ARRAY: Final = ".zarray"
V2_GROUP: Final = ".zgroup"
V2_ATTRIBUTES: Final = ".zattrs"
V2_CONSOLIDATED: Final = ".zmetadata"
DOCUMENTS: Final = frozenset({V3_DOCUMENT, V2_ARRAY, V2_GROUP, V2_ATTRIBUTES, V2_CONSOLIDATED})
"""The last part of the key of every metadata document."""

PACKING_MARKER: Final = ".zarr-shard-packing.json"
"""Key of the object that stands in the target of `pack` or `unpack` until that is complete; `packing`'s."""

MAX_DOCUMENT_NBYTES: Final = 32 << 20
"""The largest document that is read; that of ten thousand arrays, consolidated, has about 20 MiB."""

_MOST_LEVELS: Final = 100
"""How deep groups may lie within each other."""

Node = ArrayMetadata | GroupMetadata


def join_key(path: str, name: str) -> str:
    """Name an object or a child of a node; the root's path is `""`."""
    return f"{path}/{name}" if path else name


def read_document(store: Store, key: str) -> bytes | None:
    """The bytes of a metadata document; None if there is none.

    Raises
    ------
    MetadataError
        `invalid_json`: it is larger than any document is; with its key.
    """
    # A file of a terabyte that was never written to takes no room on a disk, but would take memory.
    enough = MAX_DOCUMENT_NBYTES + 1
    request = Whole(enough) if waits_for_network(store) else ByteRange(0, enough)
    found = store.read(key, [request])
    if found is not None and len(found[0]) > MAX_DOCUMENT_NBYTES:
        message = f"expected a document of at most {MAX_DOCUMENT_NBYTES >> 20} MiB, found more"
        raise MetadataError([Problem("", "invalid_json", message)], key=key)
    return None if found is None else bytes(found[0])


def names_group(document: bytes | None) -> bool:
    """Whether a v3 document says that it is a group's, whatever else is wrong with it."""
    return _node_type(document) == "group"


def names_array(document: bytes | None) -> bool:
    """Whether a v3 document says that it is an array's, whatever else is wrong with it."""
    return _node_type(document) == "array"


def _node_type(document: bytes | None) -> object:
    try:
        return None if document is None else parse_document(document).get("node_type")
    except MetadataError:
        return None


def find_node(store: Store, path: str = "") -> Node | None:
    """Read the metadata of the node at a path; None if there is none.

    Where documents of both formats stand side by side, v3's counts, as for zarr-python.

    Raises
    ------
    MetadataError
        A document that is there cannot be read; with its key.
    """
    key = join_key(path, V3_DOCUMENT)
    try:
        document = read_document(store, key)
        if document is not None:
            read = GroupMetadata.from_json if names_group(document) else ArrayMetadata.from_json
            return read(document)
        key = join_key(path, V2_ARRAY)
        document = read_document(store, key)
        if document is not None:
            return metadata_from_v2(document, read_document(store, join_key(path, V2_ATTRIBUTES)))
        key = join_key(path, V2_GROUP)
        document = read_document(store, key)
        if document is not None:
            return GroupMetadata.from_v2(
                document,
                read_document(store, join_key(path, V2_ATTRIBUTES)),
                consolidated=store.read(join_key(path, V2_CONSOLIDATED), [ByteRange(0, 1)]) is not None,
            )
    except ZarrShardError as error:
        raise error.at(key=key) from error.__cause__
    return None


def find_foreign(store: Store, path: str) -> ForeignMetadata | None:
    """Read what can be read of a foreign array's metadata; None if it is no such. Raises as `find_node`."""
    document = read_document(store, join_key(path, V3_DOCUMENT))
    return None if document is None else ForeignMetadata.from_bytes(document)


def walk_readable(store: Store, path: str = "") -> Iterator[tuple[str, Node | ZarrShardError]]:
    """Every node at and below a path, parents first, siblings in order of their names.

    In the place of a node that cannot be read stands the error, with its key. Folders without a document are
    looked into as well: v3 groups need none. Chunks are never listed, for what lies below an array is not a
    node.
    """
    node: Node | ZarrShardError | None
    left = [path]
    while left:
        here = left.pop()
        try:
            node = find_node(store, here)
        except ZarrShardError as error:
            node = error
        if node is not None:
            yield here, node
        if isinstance(node, ArrayMetadata) or _claims_array(store, here, node):
            continue
        folders = sorted(store.list_folders(here), reverse=True)
        if folders and here.count("/") - path.count("/") >= _MOST_LEVELS:
            message = f"expected groups at most {_MOST_LEVELS} levels deep, found more folders in this one"
            yield here, StoreError("store_failure", message, key=here)
        else:
            left += folders


def _claims_array(store: Store, path: str, node: object) -> bool:
    """Whether a node that cannot be read is an array all the same, so that chunks are below it."""
    if not isinstance(node, MetadataError):
        return False
    if node.key == join_key(path, V2_ARRAY):
        return True
    try:
        return names_array(read_document(store, join_key(path, V3_DOCUMENT)))
    except ZarrShardError:
        return False


def require_array(store: Store, path: str) -> ArrayMetadata:
    """Read the metadata of the array at a path.

    Raises
    ------
    NodeNotFoundError
        `not_found`: there is nothing, or a group.
    MetadataError
        As `find_node`.
    """
    node = find_node(store, path)
    if isinstance(node, ArrayMetadata):
        return node
    if node is None:
        raise nothing_here(store, "there is no Zarr array", key=join_key(path, V3_DOCUMENT))
    below = (at for at, node in walk_readable(store, path) if isinstance(node, ArrayMetadata))
    arrays = list(islice(below, 11))  # a tree may be large, and others' nodes broken
    raise NodeNotFoundError(
        "not_found",
        "expected an array, found a group",
        key=path or "/",
        hint=f"Arrays in it: {', '.join(arrays[:10]) or 'none'}{' …' if len(arrays) > 10 else ''}",
    )


def nothing_here(store: Store, message: str, *, key: str | None = None) -> NodeNotFoundError:
    """Give the error for a place without a node (`not_found`); it says so if one is being packed there."""
    hint = None
    if isinstance(store, LocalStore) and Path(store.root).is_file():
        hint = "That is a file, no folder."
    elif store.read(PACKING_MARKER, [ByteRange(0, 1)]) is not None:
        hint = "It is being packed, or that was interrupted: then run the same command again to finish it."
    return NodeNotFoundError("not_found", f"{message} in {store}", key=key, hint=hint)
