"""`zarr-shard verify`: everything that is wrong with the shards of an array or a tree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import click

from zarr_shard_codec.array.array import ShardedArray
from zarr_shard_codec.array.health import verify_array
from zarr_shard_codec.array.inventory import strays_between, take_inventory
from zarr_shard_codec.cli.nodes import Nodes, broken, counted, find_nodes, print_findings
from zarr_shard_codec.cli.output import FINDINGS, human_nbytes, json_option, print_json, progress_of_bytes
from zarr_shard_codec.core.findings import Finding
from zarr_shard_codec.stores.protocols import Store


@click.command
@click.argument("path")
@click.option("--index-only", is_flag=True, help="Read the shards' indexes alone; decode no inner chunk.")
@json_option
@click.pass_context
def command(ctx: click.Context, path: str, *, index_only: bool, as_json: bool) -> None:
    """Check every shard of the array or tree at PATH, and report everything that is wrong.

    Errors are what makes a read fail: a broken index, an entry out of bounds, an inner chunk that does not
    decode to its size. Notes are allowed and perhaps not meant: gaps, overlaps, objects that no array owns.

    Exit status: 0 without errors, 1 with errors, 2 if there is nothing to check.
    """
    store, nodes = find_nodes(path)
    verification = _Verification(store, nodes, index_only=index_only)
    found: list[Finding] = []
    for findings in verification.run():
        if as_json:
            found += verification.count(findings)
        else:
            print_findings(verification.count(findings))
    totals = verification.totals
    if as_json:
        print_json(
            {
                "path": path,
                "index_only": index_only,
                **{name: totals[name] for name in ("arrays", "objects", "inner_chunks", "nbytes")},
                "errors": totals["error"],
                "notes": totals["note"],
                "findings": [finding.to_json() for finding in found],
            }
        )
    else:
        click.echo(_summary(totals, index_only=index_only))
    ctx.exit(FINDINGS if totals["error"] else 0)


class _Verification:
    """One run over all nodes, and what it has come across."""

    def __init__(self, store: Store, nodes: Nodes, *, index_only: bool) -> None:
        self.store = store
        self.nodes = nodes
        self.index_only = index_only
        self.totals: Counter[str] = Counter()

    def run(self) -> Iterator[Iterable[Finding]]:
        yield broken(self.nodes)
        arrays = [node for node in self.nodes if isinstance(node, ShardedArray)]
        for array in arrays:
            yield from self._verify(array)
        if not any(array.path == "" for array in arrays):
            elsewhere = [array.path for array in arrays]
            unreadable = [node for node in self.nodes if not isinstance(node, ShardedArray)]
            elsewhere += [(error.key or "").rpartition("/")[0] for error in unreadable]
            yield strays_between(self.store, elsewhere)

    def _verify(self, array: ShardedArray) -> Iterator[Iterable[Finding]]:
        inventory = take_inventory(array)
        self.totals.update(arrays=1, objects=len(inventory.objects), nbytes=inventory.nbytes)
        with progress_of_bytes(array.path or "verify", inventory.nbytes) as advance:
            for checked in verify_array(array, inventory, index_only=self.index_only):
                yield checked.findings
                self.totals["inner_chunks"] += checked.n_chunks
                advance(checked.nbytes)

    def count(self, findings: Iterable[Finding]) -> Iterator[Finding]:
        for finding in findings:
            self.totals[finding.severity] += 1
            yield finding


def _summary(totals: Counter[str], *, index_only: bool) -> str:
    checked = [
        counted(totals["arrays"], "array"),
        counted(totals["objects"], "object"),
        f"{counted(totals['inner_chunks'], 'inner chunk')}{' (not decoded)' if index_only else ''}",
        human_nbytes(totals["nbytes"]),
    ]
    errors, notes = totals["error"], totals["note"]
    verdict = counted(errors, "error") if errors else click.style("no errors", fg="green")
    return f"{', '.join(checked)}: {verdict}{', ' + counted(notes, 'note') if notes else ''}"
