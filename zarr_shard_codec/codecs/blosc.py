"""The `blosc` codec: the Blosc 1 container, by numcodecs, which is imported only once a chunk needs it.

Owns the header check: the C library believes the header's sizes, so they are compared first with what
there is and with what may come out.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, Final

import numpy as np

from zarr_shard_codec.codecs import blosc_snappy
from zarr_shard_codec.codecs.blosc_joined import (
    HEADER,
    HEADERS,
    LEAST_STREAM_NBYTES,
    MAX_NBYTES,
    STORED,
    UNSPLIT,
    Settings,
    compress_joined,
    decompress_joined,
)
from zarr_shard_codec.codecs.bounded import Compressor, too_large, undecodable
from zarr_shard_codec.codecs.configuration import Fields
from zarr_shard_codec.core import memory
from zarr_shard_codec.core.pieces import Parts, Pieces
from zarr_shard_codec.core.protocols import JSON, ChunkSpec
from zarr_shard_codec.core.ranges import Buffer
from zarr_shard_codec.errors import UsageError

CNAMES: Final = ("lz4", "lz4hc", "blosclz", "snappy", "zlib", "zstd")
SHUFFLES: Final = ("noshuffle", "shuffle", "bitshuffle")
"""The specification's names; each one's place here is the C library's number, and Zarr v2's."""

FORMAT_VERSION: Final = 2
SNAPPY: Final = 2
"""The number of Snappy in the three highest flags."""

_LARGE_NBYTES: Final = 128 << 10
"""Bytes of a decoded chunk; below this, numcodecs takes longer to check a given place than a copy takes."""
_FEW: Final = 24
"""Chunks; up to this many are looked at one by one in Python, which is faster than NumPy for few."""


@dataclass(frozen=True, slots=True)
class BloscCodec(Compressor):
    """Blosc.

    Attributes
    ----------
    name
        "blosc" or "numcodecs.blosc": the same container, but numbers for `shuffle` in the metadata.
    cname
        The compressor within.
    clevel
        0 (stored) to 9 (smallest).
    shuffle
        A number: 0 is none, 1 is by byte, 2 is by bit, -1 (numcodecs' name only) is by `typesize`.
    typesize
        Stride of the shuffle in bytes; None is numcodecs' 1.
    blocksize
        In bytes; 0 leaves it to the library.
    """

    name: str
    cname: str
    clevel: int
    shuffle: int
    typesize: int | None
    blocksize: int

    def to_metadata(self) -> dict[str, JSON]:
        """Give the codec object."""
        configuration: dict[str, JSON] = {
            "cname": self.cname,
            "clevel": self.clevel,
            "shuffle": SHUFFLES[self.shuffle] if self.name == "blosc" else self.shuffle,
            "blocksize": self.blocksize,
        }
        if self.typesize is not None:
            configuration["typesize"] = self.typesize
        return {"name": self.name, "configuration": configuration}

    def encode(self, decoded: Buffer) -> Buffer:
        """Compress.

        Raises
        ------
        UsageError
            `invalid_argument` for more than 2 GiB, which the container cannot hold; `missing_extra` for
            snappy, which numcodecs' wheels leave out: see `blosc_snappy`.
        """
        nbytes = memoryview(decoded).nbytes
        if nbytes > MAX_NBYTES:
            message = f"{self.name}: expected at most {MAX_NBYTES} bytes, found {nbytes}"
            raise UsageError("invalid_argument", message, hint="Choose smaller inner chunks.")
        encoded: bytes
        typesize = self.typesize or 1
        if self.cname not in _compressors():
            shuffle = self.shuffle if self.shuffle >= 0 else 2 if typesize == 1 else 1
            encoded = blosc_snappy.encode(
                self.name,
                decoded,
                clevel=self.clevel,
                shuffle=shuffle,
                typesize=typesize,
                blocksize=self.blocksize,
            )
            return encoded
        encoded = _library().compress(
            decoded, self.cname.encode(), self.clevel, self.shuffle, self.blocksize, typesize
        )
        return encoded

    def decode(self, encoded: Buffer, *, max_nbytes: int) -> Buffer:
        """Decompress.

        Raises
        ------
        CorruptShardError
            `inner_chunk_undecodable`, `inner_chunk_wrong_size`.
        UsageError
            `missing_extra` for snappy, as in `encode`; the bytes may be good.
        """
        nbytes = self._checked_nbytes(memoryview(encoded), max_nbytes)
        if nbytes == 0:
            return b""  # the library calls it an error
        decoded = memory.take(nbytes)
        try:
            _library().decompress(encoded, decoded)
        except (RuntimeError, ValueError) as error:
            flags = encoded[2]
            if flags >> 5 == SNAPPY and not flags & STORED and "snappy" not in _compressors():
                return blosc_snappy.decode(self.name, encoded)
            raise undecodable(self.name, str(error)) from error
        return decoded

    def frame_nbytes(self, encoded: memoryview, *, max_nbytes: int) -> int:
        """Size in bytes of the container that `encoded` begins with. See `FramedCodec`."""
        if len(encoded) < HEADER.size:
            raise undecodable(self.name, f"expected a header of {HEADER.size} bytes, found {len(encoded)}")
        cbytes = int(HEADER.unpack_from(encoded)[-1])
        self._checked_nbytes(encoded[:cbytes], max_nbytes)
        return cbytes

    def decode_many(self, encoded: Pieces, nbytes: int) -> Buffer | None:
        """Decompress chunks side by side, small ones in one call."""
        decompress = _library().decompress
        with suppress(RuntimeError, ValueError):  # the library's; ours is a ValueError, too
            if len(encoded) > _FEW:
                headers = np.frombuffer(encoded.heads(HEADER.size), HEADERS)
                if not _are_possible(headers, encoded.sizes(), nbytes):
                    return None
                joined = decompress_joined(decompress, encoded, headers, nbytes)
                if joined is not None:
                    return joined
            elif any(self._checked_nbytes(memoryview(part), nbytes) != nbytes for part in encoded):
                return None
            decoded = memory.take(nbytes * len(encoded))
            for at, part in enumerate(encoded):
                room = decoded[at * nbytes : (at + 1) * nbytes]
                if nbytes < _LARGE_NBYTES:
                    room[:] = decompress(part)
                else:
                    decompress(part, room)
            return decoded
        return None

    def encode_many(self, decoded: Pieces) -> Pieces:
        """Compress each, small ones in one call. Raises as `encode`."""
        if self.cname not in _compressors() or decoded.sizes().max(initial=0) > MAX_NBYTES:
            return Parts([self.encode(part) for part in decoded])
        compress = _library().compress
        how = Settings(self.cname.encode(), self.clevel, self.shuffle, self.blocksize, self.typesize or 1)
        joined = compress_joined(compress, how, decoded) if len(decoded) > _FEW else None
        return joined or Parts([compress(part, *how) for part in decoded])

    def _checked_nbytes(self, encoded: memoryview, max_nbytes: int) -> int:
        """Size in bytes that the header declares, once everything in it can be true."""
        if len(encoded) < HEADER.size:
            raise undecodable(self.name, f"expected a header of {HEADER.size} bytes, found {len(encoded)}")
        version, _, flags, typesize, nbytes, blocksize, cbytes = HEADER.unpack_from(encoded)
        if version != FORMAT_VERSION:
            raise undecodable(self.name, f"expected format version {FORMAT_VERSION}, found {version}")
        if cbytes != len(encoded):
            raise undecodable(self.name, f"its header says {cbytes} bytes, but there are {len(encoded)}")
        if nbytes > max_nbytes:
            raise too_large(self.name, max_nbytes, nbytes)
        if flags & STORED or nbytes == 0:
            if cbytes != nbytes + HEADER.size:
                raise undecodable(self.name, f"{nbytes} stored bytes do not make {cbytes} with a header")
        elif not (typesize and 0 < blocksize <= nbytes <= MAX_NBYTES):
            found = f"typesize {typesize}, blocksize {blocksize}, nbytes {nbytes}"
            raise undecodable(self.name, f"its header is impossible: {found}")
        elif not flags & UNSPLIT and blocksize % typesize and blocksize >= typesize * LEAST_STREAM_NBYTES:
            # What is over belongs to no stream: the library would leave it as the memory was before.
            raise undecodable(self.name, f"blocks of {blocksize} bytes are no {typesize} equal streams")
        elif HEADER.size + 4 * -(-nbytes // blocksize) > cbytes:
            raise undecodable(self.name, f"{cbytes} bytes cannot hold blocks of {blocksize} for {nbytes}")
        return int(nbytes)


def _are_possible(headers: np.ndarray[Any, Any], sizes: np.ndarray[Any, Any], nbytes: int) -> bool:
    """Whether all these headers can be true, for chunks of `nbytes` bytes; as `_checked_nbytes`."""
    if not 0 < nbytes <= MAX_NBYTES or len(headers) != len(sizes):
        return False
    blocksize = headers["blocksize"].astype(np.int64)
    n_blocks = -(-nbytes // np.maximum(blocksize, 1))
    stored = headers["flags"] & STORED != 0
    typesize = headers["typesize"].astype(np.int64)
    possible = (typesize != 0) & (blocksize > 0) & (blocksize <= nbytes)
    uneven = (blocksize % np.maximum(typesize, 1) != 0) & (blocksize >= typesize * LEAST_STREAM_NBYTES)
    possible &= ~uneven | (headers["flags"] & UNSPLIT != 0)
    possible &= HEADER.size + 4 * n_blocks <= sizes
    good = np.where(stored, sizes == nbytes + HEADER.size, possible)
    good &= (headers["version"] == FORMAT_VERSION) & (headers["cbytes"] == sizes)
    return bool((good & (headers["nbytes"] == nbytes)).all())


@cache
def _library() -> Any:
    # numcodecs takes longer to import than NumPy.
    library: Any = import_module("numcodecs.blosc")
    if library.use_threads is None:  # nobody has said
        # Threads of Blosc's own beside those that decode chunks take longer to start than they save.
        library.use_threads = False
    return library


@cache
def _compressors() -> frozenset[str]:
    return frozenset(_library().list_compressors())


def build(name: str, configuration: Mapping[str, JSON], spec: ChunkSpec) -> BloscCodec:
    """Build it.

    What is missing gets zarr-python's defaults: `typesize` the element's size, `shuffle` by bit for
    one-byte elements and by byte for others. For "numcodecs.blosc" they are numcodecs'.
    """
    fields = Fields(configuration)
    plain = name == "blosc"
    cname = fields.choice("cname", CNAMES, default="zstd" if plain else "lz4")
    clevel = fields.integer("clevel", minimum=0, maximum=9, default=5)
    blocksize = fields.integer("blocksize", minimum=0, maximum=2**31 - 1, default=0)
    typesize: int | None = None
    if plain:
        by_size = "bitshuffle" if spec.dtype.itemsize == 1 else "shuffle"
        shuffle = SHUFFLES.index(fields.choice("shuffle", SHUFFLES, default=by_size))
        typesize = fields.integer("typesize", minimum=1, maximum=2**31 - 1, default=spec.dtype.itemsize)
    else:
        shuffle = fields.integer("shuffle", minimum=-1, maximum=2, default=1)
        if fields.any("typesize", default=None) is not None:
            typesize = fields.integer("typesize", minimum=1, maximum=2**31 - 1)
    fields.finish()
    return BloscCodec(name, cname, clevel, shuffle, typesize, blocksize)
