"""Encoders for a codec chain, made of `conformance.cases.hand`'s pieces: none of them is this package's code.

Owns what each codec's name does to an array. How a shard is laid out is chosen by the caller.
"""

from __future__ import annotations

import gzip
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import zstandard
from numcodecs.blosc import Blosc

from conformance.cases import hand
from conformance.cases.elements import JSON
from conformance.cases.hand import Array, Encoder, Entry

Corruption = Callable[[list[Entry]], list[Entry]]
"""What happens to a shard's entries before they are encoded."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How the shards of one level are laid out.

    Attributes
    ----------
    order
        From this seed comes the order of the inner chunks; 0 is C order.
    junk
        Bytes before, between and behind them.
    write_fill
        Store inner chunks of nothing but fill value, too.
    corrupt
        Changes the entries.
    """

    order: int = 0
    junk: tuple[bytes, bytes, bytes] = (b"", b"", b"")
    write_fill: bool = False
    corrupt: Corruption | None = field(default=None)


_SHUFFLES: Final = {"noshuffle": 0, "shuffle": 1, "bitshuffle": 2}


def encoder(chain: Sequence[JSON], fill: Array, layouts: Iterator[Layout]) -> Encoder:
    """Give what encodes an array through `chain`.

    Parameters
    ----------
    chain
        Codecs as in metadata.
    fill
        The fill value, of which empty inner chunks are.
    layouts
        One is taken for each sharding codec, from the outermost in.
    """
    before: list[Sequence[int]] = []
    middle: Encoder | None = None
    after: list[Callable[[bytes], bytes]] = []
    for codec in chain:
        name, configuration = codec["name"], codec.get("configuration", {})
        if name == "transpose":
            before.append(configuration["order"])
        elif name == "bytes":
            middle = hand.big if configuration.get("endian") == "big" else hand.little
        elif name == "sharding_indexed":
            middle = _sharded(configuration, fill, layouts)
        else:
            after.append(_bytes_codec(name, configuration))
    assert middle is not None

    def encode(array: Array) -> bytes:
        for order in before:
            array = array.transpose(order)
        encoded = middle(array)
        for codec in after:
            encoded = codec(encoded)
        return encoded

    return encode


def _sharded(configuration: JSON, fill: Array, layouts: Iterator[Layout]) -> Encoder:
    layout = next(layouts)
    inner = encoder(configuration["codecs"], fill, layouts)
    encode_index = encoder(configuration["index_codecs"], fill, iter(()))
    shape = configuration["chunk_shape"]

    def encode(array: Array) -> bytes:
        counts = [n // c for n, c in zip(array.shape, shape, strict=True)]
        index = hand.index_of(encode_index, *counts)
        corrupt = layout.corrupt or (lambda entries: entries)
        order = np.arange(math.prod(counts))
        if layout.order:
            np.random.default_rng(layout.order).shuffle(order)
        return hand.sharded(
            shape,
            inner,
            fill=None if layout.write_fill else fill,
            location=configuration.get("index_location", "end"),
            encode_index=lambda entries: index(corrupt(list(entries))),
            order=order.tolist(),
            junk=layout.junk,
        )(array)

    return encode


def _bytes_codec(name: str, configuration: JSON) -> Callable[[bytes], bytes]:
    match name:
        case "crc32c":
            return hand.crc32c
        case "gzip":
            return lambda body: gzip.compress(body, configuration["level"], mtime=0)
        case "zstd":
            options: dict[str, Any] = {
                "level": configuration["level"],
                "write_checksum": configuration["checksum"],
            }
            return lambda body: zstandard.ZstdCompressor(**options).compress(body)
        case "blosc":
            blosc = Blosc(
                configuration["cname"],
                configuration["clevel"],
                _SHUFFLES[configuration["shuffle"]],
                configuration["blocksize"],
                configuration["typesize"],
            )
            return lambda body: bytes(blosc.encode(body))
    raise AssertionError(name)
