"""The target before, while and after it is filled: what may be there, and who is at work.

Owns the marker object. It is written first and deleted last; metadata comes between, after all chunks. So a
target without metadata is not complete, and a marker says whose work is to be continued.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from zarr_shard_codec.array.metadata import ArrayMetadata, ForeignMetadata
from zarr_shard_codec.array.nodes import (
    PACKING_MARKER,
    V3_DOCUMENT,
    Node,
    find_foreign,
    find_node,
    join_key,
    read_document,
)
from zarr_shard_codec.errors import MetadataError, NodeExistsError
from zarr_shard_codec.packing.tree import TreePlan
from zarr_shard_codec.stores.local import LocalStore
from zarr_shard_codec.stores.protocols import Store, require_writable
from zarr_shard_codec.stores.temporary import is_temporary

_EXPLANATION: Final = (
    "The Zarr data here are not complete yet. Run the same command again to go on, or delete the folder."
)


def is_complete(store: Store, plan: TreePlan) -> bool:
    """Whether all that is planned is there, under the same metadata, and nobody is at work on it."""
    if read_document(store, PACKING_MARKER) is not None:
        return False
    try:
        return all(_has(store, path, node) for path, node in plan.nodes.items())
    except MetadataError:
        return False


def _has(store: Store, path: str, node: Node | ForeignMetadata) -> bool:
    """Whether a node is there. Raises as `find_node`."""
    find = find_foreign if isinstance(node, ForeignMetadata) else find_node
    return find(store, path) == node


@contextmanager
def claim(store: Store, fingerprint: str) -> Iterator[frozenset[str]]:
    """Claim the target for this work, new or begun; give the keys of what is there already.

    What interrupted runs left half-written is removed. The claim stays if the block raises, to be taken up
    by a later run of the same work.

    Raises
    ------
    NodeExistsError
        `target_differs`: another array, or another run's unfinished work; `already_exists`: something else.
        Nothing was touched.
    StoreError
        `read_only`: a plain HTTP server; `store_failure`.
    """
    document = {"fingerprint": fingerprint, "explanation": _EXPLANATION}
    require_writable(store)
    if read_document(store, PACKING_MARKER) is None:
        _require_empty(store)
        store.create(PACKING_MARKER, [json.dumps(document, indent=2).encode()])
    with _alone(store):
        begun = _read_marker(store)
        if begun is None:
            raise _busy()  # it was there a moment ago: somebody has just come to the end
        if begun != fingerprint:
            raise NodeExistsError(
                "target_differs",
                "the target holds the unfinished work of a run with another source or other parameters",
                key=PACKING_MARKER,
                hint="Run that command again to finish it. To begin anew, delete all of the target first: "
                f"{store}",
            )
        there = set()
        for found in store.list(""):
            if is_temporary(found.key):
                store.delete(found.key)
            else:
                there.add(found.key)
        yield frozenset(there)
        store.delete(PACKING_MARKER)


def write_metadata(store: Store, path: str, node: Node | ForeignMetadata) -> None:
    """Write a node's document, unless it is there.

    Raises
    ------
    NodeExistsError
        `target_differs`: somebody has written another one meanwhile.
    """
    key = join_key(path, V3_DOCUMENT)
    if not store.create(key, [node.to_bytes()]) and not _has(store, path, node):
        raise NodeExistsError("target_differs", "other metadata has come while this was packed", key=key)


def _read_marker(store: Store) -> str | None:
    document = read_document(store, PACKING_MARKER)
    if document is None:
        return None
    try:
        return str(json.loads(document)["fingerprint"])
    except (ValueError, KeyError, TypeError):
        return ""


def _require_empty(store: Store) -> None:
    try:
        there = find_node(store)
    except MetadataError as error:
        raise NodeExistsError(
            "already_exists", f"there is a node already, which cannot be read: {error.message}", key=error.key
        ) from error
    if there is not None:
        kind = f"an array of shape {list(there.shape)}" if isinstance(there, ArrayMetadata) else "a group"
        raise NodeExistsError(
            "target_differs",
            f"{store} is there already: {kind}, with other metadata than this would give it",
            key=V3_DOCUMENT if there.zarr_format == 3 else None,
            hint="Nothing is ever overwritten: give another target, or delete this one first.",
        )
    for found in store.list(""):
        if not is_temporary(found.key):
            raise NodeExistsError(
                "already_exists",
                f"the target is not empty: expected nothing in {store}",
                key=found.key,
                hint="Give a folder that does not exist yet.",
            )


@contextmanager
def _alone(store: Store) -> Iterator[None]:
    """Keep a second run out, as far as the system can: a lock that ends with its process, on local files."""
    if not isinstance(store, LocalStore) or os.name == "nt":
        yield
        return
    import fcntl

    opened = store.open_object(PACKING_MARKER)
    if opened is None:
        raise _busy()
    descriptor = opened.descriptor
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _busy() from None
        except OSError:
            pass  # a file system without locks
        yield
    finally:
        os.close(descriptor)


def _busy() -> NodeExistsError:
    return NodeExistsError(
        "target_differs",
        "another run is at work on this target",
        key=PACKING_MARKER,
        hint="Wait until it has ended.",
    )
