"""zarrita of npm, run by Node: a program that reads requests by the line, and its installation.

The package is installed beside the program, in the versions that package.json names, once.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np

from conformance.cases.elements import dtype_of
from conformance.implementations import (
    CODECS,
    INTEGERS,
    AbsentError,
    Array,
    Capabilities,
    Cost,
    Document,
    Index,
)
from conformance.processes import ProcessDiedError

_HOME: Final = Path(__file__).parent / "zarrita_js"
_INSTALLING: Final = 120
"""Seconds that npm may take."""


class NodeError(Exception):
    """zarrita's error, in its words."""


class ZarritaJs:
    """Arrays in folders, read over its FileSystemStore. Sharded arrays it only reads."""

    language = "JavaScript"
    capabilities = Capabilities(
        writes=False,
        updates=False,
        data_types=INTEGERS | {"float32", "float64"},  # float16 only where the engine has Float16Array
        codecs=CODECS,
    )

    def __init__(self) -> None:
        node = _require("node")
        _install()
        found = subprocess.run([node, "--version"], capture_output=True, text=True, check=True)
        self.setup = f"FileSystemStore, Node {found.stdout.strip().removeprefix('v')}"
        self._node = subprocess.Popen(
            [node, str(_HOME / "serve.mjs")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def version(self) -> str:
        """Version of the package."""
        return str(_pinned()["zarrita"])

    def read(self, path: str, selection: Index | None) -> Array:
        """Read a part of an array, or all."""
        answer = self._ask(path, selection)
        document = json.loads((Path(path) / "zarr.json").read_text(encoding="utf-8"))
        values = np.frombuffer(base64.b64decode(answer["data"]), dtype_of(document["data_type"]))
        return values.reshape(answer["shape"])

    def write(self, path: str, metadata: Document, values: Array) -> None:
        """Refuse: its `set` on sharded arrays throws."""
        raise NotImplementedError

    def update(self, path: str, selection: Index, values: Array) -> None:
        """Refuse: its `set` on sharded arrays throws."""
        raise NotImplementedError

    def cost(self, path: str, selection: Index) -> Cost:
        """Read; its store counts."""
        answer = self._ask(path, selection)
        return Cost(answer["requests"], answer["nbytes"])

    def _ask(self, path: str, selection: Index | None) -> dict[str, Any]:
        axes = None
        if selection is not None:
            axes = [[a.start, a.stop, a.step] if isinstance(a, slice) else a for a in selection]
        assert self._node.stdin is not None
        assert self._node.stdout is not None
        self._node.stdin.write(json.dumps({"path": path, "selection": axes}) + "\n")
        self._node.stdin.flush()
        line = self._node.stdout.readline()
        if not line:
            raise ProcessDiedError(f"Node ended with status {self._node.wait()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise NodeError(answer["error"])
        return answer


def _require(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        raise AbsentError(f"{program} is not installed")
    return found


def _pinned() -> dict[str, str]:
    versions: dict[str, str] = json.loads((_HOME / "package.json").read_text(encoding="utf-8"))[
        "dependencies"
    ]
    return versions


def _install() -> None:
    modules = _HOME / "node_modules"
    if all(_version(modules / name) == version for name, version in _pinned().items()):
        return
    npm = _require("npm")
    with tempfile.TemporaryDirectory(dir=_HOME, prefix="installing-") as scratch:
        shutil.copy(_HOME / "package.json", scratch)
        command = [npm, "install", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund"]
        try:
            done = subprocess.run(
                command, cwd=scratch, capture_output=True, text=True, timeout=_INSTALLING, check=False
            )
        except subprocess.TimeoutExpired:
            raise AbsentError(f"npm took more than {_INSTALLING} s to install zarrita") from None
        if done.returncode != 0:
            raise AbsentError(f"npm cannot install zarrita: {' '.join(done.stderr.split())[-300:]}")
        # Renamed into place, so that nobody who runs at the same time sees half of it.
        shutil.rmtree(modules, ignore_errors=True)
        (Path(scratch) / "node_modules").rename(modules)


def _version(package: Path) -> str | None:
    try:
        version: str = json.loads((package / "package.json").read_text(encoding="utf-8"))["version"]
    except FileNotFoundError:
        return None
    return version


def make() -> ZarritaJs:
    """Set it up."""
    return ZarritaJs()
