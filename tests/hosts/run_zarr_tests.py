"""Run zarr-python's own tests with our sharding codec in the place of its own, and judge what fails.

Fetches the source distribution of the zarr that is installed, and runs its sharding, codec, pipeline, array
and indexing tests twice: with our codec class, and with our pipeline. A test that fails must be named in
`exceptions.toml`, with a reason, or fail without us too; a test that is named there must fail.

    pip install '.[hosts]' && python tests/hosts/run_zarr_tests.py

Exit status: 0 if all is as expected, 1 otherwise.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent

WHOLE: Final = (
    "tests/test_codecs",
    "tests/test_codec_entrypoints.py",
    "tests/test_codec_pipeline.py",
    "tests/test_codec_pipeline_suite.py",
    "tests/test_pipeline_parity.py",
    "tests/test_fused_pipeline.py",
    "tests/test_fastpath_equivalence.py",
    "tests/test_chunk_transform.py",
    "tests/test_indexing.py",
)
"""Run whole. Not every version has them all."""

SHARDED: Final = (
    "tests/test_api.py",
    "tests/test_array.py",
    "tests/test_array_spec.py",
    "tests/test_buffer.py",
    "tests/test_chunk_grids.py",
    "tests/test_config.py",
    "tests/test_group.py",
    "tests/test_metadata",
    "tests/test_resize.py",
    "tests/test_unified_chunk_grid.py",
)
"""Run as far as a test has "shard" in its name or its parameters."""

PROPERTIES: Final = ("tests/test_properties.py",)
"""Hypothesis draws sharded arrays among others: run as far as a test has "index" in its name."""

CLASS: Final = "zarr_shard_codec.adapters.zarr_python.ShardingCodec"
PIPELINE: Final = "zarr_shard_codec.adapters.zarr_python.ShardPipeline"
SETTINGS: Final[dict[str, dict[str, str]]] = {
    "host": {},
    "class": {"ZARR_CODECS__SHARDING_INDEXED": CLASS},
    "pipeline": {"ZARR_CODEC_PIPELINE__PATH": PIPELINE},
}
"""What the environment says: the host's tests reset its configuration, which then comes from there."""

