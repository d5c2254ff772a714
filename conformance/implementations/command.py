"""Any program at all, in any language, by the contract of the existing conformance tests and one more line.

`PROGRAM --array_path=PATH` opens the array in the folder PATH, reads all of it, and

- exits with status 0 and prints every element on a line of its own, in C order, in the JSON that a fill value
  of the array's data type has in metadata (`5`, `-0.0`, `"NaN"`, `"0x7fc00001"`, `[1.0, 2.0]`, `true`), or
- exits with any other status; what it wrote to stderr is the message.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from conformance.cases.elements import from_json
from conformance.implementations import AbsentError, Array, Capabilities, Document, GarbledError, Index
from conformance.processes import ProcessDiedError

_SHOWN = 300
"""So many characters of stderr go into a message."""


class ProgramError(Exception):
    """The program exited with another status than 0."""


class Command:
    """A program that reads.

    Parameters
    ----------
    program
        The program, and arguments that come before `--array_path=`.
    version
        Its version, as the caller knows it.
    """

    language = "any"
    capabilities = Capabilities(parts=False, steps=False, writes=False, updates=False)

    def __init__(self, program: Sequence[str], version: str) -> None:
        self._program = list(program)
        self._version = version
        self.setup = "whole arrays, by `PROGRAM --array_path=PATH`"

    def version(self) -> str:
        """Version as it was given."""
        return self._version

    def read(self, path: str, selection: Index | None) -> Array:
        """Read all of an array."""
        assert selection is None
        command = [*self._program, f"--array_path={path}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode < 0:
            raise ProcessDiedError(
                f"{signal.Signals(-done.returncode).name}: {done.stderr[-_SHOWN:].strip()}"
            )
        if done.returncode != 0:
            raise ProgramError(f"status {done.returncode}: {done.stderr[-_SHOWN:].strip()}")
        document = json.loads((Path(path) / "zarr.json").read_text(encoding="utf-8"))
        return _parse(done.stdout, document)

    def write(self, path: str, metadata: Document, values: Array) -> None:
        """Not in the contract."""
        raise NotImplementedError

    def update(self, path: str, selection: Index, values: Array) -> None:
        """Not in the contract."""
        raise NotImplementedError


def _parse(printed: str, document: Document) -> Array:
    try:
        elements = [json.loads(line) for line in printed.splitlines()]
        return from_json(elements, document["data_type"], document["shape"])
    except (ValueError, TypeError, OverflowError, KeyError) as error:
        raise GarbledError(f"exit status 0, and printed {printed[:_SHOWN]!r}: {error}") from None


def make(program: Sequence[str], version: str) -> Command:
    """Set it up, if there is such a program."""
    if shutil.which(program[0]) is None:
        raise AbsentError(f"{program[0]} is no program that can be run")
    return Command(program, version)
