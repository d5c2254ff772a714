"""Vectors that `python -m conformance fuzz --save` found, kept as data in `found/`.

Owns the form of those files: what `case.json` has, and the array's files as text (metadata) and hexadecimal.
What the oracle said stands there first; a person judges by the specification, and edits the file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from conformance.cases.corpus import Selection
from conformance.cases.draft import Draft, Files, json_bytes
from conformance.cases.elements import from_json, to_json

FOUND: Final = Path(__file__).parent / "found"
_METADATA: Final = "zarr.json"


def drafts(folder: Path = FOUND) -> Iterator[Draft]:
    """Give the vectors."""
    for path in sorted(folder.glob("*.json")):
        yield load(path)


def load(path: Path) -> Draft:
    """Read one."""
    found = json.loads(path.read_text("utf-8"))
    return Draft(
        name=path.stem,
        title=found["title"],
        requirements=tuple(found["requirements"]),
        files={
            key: body.encode() if key == _METADATA else bytes.fromhex(body)
            for key, body in found["files"].items()
        },
        values=from_json(found["values"], found["data_type"], found["shape"]),
        data_type=found["data_type"],
        selections=tuple(
            Selection(tuple(slice(*a) if isinstance(a, list) else a for a in s["selection"]), s["expect"])
            for s in found["selections"]
        ),
        expect=found["expect"],
        why=found["why"],
        reason=found["reason"],
    )


def save(draft: Draft, folder: Path) -> Path:
    """Write one, by a name that follows from the array's files; give the path."""
    files = {
        key: body.decode() if key == _METADATA else body.hex() for key, body in sorted(draft.files.items())
    }
    document = {
        "title": draft.title,
        "requirements": list(draft.requirements),
        "files": files,
        "shape": list(draft.values.shape),
        "data_type": draft.data_type,
        "values": to_json(draft.values),
        "selections": [{"selection": s.json, "expect": s.expect} for s in draft.selections],
        "expect": draft.expect,
        "why": draft.why,
        "reason": draft.reason,
    }
    folder.mkdir(exist_ok=True)
    path = folder / f"{found_name(draft.files)}.json"
    path.write_bytes(json_bytes(document))
    return path


def found_name(files: Files) -> str:
    """Name a vector by its files."""
    digest = hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()
    return f"found-{digest[:8]}"
