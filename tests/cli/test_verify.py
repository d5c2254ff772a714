"""`zarr-shard verify` as it is called: what it prints, and its exit status."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import zarr
from click.testing import CliRunner

import zarr_shard_codec as zsc
from zarr_shard_codec.cli import main
from zarr_shard_codec.core.index import ShardIndex
from zarr_shard_codec.errors import REASONS

LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}


def _make(path, shape=(16,), **options):
    shapes = {"shape": shape, "shard_shape": (8,), "inner_chunk_shape": (2,)}
    array = zsc.create(path, dtype="int32", codecs=[LITTLE, {"name": "crc32c"}], **shapes, **options)
    array[...] = np.arange(1, 1 + shape[0])
    return array


def _run(*arguments):
    return CliRunner().invoke(main, ["verify", *map(str, arguments)])


def _json(*arguments):
    result = _run(*arguments, "--json")
    return result.exit_code, json.loads(result.stdout)


def _break(path, at, entry):
    codec = zsc.open(path.parent.parent).codec
    whole = path.read_bytes()
    entries = codec.read_index(whole).entries.copy()
    entries[at] = entry
    index = codec.encode_index(ShardIndex(entries, codec.chunks_per_shard))
    path.write_bytes(whole[: -codec.index_nbytes] + bytes(index))


def test_a_sound_array_is_said_to_be_so(tmp_path):
    """Status 0, and a summary of what was looked at."""
    _make(tmp_path)
    result = _run(tmp_path)
    assert result.exit_code == 0
    assert result.stdout == "1 array, 2 objects, 8 inner chunks, 232 B: no errors\n"
    assert result.stderr == ""


def test_every_finding_is_a_line_and_errors_are_status_1(tmp_path):
    """Severity, key, inner chunk, message and reason; the last line counts."""
    _make(tmp_path)
    _break(tmp_path / "c/0", 1, (0, 0))
    (tmp_path / "c/1").write_bytes(b"short")
    (tmp_path / "c/9").write_bytes(b"")
    result = _run(tmp_path)
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert len(lines) == 6
    assert lines[1] == (
        "error  c/0: inner chunk (1,): index entry (offset 0, nbytes 0): "
        "an encoded inner chunk has at least one byte [entry_zero_length]"
    )
    assert [line.split()[0] for line in lines[:4]] == ["note", "error", "note", "error"]
    assert lines[4].endswith(": 2 errors, 2 notes")
    assert lines[5] == "zarr-shard repair says what of it can be repaired"


def test_notes_alone_are_status_0(tmp_path):
    """What nobody's reading suffers from does not fail a check that runs every night."""
    _make(tmp_path)
    (tmp_path / "c/.zsc-tmp-0123456789abcdef").write_bytes(b"half")
    status, document = _json(tmp_path)
    assert (status, document["errors"], document["notes"]) == (0, 0, 1)
    assert document["findings"][0]["reason"] == "leftover_temporary"


def test_the_document_is_that_of_the_report(tmp_path):
    """Programs get the same by `--json` and from `zsc.verify`."""
    _make(tmp_path)
    _break(tmp_path / "c/0", 3, (2**40, 12))
    document = _json(tmp_path)[1]
    report = zsc.verify(tmp_path)
    assert document == {"path": str(tmp_path), "index_only": False, **report.to_json()}
    assert document["errors"] == len(report.errors) == 1


def test_index_only_sees_indexes_and_no_chunks(tmp_path):
    """A damaged chunk is found without the option, a damaged entry with it, too."""
    _make(tmp_path)
    path = tmp_path / "c/0"
    path.write_bytes(b"\xff" + path.read_bytes()[1:])
    assert _run(tmp_path).exit_code == 1
    result = _run(tmp_path, "--index-only")
    assert result.exit_code == 0
    assert "8 inner chunks (not decoded)" in result.stdout
    _break(path, 3, (2**40, 12))
    status, document = _json(tmp_path, "--index-only")
    assert status == 1
    assert document["index_only"] is True
    assert [f["reason"] for f in document["findings"] if f["severity"] == "error"] == ["entry_out_of_bounds"]


