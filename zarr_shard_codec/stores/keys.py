"""Keys: what every store accepts as the name of an object.

Owns the rule alone; each store asks here before it touches anything.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from zarr_shard_codec.errors import StoreError

# A part that is empty or all dots ("", ".", "..", "..."), or a character that some store takes for more
# than a name: "\" (a separator on Windows), NUL, half a surrogate pair.
_INVALID: Final = re.compile(r"(?:^|/)\.*(?:/|\Z)|[\\\x00\ud800-\udfff]")


@lru_cache(maxsize=4096)  # most keys are asked for again, and a look-up takes a third of the time
def check_key(key: str) -> str:
    r"""Return the key if it may name an object, the same way in every store.

    Raises
    ------
    StoreError
        `invalid_key`: the key is empty, absolute, has an empty part, a part of dots alone, a `\` or a
        NUL, or is no valid Unicode.
    """
    if _INVALID.search(key):
        raise StoreError(
            "invalid_key",
            f"{key!r} cannot name an object: parts between '/' must be neither empty nor dots alone, and "
            "'\\' and NUL are not allowed",
        )
    return key


def check_prefix(prefix: str) -> str:
    """Return the folder name if it may be listed; `""` is the whole store. Raises as `check_key`."""
    return check_key(prefix) if prefix else prefix
