"""Chunk key encodings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zarr.core.chunk_key_encodings import parse_chunk_key_encoding

from zarr_shard_codec.array.key_encoding import KeyEncoding, parse_key_encoding
from zarr_shard_codec.errors import MetadataError

ENCODINGS = [KeyEncoding(name, separator) for name in ("default", "v2") for separator in ("/", ".")]


@given(st.sampled_from(ENCODINGS), st.lists(st.integers(0, 2**63 - 1), max_size=5).map(tuple))
def test_keys_are_zarr_pythons_and_lead_back(encoding, coords):
    """A key is what zarr-python makes it, and its coordinates are found again."""
    key = encoding.key(coords)
    assert key == parse_chunk_key_encoding(encoding.to_json()).encode_chunk_key(coords)
    assert encoding.coords(key, len(coords)) == coords


@given(st.sampled_from(ENCODINGS), st.text("c0123/.+- ٣_", max_size=8), st.integers(0, 3))
def test_only_keys_that_are_written_are_read(encoding, key, ndim):
    """A stray name is taken for a chunk only if it is that chunk's very key."""
    coords = encoding.coords(key, ndim)
    assert coords is None or encoding.key(coords) == key


def test_lookalikes_are_no_chunks():
    """Leading zeros, signs, other digits, missing and additional parts make no key."""
    encoding = KeyEncoding("default", "/")
    assert encoding.coords("c/1/2", 2) == (1, 2)
    for key in (
        "c/01/2",
        "c/+1/2",
        "c/1/٣",
        "c/1",
        "c/1/2/3",
        "c/1/2/",
        "c//2",
        "1/2",
        "C/1/2",
        "c.1.2",
        "c",
        "c/1_0/2",
    ):
        assert encoding.coords(key, 2) is None
    assert KeyEncoding("v2", ".").coords("0", 0) == ()
    assert KeyEncoding("v2", ".").coords("1", 0) is None
    assert encoding.coords("c/", 0) is None


@pytest.mark.parametrize(
    ("json_form", "expected"),
    [
        ("default", KeyEncoding("default", "/")),
        ({"name": "v2"}, KeyEncoding("v2", ".")),
        ({"name": "default", "configuration": {}}, KeyEncoding("default", "/")),
        ({"name": "default", "configuration": {"separator": "."}}, KeyEncoding("default", ".")),
    ],
)
def test_separators_have_defaults(json_form, expected):
    """Without a separator each encoding has its own."""
    assert parse_key_encoding(json_form) == expected


@pytest.mark.parametrize(
    ("json_form", "path", "reason"),
    [
        ("v1", "", "unknown_extension"),
        ({"name": "default", "configuration": {"separator": "-"}}, ".configuration.separator", "wrong_value"),
        (
            {"name": "default", "configuration": {"separator": ["/"]}},
            ".configuration.separator",
            "wrong_value",
        ),
        ({"name": "default", "configuration": {"sep": "/"}}, ".configuration.sep", "unknown_key"),
        ({"name": "default", "must_understand": False}, ".must_understand", "wrong_value"),
    ],
)
def test_other_encodings_are_refused(json_form, path, reason):
    """An encoding that is not known would name other objects, so it is refused with its place."""
    with pytest.raises(MetadataError) as caught:
        parse_key_encoding(json_form)
    (found,) = caught.value.problems
    assert (found.path, found.reason) == (f"chunk_key_encoding{path}", reason)
