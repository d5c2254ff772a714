"""Mending one damaged shard: which index it gets, which inner chunks it keeps, and why.

Owns the decision for one state of one object; it writes nothing. What proves an index is the business of
`core.salvage` and `core.rebuilding`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from zarr_shard_codec.array.health import examine_shard
from zarr_shard_codec.array.rewriting import State, ask
from zarr_shard_codec.codecs.framing import frame_size
from zarr_shard_codec.codecs.sharding_indexed import ShardingCodec
from zarr_shard_codec.core.findings import Finding, StoredShard, findings_of
from zarr_shard_codec.core.grid import ChunkOrder, Coords, all_to_coords, to_linear
from zarr_shard_codec.core.index import EMPTY, ShardIndex
from zarr_shard_codec.core.plans import read_index
from zarr_shard_codec.core.ranges import ByteRange
from zarr_shard_codec.core.rebuilding import Unproven, rebuild_index
from zarr_shard_codec.core.salvage import find_index
from zarr_shard_codec.errors import CorruptShardError, Reason

Action = Literal["restore_index", "rebuild_index", "drop_inner_chunk", "remove_temporary"]

INDEX_REASONS: Final[frozenset[Reason]] = frozenset(
    {"shard_too_short", "index_checksum_mismatch", "index_undecodable"}
)
"""Why an index cannot be read."""

Orders = Callable[[], Mapping[ChunkOrder, float]]
"""Gives the orders in which the writer may have put inner chunks, and what speaks for each."""


@dataclass(frozen=True, slots=True)
class MendingStep:
    """One thing to do with a shard.

    Attributes
    ----------
    action
        What.
    message
        Why, and what comes of it.
    inner_chunk
        Coordinates of the inner chunk that is dropped.
    """

    action: Action
    message: str
    inner_chunk: Coords | None = None


@dataclass(frozen=True, slots=True)
class Mending:
    """What is to be done with a shard.

    Attributes
    ----------
    index
        The index that it gets, of ranges of the bytes as they are now; None if there is none.
    steps
        What is done to get there; none if there is nothing to do.
    left
        What is wrong then, all the same.
    """

    index: ShardIndex | None
    steps: tuple[MendingStep, ...]
    left: tuple[Finding, ...]


def mend_shard(codec: ShardingCodec, state: State, orders: Orders, *, drop_corrupt: bool) -> Mending:
    """Find out how a shard is mended.

    Parameters
    ----------
    codec
        The sharding codec.
    state
        The shard.
    orders
        Asked only where nothing else tells which inner chunk is which.
    drop_corrupt
        Whether inner chunks that cannot be read become empty.
    """
    steps: list[MendingStep] = []
    try:
        index = ask(read_index(codec, ByteRange(0, state.nbytes)), state)
        assert index is not None
    except CorruptShardError as error:
        salvaged = _salvage(codec, state, orders)
        if isinstance(salvaged, str):
            (finding,) = findings_of(error)
            message = f"{finding.message}; it cannot be repaired: {salvaged}"
            return Mending(None, (), (Finding(finding.reason, message),))
        index, step = salvaged
        steps.append(step)
    left = []
    entries = index.entries.copy()
    # A shard within the shard is dropped as a whole: mending it would take other bytes than there are.
    whole = "all of this inner shard" if isinstance(codec.inner.array_bytes, ShardingCodec) else "it"
    for linear, finding in _broken_chunks(codec, state, index):
        if drop_corrupt:
            entries[linear] = EMPTY
            words = f"{whole} reads as fill value then: {finding.message}"
            steps.append(MendingStep("drop_inner_chunk", words, finding.inner_chunk))
        else:
            left.append(finding)
    return Mending(ShardIndex(entries, codec.chunks_per_shard), tuple(steps), tuple(left))


def _salvage(codec: ShardingCodec, state: State, orders: Orders) -> tuple[ShardIndex, MendingStep] | str:
    """The index that a shard without one gets; or why it gets none."""
    nbytes = state.nbytes
    found = ask(find_index(codec, nbytes, chunk_nbytes=codec.inner.encoded_nbytes), state)
    if found is not None:
        named = f"names {len(found.index.present)} inner chunks"
        behind = nbytes - found.end
        later = f"; {behind} bytes behind it are left out" if behind else ""
        words = f"the newest index that is whole ends at byte {found.end} and {named}{later}"
        return found.index, MendingStep("restore_index", words)
    older = "no older index is whole"
    frames = frame_size(codec.inner)
    if frames is None:
        return f"{older}, and inner chunks do not say where they end"
    rebuilt = ask(rebuild_index(codec, nbytes, frames, orders()), state)
    if isinstance(rebuilt, Unproven):
        return f"{older}, and which inner chunk is which cannot be proven: {rebuilt.why}"
    return rebuilt.index, MendingStep("rebuild_index", f"made anew from the inner chunks: {rebuilt.why}")


def _broken_chunks(codec: ShardingCodec, state: State, index: ShardIndex) -> Iterator[tuple[int, Finding]]:
    """Linear indices of the inner chunks that cannot be read, and why."""
    shard = StoredShard(index, state.nbytes, codec.index_nbytes, codec.index_location)
    sound, errors = examine_shard(codec, shard)
    for finding in errors:
        assert finding.inner_chunk is not None
        yield to_linear(finding.inner_chunk, codec.chunks_per_shard), finding
    linear = sound.index.present
    everywhere = all_to_coords(linear, codec.chunks_per_shard)
    for at, coords in zip(linear.tolist(), everywhere, strict=True):
        offset, nbytes = sound.index.entries[at].tolist()
        try:
            codec.inner.decode(state.read([ByteRange(offset, nbytes)])[0])
        except CorruptShardError as error:
            yield at, Finding(error.reason, error.message, inner_chunk=coords)
