"""A pytest plugin for zarr-python's own tests: our codec in the place of the host's, and outcomes as JSON.

Owns what has to happen inside the host's test process; `run_zarr_tests` decides what is run and judges it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from run_zarr_tests import PROPERTIES, SHARDED

_SETTING: Final = os.environ["HOST_SETTING"]
_outcomes: dict[str, str] = {}


def pytest_configure() -> None:
    """Put our codec where the tests, and the host, look for the built-in one; make sure that it is used."""
    if _SETTING == "class":
        _replace_class()
    if _SETTING != "host":
        _require_ours()


def _replace_class() -> None:
    import zarr.codecs.sharding
    from zarr.registry import register_codec

    from zarr_shard_codec.adapters.zarr_python import ShardingCodec

    register_codec("sharding_indexed", ShardingCodec)
    builtin = ShardingCodec.__mro__[1]
    assert builtin is zarr.codecs.sharding.ShardingCodec
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "zarr" and vars(module).get("ShardingCodec") is builtin:
            module.ShardingCodec = ShardingCodec  # type: ignore[attr-defined]


def _require_ours() -> None:
    """A setting that is silently ignored would make every test pass."""
    import zarr

    from zarr_shard_codec.adapters import zarr_python

    array = zarr.create_array({}, shape=(8,), chunks=(2,), shards=(4,), dtype="u1", fill_value=0)
    array[:3] = 1
    assert np.array_equal(array[:], [1, 1, 1, 0, 0, 0, 0, 0])
    found = type(array.metadata.codecs[0] if _SETTING == "class" else array.async_array.codec_pipeline)
    wanted = zarr_python.ShardingCodec if _SETTING == "class" else zarr_python.ShardPipeline
    if not issubclass(found, wanted):
        raise pytest.UsageError(f"the tests would run with {found}, not with {wanted}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep what concerns shards."""
    if all("::" in argument for argument in config.args):  # tests that were asked for by name
        return
    left_out = [item for item in items if not _concerns_us(item.nodeid)]
    items[:] = [item for item in items if _concerns_us(item.nodeid)]
    config.hook.pytest_deselected(items=left_out)


def _concerns_us(test: str) -> bool:
    file, _, name = test.partition("::")
    if file.startswith(PROPERTIES):
        return "index" in name
    return not file.startswith(SHARDED) or "shard" in name.lower()


def pytest_collection_finish() -> None:
    """Draw fewer examples than the host's conftest says, which has been read by now."""
    if os.environ["HOST_EXAMPLES"] == "few":
        few = settings(
            max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
        )
        settings.register_profile("few", few)
        settings.load_profile("few")


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """A file that cannot be imported counts as a failed test."""
    if report.failed:
        _outcomes[report.nodeid] = "failed"


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Failures in set-up and tear-down count as the test's."""
    if report.when == "call" or report.outcome != "passed":
        _outcomes[report.nodeid] = report.outcome


def pytest_sessionfinish(session: Any) -> None:
    """Write the outcomes, once: not in xdist's workers."""
    if not hasattr(session.config, "workerinput"):
        Path(os.environ["HOST_RESULTS"]).write_text(json.dumps(_outcomes))
