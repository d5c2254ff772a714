"""`python -m conformance generate`: write the vectors; `--check`: compare them with what would be written.

Owns `conformance/vectors` and is all that writes it. The same definitions and the same versions make the same
bytes on every run.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

# One thread: zarrs writes inner chunks in the order in which they are ready. Read when its pool starts.
os.environ["RAYON_NUM_THREADS"] = "1"

import click

from conformance.cases import (
    broken_bytes,
    broken_chains,
    broken_chunks,
    broken_metadata,
    codecs,
    data_types,
    documents,
    edges,
    empty,
    found,
    index,
    layout,
    nesting,
    own,
    peer_cases,
    silent,
)
from conformance.cases.corpus import VECTORS, Maker, corpus, load
from conformance.cases.cross_check import faults
from conformance.cases.draft import Draft, read_files
from conformance.cases.peers import DISTRIBUTIONS, installed

HERE_MADE: Final = (
    index,
    layout,
    empty,
    edges,
    documents,
    data_types,
    codecs,
    nesting,
    broken_metadata,
    broken_chains,
    broken_bytes,
    broken_chunks,
    silent,
    found,
    own,
)
"""The modules whose vectors need no other implementation."""


def drafts(peers: Iterable[str]) -> Iterator[Draft]:
    """Give the vectors that are made by hand, by this package, and by `peers`."""
    for module in HERE_MADE:
        yield from module.drafts()
    for peer in peers:
        yield from peer_cases.drafts(peer)


@click.command("generate")
@click.option("--check", is_flag=True, help="Write nothing: compare the vectors with what would be written.")
def command(*, check: bool) -> None:
    """Write conformance/vectors anew. Needs every peer, and so Python 3.11, but not for `--check`."""
    if check:
        sys.exit(_check())
    missing = [peer for peer in DISTRIBUTIONS if installed(peer) is None]
    if missing:
        raise click.ClickException(
            f"not installed: {', '.join(missing)}; none of its vectors could be written"
        )
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder), drafts(DISTRIBUTIONS))
        for old in _folders():
            shutil.rmtree(old)
        shutil.copytree(folder, VECTORS, dirs_exist_ok=True)
    _summary()


def _write(vectors: Path, made: Iterable[Draft]) -> None:
    """Write vectors, and read each of them back: none is let through that is not what it says."""
    for draft in made:
        draft.write(vectors / draft.name)
        wrong = faults(load(vectors / draft.name))
        if wrong:
            raise click.ClickException(f"{draft.name} is not what it says:\n  " + "\n  ".join(wrong))


def _check() -> int:
    """Compare; gives the exit status. A peer of another version than recorded proves nothing: it is named."""
    cases = {case.name: case for case in corpus(VECTORS)}
    recorded = {(case.made_by.name, case.made_by.version) for case in cases.values()}
    peers = [peer for peer in DISTRIBUTIONS if (peer, installed(peer)) in recorded]
    built = {draft.name: draft for draft in drafts(peers)}
    names = sorted({*cases, *built, *(folder.name for folder in _folders())})
    others: Counter[str] = Counter()
    faulty = 0
    for name in names:
        case, draft = cases.get(name), built.get(name)
        if case and case.made_by.name in DISTRIBUTIONS and (draft is None or draft.made_by != case.made_by):
            others[_words(case.made_by, draft)] += 1
            continue
        fault = _fault(name, draft)
        if fault is not None:
            faulty += 1
            print(f"{name}: {fault}")
    for words, count in others.items():
        print(f"not checked: {count} made by {words}")
    print(f"checked {len(names) - others.total()} of {len(names)} vectors: {faulty} differ")
    return int(faulty > 0)


def _words(recorded: Maker, draft: Draft | None) -> str:
    made = f"{recorded.name} {recorded.version}"
    if draft is None:
        return f"{made}; installed: {installed(recorded.name) or 'none'}"
    there = ", ".join(f"{name} {version}" for name, version in draft.made_by.libraries.items())
    with_ = ", ".join(f"{name} {version}" for name, version in recorded.libraries.items())
    return f"{made} with {with_}; installed: {there}"


def _fault(name: str, draft: Draft | None) -> str | None:
    if draft is None:
        return "nothing makes it"
    if not (VECTORS / name).is_dir():
        return "it is missing"
    files = read_files(VECTORS / name)
    tree = draft.tree()
    differing = sorted(path for path in {*files, *tree} if files.get(path) != tree.get(path))
    return f"other bytes, or none, in {', '.join(differing)}" if differing else None


def _folders() -> list[Path]:
    return [path for path in VECTORS.iterdir() if path.is_dir()]


def _summary() -> None:
    cases = corpus()
    nbytes = sum(path.stat().st_size for path in VECTORS.rglob("*") if path.is_file())
    print(f"{len(cases)} vectors, {nbytes / 1e6:.2f} MB")
    for title, counts in (
        ("expected", Counter(case.expect for case in cases)),
        ("made by", Counter(f"{case.made_by.name} {case.made_by.version}" for case in cases)),
    ):
        print(f"  {title}: " + ", ".join(f"{name} ({count})" for name, count in counts.most_common()))
