"""From zarr-python's codecs to our codec chain; or the word that there is none for them.

Owns what falls back to the host's own sharding, and the log line that says so, once for each reason.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

import numpy as np
from zarr.codecs import ShardingCodec as HostShardingCodec

from zarr_shard_codec.adapters.zarr_python import versions
from zarr_shard_codec.codecs.chain import CodecChain
from zarr_shard_codec.core.data_types import as_dtype
from zarr_shard_codec.core.grid import ChunkOrder
from zarr_shard_codec.core.protocols import ChunkSpec
from zarr_shard_codec.errors import MetadataError

_LOG: Final = logging.getLogger("zarr_shard_codec")
_said: set[str] = set()
FALL_BACK: Final = "zarr-python's own sharding is used: "

_KNOWN_PACKAGES: Final = ("zarr", "numcodecs", "zarr_shard_codec")
"""Whose codecs mean what their names say. Anybody else's may do more than its name, and is left to itself."""


class Chains:
    """Our chains for the chunks of one array: of one shape nearly always, of several with a rectilinear grid.

    Parameters
    ----------
    codecs
        The host's codecs.
    """

    __slots__ = ("_codecs", "_known", "_latest", "_written")

    def __init__(self, codecs: Iterable[Any]) -> None:
        self._codecs = tuple(codecs)
        self._written: tuple[str, ChunkOrder] | str | None = None
        self._known: dict[Any, CodecChain | None] = {}
        self._latest: tuple[Any, Any, Any, CodecChain | None] = (None, None, None, None)

    def __reduce__(self) -> tuple[type[Chains], tuple[Any]]:
        return type(self), (self._codecs,)

    def get(self, spec: Any) -> CodecChain | None:
        """The chain for a chunk (the host's `ArraySpec`); None where the host must do it itself."""
        shape, dtype, value, chain = self._latest
        if spec.fill_value is value and spec.dtype is dtype and spec.shape == shape:
            return chain
        chain = self._get(spec)
        self._latest = spec.shape, spec.dtype, spec.fill_value, chain
        return chain

    def _get(self, spec: Any) -> CodecChain | None:
        fill_value = np.asarray(spec.fill_value)
        if fill_value.dtype.hasobject:
            key: Any = (spec.shape, spec.dtype, None)
        else:
            key = (spec.shape, spec.dtype, fill_value.dtype, fill_value.tobytes())
        if key not in self._known:
            self._known[key] = self._find(spec, fill_value)
        return self._known[key]

    def _find(self, spec: Any, fill_value: np.ndarray[Any, Any]) -> CodecChain | None:
        if self._written is None:
            self._written = _written(self._codecs)
        if isinstance(self._written, str):
            say_once(FALL_BACK + self._written)
            return None
        try:
            dtype = as_dtype(spec.dtype.to_native_dtype())
            bits = fill_value.astype(dtype).tobytes()
            return _build(*self._written, tuple(spec.shape), dtype, bits)
        except MetadataError as error:
            say_once(FALL_BACK + "; ".join(problem.message for problem in error.problems))
            return None


@lru_cache(maxsize=256)
def _build(
    codecs: str, order: ChunkOrder, shape: tuple[int, ...], dtype: np.dtype[Any], fill_value: bytes
) -> CodecChain:
    # One chain for all arrays that are alike, so that indexes which were read for one serve the next, which
    # is the same array opened again.
    spec = ChunkSpec(shape, dtype, np.frombuffer(fill_value, dtype).reshape(()))
    return CodecChain.from_metadata(json.loads(codecs), spec).with_chunk_order(order)


def _written(codecs: Iterable[Any]) -> tuple[str, ChunkOrder] | str:
    """The codecs as metadata has them, and the order of inner chunks; or why ours cannot stand in."""
    orders: set[ChunkOrder] = set()
    todo = list(codecs)
    for codec in todo:
        if type(codec).__module__.partition(".")[0] not in _KNOWN_PACKAGES:
            return f"the codec {type(codec).__qualname__} is of another package ({type(codec).__module__})"
        if isinstance(codec, HostShardingCodec):
            order = versions.chunk_order(codec)
            if order is None:
                return f"the order of inner chunks {versions.order_name(codec)!r}"
            orders.add(order)
            todo += [*codec.codecs, *codec.index_codecs]
    if len(orders) > 1:
        return "shards within shards of another order"
    return json.dumps([codec.to_dict() for codec in codecs]), orders.pop()


def say_once(message: str) -> None:
    """Log what users may want to know, the first time that it is so."""
    if message not in _said:
        _said.add(message)
        _LOG.warning(message)
