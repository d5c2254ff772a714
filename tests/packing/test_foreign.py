"""Arrays whose elements this package cannot read go along in a tree, byte for byte."""

import json
import shutil
import warnings

import numpy as np
import pytest
import zarr

from zarr_shard_codec.array.metadata import ForeignMetadata
from zarr_shard_codec.core.ranges import WHOLE
from zarr_shard_codec.errors import MetadataError, NodeExistsError
from zarr_shard_codec.packing import pack, unpack
from zarr_shard_codec.stores.memory import MemoryStore

BYTES = {"name": "bytes", "configuration": {"endian": "little"}}
NAMES = np.array(["a", "bb", "c", "", "ü"], dtype=object)


@pytest.fixture
def tree(tmp_path):
    """A group with an array of numbers, and one of strings beside it, as xarray and anndata write them."""
    group = zarr.create_group(str(tmp_path / "tree"))
    numbers = group.create_array("numbers", shape=(64, 64), chunks=(8, 8), dtype="u2")
    numbers[...] = np.arange(4096).reshape(64, 64) + 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # strings have no settled name in v3
        group.create_array("names", shape=(5,), chunks=(2,), dtype=str)[...] = NAMES
    return tmp_path / "tree"


def opened(path):
    """Open a group as zarr-python does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return zarr.open_group(str(path), mode="r")


def _edit(tree, **members):
    """Change members of the foreign array's document."""
    document = tree / "names/zarr.json"
    document.write_text(json.dumps(json.loads(document.read_text()) | members))


def test_strings_go_along_byte_for_byte(tmp_path, tree, chunk_files):
    """There and back again; the report says what was lacking."""
    report = pack(tree, tmp_path / "packed", shard_size="2KiB", check=True)
    names, numbers = report.arrays
    assert (names.path, names.action, names.objects_before, names.objects_after) == ("names", "copy", 3, 3)
    assert names.lacking.startswith("the data type 'string' is not supported; no codec 'vlen-utf8' is known")
    assert (numbers.action, numbers.lacking) == ("pack", None)
    assert report.differences == ()
    assert opened(tmp_path / "packed")["names"][...].tolist() == NAMES.tolist()
    assert (tmp_path / "packed/names/zarr.json").read_bytes() == (tree / "names/zarr.json").read_bytes()
    assert chunk_files(tmp_path / "packed/names") == chunk_files(tree / "names")
    back = unpack(tmp_path / "packed", tmp_path / "back", check=True)
    assert back.differences == ()
    assert chunk_files(tmp_path / "back") == chunk_files(tree)


def test_what_is_there_is_known_again(tmp_path, tree):
    """Complete: nothing is done. Another document in its place: nothing is touched."""
    pack(tree, tmp_path / "packed", shard_size="2KiB")
    assert pack(tree, tmp_path / "packed", shard_size="2KiB").already_complete
    document = tmp_path / "packed/names/zarr.json"
    other = json.loads(document.read_text()) | {"attributes": {"other": 1}}
    document.write_text(json.dumps(other))
    with pytest.raises(NodeExistsError) as caught:
        pack(tree, tmp_path / "packed", shard_size="2KiB")
    assert caught.value.reason == "target_differs"


def test_a_check_compares_it(tmp_path, tree):
    """A byte that differs is found, and a chunk that is lost is made anew."""
    pack(tree, tmp_path / "packed", shard_size="2KiB")
    chunk = tmp_path / "packed/names/c/1"
    original = chunk.read_bytes()
    chunk.write_bytes(original[:-1] + bytes([original[-1] ^ 1]))
    (difference,) = pack(tree, tmp_path / "packed", shard_size="2KiB", check=True).differences
    assert (difference.target_key, difference.inner_chunk) == ("names/c/1", None)
    chunk.unlink()
    assert pack(tree, tmp_path / "packed", shard_size="2KiB", check=True).differences == ()
    assert chunk.read_bytes() == original


def test_between_other_stores(tree):
    """In memory as well: no file is needed."""
    target = MemoryStore()
    report = pack(tree, target, shard_size="2KiB", check=True)
    assert report.differences == ()
    for key in ("names/zarr.json", "names/c/0"):
        (copied,) = target.read(key, [WHOLE])
        assert bytes(copied) == (tree / key).read_bytes()


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [5, 5]},
        {"chunk_grid": {"name": "rectilinear", "configuration": {}}},
        {"chunk_key_encoding": {"name": "other"}},
        {"unknown": 1},
    ],
)
def test_what_nobody_can_name_stands_in_the_way(tmp_path, tree, change):
    """Where anything else is wrong, its objects are not known: all problems are told, and nothing written."""
    _edit(tree, **change)
    with pytest.raises(MetadataError, match=next(iter(change))):
        pack(tree, tmp_path / "packed", shard_size="2KiB")
    assert not (tmp_path / "packed").exists()