def test_a_tree_is_verified_past_broken_metadata(tmp_path):
    """Each array in turn; every problem of a broken document; data that no metadata describes."""
    zarr.create_group(tmp_path)
    _make(tmp_path / "a/good")
    _make(tmp_path / "z/bad")
    _break(tmp_path / "z/bad/c/1", 0, (2**64 - 1, 3))
    (tmp_path / "m").mkdir()
    (tmp_path / "m/zarr.json").write_text('{"zarr_format": 3, "node_type": "array", "shape": [1]}')
    (tmp_path / "lost/c").mkdir(parents=True)
    (tmp_path / "lost/c/0").write_bytes(b"data")
    status, document = _json(tmp_path)
    assert status == 1
    assert (document["arrays"], document["objects"], document["inner_chunks"]) == (2, 4, 15)
    found = {(f["key"], f["reason"]) for f in document["findings"]}
    assert found >= {
        ("m/zarr.json", "missing_key"),
        ("z/bad/c/1", "entry_half_empty"),
        ("lost/c/0", "orphan_object"),
    }
    assert sum(f["reason"] == "missing_key" for f in document["findings"]) == 5
    assert {f["reason"] for f in document["findings"]} <= REASONS
    assert document["errors"] == sum(f["severity"] == "error" for f in document["findings"]) == 6


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda c: c.pop("codecs"), "missing_key"),
        (lambda c: c.pop("index_codecs"), "missing_key"),
        (lambda c: c.update(surprise=1), "unknown_key"),
        (lambda c: c.update(chunk_shape=[3]), "chunk_shape_not_divisor"),
        (lambda c: c["index_codecs"].append({"name": "gzip", "configuration": {"level": 1}}),
         "index_codec_variable_size"),
    ],
)  # fmt: skip
def test_metadata_that_is_wrong_is_a_finding(tmp_path, change, reason):
    """The metadata rows of the table of broken shards: status 1, with the document's key."""
    _make(tmp_path)
    document = json.loads((tmp_path / "zarr.json").read_text())
    change(document["codecs"][0]["configuration"])
    (tmp_path / "zarr.json").write_text(json.dumps(document))
    status, output = _json(tmp_path)
    assert status == 1
    assert [(f["key"], f["reason"]) for f in output["findings"]] == [("zarr.json", reason)]


def test_what_other_writers_left_is_verified(tmp_path):
    """A group of zarr-python's, with sharded, plain and v2 arrays, has no findings."""
    group = zarr.create_group(tmp_path)
    data = np.arange(900, dtype="f8").reshape(30, 30)
    group.create_array("sharded", data=data, chunks=(5, 5), shards=(10, 10))
    group.create_array("plain", data=data, chunks=(5, 5))
    zarr.create_array(tmp_path / "v2", data=data, chunks=(5, 5), zarr_format=2)
    status, document = _json(tmp_path)
    assert (status, document["findings"], document["arrays"]) == (0, [], 3)
    assert document["inner_chunks"] == 108


@pytest.mark.parametrize("arguments", [[], ["--json"], ["--index-only"]])
def test_nothing_there_is_bad_usage(tmp_path, arguments):
    """An empty folder, or none at all: status 2, and an error on standard error."""
    for path in (tmp_path, tmp_path / "no"):
        result = _run(path, *arguments)
        assert result.exit_code == 2
        assert "not_found" in result.stderr


@pytest.mark.parametrize("arguments", [["--indexonly"], ["--index-only=yes"], ["--json=1"], ["second"]])
def test_wrong_options_are_bad_usage(tmp_path, arguments):
    """Misspelt options, values for flags, too many paths: status 2, nothing verified."""
    _make(tmp_path)
    result = _run(tmp_path, *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Error:" in result.stderr


def test_a_path_is_needed():
    """Without one there is nothing to verify."""
    assert _run().exit_code == 2


def test_an_empty_group_is_in_order(tmp_path):
    """There is something, with nothing in it."""
    zarr.create_group(tmp_path)
    result = _run(tmp_path)
    assert result.exit_code == 0
    assert result.stdout == "0 arrays, 0 objects, 0 inner chunks, 0 B: no errors\n"


def test_names_of_files_give_the_terminal_no_orders(tmp_path):
    """A stray file's name is shown escaped."""
    _make(tmp_path)
    (tmp_path / "a\x1b[2Jb\n").write_bytes(b"")
    (line, _) = _run(tmp_path).stdout.splitlines()
    assert line.startswith(r"note   a\x1b[2Jb\n: neither")


def test_the_command_itself_reports_by_its_status(tmp_path):
    """A real process: findings on standard output alone, no bar where there is no terminal."""
    _make(tmp_path)
    _break(tmp_path / "c/0", 0, (0, 0))
    code = "from zarr_shard_codec.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "verify", tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "[entry_zero_length]" in done.stdout
    assert "\x1b" not in done.stdout
    assert done.stderr == ""


def _tree_with_a_foreign_array(path):
    """A sharded array, and beside it one of a data type that nobody knows."""
    zarr.create_group(path)
    _make(path / "numbers")
    document = json.loads((path / "numbers" / "zarr.json").read_text()) | {"data_type": "colour"}
    (path / "paint").mkdir()
    (path / "paint" / "zarr.json").write_text(json.dumps(document))


@pytest.mark.parametrize("verb", ["verify", "inspect", "repair", "compact"])
def test_an_array_of_an_unknown_type_beside_others_is_a_note(tmp_path, verb):
    """Nothing is wrong with it, and nobody is to be alarmed every night; alone it is an error."""
    _tree_with_a_foreign_array(tmp_path)
    result = CliRunner().invoke(main, [verb, str(tmp_path), "--json"])
    (note,) = json.loads(result.stdout)["findings"]
    found = {name: note[name] for name in ("severity", "reason", "key")}
    assert found == {"severity": "note", "reason": "unsupported_data_type", "key": "paint/zarr.json"}
    assert "not looked into: the data type 'colour' is not supported" in note["message"]
    assert result.exit_code == 0
    alone = CliRunner().invoke(main, [verb, str(tmp_path / "paint"), "--json"])
    assert alone.exit_code == 1
    assert {finding["severity"] for finding in json.loads(alone.stdout)["findings"]} == {"error"}
