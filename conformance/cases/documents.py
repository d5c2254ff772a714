"""Vectors about the rest of the metadata: names of shards, and members that change nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np

from conformance.cases import hand
from conformance.cases.draft import Draft
from conformance.cases.hand import default_key, document, sharded, sharding, vector

VALUES: Final = np.arange(1, 49, dtype="<i4").reshape(6, 8)


def drafts() -> Iterator[Draft]:
    """Give the vectors."""
    yield from _keys()
    yield from _members()


def _keys() -> Iterator[Draft]:
    def joined(separator: str, *head: str) -> Callable[[Sequence[int]], str]:
        return lambda coords: separator.join([*head, *map(str, coords)])

    encodings: dict[str, tuple[Any, Callable[[Sequence[int]], str]]] = {
        "default-slash": ({"name": "default", "configuration": {"separator": "/"}}, joined("/", "c")),
        "default-dot": ({"name": "default", "configuration": {"separator": "."}}, joined(".", "c")),
        "v2-slash": ({"name": "v2", "configuration": {"separator": "/"}}, joined("/")),
        "v2-dot": ({"name": "v2", "configuration": {"separator": "."}}, joined(".")),
        "default-unconfigured": ({"name": "default"}, joined("/", "c")),
        "v2-unconfigured": ({"name": "v2"}, joined(".")),
    }
    for name, (encoding, key) in encodings.items():
        yield _vector(
            f"key-{name}", f"Shards named {key((1, 2))}, and so on", {"chunk_key_encoding": encoding}, key
        )
    yield vector(
        "key-v2-0d",
        "No dimensions and the key encoding v2: the shard is named 0",
        ["CHAIN-ENCODE"],
        document([], [], [sharding([])], chunk_key_encoding=encodings["v2-dot"][0]),
        np.array(42, "<i4"),
        sharded([], hand.little),
        key=lambda _: "0",
    )


def _members() -> Iterator[Draft]:
    for name, title, members in (
        ("attributes", "Attributes of many kinds", {"attributes": {"ü": [1, None, {"a": "b"}], "": 2.5}}),
        ("dimension-names", "Names of the dimensions, one of them null", {"dimension_names": ["y", None]}),
        ("no-storage-transformers", "An empty list of storage transformers", {"storage_transformers": []}),
        (
            "ignorable-member",
            "A member that nobody knows and that says it need not be understood",
            {"example_member": {"name": "example", "must_understand": False}},
        ),
    ):
        yield _vector(f"document-{name}", title, members)


def _vector(
    name: str, title: str, members: dict[str, Any], key: Callable[[Sequence[int]], str] = default_key
) -> Draft:
    return vector(
        name,
        title,
        ["EXTENSION-UNKNOWN"] if name.startswith("document") else ["CHAIN-ENCODE"],
        document([6, 8], [4, 4], [sharding([2, 2])], **members),
        VALUES,
        sharded([2, 2], hand.little),
        key=key,
    )
