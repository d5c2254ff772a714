"""Unsharded arrays into shards and back, without decoding a chunk."""

from zarr_shard_codec.packing.report import ArrayReport, Difference, Progress, Report, Step
from zarr_shard_codec.packing.run import pack, unpack
from zarr_shard_codec.packing.shapes import choose_shard_shape

__all__ = [
    "ArrayReport",
    "Difference",
    "Progress",
    "Report",
    "Step",
    "choose_shard_shape",
    "pack",
    "unpack",
]
