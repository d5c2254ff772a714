"""How the elements of an array are written: the tasks that the engine runs for a box.

Owns what writing needs of an array, and no more. Whose metadata say so is the caller's business: `array`'s,
or a host's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from zarr_shard_codec.array.objects import each_object
from zarr_shard_codec.codecs.chain import CodecChain
from zarr_shard_codec.core.selection import Box
from zarr_shard_codec.core.writing import WriteStrategy
from zarr_shard_codec.engine.writing import WriteTask


def write_tasks(
    chain: CodecChain,
    key_of: Callable[[Sequence[int]], str],
    strategy: WriteStrategy,
    box: Box,
    block: np.ndarray[Any, Any],
    shape: Sequence[int],
) -> Iterator[WriteTask]:
    """What the engine has to do to set a box of an array.

    Parameters
    ----------
    chain
        The codecs of its objects.
    key_of
        Makes the key of an object from its coordinates in the grid.
    strategy
        How objects are changed in part.
    box, block
        What is set, and what to: an array of the box's shape.
    shape
        The array's. What of objects lies outside is of no interest, and becomes fill value.
    """
    for coords, part, bounds, value in each_object(box, block, chain.spec.shape, shape):
        yield WriteTask(key_of(coords), partial(chain.plan_set, part, value, bounds, strategy), value.nbytes)
