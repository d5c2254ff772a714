"""Killed writers, a few of each strategy: the long run is `kill_writers.py --kills 500`."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "kill_writers.py"
KILLS = 24


@pytest.mark.skipif(sys.platform == "win32", reason="Windows knows neither fork nor SIGKILL")
@pytest.mark.parametrize("strategy", ["replace", "append", "in_place"])
def test_readers_see_each_inner_chunk_old_or_new(strategy):
    """Whenever a writer dies, nothing else is read, here and by tensorstore, and no lock stays behind."""
    command = [sys.executable, SCRIPT, "--strategy", strategy, "--kills", str(KILLS), "--seed", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    seen = {what: int(count) for count, what in re.findall(r"(\d+) ([a-z ]+)", done.stdout.split(":")[1])}
    assert seen["kills"] == KILLS
    assert seen["killed within a write"] > KILLS // 2, "hardly a kill met a write"
