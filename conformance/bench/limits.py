"""What the machine could do: the raw codec on all cores over the same chunks, a memory copy, a file copy.

Owns the yardstick that no subject can beat by much: no Zarr, no checks, no index. Compressed reads are the
codec over the inner chunks, and filling what has none; compressed writes are the codec alone.
Uncompressed reads copy memory, uncompressed writes and packs copy files.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from itertools import product
from typing import Any, Final, Protocol

import numpy as np
import zstandard
from isal import isal_zlib

from conformance.bench.clock import settle, timed
from conformance.bench.machine import cores
from conformance.bench.matrix import Array, Case, Operation, chunks_with_data, selections
from conformance.bench.runners import Folders, Measurement, value_to_write
from conformance.bench.subjects import Selection

SMALL_NBYTES: Final = 16_384
"""Below this, one thread may beat many: both are tried, and the better one is the limit."""


class Codec(Protocol):
    """A compressor without a format around it."""

    def encode(self, chunks: Sequence[bytes]) -> Sequence[Any]:
        """Compress some chunks, on one thread."""
        ...

    def decode(self, chunks: Sequence[Any], nbytes: int) -> object:
        """Decompress some chunks of so many bytes each, on one thread."""
        ...


class _Zstd:
    def encode(self, chunks: Sequence[bytes]) -> Sequence[Any]:
        compressor = zstandard.ZstdCompressor(level=1)
        segments = compressor.multi_compress_to_buffer(list(chunks))
        return [segments[n].tobytes() for n in range(len(segments))]

    def decode(self, chunks: Sequence[Any], nbytes: int) -> object:
        sizes = np.full(len(chunks), nbytes, "<u8").tobytes()
        return zstandard.ZstdDecompressor().multi_decompress_to_buffer(list(chunks), decompressed_sizes=sizes)


class _Blosc:
    def __init__(self) -> None:
        blosc: Any = import_module("numcodecs.blosc")
        blosc.use_threads = False  # not in the threads that are here already
        self._codec = blosc.Blosc(cname="lz4", clevel=5, shuffle=blosc.SHUFFLE)

    def encode(self, chunks: Sequence[bytes]) -> Sequence[Any]:
        return [self._codec.encode(np.frombuffer(chunk, "uint16")) for chunk in chunks]

    def decode(self, chunks: Sequence[Any], nbytes: int) -> Sequence[Any]:
        out = np.empty(nbytes, "uint8")
        return [self._codec.decode(chunk, out) for chunk in chunks]


class _Gzip:
    def encode(self, chunks: Sequence[bytes]) -> Sequence[Any]:
        return [isal_zlib.compress(chunk, 1, wbits=31) for chunk in chunks]

    def decode(self, chunks: Sequence[Any], nbytes: int) -> Sequence[Any]:
        return [isal_zlib.decompress(chunk, 31, nbytes) for chunk in chunks]


_CODECS: Final[dict[str, Callable[[], Codec]]] = {"zstd": _Zstd, "blosc": _Blosc, "gzip": _Gzip}

Coords = tuple[int, ...]


class LimitRunner:
    """Times what an operation costs without Zarr."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(cores())

    def prepare(self, case: Case, folders: Folders) -> None:
        """Cut the content into inner chunks, and encode them."""
        self._case = case
        self._content = np.load(folders.content)
        self._with_data = chunks_with_data(case, self._content)
        coords = [tuple(row) for row in self._with_data.tolist()]
        chunks = [self._content[case.chunk(at)].tobytes() for at in coords]
        self._chunks: dict[Coords, bytes] = dict(zip(coords, chunks, strict=True))
        self._chunk_nbytes = len(chunks[0])
        self._codec = _CODECS[case.codec]() if case.codec in _CODECS else None
        encoded = chunks if self._codec is None else self._codec.encode(chunks)
        self._encoded: dict[Coords, bytes] = dict(zip(coords, encoded, strict=True))
        self._file = folders.own.parent / "limit"
        self._places: dict[Coords, tuple[int, int]] = {}
        with self._file.open("wb") as file:
            for at, data in self._encoded.items():
                self._places[at] = (file.tell(), len(data))
                file.write(data)
        self._file_nbytes = sum(map(len, self._encoded.values()))
        settle()

    def measure(self, operation: Operation, round_: int, *, verify: bool) -> Measurement:  # noqa: ARG002
        """Time one operation's limit; there is nothing to verify."""
        todo = selections(self._case, operation, round_, self._with_data)
        calls = {
            "read": self._read,
            "box": self._read,
            "plane": self._read,
            "write": self._write,
            "chunk": self._read_chunk,
            "chunk_write": self._write_chunk,
            "pack": self._pack,
        }
        seconds = [calls[operation](selection) for selection in todo]
        return Measurement(sum(seconds) / len(seconds))

    def _read(self, selection: Selection) -> float:
        if self._codec is None:
            return timed(lambda: self._copy_memory(self._content[selection]))[0]
        codec = self._codec
        touched = [at for at in self._touched(selection) if at in self._encoded]
        encoded = [self._encoded[at] for at in touched]
        part = self._content[selection]
        missing = 1 - len(touched) / max(1, sum(1 for _ in self._touched(selection)))
        fill_nbytes = int(part.nbytes * missing)

        def work(share: Sequence[bytes]) -> None:
            codec.decode(share, self._chunk_nbytes)

        return self._on_best_threads(work, encoded) + timed(lambda: np.full(fill_nbytes, 0, "uint8"))[0]

    def _write(self, _selection: Selection) -> float:
        if self._codec is None:
            parts = np.array_split(self._content.reshape(-1), self._case.shards)
            return timed(lambda: list(self._pool.map(self._write_file, range(len(parts)), parts)))[0]
        return self._on_best_threads(self._codec.encode, list(self._chunks.values()))

    def _read_chunk(self, selection: Selection) -> float:
        offset, nbytes = self._places[next(iter(self._touched(selection)))]
        return timed(lambda: self._read_one(offset, nbytes))[0]

    def _read_one(self, offset: int, nbytes: int) -> None:
        descriptor = os.open(self._file, os.O_RDONLY)
        encoded = os.pread(descriptor, nbytes, offset)
        os.close(descriptor)
        if self._codec is not None:
            self._codec.decode([encoded], self._chunk_nbytes)

    def _write_chunk(self, selection: Selection) -> float:
        value = value_to_write(self._content, "chunk_write", selection)
        shard = bytes(self._file_nbytes // self._case.shards)

        def work() -> None:
            if self._codec is not None:
                self._codec.encode([value.tobytes()])
            self._write_file(0, shard)

        return timed(work)[0]

    def _pack(self, _selection: Selection) -> float:
        encoded = list(self._encoded.values())
        size = -(-len(encoded) // self._case.shards)
        shares = [encoded[at : at + size] for at in range(0, len(encoded), size)]
        offsets = np.cumsum([0, *(sum(map(len, share)) for share in shares)]).tolist()
        return timed(lambda: list(self._pool.map(self._copy_file, range(len(shares)), offsets, offsets[1:])))[
            0
        ]

    def _copy_memory(self, values: Array) -> None:
        copy = np.empty(values.shape, values.dtype)
        edges = np.linspace(0, len(values), cores() + 1).astype(int).tolist()
        if values.nbytes < SMALL_NBYTES:
            copy[...] = values
        else:
            list(self._pool.map(lambda a, b: np.copyto(copy[a:b], values[a:b]), edges, edges[1:]))

    def _on_best_threads(self, work: Callable[[Sequence[bytes]], Any], items: list[bytes]) -> float:
        shares = [items[n :: cores()] for n in range(cores())]
        shares = [share for share in shares if share]
        seconds = timed(lambda: list(self._pool.map(work, shares)))[0]
        if self._chunk_nbytes > SMALL_NBYTES or not items:
            return seconds
        return min(seconds, timed(lambda: work(items))[0])

    def _write_file(self, number: int, data: Any) -> None:
        temporary = self._file.with_name(f"limit-{number}.new")
        with temporary.open("wb", buffering=0) as file:
            file.write(data)
        temporary.replace(self._file.with_name(f"limit-{number}"))

    def _copy_file(self, number: int, start: int, stop: int) -> None:
        with self._file.open("rb", buffering=0) as file:
            file.seek(start)
            self._write_file(number, file.read(stop - start))

    def _touched(self, selection: Selection) -> product[Coords]:
        return product(
            *(
                range(part.start // chunk, -(-part.stop // chunk))
                for part, chunk in zip(selection, self._case.chunk_shape, strict=True)
            )
        )
