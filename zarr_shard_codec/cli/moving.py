"""What `pack` and `unpack` have in common: the progress bar, and the report in words.

Owns the form alone; what is done is the business of `packing`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import click

from zarr_shard_codec.cli.output import (
    FINDINGS,
    INTERRUPTED,
    counted,
    fitted,
    human_nbytes,
    print_json,
    printable,
)
from zarr_shard_codec.packing import ArrayReport, Progress, Report

_SHOWN: Final = 20
"""So many differences are printed; all of them with --json."""


@contextmanager
def progress_of_chunks(verb: str) -> Iterator[Progress | None]:
    """Show a progress bar, if standard error is a terminal; give what is to be told of the work."""
    try:
        if sys.stderr.isatty():
            from zarr_shard_codec.cli.bars import bar_of_chunks

            with bar_of_chunks(verb) as tell:
                yield tell
        else:
            yield None
    except KeyboardInterrupt:
        click.echo("interrupted; run the same command again to go on", err=True)
        sys.exit(INTERRUPTED)


def print_report(report: Report, *, verb: str, source: str, target: str, as_json: bool) -> int:
    """Print what was done; returns the exit status."""
    if as_json:
        print_json({"source": source, "target": target, **report.to_json()})
    else:
        _print_words(report, verb, target)
    return FINDINGS if report.differences else 0


def _print_words(report: Report, verb: str, target: str) -> None:
    if report.already_complete:
        words = "" if report.differences is not None else "; --check compares every chunk"
        line = f"{printable(target)} is there already, with the same metadata: nothing was done{words}"
        click.echo(fitted(line, sys.stdout))
    else:
        if len(report.arrays) > 1:
            for array in report.arrays:
                words = f"{printable(array.path)}: {_array_in_words(array)}"
                click.echo(words if array.already_complete else f"{words}, {_objects(array)}")
        click.echo(_summary(report, verb))
        if report.consolidated:
            words = (
                "consolidated metadata was left behind: it describes the source; make it anew if you need it"
            )
            click.echo(f"{words} (zarr.consolidate_metadata)")
    if report.differences is None:
        return
    for difference in report.differences[:_SHOWN]:
        place = "" if difference.inner_chunk is None else f": inner chunk {difference.inner_chunk}"
        click.echo(printable(f"{difference.target_key}{place}: {difference.message}"))
        if difference.source_key is not None:
            click.echo(printable(f"  in the source: {difference.source_key}"))
    if len(report.differences) > _SHOWN:
        click.echo(f"… and {len(report.differences) - _SHOWN} more; --json lists all")
    if report.differences:
        words = f"{counted(len(report.differences), 'difference')} between source and target"
        click.echo(click.style(words, fg="red"))
        if report.already_complete:
            click.echo("nothing is overwritten: delete these objects of the target, or all of it, and")
            click.echo("run the same command again, with --check: it makes them anew")
    else:
        click.echo(click.style("checked: every chunk's bytes are those of the source", fg="green"))


def _objects(array: ArrayReport | Report) -> str:
    return f"{array.objects_before:,} → {counted(array.objects_after, 'object')}"


def _array_in_words(array: ArrayReport) -> str:
    if array.already_complete:
        return "complete already"
    if array.action == "copy":
        return "copied as it is" + (f" ({array.lacking})" if array.lacking else "")
    chunk, shard = (
        "×".join(map(str, shape)) or "one element" for shape in (array.chunk_shape, array.shard_shape)
    )
    return f"chunks of {chunk}, {'now' if array.action == 'pack' else 'once'} in shards of {shard}"


def _summary(report: Report, verb: str) -> str:
    kept = f", {report.objects_kept:,} there already" if report.objects_kept else ""
    index, nbytes = report.index_nbytes, report.chunk_nbytes
    if len(report.arrays) > 1:
        first = f"{verb} {counted(len(report.arrays), 'array')}: {_objects(report)}{kept}"
    else:
        first = fitted(
            f"{verb} {_objects(report)}{kept}: {_array_in_words(report.arrays[0])}", sys.stdout, indent=2
        )
    if not nbytes:
        return first if kept else f"{first}\nthe source has no chunk: all of it is the fill value"
    return (
        f"{first}\n"
        f"{human_nbytes(nbytes)}, indexes {human_nbytes(index)} ({index / nbytes:.2%}), "
        f"{report.seconds:.2f} s, {human_nbytes(nbytes / max(report.seconds, 1e-9))}/s"
    )
