"""What verbs print: results to standard output, errors and progress to standard error.

Owns the form alone; with `--json` standard output is one JSON document, whatever happens.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from shutil import get_terminal_size
from textwrap import wrap
from typing import Any, Final, TextIO

import click

from zarr_shard_codec.errors import CorruptShardError, MetadataError, PackingError, UsageError, ZarrShardError

FINDINGS: Final = 1
"""Exit status: the command did its work, and what it looked at is not in order."""
BAD_USAGE: Final = 2
"""Exit status: the command could not do what was asked."""
INTERRUPTED: Final = 130
"""Exit status: somebody pressed Ctrl-C; what shells say of a program that SIGINT ended."""
UNREAD: Final = 141
"""Exit status: the output's reader went away; what shells say of a program that SIGPIPE ended."""

AS_JSON: Final = "zarr_shard_codec.as_json"
"""Under this name click's context knows whether `--json` was given, be the rest of the line wrong."""

json_option: Final = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


def print_json(document: dict[str, Any]) -> None:
    """Print the result of a verb that was called with `--json`."""
    click.echo(json.dumps(document, indent=2, allow_nan=False))


def report_error(error: ZarrShardError) -> int:
    """Print an error; returns the exit status."""
    _report_as_json(error)
    first, *rest = [printable(line) for line in f"error: {error}".split("\n")]
    head = fitted(first, sys.stderr).replace("error:", click.style("error:", fg="red", bold=True), 1)
    click.echo("\n".join([head, *(fitted(line, sys.stderr, indent=2) for line in rest)]), err=True)
    return FINDINGS if isinstance(error, CorruptShardError | MetadataError | PackingError) else BAD_USAGE


def report_misuse(error: click.UsageError) -> None:
    """Print what is wrong with the command line as JSON, if that is asked for; click prints the words."""
    _report_as_json(UsageError("invalid_argument", error.format_message()))


def _report_as_json(error: ZarrShardError) -> None:
    ctx = click.get_current_context(silent=True)
    if ctx is not None and ctx.meta.get(AS_JSON):
        print_json({"error": error.to_json()})


def human_nbytes(nbytes: float) -> str:
    """A size in bytes as people read it: `1.5 MiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(nbytes) < 1024:
            return f"{nbytes:.0f} {unit}" if unit == "B" else f"{nbytes:.1f} {unit}"
        nbytes /= 1024
    return f"{nbytes:.1f} TiB"


def counted(count: int, noun: str) -> str:
    """`1 array`, `1,234 arrays`."""
    return f"{count:,} {noun}{'s' if count != 1 else ''}"


def fitted(text: str, stream: TextIO, *, indent: int = 0) -> str:
    """Break a line between words if it goes to a terminal that is too narrow; never a path or a number."""
    if not stream.isatty():
        return text
    lines = wrap(
        text,
        get_terminal_size().columns - 1,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines)


def printable(text: str) -> str:
    """Escape what a terminal would obey, or refuse: keys are other people's file names."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode()
        for char in text
    )


@contextmanager
def progress_of_bytes(path: str, total_nbytes: int) -> Iterator[Callable[[int], None]]:
    """Show a progress bar, if standard error is a terminal; call what is yielded with bytes done since.

    `path` is the array's in its tree.
    """
    if not sys.stderr.isatty():
        yield lambda _nbytes: None
        return
    from zarr_shard_codec.cli.bars import bar_of_bytes

    with bar_of_bytes(printable(path) or "the array", total_nbytes) as advance:
        yield advance
