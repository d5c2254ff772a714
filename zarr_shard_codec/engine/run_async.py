"""Running reads on an event loop: many objects in flight, decoding in threads beside them.

Owns the loop's side alone, in a file of its own because asyncio is slow to import. Writes and stores that
do not wait for a network run in a thread instead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from itertools import chain

from zarr_shard_codec.engine.conversations import converse_seen_async
from zarr_shard_codec.engine.pool import WAITING_THREADS, waiting_pool, working_pool
from zarr_shard_codec.engine.run import ReadTask, decode, decode_batches, depth_for, peek, read_alone
from zarr_shard_codec.stores.protocols import AsyncStore


async def read_objects_async(store: AsyncStore, tasks: Iterable[ReadTask]) -> None:
    """Read objects into their targets, as `run.read_objects` does, waiting without threads."""
    few, rest = peek(tasks, WAITING_THREADS)
    in_flight = asyncio.Semaphore(depth_for(store, (task.target.nbytes for task in few)))
    loop = asyncio.get_running_loop()

    async def read(task: ReadTask) -> None:
        try:
            jobs = task.jobs(*await converse_seen_async(task.plan, store, task.key))
            doubtful = False
            for batch in decode_batches(jobs):
                doubtful |= bool(await loop.run_in_executor(working_pool(), decode, batch, store))
            if doubtful:
                await loop.run_in_executor(waiting_pool(), read_alone, task, store)
        finally:
            in_flight.release()

    try:
        async with asyncio.TaskGroup() as group:
            for task in chain(few, rest):
                await in_flight.acquire()
                group.create_task(read(task))
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from errors.exceptions[0].__cause__
