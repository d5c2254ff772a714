"""Why a bar is missed, in one sentence each.

Owns `reasons.toml`: patterns of names (`*`, `?` and `[…]` as in a shell; `*` goes beyond `/`), each with what
stops the cells that it names. The first pattern that matches counts. A sentence stands on a profile, never
on a guess.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

FILE: Final = Path(__file__).with_name("reasons.toml")


def load_reasons(file: Path = FILE) -> dict[str, str]:
    """Read sentences by pattern, in their order."""
    reasons: dict[str, str] = tomllib.loads(file.read_text(encoding="utf-8"))
    return reasons


def pattern_of(name: str, reasons: Mapping[str, str]) -> str | None:
    """The first pattern that matches a name."""
    return next((pattern for pattern in reasons if fnmatchcase(name, pattern)), None)
