"""Findings in print."""

from __future__ import annotations

import sys
from collections.abc import Iterable

import click

from zarr_shard_codec.cli.output import fitted, printable
from zarr_shard_codec.core.findings import Finding


def print_findings(findings: Iterable[Finding]) -> None:
    """Print each finding on a line; a terminal gets it wrapped between words."""
    for finding in findings:
        colour = "red" if finding.severity == "error" else "yellow"
        severity = f"{finding.severity:<5}"
        line = fitted(f"{severity}  {printable(str(finding))}", sys.stdout, indent=7)
        line = line.replace(severity, click.style(severity, fg=colour), 1)
        # Standard output by name: a progress bar puts itself in its place, and click would look behind it.
        click.echo(line, file=sys.stdout)
