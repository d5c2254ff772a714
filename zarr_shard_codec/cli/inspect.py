"""`zarr-shard inspect`: what arrays have stored, in numbers; one shard as a picture. Reads indexes only."""

from __future__ import annotations

import re
from typing import Final

import click
from rich.console import Console
from rich.text import Text

from zarr_shard_codec.array.array import ShardedArray
from zarr_shard_codec.array.health import examine_shard, notes_on
from zarr_shard_codec.array.inspection import read_stored_shard
from zarr_shard_codec.array.inventory import GridObject, find_nbytes
from zarr_shard_codec.array.opening import open as open_array
from zarr_shard_codec.array.surveys import inspect
from zarr_shard_codec.cli.findings import print_findings
from zarr_shard_codec.cli.output import FINDINGS, counted, json_option, print_json, printable
from zarr_shard_codec.cli.picture import picture
from zarr_shard_codec.cli.tables import print_array, print_lines, print_tree, times
from zarr_shard_codec.codecs.sharding_indexed import ShardingCodec
from zarr_shard_codec.core.findings import Finding, StoredShard, errors_among, findings_of
from zarr_shard_codec.core.grid import Coords, all_to_coords, grid_counts
from zarr_shard_codec.core.layout import usage
from zarr_shard_codec.core.plans import bounds_of
from zarr_shard_codec.core.protocols import JSON
from zarr_shard_codec.core.summary import matching_orders
from zarr_shard_codec.errors import UsageError, ZarrShardError

console: Final = Console(highlight=False)


@click.command
@click.argument("path")
@click.option("--shard", metavar="I,J,…", help="Show where each inner chunk of one shard lies.")
@json_option
@click.pass_context
def command(ctx: click.Context, path: str, *, shard: str | None, as_json: bool) -> None:
    """Show what the array at PATH has stored, or each array of the tree there: one row an array.

    Only metadata and the shards' indexes are read. Exit status: 1 if any of them cannot be.
    """
    if shard is not None:
        array = open_array(path)
        ctx.exit(_show_shard(array, _coords(shard, array), path, as_json=as_json))
    inspection = inspect(path)
    reports = inspection.arrays
    if as_json:
        print_json({"path": path, **inspection.to_json()})
    else:
        if len(reports) == 1 and not reports[0].array.path:
            print_array(console, reports[0])
        elif reports:
            print_tree(console, reports)
        print_findings(inspection.findings)
        for report in reports:
            print_findings(report.errors)
            if report.n_errors > len(report.errors):
                message = f"and {report.n_errors - len(report.errors):,} more: see zarr-shard verify"
                print_findings([Finding(report.errors[-1].reason, message, key=report.array.path or None)])
    broken = errors_among(inspection.findings) or any(report.n_errors for report in reports)
    ctx.exit(FINDINGS if broken else 0)


def _show_shard(array: ShardedArray, coords: Coords, path: str, *, as_json: bool) -> int:
    codec, key = array.codec, array.shard_key(coords)
    assert codec is not None
    head: dict[str, JSON] = {"path": path, "shard": list(coords), "key": key}
    nbytes = find_nbytes(array.store, key)
    if nbytes is None:
        if as_json:
            print_json({**head, "present": False})
        else:
            click.echo(f"{key}: not stored; all of it reads as the fill value, {array.fill_value}")
        return 0
    findings: list[Finding] = []
    sound: StoredShard | None = None
    try:
        opened = read_stored_shard(array, codec, GridObject(coords, key, nbytes))
    except ZarrShardError as error:
        findings = findings_of(error)
    else:
        sound, errors = examine_shard(codec, opened)
        bounds = array.chain.transposed(bounds_of(coords, array.shard_shape, array.shape))
        findings = [*errors, *notes_on(codec, sound, bounds)]
    findings = [finding.at(key) for finding in findings]
    if as_json:
        entries = {} if sound is None else _shard_json(sound)
        print_json(
            {
                **head,
                "present": True,
                "nbytes": nbytes,
                **entries,
                "findings": [f.to_json() for f in findings],
            }
        )
    else:
        if sound is not None:
            console.print(Text.assemble((printable(key), "bold"), f": {_shard_words(sound)}\n"))
            print_lines(picture(sound, console.width), console.width)
        print_findings(findings)
    return FINDINGS if errors_among(findings) else 0


def _shard_words(shard: StoredShard) -> str:
    present, orders = shard.index.present, matching_orders(shard.index)
    order = "" if len(present) < 2 else f", {next(iter(sorted(orders)), 'other')} order"
    return (
        f"{shard.nbytes:,} bytes, {len(present):,} of {counted(len(shard.index), 'inner chunk')}"
        f" ({times(shard.index.chunks_per_shard)}){order}"
    )


def _shard_json(shard: StoredShard) -> dict[str, JSON]:
    index, present = shard.index, shard.index.present
    used = usage(index, shard.nbytes, shard.index_nbytes, shard.index_location)
    everywhere = all_to_coords(present, index.chunks_per_shard)
    return {
        "chunks_per_shard": list(index.chunks_per_shard),
        "index": {"offset": shard.index_start, "nbytes": shard.index_nbytes},
        "unused_nbytes": used.unused_nbytes,
        "shared_nbytes": used.shared_nbytes,
        "write_orders": sorted(matching_orders(index)),
        "inner_chunks": [
            {"inner_chunk": list(coords), "offset": offset, "nbytes": nbytes}
            for coords, (offset, nbytes) in zip(everywhere, index.entries[present].tolist(), strict=True)
        ],
    }


def _coords(text: str, array: ShardedArray) -> Coords:
    """Read `0,1,2`. Raises `UsageError` (`invalid_argument`)."""
    if not isinstance(array.codec, ShardingCodec):
        raise UsageError("invalid_argument", "--shard: the array is not sharded")
    counts = grid_counts(array.shape, array.shard_shape)
    parts = [part.strip() for part in text.split(",")] if text.strip() else []
    # No grid has more than 18 digits of shards, and Python reads no more than 4300.
    if not all(re.fullmatch("[0-9]{1,18}", part) for part in parts) or len(parts) != len(counts):
        expected = f"{counted(len(counts), 'whole number')} such as {','.join('0' for _ in counts)!r}"
        raise UsageError("invalid_argument", f"--shard: expected {expected}, found {text!r:.80}")
    coords = tuple(map(int, parts))
    if any(at >= count for at, count in zip(coords, counts, strict=True)):
        raise UsageError(
            "invalid_argument", f"--shard: {coords} is outside the grid of {times(counts)} shards"
        )
    return coords
