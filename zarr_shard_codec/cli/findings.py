"""Findings in print."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from shutil import get_terminal_size
from textwrap import wrap

import click

from zarr_shard_codec.cli.output import printable
from zarr_shard_codec.core.findings import Finding


def print_findings(findings: Iterable[Finding]) -> None:
    """Print each finding on a line; a terminal gets it wrapped between words."""
    for finding in findings:
        colour = "red" if finding.severity == "error" else "yellow"
        text = printable(str(finding))
        if sys.stdout.isatty():
            lines = wrap(text, get_terminal_size().columns - 8, break_on_hyphens=False)
            text = "\n       ".join(lines)
        line = f"{click.style(f'{finding.severity:<5}', fg=colour)}  {text}"
        # Standard output by name: a progress bar puts itself in its place, and click would look behind it.
        click.echo(line, file=sys.stdout)
