"""`zarr-shard pack` and `unpack` as they are called: what they print, and their exit status."""

import http.server
import json
import re
import socketserver
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import zarr
from click.testing import CliRunner

import zarr_shard_codec as zsc
from zarr_shard_codec.cli import main

BRAIN = Path(__file__).parents[2] / "conformance" / "data" / "brain_v2.zarr"


@pytest.fixture
def source(tmp_path):
    """A v2 array of 4 × 4 chunks."""
    array = zarr.create_array(
        str(tmp_path / "source"), shape=(16, 16), chunks=(4, 4), dtype="i4", zarr_format=2, compressors=None
    )
    array[...] = np.arange(1, 257).reshape(16, 16)
    return tmp_path / "source"


def run(*arguments):
    """Call the command in this process."""
    return CliRunner().invoke(main, [*map(str, arguments)])


def test_pack_says_what_was_gained(tmp_path, source):
    """Objects before and after, bytes, index overhead, time and throughput; exit status 0."""
    result = run("pack", source, tmp_path / "target", "--shard-shape", "8,8", "--check")
    assert result.exit_code == 0
    first, second, third = result.stdout.splitlines()
    assert first == "packed 16 → 4 objects: chunks of 4×4, now in shards of 8×8"
    assert re.fullmatch(r"1\.0 KiB, indexes 272 B \(26\.56%\), \d+\.\d\d s, [\d.]+ [KM]iB/s", second)
    assert third == "checked: every chunk's bytes are those of the source"
    assert np.array_equal(zsc.open(tmp_path / "target")[...], zarr.open_array(str(source))[...])


def test_unpack_is_the_way_back(tmp_path, source):
    """The same words the other way round; v2's keys on request."""
    run("pack", source, tmp_path / "packed", "--shard-size", "256B", "--order", "morton")
    result = run("unpack", tmp_path / "packed", tmp_path / "target", "--key-encoding", "v2", "--check")
    assert result.exit_code == 0
    assert "unpacked 4 → 16 objects: chunks of 4×4, once in shards of 8×8\n" in result.stdout
    assert (tmp_path / "target" / "3.2").read_bytes() == (source / "3.2").read_bytes()


@pytest.mark.parametrize("verb", ["pack", "unpack"])
def test_json(tmp_path, source, verb):
    """One document on standard output, with everything the words say."""
    options = ["--shard-shape", "8,8"] if verb == "pack" else []
    if verb == "unpack":
        run("pack", source, tmp_path / "packed", "--shard-shape", "8,8")
        source = tmp_path / "packed"
    result = run(verb, source, tmp_path / "target", *options, "--check", "--json")
    found = json.loads(result.stdout)
    objects = (16, 4) if verb == "pack" else (4, 16)
    assert (found["objects_before"], found["objects_after"]) == objects
    assert (found["chunk_nbytes"], found["index_nbytes"], found["differences"]) == (1024, 272, [])
    (array,) = found["arrays"]
    assert (array["path"], array["action"], array["already_complete"]) == ("", verb, False)
    assert (array["shard_shape"], array["chunk_shape"]) == ([8, 8], [4, 4])
    assert found["seconds"] > 0
    assert json.loads(run(verb, source, tmp_path / "target", *options, "--json").stdout)["already_complete"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "expected either --shard-shape 128,128,128 or --shard-size 64MiB, found neither"),
        (["--shard-shape", "8,8", "--shard-size", "1MB"], "found both"),
        (["--shard-shape", "8x8"], "expected sizes such as 128,128,128, found '8x8'"),
        (["--shard-shape", "8,"], "expected sizes such as 128,128,128"),
        (["--shard-shape", ""], "expected sizes such as 128,128,128"),
        (["--shard-shape", "8,-8"], "expected sizes such as 128,128,128"),
        (["--shard-shape", "8"], "expected 2 sizes"),
        (["--shard-shape", "8,0"], "The nearest shard shapes: 8,4."),
        (["--shard-shape", "10,8"], "The nearest shard shapes: 8,8 and 12,8."),
        (["--shard-size", "64XB"], "expected a size such as 64MiB, 1.5GB or 65536 (bytes), found '64XB'"),
        (["--shard-size", "0"], "expected a size such as 64MiB"),
        (["--shard-size", "1MB", "--order", "spiral"], "'spiral' is not one of"),
        (["--shard-size", "1MB", "--index-location", "middle"], "'middle' is not one of"),
    ],
)
def test_bad_usage(tmp_path, source, options, words):
    """Exit status 2, what was expected and what was found, and nothing is written."""
    result = run("pack", source, tmp_path / "target", *options)
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stdout == ""
    assert not (tmp_path / "target").exists()


def test_bad_usage_as_json(tmp_path, source):
    """The error is the document."""
    result = run("pack", source, tmp_path / "target", "--shard-shape", "10,8", "--json")
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"]["reason"] == "chunk_shape_not_divisor"


