"""Fuzz the targets with coverage feedback (atheris), or replay the seeds without it.

    python tests/fuzz/fuzz.py --minutes 10           all targets share ten minutes, two at a time
    python tests/fuzz/fuzz.py shard --minutes 1      one target
    python tests/fuzz/fuzz.py --replay               every seed once; needs no atheris

Owns the contract that every input is held to: no exception but our own, no more than 200 MB of memory above
what there was, no more than a second of processor time. An input that breaks it is written to
`seeds/<target>/found_…`: give it a telling name and, in `seeds/found.toml`, the reason, and mend the package.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

SEEDS: Final = Path(__file__).parent / "seeds"
NAMES: Final = ("index", "shard", "metadata", "metadata_v2", "chain")
MAX_NBYTES: Final = 200 * 10**6
MAX_SECONDS: Final = 1.0
_WALL_SECONDS: Final = 20
"""By the clock on the wall, for what waits instead of working; a busy machine must not come near it."""
_MAX_INPUT_NBYTES: Final = 4096

sys.path.insert(0, str(Path(__file__).parents[2]))  # this tree's package, not one that is installed


class ContractError(Exception):
    """An input took more memory or time than any input may."""


class Contract:
    """What a target is held to, input by input."""

    def __init__(self, target: Callable[[bytes], object]) -> None:
        self._target = target
        self._peak_nbytes = _peak_nbytes()

    def __call__(self, data: bytes) -> None:
        """Run the target. Raises what it raises, and `ContractError`."""
        before, began = _resident_nbytes(), time.process_time()
        self._target(data)
        seconds, peak = time.process_time() - began, _peak_nbytes()
        # The peak is the process's since it began: one that stood before says nothing of this input.
        if peak > self._peak_nbytes and peak - before > MAX_NBYTES:
            raise ContractError(f"{len(data)} bytes took {(peak - before) // 10**6} MB of memory")
        self._peak_nbytes = peak
        if seconds > MAX_SECONDS:
            raise ContractError(f"{len(data)} bytes took {seconds:.1f} s of processor time")


def _resident_nbytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _peak_nbytes() -> int:
    # Not `ru_maxrss`: a process takes that over from the one that started it.
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split(maxsplit=1)[0]) * 1024


class Result(NamedTuple):
    """How one target did: inputs tried, places in the code reached, and the input that broke the contract."""

    target: str
    executions: int
    coverage: int
    found: Path | None
    log: str
    """The end of what libFuzzer says."""


def replay(names: list[str]) -> int:
    """Run every seed once; the number of those that break the contract, each printed."""
    from targets import TARGETS

    broken = 0
    for name in names:
        seeds = sorted((SEEDS / name).iterdir())
        run = Contract(TARGETS[name])
        for seed in seeds:
            try:
                run(seed.read_bytes())
            except BaseException as error:  # noqa: BLE001 - any is a finding, and the others are still run
                broken += 1
                print(f"{name}/{seed.name}: {type(error).__name__}: {error}")
        print(f"{name}: {len(seeds)} seeds replayed")
    return broken


def fuzz(name: str, seconds: float) -> Result:
    """Fuzz one target in a process of its own, until the time is over or an input breaks the contract."""
    with tempfile.TemporaryDirectory() as scratch:
        corpus, found = Path(scratch, "corpus"), Path(scratch, "found")
        corpus.mkdir()
        found.mkdir()
        options = [
            f"-max_total_time={max(1, round(seconds))}",
            f"-timeout={_WALL_SECONDS}",
            f"-max_len={_MAX_INPUT_NBYTES}",
            "-rss_limit_mb=2048",  # the contract is narrower; this one ends a process that runs away
            f"-artifact_prefix={found}/",
        ]
        command = [sys.executable, __file__, "--inside", name, *options, str(corpus), str(SEEDS / name)]
        # One thread: what several do differs from run to run, and no feedback is drawn from that.
        alone = os.environ | {"ZARR_SHARD_THREADS": "1"}
        done = subprocess.run(
            command, stderr=subprocess.STDOUT, stdout=subprocess.PIPE, check=False, env=alone
        )
        log = done.stdout.decode(errors="replace")
        kept = None
        for path in found.iterdir():
            kept = SEEDS / name / f"found_{path.name[:24]}"
            kept.write_bytes(path.read_bytes())
        if done.returncode and kept is None:
            raise RuntimeError(f"{name}: the fuzzer itself failed:\n{log[-4000:]}")
    counts = re.findall(r"^#(\d+)\s", log, re.MULTILINE)
    coverage = re.findall(r"\bcov: (\d+)", log)
    return Result(name, int(counts[-1]), int(coverage[-1]), kept, log[-4000:])


def inside(name: str, options: list[str]) -> None:
    """Be the process that libFuzzer runs in."""
    import atheris

    with atheris.instrument_imports(include=["zarr_shard_codec"]):
        from targets import TARGETS

        # What is imported within functions is instrumented as well, and counted as nobody's memory.
        for seed in sorted((SEEDS / name).iterdir()):
            if seed.name.startswith("made_"):
                TARGETS[name](seed.read_bytes())
    atheris.Setup([sys.argv[0], *options], Contract(TARGETS[name]), **_mutator(name))
    atheris.Fuzz()


def _mutator(name: str) -> dict[str, Callable[[bytes, int, int], bytes]]:
    if not name.startswith("metadata"):
        return {}
    from documents import mutated

    return {"custom_mutator": mutated}


def main() -> int:
    """Run what the command line says; 1 if anything was found."""
    parser = argparse.ArgumentParser(description="Fuzz the package with coverage feedback.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(NAMES)}; default: all")
    parser.add_argument("--minutes", type=float, default=1.0, help="shared by the targets; default: 1")
    parser.add_argument("--processes", type=int, default=2, help="targets fuzzed at a time; default: 2")
    parser.add_argument("--replay", action="store_true", help="run the seeds alone")
    arguments = parser.parse_args()
    names = arguments.targets or list(NAMES)
    if unknown := set(names) - set(NAMES):
        parser.error(f"no target {', '.join(sorted(unknown))}")
    if arguments.replay:
        return min(replay(names), 1)
    seconds = 60 * arguments.minutes * arguments.processes / len(names)
    broken = False
    with ThreadPoolExecutor(arguments.processes) as pool:
        for result in pool.map(lambda name: fuzz(name, seconds), names):
            print(f"{result.target}: {result.executions} inputs, {result.coverage} places reached", end="; ")
            print(f"BROKEN by {result.found}\n{result.log}" if result.found else "nothing found", flush=True)
            broken |= result.found is not None
    return int(broken)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        inside(sys.argv[2], sys.argv[3:])
    else:
        sys.exit(main())
