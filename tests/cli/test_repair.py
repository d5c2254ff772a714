"""`zarr-shard repair` as it is called: what it prints, and its exit status."""

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
        shape=(16,),
        dtype="int32",
        shard_shape=(8,),
        inner_chunk_shape=(2,),
        codecs=[{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}],
        write_strategy="append",
    )
    array[...] = np.arange(1, 17)
    array[0] = 90
    return tmp_path


def _run(*arguments):
    return CliRunner().invoke(main, ["repair", *map(str, arguments)])


def test_a_sound_array(path):
    """Status 0, and a line that says so; nothing is written with --apply either."""
    before = (path / "c/0").stat()
    for arguments in ([path], [path, "--apply"], [path, "--apply", "--drop-corrupt"]):
        result = _run(*arguments)
        assert result.exit_code == 0
        assert result.stdout == "1 array, 2 objects, 312 B: nothing to repair\n"
    assert (path / "c/0").stat().st_ino == before.st_ino


def test_a_torn_append(path):
    """A dry run is status 1 and changes nothing; --apply is status 0, and says where the original is."""
    image = (path / "c/0").read_bytes()[:-3]
    (path / "c/0").write_bytes(image)
    result = _run(path)
    assert result.exit_code == 1
    assert result.stdout == (
        "to do  c/0: the newest index that is whole ends at byte 116 and names 4 inner chunks; "
        "77 bytes behind it are left out [restore_index]\n"
        "1 array, 2 objects, 309 B: 1 repair to do\n"
        "nothing was changed: run the same command again with --apply\n"
    )
    assert (path / "c/0").read_bytes() == image
    result = _run(path, "--apply")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0].startswith("done   c/0: the newest index")
    assert result.stdout.splitlines()[1:] == [
        "1 array, 2 objects, 309 B: 1 repair done",
        "damaged originals are kept beside the new ones: c/0.zsc-damaged-1",
    ]
    assert _run(path).exit_code == 0
    assert zsc.open(path)[0] == 1


def test_a_corrupt_inner_chunk(path):
    """Left, and how to give it up is said; status 1 until that is done."""
    image = bytearray((path / "c/1").read_bytes())
    image[0] ^= 1
    (path / "c/1").write_bytes(image)
    result = _run(path, "--apply")
    assert result.exit_code == 1
    assert "c/1: inner chunk (0,)" in result.stdout
    assert result.stdout.splitlines()[1:] == [
        "1 array, 2 objects, 312 B: 0 repairs done, 1 error left",
        "--drop-corrupt gives up inner chunks that cannot be read: they become fill value",
    ]
    assert _run(path, "--drop-corrupt").exit_code == 1
    assert _run(path, "--drop-corrupt", "--apply").exit_code == 0
    assert zsc.open(path)[8:12].tolist() == [0, 0, 11, 12]


def test_json(path):
    """One document: what was looked at, every repair, every finding."""
    (path / "c/0").write_bytes((path / "c/0").read_bytes()[:-3])
    (path / "c/1").write_bytes(b"short")
    result = _run(path, "--apply", "--json")
    document = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (document["path"], document["applied"], document["arrays"]) == (str(path), True, 1)
    (repair,) = document["repairs"]
    assert (repair["action"], repair["key"], repair["kept"], repair["inner_chunk"]) == (
        "restore_index",
        "c/0",
        "c/0.zsc-damaged-1",
        None,
    )
    assert [finding["reason"] for finding in document["findings"]] == ["shard_too_short"]


@pytest.mark.parametrize("arguments", [["nowhere"], [], ["x", "--order", "random"], ["x", "--force"]])
def test_bad_usage(arguments, tmp_path, monkeypatch):
    """Status 2: nothing to repair there, a path missing, options that do not exist."""
    monkeypatch.chdir(tmp_path)
    assert _run(*arguments).exit_code == 2