def test_nothing_there_and_something_there(tmp_path, source):
    """No source, a target that holds something else: exit status 2."""
    result = run("pack", tmp_path / "nowhere", tmp_path / "target", "--shard-size", "1MB")
    assert (result.exit_code, "[not_found]" in result.stderr) == (2, True)
    run("pack", source, tmp_path / "target", "--shard-shape", "8,8")
    result = run("pack", source, tmp_path / "target", "--shard-shape", "4,4")
    assert (result.exit_code, "[target_differs]" in result.stderr) == (2, True)
    result = run("pack", source, tmp_path / "target", "--shard-shape", "8,8")
    assert (result.exit_code, "nothing was done; --check" in result.stdout) == (0, True)
    result = run("unpack", source, tmp_path / "other")
    assert (result.exit_code, "not sharded" in result.stderr) == (2, True)


def test_a_codec_in_the_way(tmp_path, source):
    """It is named; exit status 1, since the command was good and the data are not packable."""
    document = json.loads((source / ".zarray").read_text())
    (source / ".zarray").write_text(json.dumps(document | {"compressor": {"id": "squeeze"}}))
    result = run("pack", source, tmp_path / "target", "--shard-size", "1MB")
    assert result.exit_code == 1
    assert (
        f"{source}/.zarray: compressor: no v3 codec is known to do what v2's 'squeeze' does" in result.stderr
    )
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize("verb", ["pack", "unpack"])
def test_check_finds_one_other_byte(tmp_path, source, verb):
    """In a chunk: the byte is named, and everything else goes on; exit status 1."""
    run("pack", source, tmp_path / "packed", "--shard-shape", "8,8")
    run("unpack", tmp_path / "packed", tmp_path / "unpacked")
    ends = (source, tmp_path / "packed") if verb == "pack" else (tmp_path / "packed", tmp_path / "unpacked")
    options = ["--shard-shape", "8,8"] if verb == "pack" else []
    flipped = ends[1] / "c/0/1" if verb == "pack" else ends[1] / "c/1/2"
    whole = bytearray(flipped.read_bytes())
    at = 128 + 17 if verb == "pack" else 17
    whole[at] ^= 1
    flipped.write_bytes(whole)
    result = run(verb, *ends, *options, "--check")
    assert result.exit_code == 1
    *found, hint, more = result.stdout.splitlines()[1:]
    shard, chunk = ("c/0/1", "1.2") if verb == "pack" else ("c/1/2", "c/0/1")
    place = f"{shard}: inner chunk (1, 0): other bytes, from byte 17 of 64 on"
    assert found == [place, f"  in the source: {chunk}", "1 difference between source and target"]
    (difference,) = json.loads(run(verb, *ends, *options, "--check", "--json").stdout)["differences"]
    assert difference["inner_chunk"] == [1, 0]
    assert "delete these objects of the target" in hint
    assert "run the same command again, with --check" in more
    flipped.unlink()
    result = run(verb, *ends, *options, "--check")
    assert result.exit_code == 0
    words = "packed 4 → 1 object, 3" if verb == "pack" else "unpacked 4 → 1 object, 15"
    assert f"{words} there already" in result.stdout
    assert "checked: every chunk's bytes" in result.stdout
    whole[at] ^= 1
    assert flipped.read_bytes() == whole


def test_check_finds_every_kind_of_difference(tmp_path, source):
    """Lost and new chunks on either side, other lengths, a broken index, a lost shard: all in one run."""
    run("pack", source, tmp_path / "target", "--shard-shape", "8,8")
    (source / "0.0").unlink()
    (source / "0.1").write_bytes(b"short")
    shard = tmp_path / "target" / "c/1/1"
    shard.write_bytes(shard.read_bytes()[:-1] + b"!")
    (tmp_path / "target" / "c/1/0").unlink()
    result = run("pack", source, tmp_path / "target", "--shard-shape", "8,8", "--check", "--json")
    assert result.exit_code == 1
    found = {
        (item["target_key"], item["source_key"]): item["message"]
        for item in json.loads(result.stdout)["differences"]
    }
    assert found.pop(("c/0/0", "0.0")) == "the source has no such chunk, the target has 64 bytes of it"
    assert found.pop(("c/0/0", "0.1")) == "the source has 5 bytes, the target 64 bytes"
    assert "[index_checksum_mismatch]" in found.pop(("c/1/1", None))
    lost = {
        ("c/1/0", key): "the target has no such chunk, the source has 64 bytes of it" for key in found_keys()
    }
    assert found == lost


def found_keys():
    """Name the source's chunks in the shard (1, 0)."""
    return [f"{i}.{j}" for i in (2, 3) for j in (0, 1)]


