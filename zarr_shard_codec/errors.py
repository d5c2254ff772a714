"""The error tree and its closed set of reasons.

Owns what can go wrong and whose fault it is: the class says whose, the `reason` says what. Messages
name the place, what was expected, what was found and what to do. Nothing here prints or logs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, Self, get_args

Reason = Literal[
    # the bytes of a shard, or of a chunk
    "shard_too_short",
    "index_checksum_mismatch",
    "index_undecodable",
    "entry_half_empty",
    "entry_zero_length",
    "entry_out_of_bounds",
    "inner_chunk_checksum_mismatch",
    "inner_chunk_undecodable",
    "inner_chunk_wrong_size",
    "object_changed",
    # a metadata document
    "invalid_json",
    "wrong_type",
    "wrong_value",
    "missing_key",
    "unknown_key",
    "unknown_codec",
    "unknown_extension",
    "unsupported_data_type",
    "invalid_fill_value",
    "invalid_shape",
    "chunk_shape_mismatch",
    "chunk_shape_not_divisor",
    "codec_chain_order",
    "codec_data_type_mismatch",
    "index_codec_variable_size",
    # the caller's arguments
    "selection_out_of_bounds",
    "selection_invalid",
    "value_shape_mismatch",
    "value_type_mismatch",
    "invalid_argument",
    "read_only",
    # the store
    "not_found",
    "already_exists",
    "stale_data",
    "node_mismatch",
    "invalid_key",
    "missing_extra",
    "store_failure",
    # packing
    "no_exact_translation",
    "source_changed",
    "target_differs",
    # what `verify` finds and no reader minds: never the reason of an error
    "chunks_overlap",
    "chunk_overlaps_index",
    "chunk_outside_array",
    "unused_bytes",
    "orphan_object",
    "leftover_temporary",
    "unfinished_packing",
]
"""Every reason that an error or a finding of this package can give; tests and `--json` output use them."""

REASONS: Final[frozenset[str]] = frozenset(get_args(Reason))


_LACKING: Final = frozenset({"unknown_codec", "unsupported_data_type"})
"""Reasons that say nothing against a document: others may be able to read the array."""


class ZarrShardError(Exception):
    """Any error that this package raises on purpose.

    Parameters
    ----------
    reason
        One of `Reason`; what programs compare.
    message
        What was wrong: what was expected and what was found, in words.
    key
        The store key of the object in question.
    inner_chunk
        Coordinates of the inner chunk within its shard, in chunks.
    hint
        What to do about it.

    Attributes
    ----------
    store
        The store that has the object, as it calls itself: a path or a URL. None where nobody said.
    """

    def __init__(
        self,
        reason: Reason,
        message: str,
        *,
        key: str | None = None,
        inner_chunk: tuple[int, ...] | None = None,
        hint: str | None = None,
    ) -> None:
        if reason not in REASONS:
            raise AssertionError(f"{reason!r} is not in the closed set of reasons")
        super().__init__(message)
        self.reason: Reason = reason
        self.message = message
        self.key = key
        self.store: str | None = None
        self.inner_chunk = inner_chunk
        self.hint = hint

    def at(
        self, *, key: str | None = None, store: object = None, inner_chunk: tuple[int, ...] | None = None
    ) -> Self:
        """Add the place, where a deeper layer could not know it. The innermost place wins."""
        if self.key is None:
            self.key = key
        if self.store is None and store is not None:
            self.store = str(store)
        if self.inner_chunk is None:
            self.inner_chunk = inner_chunk
        return self

    def __str__(self) -> str:
        within = "" if self.store is None else f" in {self.store}"
        place = [] if self.key is None else [self.key + within]
        if self.inner_chunk is not None:
            place.append(f"inner chunk {self.inner_chunk}")
        text = ": ".join([*place, self.message]) + f" [{self.reason}]"
        return text if self.hint is None else f"{text}\n  {self.hint}"

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions pickle by their positional arguments alone; Dask sends ours between processes.
        return _rebuild, (type(self), self.__dict__.copy())

    def to_json(self) -> dict[str, Any]:
        """The error as `--json` output shows it."""
        return {
            "reason": self.reason,
            "message": self.message,
            "store": self.store,
            "key": self.key,
            "inner_chunk": None if self.inner_chunk is None else list(self.inner_chunk),
            "hint": self.hint,
        }


def _rebuild(cls: type[ZarrShardError], state: dict[str, Any]) -> ZarrShardError:
    error = cls.__new__(cls, state["message"])
    error.args = (state["message"],)
    for name, value in state.items():
        setattr(error, name, value)
    return error


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a metadata document.

    Attributes
    ----------
    path
        Where, as a JSON path from the document's root: `codecs[0].configuration.chunk_shape`.
    reason
        One of `Reason`.
    message
        What was expected and what was found.
    """

    path: str
    reason: Reason
    message: str

    def __str__(self) -> str:
        return f"{self.path or '(document)'}: {self.message} [{self.reason}]"


class MetadataError(ZarrShardError, ValueError):
    """A metadata document is wrong, or asks for what this package does not know. All problems at once."""

    problems: tuple[Problem, ...]

    def __init__(self, problems: list[Problem] | tuple[Problem, ...], *, key: str | None = None) -> None:
        if not problems:
            raise AssertionError("a MetadataError needs at least one problem")
        super().__init__(problems[0].reason, "; ".join(map(str, problems)), key=key)
        self.problems = tuple(problems)

    @property
    def lacking(self) -> str | None:
        """What this package lacks, in words, if nothing else is wrong; None if something is."""
        if not _LACKING.issuperset(problem.reason for problem in self.problems):
            return None
        return "; ".join(problem.message.partition(";")[0] for problem in self.problems)

    def __str__(self) -> str:
        head = f"{self.key}: " if self.key else ""
        if len(self.problems) == 1:
            return head + str(self.problems[0])
        lines = "".join(f"\n  {problem}" for problem in self.problems)
        return f"{head}{len(self.problems)} problems in the metadata:{lines}"

    def to_json(self) -> dict[str, Any]:
        """The error as `--json` output shows it, with every problem."""
        problems = [{"path": p.path, "reason": p.reason, "message": p.message} for p in self.problems]
        return {**super().to_json(), "problems": problems}


class CorruptShardError(ZarrShardError, ValueError):
    """Stored bytes that are not what the metadata says: the writer's, the disk's or the network's fault."""


class UsageError(ZarrShardError, ValueError):
    """The caller asked for what cannot be."""


class SelectionError(UsageError, IndexError):
    """A selection that the array does not have."""


class StoreError(ZarrShardError, OSError):
    """The store could not do what was asked. `errno` is the operating system's, where it gave one."""

    def __reduce__(self) -> tuple[Any, ...]:
        # OSError keeps its errno outside __dict__.
        return _rebuild, (type(self), {**self.__dict__, "errno": self.errno})


class NodeNotFoundError(StoreError, FileNotFoundError):
    """There is no array or group here."""


class NodeExistsError(StoreError, FileExistsError):
    """There is something else here already."""


class PackingError(ZarrShardError):
    """What cannot be packed or unpacked exactly."""
