"""`zarr-shard verify`: everything that is wrong with the shards of an array or a tree."""

from __future__ import annotations

import click

from zarr_shard_codec.array.surveys import Totals, Verifier
from zarr_shard_codec.cli.findings import print_findings
from zarr_shard_codec.cli.output import (
    FINDINGS,
    counted,
    human_nbytes,
    json_option,
    print_json,
    progress_of_bytes,
)


@click.command
@click.argument("path")
@click.option("--index-only", is_flag=True, help="Read the shards' indexes alone; decode no inner chunk.")
@json_option
@click.pass_context
def command(ctx: click.Context, path: str, *, index_only: bool, as_json: bool) -> None:
    """Check every shard of the array or tree at PATH, and report everything that is wrong.

    Errors are what makes a read fail: a broken index, an entry out of bounds, an inner chunk that does not
    decode to its size. Notes are allowed and perhaps not meant: gaps, overlaps, objects that no array owns;
    and what of a tree is not looked into, because this package lacks an array's data type or codec.

    Exit status: 0 without errors, 1 with errors, 2 if there is nothing to check.
    """
    verifier = Verifier(path, index_only=index_only)
    findings, totals = verifier.run(progress_of_bytes), verifier.totals
    if as_json:
        print_json({"path": path, "index_only": index_only, **verifier.verification(findings).to_json()})
    else:
        print_findings(findings)
        click.echo(_summary(totals, index_only=index_only))
    ctx.exit(FINDINGS if totals.errors else 0)


def _summary(totals: Totals, *, index_only: bool) -> str:
    checked = [
        counted(totals.arrays, "array"),
        counted(totals.objects, "object"),
        f"{counted(totals.inner_chunks, 'inner chunk')}{' (not decoded)' if index_only else ''}",
        human_nbytes(totals.nbytes),
    ]
    errors, notes = totals.errors, totals.notes
    verdict = counted(errors, "error") if errors else click.style("no errors", fg="green")
    line = f"{', '.join(checked)}: {verdict}{', ' + counted(notes, 'note') if notes else ''}"
    return f"{line}\nzarr-shard repair says what of it can be repaired" if errors else line
