"""Appends cut at every byte, a few: the long run is `cut_appends.py --images 20`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from cut_appends import cut_appends


def test_an_append_cut_at_every_byte_is_repaired_to_the_old_or_the_new_state():
    """Before the last byte to the old one, which never went away; verify finds nothing then."""
    seen = cut_appends(5)
    assert seen["images"] == 5
    assert seen["whole"] == seen["images"] + seen["appends"]
    assert seen["cuts"] == seen["whole"] + seen["restored"]
    assert seen["restored"] > 1000
