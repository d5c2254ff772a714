"""`zarr-shard pack`: chunks into shards, without decoding one."""

from __future__ import annotations

import re

import click

from zarr_shard_codec.cli.moving import print_report, progress_of_chunks
from zarr_shard_codec.cli.output import json_option
from zarr_shard_codec.core.grid import CHUNK_ORDERS, ChunkOrder
from zarr_shard_codec.core.layout import IndexLocation
from zarr_shard_codec.errors import UsageError
from zarr_shard_codec.packing import pack


@click.command
@click.argument("source")
@click.argument("target")
@click.option(
    "--shard-shape", metavar="N,N,…", help="Elements along each axis: a multiple of the chunk shape."
)
@click.option(
    "--shard-size",
    metavar="SIZE",
    help="Most bytes of a decoded shard; near-cubic. 64MiB or 64M is 64 × 1024², 64MB is 64 × 1000².",
)
@click.option(
    "--order",
    type=click.Choice(CHUNK_ORDERS),
    default="lexicographic",
    show_default=True,
    help="In which order shards hold their inner chunks.",
)
@click.option(
    "--index-location",
    type=click.Choice(["start", "end"]),
    default="end",
    show_default=True,
    help="Where the index stands in a shard.",
)
@click.option(
    "--key-encoding",
    type=click.Choice(["default", "v2"]),
    default="default",
    show_default=True,
    help="How shards are named: c/0/1, or 0.1.",
)
@click.option("--check", is_flag=True, help="Compare every inner chunk's bytes with the source afterwards.")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    source: str,
    target: str,
    *,
    shard_shape: str | None,
    shard_size: str | None,
    order: ChunkOrder,
    index_location: IndexLocation,
    key_encoding: str,
    check: bool,
    as_json: bool,
) -> None:
    """Pack the chunks of the array or tree at SOURCE into shards, at TARGET.

    SOURCE is Zarr v2 or v3, TARGET becomes Zarr v3. No chunk is decoded or encoded anew: bytes are copied,
    and an index is written. Metadata is written last. Interrupted, run the same command again: it does what
    is missing.

    Exit status: 0 done, 1 the source cannot be packed exactly, or --check finds differences, 2 bad usage.
    """
    if (shard_shape is None) == (shard_size is None):
        found = "neither" if shard_shape is None else "both"
        message = f"expected either --shard-shape 128,128,128 or --shard-size 64MiB, found {found}"
        raise UsageError("invalid_argument", message)
    with progress_of_chunks("packing") as progress:
        report = pack(
            source,
            target,
            shard_shape=None if shard_shape is None else _parse_shape(shard_shape),
            shard_size=shard_size,
            chunk_order=order,
            index_location=index_location,
            chunk_key_encoding=key_encoding,
            check=check,
            progress=progress,
        )
    ctx.exit(print_report(report, verb="packed", source=source, target=target, as_json=as_json))


def _parse_shape(words: str) -> tuple[int, ...]:
    if not re.fullmatch(r"\s*[0-9]{1,18}\s*(,\s*[0-9]{1,18}\s*)*", words, re.ASCII):
        message = f"--shard-shape: expected sizes such as 128,128,128, found {words!r:.80}"
        raise UsageError("invalid_argument", message)
    return tuple(map(int, words.split(",")))
