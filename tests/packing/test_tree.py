"""Trees of groups: everything planned first, everything that stands in the way told at once."""

import json
import warnings

import numpy as np
import pytest
import zarr

import zarr_shard_codec as zsc
from zarr_shard_codec.array.nodes import walk_readable
from zarr_shard_codec.errors import MetadataError, NodeNotFoundError, PackingError, UsageError
from zarr_shard_codec.packing import pack, unpack
from zarr_shard_codec.stores.local import LocalStore


@pytest.fixture(params=[2, 3])
def tree(tmp_path, request):
    """A tree of either format: groups with attributes, arrays of three ranks, one empty group."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        root = zarr.create_group(
            str(tmp_path / "tree"), zarr_format=request.param, attributes={"title": "rain", "n": [1, 2]}
        )
        deep = root.create_group("a", attributes={"of": "a"}).create_group("b")
        root.create_group("nothing", attributes={"empty": True})
        arrays = {
            "volume": (root, (20, 20, 20), (5, 5, 5)),
            "a/plane": (root["a"], (30, 30), (7, 7)),
            "a/b/line": (deep, (100,), (10,)),
        }
        for path, (group, shape, chunks) in arrays.items():
            array = group.create_array(
                path.rpartition("/")[2], shape=shape, chunks=chunks, dtype="i4", attributes={"path": path}
            )
            array[...] = np.arange(np.prod(shape)).reshape(shape) + 1
        if request.param == 2:
            zarr.consolidate_metadata(str(tmp_path / "tree"))
    return tmp_path / "tree"


def test_a_tree_becomes_a_tree(tmp_path, tree):
    """Groups, their attributes, and every array's elements: what zarr-python sees is the same, in Zarr v3."""
    report = pack(tree, tmp_path / "target", shard_size="2KiB", check=True)
    assert report.differences == ()
    assert report.groups == ("", "a", "a/b", "nothing")
    assert [array.path for array in report.arrays] == ["a/b/line", "a/plane", "volume"]
    old, new = zarr.open_group(str(tree), mode="r"), zarr.open_group(str(tmp_path / "target"), mode="r")
    assert new.metadata.zarr_format == 3
    assert dict(new.attrs) == dict(old.attrs) == {"title": "rain", "n": [1, 2]}
    members = dict(old.members(max_depth=None))
    assert sorted(dict(new.members(max_depth=None))) == sorted(members)
    for path, member in members.items():
        assert dict(new[path].attrs) == dict(member.attrs)
        if isinstance(member, zarr.Array):
            assert new[path].shards is not None
            assert np.array_equal(new[path][...], member[...])


