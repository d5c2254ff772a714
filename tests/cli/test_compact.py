"""`zarr-shard compact` as it is called: what it prints, and its exit status."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

import zarr_shard_codec as zsc
from zarr_shard_codec.cli import main


@pytest.fixture
def path(tmp_path):
    """An array of two shards, the first of which was appended to."""
    array = zsc.create(
        tmp_path,
        shape=(8, 8),
        dtype="int32",
        shard_shape=(4, 8),
        inner_chunk_shape=(2, 2),
        codecs=[{"name": "bytes", "configuration": {"endian": "little"}}],
        write_strategy="append",
    )
    array[...] = np.arange(1, 65).reshape(8, 8)
    array[0, 0] = 90
    return tmp_path


def _run(*arguments):
    return CliRunner().invoke(main, ["compact", *map(str, arguments)])


def test_garbage_goes(path):
    """A dry run says what would be done; the second run has nothing to do."""
    image = (path / "c/0/0").read_bytes()
    words = "1 sharded array, 2 shards: 1 rewritten; 668 B → 520 B, 148 B less\n"
    result = _run(path, "--dry-run")
    assert (result.exit_code, result.stdout) == (0, f"{words}nothing was changed: this was a dry run\n")
    assert (path / "c/0/0").read_bytes() == image
    result = _run(path)
    assert (result.exit_code, result.stdout) == (0, words)
    result = _run(path)
    assert (result.exit_code, result.stdout) == (0, "1 sharded array, 2 shards, 520 B: nothing to do\n")
    assert zsc.open(path)[0, 0] == 90


@pytest.mark.parametrize("order", ["morton", "reverse"])
def test_an_order(path, order):
    """Shards in another order are rewritten, too."""
    assert "2 rewritten" in _run(path, "--order", order).stdout
    assert "nothing to do" in _run(path, "--order", order).stdout


def test_a_damaged_shard(path):
    """Status 1, a line for the shard; the other one is done. With --json, too."""
    (path / "c/1/0").write_bytes(b"short")
    result = _run(path, "--json")
    document = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (document["rewritten"], document["shards"], document["order"]) == (1, 2, None)
    assert [finding["key"] for finding in document["findings"]] == ["c/1/0"]
    result = _run(path)
    assert result.exit_code == 1
    assert result.stdout.startswith("error  c/1/0: ")
    assert result.stdout.endswith(": nothing was done\n")


@pytest.mark.parametrize("arguments", [["nowhere"], [], ["x", "--order", "spiral"]])
def test_bad_usage(arguments, tmp_path, monkeypatch):
    """Status 2."""
    monkeypatch.chdir(tmp_path)
    assert _run(*arguments).exit_code == 2
