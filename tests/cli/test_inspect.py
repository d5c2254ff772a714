"""`zarr-shard inspect` as it is called: numbers, the picture of a shard, and its exit status."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from math import prod

import numpy as np
import pytest
import zarr
from click.testing import CliRunner
from rich.console import Console

import zarr_shard_codec as zsc
from zarr_shard_codec.cli import inspect as verb
from zarr_shard_codec.cli import main
from zarr_shard_codec.core.index import ShardIndex

LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}


def _make(path, shape=(16, 12), shard=(8, 8), inner=(4, 4), **options):
    options = {"codecs": [LITTLE], **options}
    array = zsc.create(
        path, shape=shape, dtype="int32", shard_shape=shard, inner_chunk_shape=inner, **options
    )
    array[...] = np.arange(1, 1 + prod(shape)).reshape(shape)
    return array


def _run(*arguments):
    return CliRunner().invoke(main, ["inspect", *map(str, arguments)])


def _json(*arguments):
    result = _run(*arguments, "--json")
    return result.exit_code, json.loads(result.stdout)


def _edit(array, path, edit, tail=b""):
    codec, whole = array.codec, path.read_bytes()
    entries = codec.read_index(whole).entries.copy()
    edit(entries)
    index = codec.encode_index(ShardIndex(entries, codec.chunks_per_shard))
    path.write_bytes(whole[: -codec.index_nbytes] + tail + bytes(index))


def _put(at, entry):
    def edit(entries):
        entries[at] = entry

    return edit


def test_an_array_is_shown_in_numbers(tmp_path):
    """Every number that the issue asks for, each on its line."""
    array = _make(tmp_path, chunk_order="morton")
    array[8:, 8:] = 0
    result = _run(tmp_path)
    assert result.exit_code == 0
    lines = [re.sub("  +", ": ", line.rstrip()) for line in result.stdout.splitlines()]
    assert lines == [
        "Array: 16 × 12 int32, Zarr v3",
        "Shards: 3 of 4, 8 × 8",
        "Inner chunks: 10 of 12, 4 × 4",
        "Inner codecs: bytes(endian=little)",
        "Index codecs: bytes(endian=little) → crc32c, at the end",
        "Stored: 844 B in 3 objects",
        "Encoded size: min 64 B, median 64 B, max 64 B",
        "Compression: 1.00 (640 B decoded)",
        "Unused: 0 B",
        "Index overhead: 204 B, 24.2% of what is stored",
        "Write order: morton",
    ]


def test_an_array_without_shards_is_shown(tmp_path):
    """Chunks take the place of inner chunks; there is no index and no order."""
    zarr.create_array(tmp_path, data=np.ones((10, 10)), chunks=(5, 5), compressors=None)
    output = _run(tmp_path).stdout
    assert re.search(r"Chunks +4 of 4, 5 × 5", output)
    assert "Index" not in output
    assert "order" not in output


def test_codecs_around_shards_and_shards_in_shards_are_named(tmp_path):
    """The whole chain is shown where it is more than a shard."""
    inner = {"chunk_shape": [2, 2], "codecs": [LITTLE], "index_codecs": [LITTLE]}
    _make(tmp_path, codecs=[{"name": "sharding_indexed", "configuration": inner}])
    assert "sharding_indexed(2 × 2: bytes(endian=little))" in _run(tmp_path).stdout


def _terminal(width):
    return Console(width=width, force_terminal=True, color_system=None)


def test_a_tree_is_a_table_with_one_row_an_array(tmp_path, monkeypatch):
    """Arrays in order of their paths, at any width whole lines; broken metadata below it, and status 1."""
    zarr.create_group(tmp_path)
    _make(tmp_path / "b/sharded")
    zarr.create_array(tmp_path / "a", data=np.ones((10, 10), "datetime64[s]"), chunks=(5, 5))
    for width in (80, 120):
        monkeypatch.setattr(verb, "console", _terminal(width))
        result = _run(tmp_path)
        assert result.exit_code == 0
        rows = [line.split() for line in result.stdout.splitlines()[-2:]]
        assert [row[0] for row in rows] == ["a", "b/sharded"]
        assert rows[1][1:6] == ["16×12", "int32", "4/4", "12/12", "1.0"]
        assert rows[0][2] == "datetime64[s]"
        assert all(len(line) <= width for line in result.stdout.splitlines())
    assert rows[1][-1] == "lexicographic"
    (tmp_path / "c").mkdir()
    (tmp_path / "c/.zarray").write_text("{")
    result = _run(tmp_path)
    assert result.exit_code == 1
    assert "c/.zarray" in result.stdout
    assert "[invalid_json]" in result.stdout


def test_a_name_is_never_broken(tmp_path, monkeypatch):
    """A pipe gets a line an array however long it is; a narrow terminal the name above the numbers."""
    names = ["a", "stations/" + "temperature_at_two_metres_" * 3 + "mean"]
    zarr.create_group(tmp_path)
    for name in names:
        _make(tmp_path / name)
    lines = _run(tmp_path).stdout.splitlines()
    assert [line.split()[0] for line in lines[2:]] == names
    assert all(line == line.rstrip() and line.endswith("lexicographic") for line in lines[2:])
    monkeypatch.setattr(verb, "console", _terminal(80))
    lines = _run(tmp_path).stdout.splitlines()
    assert (lines[2], lines[4], len(lines)) == (*names, 6)
    assert lines[3].split() == lines[5].split() == ["16×12", "int32", "4/4", "12/12", *lines[5].split()[4:]]
    assert all(len(line) <= 80 for line in lines if line not in names)


def test_json_has_every_number(tmp_path):
    """One document for an array and for a tree; sizes in bytes."""
    _make(tmp_path)
    status, document = _json(tmp_path)
    assert status == 0
    (array,) = document["arrays"]
    assert document["findings"] == []
    assert array["shape"] == [16, 12]
    assert array["shards"] == {"present": 4, "possible": 4}
    assert array["inner_chunks"] == {"present": 12, "possible": 12}
    assert array["inner_chunk_nbytes"] == {"min": 64, "median": 64, "max": 64}
    assert array["compression_ratio"] == 1.0
    assert array["unused_nbytes"] == 0
    assert array["index_nbytes"] == 4 * 68
    assert array["stored_nbytes"] == 12 * 64 + 4 * 68
    assert array["write_order"] == "lexicographic"
    assert array["codecs"][0]["name"] == "sharding_indexed"


def test_broken_indexes_are_told_and_status_1(tmp_path):
    """What can be counted is counted; the errors follow, the first ten of them in words."""
    array = _make(tmp_path, shape=(64,), shard=(64,), inner=(4,))
    _edit(array, tmp_path / "c/0", _put(slice(0, 12), (0, 0)))
    result = _run(tmp_path)
    assert result.exit_code == 1
    assert re.search(r"Inner chunks +4 of 16", result.stdout)
    errors = [line for line in result.stdout.splitlines() if line.startswith("error")]
    assert len(errors) == 11
    assert "and 2 more" in errors[-1]
    status, document = _json(tmp_path)
    assert status == 1
    assert document["arrays"][0]["errors"] == 12
    assert {f["reason"] for f in document["arrays"][0]["findings"]} == {"entry_zero_length"}


def test_the_picture_of_a_shard_shows_every_byte(tmp_path):
    """In a small shard a letter is a byte: chunks, a gap, shared bytes and the index."""
    array = _make(tmp_path, shape=(6,), shard=(6,), inner=(2,), index_codecs=[LITTLE])
    edit = _put(slice(None), [(8, 8), (0, 10), (20, 2)])
    _edit(array, tmp_path / "c/0", edit, tail=b"")
    result = _run(tmp_path, "--shard", "0")
    # 24 bytes of chunks, 48 of the index; (2,) has not the size that every inner chunk has.
    assert result.exit_code == 1
    _edit(array, tmp_path / "c/0", _put(slice(None), [(8, 8), (0, 8), (12, 8)]))
    result = _run(tmp_path, "--shard", "0")
    assert result.exit_code == 0
    rows = re.findall(r"\|(.*)\|", result.stdout)
    assert "".join(rows) == "bbbbbbbb" + "aaaa" + "%%%%" + "cccc" + "...." + "#" * 48
    assert "one letter is one byte" in result.stdout
    for words in ("# index, 48 bytes at 24", ". unused", "% shared", "a 0  8 at 8", "c 2  8 at 12"):
        assert words in result.stdout
    assert "[chunks_overlap]" in result.stdout


@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_picture_fits_the_terminal(tmp_path, monkeypatch, width):
    """No line is longer than the terminal is wide, few chunks or many, and offsets lead the rows."""
    _make(tmp_path / "few")
    _make(tmp_path / "many", shape=(64, 64), shard=(64, 64), inner=(2, 2))
    monkeypatch.setattr(verb, "console", Console(width=width))
    for name in ("few", "many"):
        output = _run(tmp_path / name, "--shard", "0,0").stdout
        assert max(len(line) for line in output.splitlines()) <= width
        assert re.search(r"^ +0 B \|[a-z]", output, re.MULTILINE)
    assert len(re.findall(r"\|.*\|", output)) == 16
    assert "1,024 inner chunks are a-z A-Z 0-9" in re.sub(r"\s+", " ", output)


def test_the_picture_of_one_shard_as_json_lists_its_chunks(tmp_path):
    """Where each present inner chunk lies, where the index is, and the findings."""
    _make(tmp_path, index_location="start")
    status, document = _json(tmp_path, "--shard", "1,1")
    assert status == 0
    assert document["key"] == "c/1/1"
    assert document["index"] == {"offset": 0, "nbytes": 68}
    assert document["inner_chunks"] == [
        {"inner_chunk": [0, 0], "offset": 68, "nbytes": 64},
        {"inner_chunk": [1, 0], "offset": 132, "nbytes": 64},
    ]
    assert document["findings"] == []


def test_a_shard_that_cannot_be_read_is_a_finding(tmp_path):
    """There is no picture of it; status 1."""
    _make(tmp_path)
    (tmp_path / "c/0/0").write_bytes(b"x" * 100)
    result = _run(tmp_path, "--shard", "0,0")
    assert result.exit_code == 1
    assert "[index_checksum_mismatch]" in result.stdout
    status, document = _json(tmp_path, "--shard", "0,0")
    assert (status, document["findings"][0]["key"]) == (1, "c/0/0")


def test_a_shard_that_is_not_stored_is_no_finding(tmp_path):
    """It reads as fill value, and that is said."""
    _make(tmp_path)[8:, 8:] = 0
    result = _run(tmp_path, "--shard", "1,1")
    assert (result.exit_code, result.stdout) == (
        0,
        "c/1/1: not stored; all of it reads as the fill value, 0\n",
    )
    assert _json(tmp_path, "--shard", "1,1")[1]["present"] is False


@pytest.mark.parametrize(
    "shard", ["0", "0,0,0", "0,x", "-1,0", "2,0", "0.5,0", "", "c/0/0", "٣,0", "9" * 5000 + ",0"]
)
def test_a_shard_that_cannot_be_is_bad_usage(tmp_path, shard):
    """Wrong rank, no number, outside the grid: status 2, and what was expected."""
    _make(tmp_path)
    result = _run(tmp_path, f"--shard={shard}")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "--shard" in result.stderr


def test_a_shard_of_a_group_or_a_plain_array_is_bad_usage(tmp_path):
    """There are no shards to show."""
    zarr.create_group(tmp_path)
    zarr.create_array(tmp_path / "plain", data=np.ones(4), chunks=(2,))
    for path, reason in ((tmp_path, "not_found"), (tmp_path / "plain", "invalid_argument")):
        result = _run(path, "--shard", "0")
        assert result.exit_code == 2
        assert reason in result.stderr


@pytest.mark.parametrize("arguments", [["--shards", "0,0"], ["--json=1"], ["--shard"], ["second"]])
def test_wrong_options_are_bad_usage(tmp_path, arguments):
    """Misspelt options, values for flags, missing values, too many paths: status 2."""
    _make(tmp_path)
    result = _run(tmp_path, *arguments)
    assert (result.exit_code, result.stdout) == (2, "")


def test_nothing_there_is_bad_usage(tmp_path):
    """Status 2; with --json the document holds the error."""
    assert _run(tmp_path).exit_code == 2
    status, document = _json(tmp_path / "no")
    assert (status, document["error"]["reason"]) == (2, "not_found")


def test_an_array_of_no_dimensions_has_a_shard_without_coordinates(tmp_path):
    """Its only shard is named by nothing at all."""
    _make(tmp_path, shape=(), shard=(), inner=())
    result = _run(tmp_path, "--shard", "")
    assert result.exit_code == 0
    assert "1 of 1 inner chunk" in result.stdout
    assert _run(tmp_path).exit_code == 0


def test_the_command_itself_prints_no_colours_to_a_pipe(tmp_path):
    """A real process, its output read by another: letters, and no escape codes."""
    _make(tmp_path)
    code = "from zarr_shard_codec.cli import main; main()"
    command = [sys.executable, "-c", code, "inspect", tmp_path, "--shard", "0,0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "|aaaa" in done.stdout
    assert "\x1b" not in done.stdout
    assert done.stderr == ""
