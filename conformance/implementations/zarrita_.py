"""zarrita (Python), for the Pythons that its dependencies still support."""

from __future__ import annotations

import importlib.metadata
import json
from typing import Any

from zarrita.array import Array as ZarritaArray
from zarrita.metadata import ArrayMetadata
from zarrita.store import LocalStore

from conformance.bench.subjects.zarrita_ import Zarrita as Subject
from conformance.implementations import CODECS, INTEGERS, Capabilities, Cost, Document, Index
from conformance.implementations.opened import Opened


class Zarrita(Opened):
    """Arrays in folders."""

    language = "Python"
    capabilities = Capabilities(
        integers=False,
        steps=False,
        # Its class DataType, and its codec registry.
        data_types=INTEGERS | {"float32", "float64"},
        codecs=CODECS,
    )

    def __init__(self) -> None:
        super().__init__(Subject())

    def version(self) -> str:
        """Version of the package."""
        return importlib.metadata.version("zarrita")

    def rewritten(self, metadata: Document) -> Document:
        """Metadata as zarrita writes it."""
        rewritten: Document = json.loads(ArrayMetadata.from_json(metadata).to_bytes())
        return rewritten

    def cost(self, path: str, selection: Index) -> Cost:
        """Read over a store that counts."""
        store = CountingStore(path)
        array: Any = ZarritaArray.open(store)
        store.requests = store.nbytes = 0
        _ = array[selection]
        return Cost(store.requests, store.nbytes)


class CountingStore(LocalStore):
    """Files that count how they are read."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self.requests = self.nbytes = 0

    async def get_async(self, *args: Any, **options: Any) -> Any:
        """Count, and read."""
        found = await super().get_async(*args, **options)
        self.requests += 1
        self.nbytes += 0 if found is None else len(found)
        return found


def make() -> Zarrita:
    """Set it up."""
    return Zarrita()
