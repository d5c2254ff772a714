"""`zarr-shard repair`: damaged shards, and what killed writers left behind."""

from __future__ import annotations

import sys

import click

from zarr_shard_codec.array.repairing import Repair, Repairer, RepairReport
from zarr_shard_codec.cli.findings import print_findings
from zarr_shard_codec.cli.output import (
    FINDINGS,
    counted,
    fitted,
    human_nbytes,
    json_option,
    print_json,
    printable,
    progress_of_bytes,
)
from zarr_shard_codec.core.findings import Finding
from zarr_shard_codec.core.grid import CHUNK_ORDERS, ChunkOrder


@click.command
@click.argument("path")
@click.option("--apply", is_flag=True, help="Write. Without it, nothing is changed.")
@click.option(
    "--drop-corrupt", is_flag=True, help="Give up inner chunks that cannot be read: they become fill value."
)
@click.option(
    "--order",
    type=click.Choice(CHUNK_ORDERS),
    help="In which order the writer put inner chunks, for shards that keep no trace of it.",
)
@json_option
@click.pass_context
def command(
    ctx: click.Context, path: str, *, apply: bool, drop_corrupt: bool, order: ChunkOrder | None, as_json: bool
) -> None:
    """Repair the shards of the array or tree at PATH; without --apply, say what would be done.

    A shard whose index cannot be read gets the newest one in its bytes that is whole, or one made of its
    inner chunks where it can be proven which is which. The damaged original stays beside it, as
    NAME.zsc-damaged-1. Unfinished files of writers that are gone are removed.

    Exit status: 0 nothing to do, or all repaired; 1 something is left to do; 2 if there is nothing to check.
    """
    repairer = Repairer(path, apply=apply, drop_corrupt=drop_corrupt, order=order)
    if as_json:
        report = repairer.report(repairer.run(progress_of_bytes))
        print_json({"path": path, **report.to_json()})
    else:
        found = []
        for one in repairer.run(progress_of_bytes):
            _print(one, applied=apply)
            found.append(one)
        report = repairer.report(found)
        click.echo(_summary(report, drop_corrupt=drop_corrupt))
    ctx.exit(FINDINGS if report.errors or (report.repairs and not apply) else 0)


def _print(one: Repair | Finding, *, applied: bool) -> None:
    if isinstance(one, Finding):
        print_findings([one])
        return
    word = "done " if applied else "to do"
    line = fitted(f"{word}  {printable(str(one))}", sys.stdout, indent=7)
    line = line.replace(word, click.style(word, fg="green" if applied else "cyan"), 1)
    click.echo(line, file=sys.stdout)  # by name, as for findings


def _summary(report: RepairReport, *, drop_corrupt: bool) -> str:
    checked = [
        counted(report.arrays, "array"),
        counted(report.objects, "object"),
        human_nbytes(report.nbytes),
    ]
    head = f"{', '.join(checked)}: "
    lines = []
    repairs = counted(len(report.repairs), "repair")
    if not report.repairs and not report.errors:
        lines.append(head + click.style("nothing to repair", fg="green"))
    elif report.applied:
        lines.append(head + f"{repairs} done")
    else:
        lines.append(head + f"{repairs} to do")
    if report.errors:
        lines[0] += ", " + click.style(f"{counted(len(report.errors), 'error')} left", fg="red")
    if report.repairs and not report.applied:
        lines.append("nothing was changed: run the same command again with --apply")
    kept = {repair.kept for repair in report.repairs if repair.kept is not None}
    if kept:
        lines.append(
            f"damaged originals are kept beside the new ones: {printable(min(kept))}{_more(len(kept))}"
        )
    droppable = any(finding.inner_chunk is not None or finding.within for finding in report.errors)
    if droppable and not drop_corrupt:
        lines.append("--drop-corrupt gives up inner chunks that cannot be read: they become fill value")
    return "\n".join(lines)


def _more(count: int) -> str:
    return "" if count == 1 else f" and {count - 1} more"
