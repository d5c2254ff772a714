"""The command `zarr-shard`: one verb a file, loaded when it is called.

Owns what all verbs share: `--version`, and what becomes of errors. Exit status: 0 good, 1 findings (data
or metadata that is wrong), 2 bad usage (of which: something to read that is not there), or a store that
fails; 130 after Ctrl-C, and 141 if nobody reads the output any more, as shells count programs that a signal
ended.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import click

from zarr_shard_codec.cli.output import AS_JSON, BAD_USAGE, INTERRUPTED, UNREAD, report_error, report_misuse
from zarr_shard_codec.errors import ZarrShardError

_VERBS: Final = {
    "pack": "Pack chunks into shards, without decoding one.",
    "unpack": "Make every inner chunk an object of its own.",
    "inspect": "Show what arrays have stored.",
    "verify": "Find everything that is wrong with the shards.",
    "repair": "Repair damaged shards, as far as it can be proven right.",
    "compact": "Drop what appends and gaps left behind in shards.",
}
"""Each verb in a few words: --help does not load them."""


class _Verbs(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _VERBS:
            return None
        command: click.Command = import_module(f"zarr_shard_codec.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(_VERBS.items()))

    def main(self, *args: Any, **kwargs: Any) -> Any:
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if stream is None:  # closed by the caller: what goes there goes nowhere
                setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 - for good
            elif isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
                stream.reconfigure(errors="replace")  # a terminal without arrows shows question marks
        try:
            return super().main(*args, **kwargs)
        except OSError as error:
            # Stores raise errors of their own; what has no file's name is the output's.
            if isinstance(error, ZarrShardError) or error.filename is not None:
                raise
            click.echo(f"error: cannot write to standard output: {error.strerror}", err=True)
            _silence()
            sys.exit(BAD_USAGE)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        with _ended_from_outside():
            return super().make_context(*args, **kwargs)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[AS_JSON] = "--json" in args
        if os.environ.get("NO_COLOR"):
            ctx.color = False
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            report_misuse(error)
            raise

    def invoke(self, ctx: click.Context) -> object:
        with _ended_from_outside():
            try:
                return super().invoke(ctx)
            except click.UsageError as error:
                report_misuse(error)
                raise
            except ZarrShardError as error:
                return ctx.exit(report_error(error))


@contextmanager
def _ended_from_outside() -> Iterator[None]:
    """Leave no end by Ctrl-C or a closed pipe to click, whose status for both is that of findings."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo("\nAborted!", err=True)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        _silence()
        sys.exit(UNREAD)


def _silence() -> None:
    """Write no more to standard output: Python tries once more as it ends, and says so at length."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="zarr-shard-codec")
def main() -> None:
    """Pack Zarr chunks into shards, and look after the shards.

    Paths are local paths or URLs (file://, s3://, gs://, az://, http://).
    """
