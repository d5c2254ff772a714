"""Reading a codec's configuration strictly, key by key, with every problem at once.

Owns types, ranges and unknown keys. What a key means is its codec's business.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from zarr_shard_codec.core.protocols import JSON
from zarr_shard_codec.errors import MetadataError, Problem, Reason

REQUIRED: Final[Any] = object()
"""The default of a key that must be there."""


class Fields:
    """One codec's configuration while it is read.

    Each method reads one key. A bad value is remembered, and a stand-in returned, so that the reading goes
    on; `finish` raises what was remembered. Values read are therefore good only after `finish`.

    Parameters
    ----------
    configuration
        The `configuration` member of a codec object; an empty mapping where there is none.
    """

    def __init__(self, configuration: Mapping[str, JSON]) -> None:
        self._configuration = configuration
        self._known: set[str] = set()
        self._problems: list[Problem] = []

    def problem(self, key: str, reason: Reason, message: str) -> None:
        """Remember one thing wrong with `key`."""
        self._problems.append(Problem(key, reason, message))

    def finish(self) -> None:
        """Raise `MetadataError` with everything remembered, and with every key that nobody read."""
        for key in self._configuration:
            if key not in self._known:
                self.problem(str(key), "unknown_key", f"expected no such key, but {_known(self._known)}")
        if self._problems:
            raise MetadataError(self._problems)

    def has(self, key: str) -> bool:
        """Whether `key` is there at all, null included."""
        return key in self._configuration

    def any(self, key: str, *, default: JSON = REQUIRED) -> JSON:
        """Read a value of any type; None where a required key is missing."""
        self._known.add(key)
        if key in self._configuration:
            return self._configuration[key]
        if default is REQUIRED:
            self.problem(key, "missing_key", "this key is required")
            return None
        return default

    def integer(self, key: str, *, minimum: int, maximum: int, default: int = REQUIRED) -> int:
        """Read an integer within bounds, both included."""
        if not self.has(key):
            self.any(key, default=default)
            return minimum if default is REQUIRED else default
        value = self.any(key)
        # JSON's true is no number, though Python's is.
        if not isinstance(value, int) or isinstance(value, bool):
            self.problem(key, "wrong_type", f"expected an integer, found {value!r}")
            return minimum
        if not minimum <= value <= maximum:
            self.problem(key, "wrong_value", f"expected {minimum} to {maximum}, found {value}")
            return minimum
        return value

    def number(self, key: str) -> int | float:
        """Read a required finite number."""
        if not self.has(key):
            self.any(key)
            return 1
        value = self.any(key)
        if not isinstance(value, int | float) or isinstance(value, bool):
            self.problem(key, "wrong_type", f"expected a number, found {value!r}")
            return 1
        # Integers beyond float64 and the NaN and Infinity that Python's JSON reader lets through.
        if not abs(value) < 1e308:
            self.problem(key, "wrong_value", f"expected a finite number, found {value}")
            return 1
        return value

    def boolean(self, key: str, *, default: bool) -> bool:
        """Read true or false."""
        value = self.any(key, default=default)
        if not isinstance(value, bool):
            self.problem(key, "wrong_type", f"expected true or false, found {value!r}")
            return default
        return value

    def choice(self, key: str, options: Sequence[str], *, default: str = REQUIRED) -> str:
        """Read one of `options`."""
        if not self.has(key):
            self.any(key, default=default)
            return options[0] if default is REQUIRED else default
        value = self.any(key)
        if not isinstance(value, str):
            self.problem(key, "wrong_type", f"expected a string, found {value!r}")
            return options[0]
        if value not in options:
            self.problem(key, "wrong_value", f"expected one of {', '.join(options)}, found {value!r}")
            return options[0]
        return value


def _known(keys: Collection[str]) -> str:
    return f"only {', '.join(sorted(keys))}" if keys else "none at all"
