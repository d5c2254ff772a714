"""The command `python -m conformance`: one verb a package, loaded when it is called."""

from __future__ import annotations

from importlib import import_module
from typing import Final

import click

_VERBS: Final = {
    "bench": "conformance.bench.command",
    "fuzz": "conformance.fuzz.command",
    "generate": "conformance.generate",
    "report": "conformance.report.command",
    "run": "conformance.run.command",
}
"""Each verb's module, which defines `command`."""


class _Verbs(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _VERBS:
            return None
        command: click.Command = import_module(_VERBS[cmd_name]).command
        return command


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Compare implementations of Zarr's sharding codec."""


if __name__ == "__main__":
    main(prog_name="python -m conformance")
