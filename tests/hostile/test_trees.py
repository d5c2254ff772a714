"""Hostile trees on a disk, through every verb: our errors or an answer, in little memory, nothing outside.

Each verb runs in a forked child of one process that has everything imported, so that the peak of its memory
is its own. The limit is what the package promises, 200 MB above what there was.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAX_NBYTES = 200 * 10**6
LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
CRC = {"name": "crc32c"}
ZSTD = {"name": "zstd", "configuration": {"level": 1, "checksum": False}}
GROUP = {"zarr_format": 3, "node_type": "group"}


def _array(shape=(8,), shard=(8,), inner=(2,), codecs=(LITTLE,), after=(), **members):
    configuration = {
        "chunk_shape": list(inner),
        "codecs": list(codecs),
        "index_codecs": [LITTLE, CRC],
        "index_location": "end",
    }
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(shape),
        "data_type": "int32",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(shard)}},
        "chunk_key_encoding": {"name": "default"},
        "fill_value": 0,
        "codecs": [{"name": "sharding_indexed", "configuration": configuration}, *after],
        **members,
    }


def _v2(shape, chunks):
    return {
        "zarr_format": 2,
        "shape": list(shape),
        "chunks": list(chunks),
        "dtype": "<i4",
        "compressor": None,
        "fill_value": 0,
        "order": "C",
        "filters": None,
    }


def _write(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())


def _nested(text, levels):
    """A document whose inner codecs are shards within shards without end."""
    head, tail = '{"name": "sharding_indexed", "configuration": {"codecs": [', "]}}"
    return text.replace('"@"', head * levels + tail * levels).encode()


HUGE = 2**63 - 1
FILES = {
    "2^62 elements in small shards": {"zarr.json": _array((2**62,), (4,)), "c/0": b"x" * 200},
    "2^62 elements in one shard": {"zarr.json": _array((2**62,), (2**62,), (1,)), "c/0": b"x" * 200},
    "2^62 elements in one inner chunk": {
        "zarr.json": _array((2**62,), (2**62,), (2**62,)),
        "c/0": b"x" * 200,
    },
    "2^33 shards": {"zarr.json": _array((2**33,), (1,), (1,)), "c/0": b"x" * 20},
    "2^25 inner chunks in a shard": {"zarr.json": _array((2**25,), (2**25,), (1,)), "c/0": b"x" * 200},
    "32 axes of 2^63-1": {
        "zarr.json": _array((HUGE,) * 32, (HUGE,) * 32, (1,) * 32),
        "c/" + "/".join("0" * 32): b"x" * 200,
    },
    "v2, 2^62 elements in one chunk": {".zarray": _v2((2**62,), (2**62,)), "0": b"x" * 200},
    "v2, 2^62 chunks": {".zarray": _v2((2**62,), (1,)), "0": b"x" * 4},
    "keys too long for a file": {
        "zarr.json": _array((HUGE,) * 32, (1,) * 32, (1,) * 32, chunk_key_encoding={"name": "v2"}),
    },
    "20,000 codecs": {"zarr.json": _array(after=[CRC] * 20_000), "c/0": b"x" * 200},
    "20,000 inner codecs": {"zarr.json": _array(codecs=[LITTLE] + [ZSTD] * 20_000), "c/0": b"x" * 200},
    "1,000,000 shards within shards": {"zarr.json": _nested(json.dumps(_array(codecs=["@"])), 10**6)},
    "1,000,000 lists within lists": {"zarr.json": b"[" * 10**6 + b"]" * 10**6},
    "100,000 axes": {"zarr.json": _array([1] * 10**5, [1] * 10**5, [1] * 10**5)},
    "a number of 1,000,000 digits": {
        "zarr.json": json.dumps(_array()).replace('"fill_value": 0', f'"fill_value": {"9" * 10**6}').encode()
    },
    "a marker of packing that is none": {".zarr-shard-packing.json": b"[" * 10**5, "zarr.json": _array()},
}


def _sparse_document(root):
    _write(root, {"zarr.json": b"{"})
    os.truncate(root / "zarr.json", 1 << 30)


def _sparse_attributes(root):
    _write(root, {".zarray": _v2((8,), (8,)), ".zattrs": b"{"})
    os.truncate(root / ".zattrs", 1 << 30)


def _sparse(name, nbytes, document):
    """An object that is larger than any memory, and takes no room on the disk."""

    def make(root):
        _write(root, {".zarray" if document["zarr_format"] == 2 else "zarr.json": document, name: b""})
        os.truncate(root / name, nbytes)

    return make


def _deep_folders(root):
    _write(root, {"zarr.json": GROUP})
    at = os.open(root, os.O_RDONLY)
    for _ in range(1500):  # longer than a path may be, and deeper than Python's stack
        os.mkdir("deep", dir_fd=at)
        below = os.open("deep", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)


def _circle(root):
    _write(root, {"zarr.json": GROUP, "a/x": b"", "b/x": b""})
    (root / "a" / "to_b").symlink_to("../b")
    (root / "b" / "to_a").symlink_to("../a")


def _many_paths(root):
    """Thirty folders with two links each to the next: 2^30 paths."""
    _write(root, {f"{at}/zarr.json": GROUP for at in range(30)} | {"zarr.json": GROUP})
    for at in range(29):
        for name in "ab":
            (root / str(at) / name).symlink_to(f"../{at + 1}")


MADE = {
    "a document of 1 GiB": _sparse_document,
    "attributes of 1 GiB": _sparse_attributes,
    "a shard of 1 TiB": _sparse("c/0", 1 << 40, _array()),
    "a shard of 1 TiB, in zstd": _sparse("c/0", 1 << 40, _array(after=[ZSTD])),
    "a chunk of 1 TiB": _sparse("c/0", 1 << 40, _array() | {"codecs": [LITTLE, ZSTD]}),
    "folders deeper than a path is long": _deep_folders,
    "links in a circle": _circle,
    "2^30 paths of links": _many_paths,
}

VERBS = """
import json, os, resource, signal, sys, traceback
import zarr_shard_codec as zsc
root, target = sys.argv[1:]
zsc.ShardingCodec, zsc.pack, zsc.verify
first = lambda a: (slice(0, 1),) * a.ndim
def write():
    array = zsc.open(root, "r+")
    array[first(array)] = 1
