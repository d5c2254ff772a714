"""How an array is written: strategy, durability and locks, chosen at run time.

Owns which choices an array and its store allow, and says no before anything is written.
"""

from __future__ import annotations

from typing import Any, get_args

from zarr_shard_codec.core.writing import WriteStrategy
from zarr_shard_codec.engine.locks import Locking
from zarr_shard_codec.errors import UsageError

__all__ = ["Locking", "WriteStrategy", "check_write_options"]


def check_write_options(write_strategy: Any, durable: Any, lock: Any) -> None:
    """Raise `UsageError` (`invalid_argument`) for options that mean nothing."""
    strategies = get_args(WriteStrategy)
    if write_strategy not in strategies:
        expected = ", ".join(map(repr, strategies))
        raise UsageError(
            "invalid_argument", f"write_strategy: expected one of {expected}, found {write_strategy!r:.80}"
        )
    if not isinstance(durable, bool):
        raise UsageError("invalid_argument", f"durable: expected True or False, found {durable!r:.80}")
    if not (lock is None or lock == "auto" or callable(lock)):
        raise UsageError(
            "invalid_argument", f'lock: expected "auto", None or a factory of locks, found {lock!r:.80}'
        )
