"""Attributes on their way into shards: xarray's masks, and numbers that JSON does not have."""

import json

import numpy as np
import pytest
import tensorstore
import zarr
from click.testing import CliRunner

import zarr_shard_codec as zsc
from zarr_shard_codec.cli import main
from zarr_shard_codec.packing import pack, unpack

NAN = "AAAAAAAA+H8="
"""NaN as xarray writes it in v3: the base64 of a little-endian float64."""


def variable(path, dtype, fill_value, *, dims=("time",), **attributes):
    """Write what xarray writes for a variable in v2."""
    attributes = {"_ARRAY_DIMENSIONS": list(dims), **attributes}
    array = zarr.create_array(
        str(path), shape=(6,) * len(dims), chunks=(2,) * len(dims), dtype=dtype, zarr_format=2, fill_value=0
    )
    array[...] = 1
    document = json.loads((path / ".zarray").read_text()) | {"fill_value": fill_value}
    (path / ".zarray").write_text(json.dumps(document))
    (path / ".zattrs").write_text(json.dumps(attributes))


@pytest.mark.parametrize(
    ("dtype", "fill_value", "attributes", "expected"),
    [
        # Asserted as xarray 2026.9 writes them in v3; its masks, times and names then come out as from v2.
        ("f4", "NaN", {"units": "K"}, {"units": "K", "_FillValue": NAN}),
        ("f8", "-Infinity", {}, {"_FillValue": "AAAAAAAA8P8="}),
        ("f4", 0.1, {}, {"_FillValue": "AAAAoJmZuT8="}),
        (
            "i2",
            -9999,
            {"scale_factor": 0.01, "add_offset": 1.0},
            {"scale_factor": 0.01, "add_offset": 1.0, "_FillValue": -9999},
        ),
        ("u8", 2**64 - 1, {}, {"_FillValue": 2**64 - 1}),
        ("bool", False, {}, {"_FillValue": False}),
        ("c8", ["NaN", 0.0], {}, {"_FillValue": [NAN, "AAAAAAAAAAA="]}),
        # Without a fill value nothing is masked, unless the attribute says so.
        ("i8", None, {"units": "hours since 2020-01-01", "calendar": "standard"}, {}),
        ("f4", None, {}, {}),
        ("f4", None, {"_FillValue": -1}, {"_FillValue": "AAAAAAAA8L8="}),
        ("f4", None, {"_FillValue": float("nan")}, {"_FillValue": NAN}),
        ("i4", None, {"_FillValue": "none"}, {"_FillValue": "none"}),
        ("i4", 5, {"_FillValue": 7}, {"_FillValue": 5}),
        ("M8[s]", 0, {}, {}),
    ],
)
@pytest.mark.filterwarnings("ignore::zarr.errors.UnstableSpecificationWarning")
def test_xarray_masks_the_same_elements(tmp_path, document, dtype, fill_value, attributes, expected):
    """v2's fill value, which xarray takes for missing, is stated in v3 as xarray states it there."""
    variable(tmp_path / "source", dtype, fill_value, **attributes)
    pack(tmp_path / "source", tmp_path / "target", shard_shape=(4,), check=True)
    packed = document(tmp_path / "target")
    assert packed["attributes"] == {**attributes, **expected}
    assert packed["dimension_names"] == ["time"]
    assert zsc.open(tmp_path / "source").attributes.keys() == attributes.keys()  # only what is written has it
    unpack(tmp_path / "target", tmp_path / "back")
    assert document(tmp_path / "back")["attributes"] == packed["attributes"]


def test_others_get_no_mask(tmp_path, document):
    """Arrays that xarray has not written, and those of v3, keep their attributes as they are."""
    for zarr_format in (2, 3):
        path = tmp_path / str(zarr_format)
        names = {"dimension_names": ["x"]} if zarr_format == 3 else {}
        array = zarr.create_array(
            str(path),
            shape=(4,),
            chunks=(2,),
            dtype="f4",
            zarr_format=zarr_format,
            fill_value=np.nan,
            **names,
        )
        array[...] = 1
        pack(path, tmp_path / f"packed{zarr_format}", shard_shape=(4,))
        assert document(tmp_path / f"packed{zarr_format}")["attributes"] == {}


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_nan_is_refused_by_name_and_nothing_is_written(tmp_path, zarr_format):
    """No document is written that tensorstore does not open: the error names the attributes in the way."""
    source = tmp_path / "source"
    attributes = {"missing_value": float("nan"), "valid_range": [0.5, float("inf")], "ok": "NaN"}
    array = zarr.create_array(
        str(source), shape=(4,), chunks=(2,), dtype="f4", zarr_format=zarr_format, attributes=attributes
    )
    array[...] = [1, 2, 3, 4]
    assert zsc.open(source)[1:3].tolist() == [2, 3]
    with pytest.raises(zsc.MetadataError) as caught:
        pack(source, tmp_path / "target", shard_shape=(4,))
    assert [(found.path, found.reason) for found in caught.value.problems] == [
        ("attributes.missing_value", "no_exact_translation"),
        ("attributes.valid_range[1]", "no_exact_translation"),
    ]
    assert 'the text "Infinity"' in str(caught.value)
    assert not (tmp_path / "target").exists()
    document = source / ("zarr.json" if zarr_format == 3 else ".zattrs")
    document.write_text(document.read_text().replace(": NaN", ": null").replace("Infinity", '"Infinity"'))
    pack(source, tmp_path / "target", shard_shape=(4,), check=True)
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{tmp_path}/target/"}}
    assert tensorstore.open(spec).result().read().result().tolist() == [1, 2, 3, 4]


def test_a_group_s_nan_is_refused_with_its_path(tmp_path):
    """Groups are held to the same, and all that stands in the way is told at once."""
    root = zarr.create_group(str(tmp_path / "source"), zarr_format=2, attributes={"a": float("nan")})
    for name in ("x", "y"):
        root.create_array(name, shape=(4,), chunks=(2,), dtype="f4", attributes={"b": float("nan")})
    with pytest.raises(zsc.MetadataError) as caught:
        pack(tmp_path / "source", tmp_path / "target", shard_shape=(4,))
    assert [found.path for found in caught.value.problems] == [
        "/: attributes.a",
        "x: attributes.b",
        "y: attributes.b",
    ]


@pytest.mark.filterwarnings("ignore::zarr.errors.ZarrUserWarning")
def test_consolidated_metadata_is_reported_as_left_behind(tmp_path):
    """The report names the groups that had it, and only those."""
    for zarr_format in (2, 3):
        root = zarr.create_group(str(tmp_path / str(zarr_format)), zarr_format=zarr_format)
        root.create_group("deep").create_array("x", shape=(4,), chunks=(2,), dtype="f4")
        zarr.consolidate_metadata(root.store)
        report = pack(tmp_path / str(zarr_format), tmp_path / f"packed{zarr_format}", shard_shape=(4,))
        assert (report.groups, report.consolidated) == (("", "deep"), ("",))
        assert report.to_json()["consolidated"] == [""]
    shown = CliRunner().invoke(main, ["pack", f"{tmp_path}/2", f"{tmp_path}/shown", "--shard-shape", "4"])
    assert "consolidated metadata was left behind" in shown.stdout
