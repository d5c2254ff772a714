"""Arrays compared bit for bit, in units: shards, inner chunks, bytes."""

from __future__ import annotations

from itertools import product

import numpy as np


def bits(array):
    """The bytes of each element, along one more axis."""
    return np.ascontiguousarray(array).reshape(*array.shape, 1).view(np.uint8)


def same(one, other):
    """Where two arrays are the same, to the last bit."""
    return (bits(one) == bits(other)).all(axis=-1)


def boxes_of(shape, unit):
    """All boxes of a grid that begins at the origin, cut off at the shape's end."""
    spans = (
        [slice(at, min(at + step, size)) for at in range(0, size, step)]
        for size, step in zip(shape, unit, strict=True)
    )
    return product(*spans)


def spread(mask, unit):
    """All of each unit that has something of the mask."""
    wide = np.zeros_like(mask)
    for box in boxes_of(mask.shape, unit):
        wide[box] = mask[box].any()
    return wide


def fitted(array, shape, beyond):
    """The array after a change of its shape."""
    changed = np.full(shape, beyond, array.dtype)
    common = tuple(slice(min(sizes)) for sizes in zip(array.shape, shape, strict=True))
    changed[common] = array[common]
    return changed


def require_either(seen, old, new, where, unit):
    """Each unit (None: each byte) is as it was or as it was to be."""
    if unit is None:
        found = bits(seen)
        assert ((found == bits(old)) | (found == bits(new)))[where].all()
        return
    is_old, is_new = same(seen, old), same(seen, new)
    for box in boxes_of(seen.shape, unit):
        assert is_old[box][where[box]].all() or is_new[box][where[box]].all()