def test_no_stale_consolidated_metadata_comes_along(tmp_path, tree):
    """A copy of the old documents would be believed before the new ones."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        zarr.consolidate_metadata(str(tree))
    pack(tree, tmp_path / "target", shard_size="2KiB")
    assert "consolidated_metadata" not in json.loads((tmp_path / "target" / "zarr.json").read_text())
    assert not (tmp_path / "target" / ".zmetadata").exists()


def test_unpacking_a_tree_gives_back_its_chunks(tmp_path, tree, chunk_files):
    """Every chunk file under the same key, byte for byte."""
    encoding = "v2" if (tree / ".zgroup").exists() else "default"
    pack(tree, tmp_path / "packed", shard_size="2KiB")
    report = unpack(tmp_path / "packed", tmp_path / "target", chunk_key_encoding=encoding, check=True)
    assert report.differences == ()
    assert chunk_files(tmp_path / "target") == chunk_files(tree)


def test_what_needs_neither_is_copied(tmp_path, tree, chunk_files):
    """In a tree, arrays sharded already go along byte for byte; unpacking copies those that are not."""
    pack(tree / "volume", tmp_path / "sharded", shard_size="2KiB")
    (tmp_path / "sharded").rename(tree / "sharded")
    report = pack(tree, tmp_path / "packed", shard_size="2KiB", check=True)
    assert {array.path: array.action for array in report.arrays} == {
        "a/b/line": "pack",
        "a/plane": "pack",
        "sharded": "copy",
        "volume": "pack",
    }
    assert report.differences == ()
    assert chunk_files(tmp_path / "packed" / "sharded") == chunk_files(tree / "sharded")
    report = unpack(tree, tmp_path / "unpacked", check=True)
    assert [array.action for array in report.arrays] == ["copy", "copy", "unpack", "copy"]
    assert report.differences == ()
    assert chunk_files(tmp_path / "unpacked" / "volume") == chunk_files(tree / "volume")
    expected = zsc.open(tree / "volume")[...]
    for name in ("packed/sharded", "unpacked/sharded", "unpacked/volume"):
        assert np.array_equal(zarr.open_array(str(tmp_path / name))[...], expected)


def test_a_shape_for_a_tree_names_the_arrays_that_it_does_not_suit(tmp_path, tree):
    """Of another rank, or with other chunks: all of them at once, and nothing is written."""
    with pytest.raises(UsageError) as caught:
        pack(tree, tmp_path / "target", shard_shape=(12, 12, 12))
    text = str(caught.value)
    assert text.startswith("3 arrays stand in the way")
    assert all(f"\n  {path}: " in text for path in ("volume", "a/plane", "a/b/line"))
    with pytest.raises(UsageError) as caught:
        pack(tree / "a" / "b", tmp_path / "target", shard_shape=(12,))
    assert (caught.value.key, caught.value.hint) == ("line", "The nearest shard shapes: 10 and 20.")
    assert not (tmp_path / "target").exists()


def _edit(tree, path, **changes):
    name = ".zarray" if (tree / ".zgroup").exists() else "zarr.json"
    document = json.loads((tree / path / name).read_text())
    (tree / path / name).write_text(json.dumps(document | changes))


def test_all_that_stands_in_the_way_is_told_at_once(tmp_path, tree):
    """Arrays with a codec or a type that nobody knows: all are named, with it, and nothing is written."""
    if (tree / ".zgroup").exists():
        _edit(tree, "a/plane", compressor={"id": "squeeze"})
        _edit(tree, "volume", filters=[{"id": "smooth"}])
        _edit(tree, "a/b/line", dtype="|O")
        expected = {
            "squeeze": "no_exact_translation",
            "smooth": "no_exact_translation",
            "|O": "no_exact_translation",
        }
    else:
        _edit(tree, "a/plane", codecs=[{"name": "bytes", "configuration": {"endian": "little"}}, "squeeze"])
        _edit(tree, "volume", codecs=["smooth"])
        _edit(tree, "a/b/line", data_type="string")
        expected = {"squeeze": "unknown_codec", "smooth": "unknown_codec", "string": "unsupported_data_type"}
    with pytest.raises(MetadataError) as caught:
        pack(tree, tmp_path / "target", shard_size="2KiB")
    for word, reason in expected.items():
        (found,) = [problem for problem in caught.value.problems if f"{word!r}" in problem.message]
        assert found.reason == reason
        where = {"squeeze": "a/plane/", "smooth": "volume/"}.get(word, "a/b/line/")
        assert found.path.startswith(where)
    assert not (tmp_path / "target").exists()


def test_filters_before_shards_are_told_for_all_arrays(tmp_path):
    """Unpacking, too, plans everything first."""
    zarr.create_group(str(tmp_path / "tree"))
    for name in ("one", "two"):
        array = zsc.create(
            tmp_path / "tree" / name, shape=(8,), dtype="i4", shard_shape=(8,), inner_chunk_shape=(4,)
        )
        document = array.metadata.to_json()
        delta = {"name": "numcodecs.delta", "configuration": {"dtype": "<i4", "astype": "<i4"}}
        document["codecs"] = [delta, *document["codecs"]]
        (tmp_path / "tree" / name / "zarr.json").write_text(json.dumps(document))
    with pytest.raises(MetadataError) as caught:
        unpack(tmp_path / "tree", tmp_path / "target")
    assert [problem.path for problem in caught.value.problems] == ["one", "two"]
    with pytest.raises(PackingError):
        unpack(tmp_path / "tree" / "one", tmp_path / "target")
    assert not (tmp_path / "target").exists()


def test_nothing_to_pack(tmp_path):
    """No node, an empty group: both are said; a folder above many data sets is not taken for one."""
    with pytest.raises(NodeNotFoundError, match="no Zarr array or group"):
        pack(tmp_path / "nowhere", tmp_path / "target", shard_size=100)
    zarr.create_group(str(tmp_path / "group"))
    with pytest.raises(NodeNotFoundError, match="no array in the group"):
        pack(tmp_path / "group", tmp_path / "target", shard_size=100)
    with pytest.raises(NodeNotFoundError, match="no Zarr array or group"):
        pack(tmp_path, tmp_path.parent / "target", shard_size=100)


def test_the_target_has_no_node_before_its_chunks_are_complete(tmp_path, tree):
    """Stopped anywhere, groups are missing; an array has metadata only when all its shards are there."""

    class Stop(Exception):  # noqa: N818
        pass

    total = len(list(walk_readable(LocalStore(tree))))
    for limit in range(1, 6):
        told = []

        def stop(step, told=told, limit=limit):
            told.append(step)
            if len(told) == limit:
                raise Stop

        target = tmp_path / f"target-{limit}"
        with pytest.raises(Stop):
            pack(tree, target, shard_size="600B", progress=stop)
        nodes = dict(walk_readable(LocalStore(target)))
        assert all(node.shape for node in nodes.values())  # no group
        for path in nodes:
            assert np.array_equal(zsc.open(target / path)[...], zsc.open(tree / path)[...])
        assert (target / ".zarr-shard-packing.json").exists()
        pack(tree, target, shard_size="600B")
        assert len(dict(walk_readable(LocalStore(target)))) == total
        assert not (target / ".zarr-shard-packing.json").exists()
