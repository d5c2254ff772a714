"""The command `zarr-shard`: one verb a file, loaded when it is called.

Owns what all verbs share: `--version`, and what becomes of errors. Exit status: 0 good, 1 findings (data
or metadata that is wrong), 2 bad usage (of which: something to read that is not there).
"""

from __future__ import annotations

from importlib import import_module
from typing import Final

import click

from zarr_shard_codec.cli.output import report_error
from zarr_shard_codec.errors import ZarrShardError

_VERBS: Final = {
    "pack": "Pack chunks into shards, without decoding one.",
    "unpack": "Make every inner chunk an object of its own.",
    "inspect": "Show what arrays have stored.",
    "verify": "Find everything that is wrong with the shards.",
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

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except ZarrShardError as error:
            return ctx.exit(report_error(error))


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="zarr-shard-codec")
def main() -> None:
    """Pack Zarr chunks into shards, and look after the shards.

    Paths are local paths or URLs (file://, s3://, gs://, az://, http://).
    """
