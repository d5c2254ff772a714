"""`zarr-shard unpack`: shards into chunks, without decoding one."""

from __future__ import annotations

import click

from zarr_shard_codec.cli.moving import print_report, progress_of_chunks
from zarr_shard_codec.cli.output import json_option
from zarr_shard_codec.packing import unpack


@click.command
@click.argument("source")
@click.argument("target")
@click.option(
    "--key-encoding",
    type=click.Choice(["default", "v2"]),
    default="default",
    show_default=True,
    help="How chunks are named: c/0/1, or 0.1.",
)
@click.option("--check", is_flag=True, help="Compare every chunk's bytes with the source afterwards.")
@json_option
@click.pass_context
def command(
    ctx: click.Context, source: str, target: str, *, key_encoding: str, check: bool, as_json: bool
) -> None:
    """Make every inner chunk of the sharded array or tree at SOURCE an object of its own, at TARGET.

    The way back from pack. No chunk is decoded or encoded anew. Of shards within shards the outermost are
    taken apart. Interrupted, run the same command again: it does what is missing.

    Exit status: 0 done, 1 a shard is broken, or --check finds differences, 2 bad usage.
    """
    with progress_of_chunks("unpacking") as progress:
        report = unpack(source, target, chunk_key_encoding=key_encoding, check=check, progress=progress)
    ctx.exit(print_report(report, verb="unpacked", source=source, target=target, as_json=as_json))
