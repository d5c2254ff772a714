"""Reading what zarr-python selected: its chunks as read tasks of the engine.

Owns the way from the host's list of chunks to plans, and from blocks that were read to the host's output.
Which store is read how is decided in `pipeline` and `codec`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import numpy as np

from zarr_shard_codec.adapters.zarr_python.chains import Chains
from zarr_shard_codec.adapters.zarr_python.selections import Array, Basic, Fancy, Orthogonal, parse
from zarr_shard_codec.codecs.chain import CodecChain
from zarr_shard_codec.codecs.sharding_indexed import ShardingCodec
from zarr_shard_codec.core import memory
from zarr_shard_codec.core.jobs import DecodeJob
from zarr_shard_codec.core.plans import Plan, gather
from zarr_shard_codec.core.selection import Box, box_shape
from zarr_shard_codec.engine.conversations import Seen
from zarr_shard_codec.engine.known_shards import KnownShards
from zarr_shard_codec.engine.run import Job, ReadTask

_BLOCKS_NBYTES: Final = 64 << 20
"""Memory for blocks from which elements are picked, in bytes; then what was picked goes to its place."""


@dataclass(frozen=True, slots=True)
class _Task(ReadTask):
    """A read task that notes when its object turns out not to exist.

    Attributes
    ----------
    at
        Which of the host's chunks it is.
    missing
        Those that do not exist.
    """

    at: int
    missing: set[int]

    def jobs(self, found: list[DecodeJob] | None, seen: Seen) -> list[Job]:
        if found is None:
            self.missing.add(self.at)
        else:  # perhaps only at the second attempt
            self.missing.discard(self.at)
        return ReadTask.jobs(self, found, seen)  # a dataclass with slots has no super() without arguments


@dataclass(frozen=True, slots=True)
class _Picking:
    """A fancy selection of a chunk: boxes are read, elements picked from them, and handed to `put`."""

    key: str
    chain: CodecChain
    wanted: Fancy
    put: Callable[[Array], None]
    at: int
    missing: set[int]

    def begin(self) -> tuple[ReadTask, Callable[[], None], int]:
        """The task, what is left to do after it, and how many bytes of memory that takes until then."""
        spec, wanted = self.chain.spec, self.wanted
        pieces = list(wanted.pieces(inner_chunk_shape(self.chain)))
        blocks = [memory.empty(box_shape(piece.box), spec.dtype) for piece in pieces]
        result = np.empty(wanted.block_shape, spec.dtype)
        plans = [
            partial(self.chain.plan_read, piece.box, block, spec.shape)
            for piece, block in zip(pieces, blocks, strict=True)
        ]

        def finish() -> None:
            if self.at not in self.missing:
                for piece, block in zip(pieces, blocks, strict=True):
                    wanted.put(result, piece.landing, wanted.take(block, piece.within))
            self.put(result.reshape(wanted.shape))

        task = _Task(
            self.key,
            partial(_together, plans),
            result,
            spec.fill_value,
            self.chain.reads_in_bulk,
            self.at,
            self.missing,
        )
        return task, finish, result.nbytes + sum(block.nbytes for block in blocks)


@dataclass(slots=True)
class Reading:
    """Everything that one call of the host's reads.

    Attributes
    ----------
    direct
        What goes straight to its place.
    picking
        What is picked from what is read.
    missing
        Which of the host's chunks turned out not to exist.
    """

    direct: list[ReadTask] = field(default_factory=list)
    picking: list[_Picking] = field(default_factory=list)
    missing: set[int] = field(default_factory=set)

    @property
    def nbytes(self) -> int | None:
        """Decoded size in bytes of a reading from one object; None for larger ones."""
        return self.direct[0].target.nbytes if len(self.direct) == 1 and not self.picking else None

    def add(self, key: str, chain: CodecChain, box: Box, target: Array, *, complete: bool) -> None:
        """Read a box.

        Parameters
        ----------
        key, chain, box
            The chunk: its key, its codecs, what is wanted of it.
        target
            Where it goes, of the box's shape.
        complete
            Whether everything of the chunk that lies in the array is wanted.
        """
        spec = chain.spec
        bounds = box_shape(box) if complete else spec.shape
        plan, known = partial(chain.plan_read, box, target, bounds), KnownShards.of(chain)
        shortcut = None if known is None else partial(known.read, box, target)
        at = len(self.direct) + len(self.picking)
        self.direct.append(
            _Task(
                key,
                plan,
                target,
                spec.fill_value,
                chain.reads_in_bulk,
                at,
                self.missing,
                shortcut=shortcut,
            )
        )

    def add_picking(self, key: str, chain: CodecChain, wanted: Fancy, put: Callable[[Array], None]) -> None:
        """Read a fancy selection; `put` is called with it."""
        at = len(self.direct) + len(self.picking)
        self.picking.append(_Picking(key, chain, wanted, put, at, self.missing))

    def groups(self) -> Iterator[tuple[list[ReadTask], list[Callable[[], None]]]]:
        """Tasks to run together, and what to call after them."""
        if self.direct:
            yield self.direct, []
        tasks: list[ReadTask] = []
        finish: list[Callable[[], None]] = []
        nbytes = 0
        for picking in self.picking:
            task, last, more = picking.begin()
            tasks.append(task)
            finish.append(last)
            nbytes += more
            if nbytes > _BLOCKS_NBYTES:
                yield tasks, finish
                tasks, finish, nbytes = [], [], 0
        if tasks:
            yield tasks, finish


def prepare(
    chains: Chains, batch: Sequence[Any], keys: Sequence[str], out: Any, drop_axes: tuple[int, ...]
) -> Reading | None:
    """Find out how to read the host's chunks; None where the host must do it itself.

    Parameters
    ----------
    chains
        The array's.
    batch
        Of each chunk: where its bytes are, its spec, what of it is selected, where that goes in `out`, and
        whether everything in it that lies in the array is selected.
    keys
        By these the chunks' objects are asked for.
    out
        The host's output.
    drop_axes
        Axes of the selected parts that the output does not have.
    """
    array = out.as_ndarray_like()
    if not isinstance(array, np.ndarray):
        return None
    reading = Reading()
    for key, (_, spec, chunk_selection, out_selection, complete) in zip(keys, batch, strict=True):
        chain = chains.get(spec)
        wanted = None if chain is None else parse(chunk_selection, spec.shape)
        if chain is None or wanted is None:
            return None
        if isinstance(wanted, Basic):
            target = _view(array, out_selection, wanted, drop_axes)
            if target is not None:
                reading.add(key, chain, wanted.box, target, complete=complete)
                continue
            wanted = wanted.as_fancy()
        elif isinstance(wanted, Orthogonal):
            box, target = wanted.box(), _rows_view(array, out_selection, wanted, drop_axes)
            if box is not None and target is not None:
                reading.add(key, chain, box, target, complete=False)
                continue
        reading.add_picking(key, chain, wanted, _putter(array, out_selection, drop_axes))
    return reading


def inner_chunk_shape(chain: CodecChain) -> tuple[int, ...]:
    """What a chunk is read in: inner chunks, in the order of its own axes, or nothing smaller than itself."""
    codec = chain.array_bytes
    if not chain.reads_partially or not isinstance(codec, ShardingCodec):
        return chain.spec.shape
    return chain.untransposed(codec.config.inner_chunk_shape)


def _slices(selection: Any) -> tuple[Any, ...] | None:
    where: tuple[Any, ...] = selection if type(selection) is tuple else (selection,)
    for item in where:
        if type(item) is not slice:
            return None
    return where


def _view(out: Array, selection: Any, wanted: Basic, drop_axes: tuple[int, ...]) -> Array | None:
    """Where a box goes, as a view of its shape; None if no view is that."""
    where = _slices(selection)
    if where is None:
        return None
    if not drop_axes and len(where) == len(wanted.box):
        view: Array = out[(*where, ...)]
        return view
    items = iter(where)
    to_box = (None if axis in drop_axes else item for axis, item in enumerate(wanted.to_box))
    return out[(*(None if item is None else next(items, slice(None)) for item in to_box), ...)]


def _rows_view(out: Array, selection: Any, wanted: Orthogonal, drop_axes: tuple[int, ...]) -> Array | None:
    """Where a list of rows goes, as a view of its block's shape; None if no view is that."""
    where = _slices(selection)
    if drop_axes or where is None:
        return None
    view: Array = out[(*where, ...)]
    return view if view.shape == wanted.block_shape == wanted.shape else None


def _putter(out: Array, selection: Any, drop_axes: tuple[int, ...]) -> Callable[[Array], None]:
    def put(result: Array) -> None:
        out[selection] = result.squeeze(drop_axes) if drop_axes else result

    return put


def _together(plans: Sequence[Callable[[], Plan[list[DecodeJob] | None]]]) -> Plan[list[DecodeJob] | None]:
    found = yield from gather([plan() for plan in plans])
    jobs: list[DecodeJob] = []
    for part in found:
        if part is None:
            return None
        jobs += part
    return jobs
