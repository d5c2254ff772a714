"""zarr-python as a host: sharded arrays at our speed and with our checks, its users' code unchanged.

Owns what users and zarr-python itself name: `enable`, `ShardingCodec`, `ShardPipeline`. zarr-python finds the
classes by entry points, so this imports, and does no harm, under versions that the adapter does not know.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from zarr_shard_codec.adapters.zarr_python.settings import WriteSettings, set_pipeline
from zarr_shard_codec.adapters.zarr_python.versions import refusal
from zarr_shard_codec.array.write_options import Locking, WriteStrategy

__all__ = ["ShardPipeline", "ShardingCodec", "enable"]

if TYPE_CHECKING or refusal() is None:
    from zarr.registry import register_pipeline

    from zarr_shard_codec.adapters.zarr_python.codec import ShardingCodec
    from zarr_shard_codec.adapters.zarr_python.pipeline import ShardPipeline

    # The host's settings name a class by its module, and this is the one that the documentation gives.
    ShardingCodec.__module__ = ShardPipeline.__module__ = __name__
    register_pipeline(ShardPipeline)
else:

    class _Refused:
        """Says why the adapter cannot run, to whoever has turned it on."""

        def __init__(self, *_: Any, **__: Any) -> None:
            why = refusal()
            assert why is not None
            raise why

        from_codecs = from_dict = classmethod(lambda cls, *_, **__: cls())

    class ShardingCodec(_Refused):
        """There is none for this version of zarr-python."""

    class ShardPipeline(_Refused):
        """There is none for this version of zarr-python."""


def enable(
    *, write_strategy: WriteStrategy = "replace", durable: bool = False, lock: Locking = "auto"
) -> AbstractContextManager[Any]:
    """Let zarr-python read and write sharded arrays through this package.

    Arrays that are opened or created from now on go through it, in this process; those opened before do not.
    With `with`, it ends with the block. Nothing else changes: metadata is written as zarr-python writes it,
    and everything written is read without this package. Selections of local files run in the thread that asks
    for them (see `here`), all others on zarr-python's event loop, as ever. Setting the environment variable
    `ZARR_CODEC_PIPELINE__PATH=zarr_shard_codec.adapters.zarr_python.ShardPipeline` does the same.

    Parameters
    ----------
    write_strategy
        How shards are changed in part: `replace`, `append` or `in_place`, as for `zarr_shard_codec.open`.
        For local files, and arrays that allow it; the shards of others are replaced, and the log says so.
    durable
        Whether local files are to be on the disk when a write returns.
    lock
        How writers of one shard take turns: `auto`, across threads and processes on local files and by
        conditional requests on object stores; None, across threads alone; or a factory of locks, called with
        the shard's name. What only zarr-python's own stores reach is locked within the process.

    Returns
    -------
    context manager
        Its end undoes the change.

    Raises
    ------
    UsageError
        `missing_extra`: zarr-python is not installed, or in a version that the adapter does not know;
        `invalid_argument`.
    """
    why = refusal()
    if why is not None:
        raise why
    return set_pipeline(WriteSettings(write_strategy, durable, lock))