HARMLESS: Final = frozenset({"passed", "skipped"})  # an expected failure is reported as skipped


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is not as expected, by test."""

    failed: tuple[str, ...]
    not_failed: tuple[str, ...]
    failed_without_us: tuple[str, ...]

    @property
    def good(self) -> bool:
        """Whether all is as expected."""
        return not self.failed and not self.not_failed


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--with", dest="setting", choices=["class", "pipeline", "both"], default="both")
    parser.add_argument("-n", dest="workers", type=int, default=2, help="test processes at once")
    parser.add_argument(
        "--thorough", action="store_true", help="as many Hypothesis examples as the host runs"
    )
    parser.add_argument("--source", type=Path, help="the host's source, unpacked; otherwise fetched by pip")
    given = parser.parse_args(arguments)
    settings = ["class", "pipeline"] if given.setting == "both" else [given.setting]
    try:
        host = version("zarr")
        version("zarr-shard-codec")  # on the path is not enough: the host looks for installed entry points
    except PackageNotFoundError as missing:
        parser.error(f"{missing.name} is not installed here: pip install '.[hosts]'")
    good = True
    with source_of(host, given.source) as source:
        for setting in settings:
            outcomes = run(source, setting, given.workers, thorough=given.thorough)
            expected = exceptions(host, setting, outcomes)
            failed = [test for test, outcome in outcomes.items() if outcome not in HARMLESS]
            unexpected = [test for test in failed if test not in expected]
            alone = run(source, "host", given.workers, tests=unexpected) if unexpected else {}
            verdict = judge(outcomes, expected, alone)
            print(f"\nzarr {host} with our {setting}: {dict(Counter(outcomes.values()))}", flush=True)
            report(verdict, expected, failed)
            good = good and verdict.good
    return 0 if good else 1


def judge(outcomes: dict[str, str], expected: dict[str, str], alone: dict[str, str]) -> Verdict:
    """Compare what happened with what is expected, and with what happens without us."""
    failed = {test for test, outcome in outcomes.items() if outcome not in HARMLESS}
    unexpected = sorted(failed - set(expected))
    return Verdict(
        failed=tuple(test for test in unexpected if alone.get(test, "passed") in HARMLESS),
        not_failed=tuple(sorted(set(expected) - failed)),
        failed_without_us=tuple(test for test in unexpected if alone.get(test, "passed") not in HARMLESS),
    )


def report(verdict: Verdict, expected: dict[str, str], failed: Sequence[str]) -> None:
    """Print what fails and why that is so, or that it ought not to."""
    for reason, count in Counter(expected[test] for test in failed if test in expected).items():
        print(f"  {count} expected failures: {reason}")
    for test in verdict.failed_without_us:
        print(f"  fails without us as well: {test}")
    for test in verdict.failed:
        print(f"  FAILED: {test}")
    for test in verdict.not_failed:
        print(f"  NAMED IN exceptions.toml, YET DID NOT FAIL: {test}")


def exceptions(host: str, setting: str, tests: Iterable[str]) -> dict[str, str]:
    """Tests that are expected to fail with this host and setting, and why.

    An entry names a test, or with a name alone all tests that are made of it. One that names none of `tests`
    is given as it stands, so that it counts as one that did not fail.
    """
    known = list(tests)
    expected: dict[str, str] = {}
    for entry in tomllib.loads((HERE / "exceptions.toml").read_text())["exception"]:
        if setting in entry["with"] and any(host.startswith(prefix) for prefix in entry["zarr"]):
            for name in entry["tests"]:
                named = [test for test in known if name in (test, test.partition("[")[0])]
                expected.update(dict.fromkeys(named or [name], entry["reason"]))
    return expected


@contextmanager
def source_of(host: str, unpacked: Path | None) -> Iterator[Path]:
    """Give the folder with the host's source; what was fetched for it is gone afterwards."""
    if unpacked is not None:
        yield unpacked
        return
    with tempfile.TemporaryDirectory() as folder:
        fetch = [
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--no-binary",
            "zarr",
            "-d",
            folder,
            f"zarr=={host}",
        ]
        subprocess.run([sys.executable, "-m", *fetch], check=True)
        (archive,) = Path(folder).glob("zarr-*.tar.gz")
        with tarfile.open(archive) as packed:
            packed.extractall(folder, filter="data")
        yield Path(folder) / f"zarr-{host}"


def run(
    source: Path, setting: str, workers: int, *, tests: Sequence[str] = (), thorough: bool = False
) -> dict[str, str]:
    """Run tests of the host, all that concern us if none are named: the outcome of each."""
    names = [name for name in (*SHARDED, *WHOLE, *PROPERTIES) if (source / name).exists()]
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results.json"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ZARR_")}
        environment |= SETTINGS[setting] | {
            # The plugin. The package is found where it is installed, as the host finds it by entry points.
            "PYTHONPATH": os.pathsep.join([str(HERE), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]),
            "HOST_SETTING": setting,
            "HOST_RESULTS": str(results),
            "HOST_EXAMPLES": "host" if thorough else "few",
        }
        options = ["-q", "-rfE", "-o", "addopts=", "-o", "faulthandler_timeout=300", "-n", str(workers)]
        options += ["-p", "host_plugin", "-p", "no:cacheprovider"]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *options, *(tests or names)],
            cwd=source,
            env=environment,
            check=False,
        )
        if done.returncode not in (0, 1) or not results.exists():
            raise SystemExit(f"pytest could not run the tests of {source} (exit status {done.returncode})")
        outcomes: dict[str, str] = json.loads(results.read_text())
    if not outcomes:
        raise SystemExit(f"no test of {source} was run")
    return outcomes


if __name__ == "__main__":
    sys.exit(main())
