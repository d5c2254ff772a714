"""Read two Zarr arrays whole and compare every element, bit for bit: `read_back.py SOURCE TARGET`."""

from __future__ import annotations

import sys
import time

import zarr_shard_codec as zsc


def main(source: str, target: str) -> int:
    """Compare; returns the exit status."""
    old, new = zsc.open(source), zsc.open(target)
    before = old[...]
    start = time.perf_counter()
    after = new[...]
    seconds = time.perf_counter() - start
    if (before.shape, before.dtype, before.tobytes()) != (after.shape, after.dtype, after.tobytes()):
        print(f"{target} differs from {source}")
        return 1
    shape = " × ".join(map(str, new.shape))
    print(
        f"read back {shape} {new.dtype} in {seconds * 1000:.0f} ms; equal to the source, "
        f"all {after.size:,} elements; mean {after.mean():.3f}, highest {after.max()}"
    )
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