def test_a_tree_has_a_line_an_array(tmp_path):
    """Each with what was done to it, and a total."""
    root = zarr.create_group(str(tmp_path / "tree"))
    for name, shape in (("a", (8,)), ("b", (4, 4))):
        root.create_array(name, shape=shape, chunks=(2,) * len(shape), dtype="u1")[...] = 1
    result = run("pack", tmp_path / "tree", tmp_path / "target", "--shard-size", "4B")
    assert result.stdout.splitlines()[:2] == [
        "a: chunks of 2, now in shards of 4, 4 → 2 objects",
        "b: chunks of 2×2, now in shards of 2×2, 4 → 4 objects",
    ]
    assert "packed 2 arrays: 8 → 6 objects\n" in result.stdout
    result = run("pack", tmp_path / "tree", tmp_path / "other", "--shard-shape", "4,4")
    assert (result.exit_code, "a: expected 1 size, as many" in result.stderr) == (2, True)


def test_an_array_without_a_chunk_has_no_speed(tmp_path):
    """No bytes in no time are not 0 B/s."""
    zarr.create_array(str(tmp_path / "source"), shape=(8,), chunks=(2,), dtype="u1", fill_value=3)
    result = run("pack", tmp_path / "source", tmp_path / "target", "--shard-size", "4B")
    assert result.stdout == (
        "packed 0 → 0 objects: chunks of 2, now in shards of 4\n"
        "the source has no chunk: all of it is the fill value\n"
    )


def test_shapes_and_sizes_as_people_write_them(tmp_path, source):
    """Spaces between sizes, and units as in other tools."""
    assert run("pack", source, tmp_path / "a", "--shard-shape", " 8, 8 ").exit_code == 0
    assert run("pack", source, tmp_path / "b", "--shard-size", "1 K").exit_code == 0
    assert zsc.open(tmp_path / "b").shard_shape == (16, 16)
    assert "64M is 64" in run("pack", "--help").stdout


def test_a_file_is_no_source_and_no_target(tmp_path, source):
    """It is said, with its path."""
    (tmp_path / "file.nii").write_bytes(b"!")
    for verb in ("inspect", "verify"):
        result = run(verb, tmp_path / "file.nii")
        assert (result.exit_code, "That is a file, no folder." in result.stderr) == (2, True)
    result = run("pack", tmp_path / "file.nii", tmp_path / "target", "--shard-size", "1K")
    assert f"no Zarr array or group in {tmp_path / 'file.nii'} [not_found]" in result.stderr
    result = run("pack", source, tmp_path / "file.nii", "--shard-size", "1K")
    assert (result.exit_code, f"{tmp_path / 'file.nii'} is a file, no folder" in result.stderr) == (2, True)
    assert (tmp_path / "file.nii").read_bytes() == b"!"


def test_http_is_no_target(tmp_path, source):
    """Nothing can be written there, and that is what is said: nothing is asked of the server but to read."""
    with socketserver.TCPServer(("127.0.0.1", 0), _Nothing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}/target"
        try:
            result = run("pack", source, url, "--shard-size", "1K")
            missing = run("inspect", url)
            nowhere = run("pack", url, tmp_path / "target", "--shard-size", "1K")
        finally:
            server.shutdown()
            thread.join()
    assert (result.exit_code, f"error: {url} is not writable" in result.stderr) == (2, True)
    assert "[read_only]" in result.stderr
    assert (missing.exit_code, "it has no metadata at this URL" in missing.stderr) == (2, True)
    assert f"there is no Zarr array or group in {url} [not_found]" in nowhere.stderr


class _Nothing(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_error(404)

    def log_message(self, *_args):
        """Say nothing."""


def test_keys_that_a_terminal_would_obey(tmp_path):
    """The names of other people's arrays are shown, not obeyed."""
    root = zarr.create_group(str(tmp_path / "tree"))
    for name in ("red\x1b[31m", "plain"):
        root.create_array(name, shape=(2,), chunks=(1,), dtype="u1")[...] = 1
    result = run("pack", tmp_path / "tree", tmp_path / "target", "--shard-size", "4B")
    assert "red\\x1b[31m: chunks of 1" in result.stdout
    assert "\x1b" not in result.stdout


@pytest.mark.parametrize("verb", ["pack", "unpack"])
def test_help(verb):
    """Says what it does, and every exit status."""
    result = run(verb, "--help")
    assert result.exit_code == 0
    assert "Exit status: 0 done, 1" in result.stdout
    assert "--check" in result.stdout


def test_the_real_array_by_a_process_of_its_own(tmp_path):
    """The README's command on the brain: 130 files become 8, without a warning on standard error."""
    program = "from zarr_shard_codec.cli import main; main()"
    arguments = ["pack", BRAIN, tmp_path / "brain.zarr", "--shard-shape", "128,128,128", "--check"]
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert (
        "packed 130 → 8 objects: chunks of 32×32×32, now in shards of 128×128×128\n2.0 MiB, " in result.stdout
    )
    assert "checked: every chunk's bytes are those of the source" in result.stdout
