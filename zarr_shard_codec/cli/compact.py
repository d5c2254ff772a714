"""`zarr-shard compact`: shards without what nothing uses."""

from __future__ import annotations

import click

from zarr_shard_codec.array.compacting import CompactReport, run
from zarr_shard_codec.cli.findings import print_findings
from zarr_shard_codec.cli.output import (
    FINDINGS,
    counted,
    human_nbytes,
    json_option,
    print_json,
    progress_of_bytes,
)
from zarr_shard_codec.core.grid import CHUNK_ORDERS, ChunkOrder


@click.command
@click.argument("path")
@click.option(
    "--order",
    type=click.Choice(CHUNK_ORDERS),
    help="In which order inner chunks stand afterwards; by default, as they stand now.",
)
@click.option("--dry-run", is_flag=True, help="Write nothing; say what would be done.")
@json_option
@click.pass_context
def command(ctx: click.Context, path: str, *, order: ChunkOrder | None, dry_run: bool, as_json: bool) -> None:
    """Drop what appends and gaps left behind in the shards of the array or tree at PATH.

    Encoded inner chunks are copied as they are. Shards that are compact already are not touched; shards
    without any inner chunk are deleted. Each is replaced as a whole: it may be read and written
    meanwhile.

    Exit status: 0 done, 1 a shard cannot be read, and was left as it is, 2 bad usage.
    """
    report = run(path, order=order, dry_run=dry_run, bar=progress_of_bytes)
    if as_json:
        print_json({"path": path, "order": order, **report.to_json()})
    else:
        print_findings(report.findings)
        click.echo(_summary(report))
    ctx.exit(FINDINGS if report.errors else 0)


def _summary(report: CompactReport) -> str:
    looked_at = f"{counted(report.arrays, 'sharded array')}, {counted(report.shards, 'shard')}"
    if not report.rewritten and not report.deleted:
        nothing = click.style("nothing to do", fg="green") if not report.errors else "nothing was done"
        return f"{looked_at}, {human_nbytes(report.nbytes_before)}: {nothing}"
    done = f"{report.rewritten:,} rewritten" + (f", {report.deleted:,} deleted" if report.deleted else "")
    saved = report.nbytes_before - report.nbytes_after
    before, after = human_nbytes(report.nbytes_before), human_nbytes(report.nbytes_after)
    sizes = f"{before} → {after}, {human_nbytes(saved)} less" if saved else before
    words = f"{looked_at}: {done}; {sizes}"
    return f"{words}\nnothing was changed: this was a dry run" if report.dry_run else words
