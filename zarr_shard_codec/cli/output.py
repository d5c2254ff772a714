"""What verbs print: results to standard output, errors and progress to standard error.

Owns the form alone; with `--json` standard output is one JSON document, whatever happens.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from zarr_shard_codec.errors import CorruptShardError, MetadataError, PackingError, ZarrShardError

FINDINGS: Final = 1
"""Exit status: the command did its work, and what it looked at is not in order."""
BAD_USAGE: Final = 2
"""Exit status: the command could not do what was asked."""

console: Final = Console(highlight=False)
error_console: Final = Console(stderr=True, highlight=False)

_AS_JSON: Final = "zarr_shard_codec.as_json"


def _remember(ctx: click.Context, _option: click.Parameter, value: bool) -> bool:
    ctx.meta[_AS_JSON] = value  # errors are reported when the verb's own context is gone already
    return value


json_option: Final = click.option(
    "--json", "as_json", is_flag=True, is_eager=True, callback=_remember, help="Print one JSON document."
)


def print_json(document: dict[str, Any]) -> None:
    """Print the result of a verb that was called with `--json`."""
    click.echo(json.dumps(document, indent=2, allow_nan=False))


def report_error(error: ZarrShardError) -> int:
    """Print an error; returns the exit status."""
    ctx = click.get_current_context(silent=True)
    if ctx is not None and ctx.meta.get(_AS_JSON):
        print_json({"error": error.to_json()})
    error_console.print("error:", style="bold red", end=" ")
    error_console.print(str(error), markup=False, soft_wrap=True)
    return FINDINGS if isinstance(error, CorruptShardError | MetadataError | PackingError) else BAD_USAGE


def human_nbytes(nbytes: float) -> str:
    """A size in bytes as people read it: `1.5 MiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(nbytes) < 1024:
            return f"{nbytes:.0f} {unit}" if unit == "B" else f"{nbytes:.1f} {unit}"
        nbytes /= 1024
    return f"{nbytes:.1f} TiB"


@contextmanager
def progress_of_bytes(description: str, total_nbytes: int | None) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on standard error while inside; call what is yielded with bytes done since.

    Nothing is shown where standard error is no terminal.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    disabled = not error_console.is_terminal
    # What is printed meanwhile appears above the bar; a standard output that leads elsewhere is left alone.
    with Progress(
        *columns,
        console=error_console,
        transient=True,
        disable=disabled,
        redirect_stdout=console.is_terminal,
    ) as progress:
        task = progress.add_task(description, total=total_nbytes)
        yield lambda nbytes: progress.advance(task, nbytes)