@pytest.mark.parametrize("source", ["names", "."])
def test_alone_it_is_refused(tmp_path, tree, source):
    """There is nothing to pack, then: it is the source, or all that its tree has."""
    shutil.rmtree(tree / "numbers")
    with pytest.raises(MetadataError, match="string"):
        pack(tree / source, tmp_path / "packed", shard_size="2KiB")


def test_what_can_be_read_is_not_foreign(tree):
    """Only what lacks something is."""
    assert ForeignMetadata.from_bytes((tree / "numbers/zarr.json").read_bytes()) is None


@pytest.mark.parametrize(
    "data_type",
    [
        {"name": "fixed_length_utf32", "configuration": {"length_bytes": 12}},
        {"name": "null_terminated_bytes", "configuration": {"length_bytes": 4}},
        {"name": "structured", "configuration": {"fields": [["a", "int32"], ["b", "uint16"]]}},
        "variable_length_bytes",
    ],
)
def test_types_of_zarr_python_that_are_foreign(tmp_path, tree, data_type):
    """Those with parameters, too."""
    _edit(tree, data_type=data_type)
    report = pack(tree, tmp_path / "packed", shard_size="2KiB", check=True)
    assert report.differences == ()
    assert report.arrays[0].lacking.startswith("the data type ")


def test_codecs_that_go_by_the_type_do_not_stand_in_the_way(tmp_path, tree):
    """Of a type that is not known nothing can be said of them."""
    _edit(
        tree,
        data_type="bfloat16",
        codecs=[{"name": "numcodecs.delta", "configuration": {"dtype": "<f4"}}, BYTES],
    )
    assert pack(tree, tmp_path / "packed", shard_size="2KiB").arrays[0].lacking == (
        "the data type 'bfloat16' is not supported"
    )


def test_an_object_without_a_byte_goes_along(tmp_path, tree):
    """A codec that is not known may write such."""
    (tree / "names/c/1").write_bytes(b"")
    pack(tree, tmp_path / "packed", shard_size="2KiB", check=True)
    assert (tmp_path / "packed/names/c/1").read_bytes() == b""


def test_a_document_that_is_none_is_named(tmp_path, tree):
    """With whatever else stands in the way."""
    (tree / "names/zarr.json").write_text("{oops")
    numbers = json.loads((tree / "numbers/zarr.json").read_text())
    (tree / "numbers/zarr.json").write_text(json.dumps(numbers | {"shape": [-1, 64]}))
    with pytest.raises(MetadataError) as caught:
        pack(tree, tmp_path / "packed", shard_size="2KiB")
    assert [problem.path.partition(":")[0] for problem in caught.value.problems] == [
        "names/zarr.json",
        "numbers/zarr.json",
    ]


def test_more_chunks_than_can_be_looked_for(tmp_path, tree):
    """The array is named."""
    _edit(tree, shape=[1 << 62], chunk_grid={"name": "regular", "configuration": {"chunk_shape": [1]}})
    with pytest.raises(MetadataError, match="names: shape: expected an array of at most") as caught:
        pack(tree, tmp_path / "packed", shard_size="2KiB")
    assert caught.value.key == "names"


@pytest.mark.parametrize(
    ("change", "words"),
    [(lambda old: old + b"1234", "9000004 bytes"), (lambda old: old[: 1 << 23], "8388608 bytes")],
)
def test_a_check_says_how_long_large_objects_are(tmp_path, tree, change, words):
    """Of several pieces, as they are compared."""
    chunk = tree / "names/c/1"
    chunk.write_bytes(bytes(9_000_000))
    pack(tree, tmp_path / "packed", shard_size="2KiB")
    copied = tmp_path / "packed/names/c/1"
    copied.write_bytes(change(copied.read_bytes()))
    (difference,) = pack(tree, tmp_path / "packed", shard_size="2KiB", check=True).differences
    assert difference.message == f"the source has 9000000 bytes, the target {words}"
