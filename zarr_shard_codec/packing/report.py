"""What packing says: while it works, and in the end.

Owns the records that are handed out. Who prints them is the command line's business.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from zarr_shard_codec.packing.plan import Action

_STEP_CHUNKS: Final = 256
_STEP_NBYTES: Final = 8 << 20


@dataclass(frozen=True, slots=True)
class Step:
    """A piece of work done since the last one.

    Attributes
    ----------
    phase
        `moving`, or `checking` afterwards.
    n_chunks
        Chunks dealt with, absent ones included.
    nbytes
        Encoded bytes that were moved, or compared.
    total_chunks
        Chunks that there are to deal with in this phase in all.
    """

    phase: Literal["moving", "checking"]
    n_chunks: int
    nbytes: int
    total_chunks: int


Progress = Callable[[Step], None]
"""Called from working threads, several times a second. If it raises, the work stops, and can be resumed."""

Tick = Callable[[int, int], None]
"""Takes chunks dealt with and bytes moved since the last call."""


@dataclass(slots=True)
class Tally:
    """Counts what is done in one thread; passes it on as it grows.

    Attributes
    ----------
    tick
        Where to; called once for many chunks, since a progress bar takes longer than a chunk.
    n_chunks, chunk_nbytes
        Chunks moved, and their encoded bytes.
    n_shards, index_nbytes
        Shards moved, and the bytes of their indexes.
    n_kept
        Objects of the target that an earlier run had left complete.
    """

    tick: Tick
    n_chunks: int = 0
    chunk_nbytes: int = 0
    n_shards: int = 0
    index_nbytes: int = 0
    n_kept: int = 0
    _untold_chunks: int = field(default=0, repr=False)
    _untold_nbytes: int = field(default=0, repr=False)

    def moved(self, nbytes: int) -> None:
        """Count a chunk that was moved."""
        self.n_chunks += 1
        self.chunk_nbytes += nbytes
        self._untold_chunks += 1
        self._untold_nbytes += nbytes
        if self._untold_chunks >= _STEP_CHUNKS or self._untold_nbytes >= _STEP_NBYTES:
            self.tell()

    def passed(self, n_chunks: int, nbytes: int = 0) -> None:
        """Count chunks that are dealt with, though there was nothing to move."""
        self._untold_chunks += n_chunks
        self._untold_nbytes += nbytes
        if self._untold_chunks >= _STEP_CHUNKS or self._untold_nbytes >= _STEP_NBYTES:
            self.tell()

    def tell(self) -> None:
        """Pass on what was not passed on yet."""
        self.tick(self._untold_chunks, self._untold_nbytes)
        self._untold_chunks = self._untold_nbytes = 0

    def add(self, other: Tally) -> None:
        """Add what another thread has counted (and passed on itself)."""
        self.n_chunks += other.n_chunks
        self.chunk_nbytes += other.chunk_nbytes
        self.n_shards += other.n_shards
        self.index_nbytes += other.index_nbytes
        self.n_kept += other.n_kept


@dataclass(frozen=True, slots=True)
class Difference:
    """A chunk whose bytes are not the same in source and target.

    Attributes
    ----------
    source_key, target_key
        The objects in question; no `source_key` where a shard of the target cannot be read at all.
    inner_chunk
        Its coordinates within the shard, in chunks; None for an object that was copied as it is.
    message
        What differs.
    """

    source_key: str | None
    target_key: str
    inner_chunk: tuple[int, ...] | None
    message: str

    def to_json(self) -> dict[str, Any]:
        """The difference as `--json` output shows it."""
        return {
            "source_key": self.source_key,
            "target_key": self.target_key,
            "inner_chunk": None if self.inner_chunk is None else list(self.inner_chunk),
            "message": self.message,
        }


@dataclass(frozen=True, slots=True)
class ArrayReport:
    """What was done with one array, in this run.

    Attributes
    ----------
    path
        Where it is in the tree; `""` if it is all there is.
    action
        `pack`, `unpack`, or `copy` for an array of a tree that needs neither.
    already_complete
        It was there before, with the same metadata; nothing was done.
    shard_shape, chunk_shape
        In elements: the shards that were made, or taken apart, and their inner chunks. Equal for a copy.
    objects_before, objects_after
        Objects that were read in the source, and written in the target; without metadata.
    objects_kept
        Objects of the target that an interrupted run had left complete.
    chunk_nbytes
        Encoded bytes of the chunks that were moved.
    index_nbytes
        Bytes of the shard indexes that were written, or left behind.
    lacking
        What this package lacks for a foreign array, which was copied for that reason.
    """

    path: str
    action: Action
    already_complete: bool
    shard_shape: tuple[int, ...]
    chunk_shape: tuple[int, ...]
    objects_before: int
    objects_after: int
    objects_kept: int
    chunk_nbytes: int
    index_nbytes: int
    lacking: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The report as `--json` output shows it."""
        return {
            "path": self.path,
            "action": self.action,
            "already_complete": self.already_complete,
            "shard_shape": list(self.shard_shape),
            "chunk_shape": list(self.chunk_shape),
            "objects_before": self.objects_before,
            "objects_after": self.objects_after,
            "objects_kept": self.objects_kept,
            "chunk_nbytes": self.chunk_nbytes,
            "index_nbytes": self.index_nbytes,
            "lacking": self.lacking,
        }


@dataclass(frozen=True, slots=True)
class Report:
    """What was done.

    Attributes
    ----------
    arrays
        One report an array, in order of their paths.
    groups
        Paths of the groups whose metadata was written.
    consolidated
        Of them, those whose consolidated metadata was left behind: it describes the source's arrays.
    seconds
        How long moving took.
    differences
        What the check found; None if there was none.
    """

    arrays: tuple[ArrayReport, ...]
    groups: tuple[str, ...]
    consolidated: tuple[str, ...]
    seconds: float
    differences: tuple[Difference, ...] | None

    @property
    def already_complete(self) -> bool:
        """Whether everything was there before, and nothing was done."""
        return all(array.already_complete for array in self.arrays)

    @property
    def objects_before(self) -> int:
        """Objects read in the source."""
        return sum(array.objects_before for array in self.arrays)

    @property
    def objects_after(self) -> int:
        """Objects written in the target."""
        return sum(array.objects_after for array in self.arrays)

    @property
    def objects_kept(self) -> int:
        """Objects of the target that an interrupted run had left complete."""
        return sum(array.objects_kept for array in self.arrays)

    @property
    def chunk_nbytes(self) -> int:
        """Encoded bytes of the chunks that were moved."""
        return sum(array.chunk_nbytes for array in self.arrays)

    @property
    def index_nbytes(self) -> int:
        """Bytes of shard indexes."""
        return sum(array.index_nbytes for array in self.arrays)

    def to_json(self) -> dict[str, Any]:
        """The report as `--json` output shows it."""
        return {
            "already_complete": self.already_complete,
            "objects_before": self.objects_before,
            "objects_after": self.objects_after,
            "objects_kept": self.objects_kept,
            "chunk_nbytes": self.chunk_nbytes,
            "index_nbytes": self.index_nbytes,
            "seconds": self.seconds,
            "groups": list(self.groups),
            "consolidated": list(self.consolidated),
            "arrays": [array.to_json() for array in self.arrays],
            "differences": None if self.differences is None else [d.to_json() for d in self.differences],
        }
