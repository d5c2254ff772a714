"""A short soak; the long one is `soak.py --minutes 10`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "soak.py"


@pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux tells of a process's memory and files in /proc"
)
def test_readers_and_writers_leave_nothing_behind():
    """Twenty seconds of everything at once: right values, no file open, and memory that does not run away.

    In so short a time memory is still settling: 5% is what ten minutes are held to.
    """
    command = [sys.executable, SCRIPT, "--minutes", "0.33", "--growth", "0.25"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(" read") == done.stdout.count(" write") == 2