verbs = {
    "inspect": lambda: zsc.inspect(root),
    "verify": lambda: zsc.verify(root),
    "read": lambda: [a[first(a)] for a in [zsc.open(root)]],
    "read the end": lambda: [a[(slice(-1, None),) * a.ndim] for a in [zsc.open(root)]],
    "pack": lambda: zsc.pack(root, target, shard_size="64MiB"),
    "pack in one": lambda: zsc.pack(root, target, shard_shape=[8]),
    "unpack": lambda: zsc.unpack(root, target),
    "write": write,
}
for name, verb in verbs.items():
    if not os.fork():
        at_start = int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100 << 20,) * 2)  # a disk is soon filled
        try:
            verb()
            reason = "done"
        except zsc.ZarrShardError as error:
            str(error), error.to_json()
            reason = error.reason
        except BaseException as error:
            reason = "FOREIGN " + traceback.format_exc()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - at_start
        print(json.dumps([name, reason, peak]), flush=True)
        os._exit(0)
    os.wait()
"""


def _verbs(tree, target):
    """What each verb says of a tree, and the memory that it takes."""
    done = subprocess.run(
        [sys.executable, "-c", VERBS, str(tree), str(target)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == 8
    return {name: (reason, peak) for name, reason, peak in answers}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts a process's memory so")
@pytest.mark.parametrize("case", [*FILES, *MADE])
def test_every_verb_ends_in_an_answer_or_our_error(tmp_path, case):
    """Whatever the tree: no foreign exception, no more than 200 MB, no end of patience."""
    tree = tmp_path / "tree"
    tree.mkdir()
    if case in FILES:
        _write(tree, FILES[case])
    else:
        MADE[case](tree)
    for verb, (reason, peak) in _verbs(tree, tmp_path / "target").items():
        assert not reason.startswith("FOREIGN"), (verb, reason)
        assert peak < MAX_NBYTES, (verb, peak)
        if verb.startswith("pack") and case == "a chunk of 1 TiB":
            assert reason == "inner_chunk_wrong_size", "a file without a byte on the disk fills another"
    if case == "folders deeper than a path is long":
        subprocess.run(["rm", "-rf", tree], check=True)  # pytest's own way is recursive


@pytest.mark.parametrize("link", ["zarr.json", "c", "c/0", "."])
def test_nothing_outside_the_tree_is_read_or_written(tmp_path, link):
    """Links of a document, of a folder of shards, of a shard, of a whole array: no verb follows them out."""
    outside, tree = tmp_path / "outside", tmp_path / "tree"
    _write(outside, {"zarr.json": _array(), "c/0": b"secret" * 100})
    if link == ".":
        _write(tree, {"zarr.json": GROUP})
        (tree / "array").symlink_to(outside)
    else:
        own = [name for name in ("zarr.json", "c/0") if name != link and not name.startswith(f"{link}/")]
        tree.mkdir()
        _write(tree, {name: (outside / name).read_bytes() for name in own})
        (tree / link).parent.mkdir(exist_ok=True)
        (tree / link).symlink_to(outside / link)
    before = {path: path.read_bytes() for path in outside.rglob("*") if path.is_file()}
    answers = _verbs(tree, tmp_path / "target")
    for verb, (reason, _) in answers.items():
        assert not reason.startswith("FOREIGN"), (verb, reason)
    if link != "zarr.json":
        assert answers["unpack"][0] in ("invalid_key", "not_found"), answers
    assert {path: path.read_bytes() for path in outside.rglob("*") if path.is_file()} == before
    packed = [path.read_bytes() for path in (tmp_path / "target").rglob("*") if path.is_file()]
    assert not any(b"secret" in content for content in packed)


def test_a_target_with_links_out_is_not_written_through(tmp_path):
    """Packing into a folder whose parts lead elsewhere writes nothing there."""
    outside, target = tmp_path / "outside", tmp_path / "target"
    outside.mkdir()
    target.mkdir()
    (target / "c").symlink_to(outside)
    _write(tmp_path / "tree", {".zarray": _v2((8,), (2,)), "0": b"x" * 8, "3": b"y" * 8})
    answers = _verbs(tmp_path / "tree", target)
    assert answers["pack in one"][0] in ("invalid_key", "already_exists", "target_differs", "stale_data")
    assert list(outside.iterdir()) == []
