"""inspect and verify as functions: a whole tree in one call."""

import numpy as np
import pytest
import zarr

import zarr_shard_codec as zsc


@pytest.fixture
def tree(tmp_path):
    """A group with two arrays of shards, one of chunks, and a broken shard."""
    group = zarr.create_group(str(tmp_path))
    for name in ("a", "b"):
        array = zsc.create(
            tmp_path / name, shape=(12,), dtype="i4", shard_shape=(6,), inner_chunk_shape=(2,), codecs=None
        )
        array[...] = np.arange(1, 13)
    group.create_array("plain", data=np.ones(4), chunks=(2,))
    shard = tmp_path / "b/c/1"
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    return tmp_path


def test_verify_looks_at_every_array(tree):
    """What was looked at is counted, what is wrong is listed, and nothing is raised."""
    found = zsc.verify(tree)
    assert (found.arrays, found.objects, found.inner_chunks) == (3, 6, 11)
    assert [(finding.key, finding.reason) for finding in found.errors] == [
        ("b/c/1", "index_checksum_mismatch")
    ]
    assert found.findings == found.errors == zsc.verify(tree, index_only=True).findings
    assert found.nbytes == sum(file.stat().st_size for file in tree.rglob("c/*"))


def test_inspect_looks_at_every_array(tree):
    """One report an array, in order; a document that cannot be read is a finding."""
    (tree / "lost").mkdir()
    (tree / "lost/.zarray").write_text("{")
    found = zsc.inspect(tree)
    assert [report.array.path for report in found.arrays] == ["a", "b", "plain"]
    assert [(report.shards_present, report.inner_chunks_present) for report in found.arrays] == [
        (2, 6),
        (2, 3),
        (2, 2),
    ]
    assert [report.n_errors for report in found.arrays] == [0, 1, 0]
    assert [(finding.key, finding.reason) for finding in found.findings] == [("lost/.zarray", "invalid_json")]


@pytest.mark.parametrize("look", [zsc.inspect, zsc.verify])
def test_nothing_there_is_said(tmp_path, look):
    """A place without arrays or groups is an error of its own, not a clean bill."""
    with pytest.raises(zsc.NodeNotFoundError) as caught:
        look(tmp_path)
    assert caught.value.reason == "not_found"
