"""Reading what zarr-python selected: its chunks as read tasks of the engine.

Owns the way from the host's list of chunks to plans, and from blocks that were read to the host's output.
Which store is read how is decided in `pipeline` and `codec`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any, Final

import numpy as np

from zarr_shard_codec.adapters.zarr_python.chains import Chains
from zarr_shard_codec.adapters.zarr_python.selections import Array, Basic, Fancy, parse
from zarr_shard_codec.codecs.chain import CodecChain
from zarr_shard_codec.codecs.sharding_indexed import ShardingCodec
from zarr_shard_codec.core.jobs import DecodeJob
from zarr_shard_codec.core.plans import Plan, gather
from zarr_shard_codec.core.selection import box_shape
from zarr_shard_codec.engine.run import ReadTask

_BLOCKS_NBYTES: Final = 64 << 20
"""Memory for blocks from which elements are picked, in bytes; then what was picked goes to its place."""


@dataclass(slots=True)
class Read:
    """One chunk to read from.

    Attributes
    ----------
    chain
        The chunk's codecs.
    wanted
        What of it is wanted.
    target
        Where the result goes, of the result's shape; for a fancy selection called with it, once it is there.
    complete
        Whether everything of the chunk that lies in the array is wanted.
    missing
        Whether the object turned out not to exist.
    """

    chain: CodecChain
    wanted: Basic | Fancy
    target: Array | Callable[[Array], None]
    complete: bool
    missing: bool = False

    @property
    def nbytes(self) -> int:
        """Decoded size of what is wanted, in bytes."""
        return prod(self.wanted.shape) * self.chain.spec.dtype.itemsize

    def task(self, key: str) -> tuple[ReadTask, Callable[[], None] | None]:
        """What the engine has to do, and what is left to do after it."""
        fill_value = self.chain.spec.fill_value
        if isinstance(self.wanted, Basic):
            assert isinstance(self.target, np.ndarray)
            box, target = self.wanted.box, self.target[self.wanted.to_box]
            bounds = box_shape(box) if self.complete else self.chain.spec.shape
            plan = partial(self.chain.plan_read, box, target, bounds)
            return ReadTask(key, lambda: self._noting(plan()), target, fill_value), None
        return self._fancy_task(key, self.wanted)

    def _fancy_task(self, key: str, wanted: Fancy) -> tuple[ReadTask, Callable[[], None]]:
        spec = self.chain.spec
        pieces = list(wanted.pieces(inner_chunk_shape(self.chain)))
        blocks = [np.empty(box_shape(piece.box), spec.dtype) for piece in pieces]
        result = np.empty(wanted.block_shape, spec.dtype)
        plans = [
            partial(self.chain.plan_read, piece.box, block, spec.shape)
            for piece, block in zip(pieces, blocks, strict=True)
        ]

        def finish() -> None:
            if not self.missing:
                for piece, block in zip(pieces, blocks, strict=True):
                    wanted.put(result, piece.landing, wanted.take(block, piece.within))
            assert callable(self.target)
            self.target(result.reshape(wanted.shape))

        plan = lambda: self._noting(_together([plan() for plan in plans]))  # noqa: E731
        return ReadTask(key, plan, result, spec.fill_value), finish

    def _noting(self, plan: Plan[list[DecodeJob] | None]) -> Plan[list[DecodeJob] | None]:
        found = yield from plan
        self.missing = found is None
        return found


def prepare(chains: Chains, batch: Sequence[Any], out: Any, drop_axes: tuple[int, ...]) -> list[Read] | None:
    """Make reads of the host's chunks; None where the host must do it itself.

    Parameters
    ----------
    chains
        The array's.
    batch
        Of each chunk: where its bytes are, its spec, what of it is selected, where that goes in `out`, and
        whether everything in it that lies in the array is selected.
    out
        The host's output.
    drop_axes
        Axes of the selected parts that the output does not have.
    """
    array = out.as_ndarray_like()
    if not isinstance(array, np.ndarray):
        return None
    reads: list[Read] = []
    for _, spec, chunk_selection, out_selection, complete in batch:
        chain = chains.get(spec)
        wanted = None if chain is None else parse(chunk_selection, chain.spec.shape)
        if chain is None or wanted is None:
            return None
        reads.append(_read(chain, wanted, array, out_selection, drop_axes, complete=complete))
    return reads


def _read(
    chain: CodecChain,
    wanted: Basic | Fancy,
    out: Array,
    out_selection: Any,
    drop_axes: tuple[int, ...],
    *,
    complete: bool,
) -> Read:
    where = out_selection if isinstance(out_selection, tuple) else (out_selection,)
    if isinstance(wanted, Basic) and all(isinstance(item, slice | int) for item in where):
        view = out[(*where, ...)]
        return Read(chain, wanted, np.expand_dims(view, drop_axes) if drop_axes else view, complete)

    def put(result: Array) -> None:
        out[out_selection] = result.squeeze(drop_axes) if drop_axes else result

    if isinstance(wanted, Basic):  # in another order than it is read
        wanted = wanted.as_fancy()
    return Read(chain, wanted, put, complete)


def task_groups(reads: Sequence[Read], keys: Sequence[str]) -> Iterator[tuple[Any, list[Callable[[], None]]]]:
    """Tasks to run together, and what is left to do after them."""
    direct = [at for at, read in enumerate(reads) if isinstance(read.wanted, Basic)]
    if direct:
        yield (reads[at].task(keys[at])[0] for at in direct), []
    group: list[ReadTask] = []
    finish: list[Callable[[], None]] = []
    nbytes = 0
    for read, key in zip(reads, keys, strict=True):
        if isinstance(read.wanted, Basic):
            continue
        task, last = read.task(key)
        assert last is not None
        group.append(task)
        finish.append(last)
        nbytes += task.target.nbytes
        if nbytes > _BLOCKS_NBYTES:
            yield group, finish
            group, finish, nbytes = [], [], 0
    if group:
        yield group, finish


def inner_chunk_shape(chain: CodecChain) -> tuple[int, ...]:
    """What a chunk is read in: inner chunks, in the order of its own axes, or nothing smaller than itself."""
    codec = chain.array_bytes
    if not chain.reads_partially or not isinstance(codec, ShardingCodec):
        return chain.spec.shape
    return chain.untransposed(codec.config.inner_chunk_shape)


def _together(plans: list[Plan[list[DecodeJob] | None]]) -> Plan[list[DecodeJob] | None]:
    found = yield from gather(plans)
    jobs: list[DecodeJob] = []
    for part in found:
        if part is None:
            return None
        jobs += part
    return jobs
