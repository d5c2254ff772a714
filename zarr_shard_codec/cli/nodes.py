"""What `inspect` and `verify` have in common: the arrays at and below PATH, and findings in print."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from textwrap import wrap

import click

from zarr_shard_codec.array.array import ShardedArray
from zarr_shard_codec.array.metadata import ArrayMetadata
from zarr_shard_codec.array.nodes import walk_readable
from zarr_shard_codec.cli.output import console
from zarr_shard_codec.core.findings import Finding, findings_of
from zarr_shard_codec.errors import MetadataError, NodeNotFoundError, ZarrShardError
from zarr_shard_codec.stores.protocols import Store
from zarr_shard_codec.stores.resolve import resolve

Nodes = list[ShardedArray | ZarrShardError]
"""Arrays, and what stands in the place of nodes that cannot be read."""


def find_nodes(path: str) -> tuple[Store, Nodes]:
    """Find the arrays at and below a path or URL, in order of their paths.

    Raises
    ------
    NodeNotFoundError
        `not_found`: there is neither an array nor a group.
    StoreError
        The store cannot be read.
    """
    store = resolve(path)
    nodes: Nodes = []
    n_groups = 0
    for at, node in walk_readable(store):
        if isinstance(node, ArrayMetadata):
            nodes.append(ShardedArray(store, at, node))
        elif isinstance(node, MetadataError) or (isinstance(node, ZarrShardError) and at):
            nodes.append(node)
        elif isinstance(node, ZarrShardError):
            raise node
        else:
            n_groups += 1
    if not nodes and not n_groups:
        raise NodeNotFoundError("not_found", f"there is no Zarr array or group at {path}")
    return store, nodes


def print_findings(findings: Iterable[Finding]) -> None:
    """Print each finding on a line; a terminal gets it wrapped between words."""
    for finding in findings:
        colour = "red" if finding.severity == "error" else "yellow"
        text = printable(str(finding))
        if console.is_terminal:
            lines = wrap(text, console.width - 8, break_on_hyphens=False)
            text = "\n       ".join(lines)
        line = f"{click.style(f'{finding.severity:<5}', fg=colour)}  {text}"
        # Standard output by name: a progress bar puts itself in its place, and click would look behind it.
        click.echo(line, file=sys.stdout)


def broken(nodes: Nodes) -> list[Finding]:
    """What is wrong with the nodes that cannot be read."""
    return [found for node in nodes if isinstance(node, ZarrShardError) for found in findings_of(node)]


def counted(count: int, noun: str) -> str:
    """`1 array`, `1,234 arrays`."""
    return f"{count:,} {noun}{'s' if count != 1 else ''}"


def printable(text: str) -> str:
    """Escape what a terminal would obey, or refuse: keys are other people's file names."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode()
        for char in text
    )
