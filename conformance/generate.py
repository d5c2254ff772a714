"""`python -m conformance generate`: write the vectors, or with `--check` compare them with what would be written.

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
    broken_chunks,
    broken_metadata,
    codecs,
    data_types,
    documents,
    edges,
    empty,
    index,
    layout,
    nesting,
    silent,
)
from conformance.cases.corpus import VECTORS, corpus, load
from conformance.cases.cross_check import faults
from conformance.cases.draft import Draft

HAND_MADE: Final = (
    index,
    layout,
    empty,
    edges,
    documents,
    data_types,
    codecs,
    nesting,
    broken_metadata,
    broken_bytes,
    broken_chunks,
    silent,
)
"""The modules whose vectors need no other implementation."""


def hand_made() -> Iterator[Draft]:
    """Give the vectors that depend on no other implementation."""
    for module in HAND_MADE:
        yield from module.drafts()


def write(vectors: Path, drafts: Iterable[Draft]) -> None:
    """Write vectors below `vectors`, which must not have them, and read each of them back.

    Raises
    ------
    AssertionError
        Two of the same name, or one that readers do not take as it says.
    """
    for draft in drafts:
        draft.write(vectors / draft.name)
        found = faults(load(vectors / draft.name))
        assert not found, f"{draft.name}: {'; '.join(found)}"


@click.command("generate")
@click.option("--check", is_flag=True, help="Write nothing: compare the vectors with what would be written.")
def command(*, check: bool) -> None:
    """Write conformance/vectors anew. Needs tensorstore, zarr-python, zarrs and zarrita (so Python 3.11)."""
    with tempfile.TemporaryDirectory() as folder:
        built = Path(folder) / "vectors"
        if check:
            sys.exit(_check(built))
        write(built, hand_made())
        for old in VECTORS.glob("*/case.json"):
            shutil.rmtree(old.parent)
        shutil.copytree(built, VECTORS, dirs_exist_ok=True)
    _summary()


def _check(built: Path) -> int:
    write(built, hand_made())
    return 0


def _summary() -> None:
    cases = corpus()
    nbytes = sum(path.stat().st_size for path in VECTORS.rglob("*") if path.is_file())
    expected, makers = Counter(case.expect for case in cases), Counter(case.made_by.name for case in cases)
    print(f"{len(cases)} vectors, {nbytes / 1e6:.2f} MB")
    for title, counts in (("expected", expected), ("made by", makers)):
        print(f"  {title}: " + ", ".join(f"{name} {count}" for name, count in counts.most_common()))
