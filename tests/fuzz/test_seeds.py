"""Every seed, with those that fuzzing found, through its target; and that a broken law would be seen."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

FUZZ = Path(__file__).parent
SEEDS = FUZZ / "seeds"


def test_all_seeds_keep_the_contract():
    """No exception but ours, no 200 MB, no second: for what fuzzing starts from and all it has found."""
    done = subprocess.run(
        [sys.executable, FUZZ / "fuzz.py", "--replay"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    replayed = {line.split(":")[0]: int(line.split()[1]) for line in done.stdout.splitlines()}
    assert replayed == {
        folder.name: len(list(folder.iterdir())) for folder in SEEDS.iterdir() if folder.is_dir()
    }
    assert min(replayed.values()) >= 5


def test_what_was_found_has_a_reason():
    """A seed that once broke the contract says what it broke; each reason has its seed."""
    reasons = tomllib.loads((SEEDS / "found.toml").read_text())
    found = {
        f"{path.parent.name}/{path.name}" for path in SEEDS.glob("*/*") if not path.name.startswith("made_")
    }
    assert found == set(reasons)
    assert all(len(reason) > 20 for reason in reasons.values())


def test_the_contract_can_be_broken():
    """A foreign exception, much memory and a long time are each noticed; our own work is not."""
    script = """
        import sys, time
        import numpy as np
        sys.path.insert(0, sys.argv[1])
        from fuzz import Contract, ContractError
        def foreign(_): raise KeyError("k")
        def large(_): np.ones(230 * 10**6, np.uint8)
        def slow(_):
            began = time.process_time()
            while time.process_time() - began < 1.05: pass
        for target in (len, foreign, large, slow):
            try:
                Contract(target)(b"data")
                print("kept")
            except (KeyError, ContractError) as error:
                print(error)
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(FUZZ)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    kept, foreign, large, slow = done.stdout.splitlines()
    assert (kept, foreign) == ("kept", "'k'")
    assert re.fullmatch("4 bytes took 2[23][0-9] MB of memory", large)
    assert re.fullmatch("4 bytes took 1.[0-9] s of processor time", slow)
