"""Results that nobody measured, with every outcome in them, in the form that `run --json` writes."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
IMPLEMENTATIONS = [
    ("this package", "0.1.0", "Python", "sync"),
    ("this package (async)", "0.1.0", "Python", "async"),
    ("tensorstore", "0.1.86", "C++", "Python bindings"),
    ("zarr-python (batched)", "3.4.2", "Python", "BatchedCodecPipeline"),
    ("zarrs", "0.2.3", "Rust", "a codec pipeline of zarr-python"),
    ("zarrita", "0.7.5", "JavaScript", "Node 20"),
]
FAULTS = {
    "tensorstore": {7: ("refused", "values", "an error", "Invalid codec <gzip> after sharding_indexed")},
    "zarrs": {5: ("crash", "a refusal", "a panic", "index out of range: the len is 4\nnote: run with…")},
    "zarrita": {
        3: ("wrong_data", "[1, 2, 3, 4]", "[0, 0, 0, 0]", None),
        5: ("accepted", "a refusal", "the right values", None),
        8: ("hang", "values", "nothing for 10 s", None),
        2: ("refused", "values", "an error", "Error: <b>Unknown</b> codec </script>"),
    },
}


def made_up_results():
    """43 requirements in 60 vectors; each fault comes in every tenth of them."""
    requirements = tomllib.loads((ROOT / "spec/requirements.toml").read_text())["requirement"]
    ids = [one["id"] for one in requirements]
    cells = []

    def add(part, name, at, case, selection, **more):
        cell = {"part": part, "implementation": name, "case": case, "selection": selection, **more}
        if selection is not None and name == "zarr-python (batched)":
            cells.append({**cell, "outcome": "unsupported"})
        elif fault := FAULTS.get(name, {}).get(at % 10):
            outcome, expected, got, message = fault
            words = {"expected": expected, "got": got, "message": message}
            cells.append({**cell, "outcome": outcome, **words})
        else:
            cells.append({**cell, "outcome": "pass"})

    names = [name for name, *_ in IMPLEMENTATIONS]
    for name in names:
        for at in range(60):
            held = [ids[at % len(ids)], *([ids[(at * 7) % len(ids)]] if at % 3 == 0 and at else [])]
            for selection in (None, 0, 1):
                # As `run` does it: with the whole array alone.
                only = {"requirements": held} if selection is None else {}
                add("vectors", name, at, f"case-{at:02}", selection, **only)
        for writer in names:
            for at in range(4):
                add("matrix", name, at, f"array-{at}", None, writer=writer)
            for updater in names[:3]:
                add("updates", name, 1, "update", None, writer=writer, updater=updater)
        for at, case in enumerate(["one inner chunk", "one row of chunks", "a whole shard"]):
            more = at if name != "this package" else 0
            cost = {
                "requests": 2 + more,
                "bytes": 1000 + 1000 * more,
                "ideal_requests": 2,
                "ideal_bytes": 1000,
            }
            cell = {"part": "cost", "implementation": name, "case": case, "selection": None}
            cells.append({**cell, "outcome": "pass", "got": cost})
    keys = ("name", "version", "language", "setup")
    missing = {"name": "zarrita (Python)", "version": None, "language": "Python", "setup": None}
    return {
        "format": 1,
        "machine": {"date": "2000-01-01", "cpu": "A CPU", "cores": 2, "packages": {"numpy": "2.0"}},
        "implementations": [
            *({**dict(zip(keys, one, strict=True)), "absent": None} for one in IMPLEMENTATIONS),
            {**missing, "absent": "needs Python 3.11"},
        ],
        "cells": cells,
    }


@pytest.fixture
def results_document():
    """The document, anew for each test."""
    return made_up_results()


@pytest.fixture
def results_file(tmp_path, results_document):
    """The document as a file."""
    path = tmp_path / "results.json"
    path.write_text(json.dumps(results_document))
    return path
