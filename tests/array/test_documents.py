"""Metadata documents as JSON."""

import json
import math
import time

import pytest

from zarr_shard_codec.array.documents import MAX_DEPTH, dump_document, parse_document, with_member
from zarr_shard_codec.errors import MetadataError


def nested(levels):
    """Give an object within objects."""
    return b'{"a":' * (levels - 1) + b"{}" + b"}" * (levels - 1)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"{",
        b"\xff{}",
        b"\xef\xbb\xbf{}",
        b'{"a": NaN}',
        b'{"a": [-Infinity]}',
        b'{"a": {"attributes": NaN}}',
        b'{"attributes": {"a": NaN}, "fill_value": NaN}',
        b'{"attributes": {"a": 1e999}}',
        b"[NaN]",
        b'{"a": 1e999}',
        b'{"a": 1, "b": {"c": 1, "c": 2}}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        nested(MAX_DEPTH + 1),
        nested(3000),
        {"a": float("nan")},
        {"a": object()},
    ],
)
def test_what_is_no_json_is_refused(document):
    """Bytes and mappings that are no JSON, or JSON that others read in another way, are refused."""
    with pytest.raises(MetadataError) as caught:
        parse_document(document)
    assert caught.value.reason == "invalid_json"


def test_a_circular_mapping_is_refused():
    """A caller's mapping that contains itself ends in an error, not in a crash."""
    document = {}
    document["self"] = document
    with pytest.raises(MetadataError, match="invalid_json"):
        parse_document(document)


def test_the_double_name_is_found_fast():
    """A hostile object with many names costs no more than reading it."""
    names = [f'"{at}": 0' for at in range(200_000)]
    started = time.perf_counter()
    with pytest.raises(MetadataError, match="'7'"):
        parse_document(("{" + ", ".join([*names, '"7": 1']) + "}").encode())
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize("document", [b"[]", b"1", b"null", b'"a"'])
def test_a_document_is_an_object(document):
    """JSON that is no object is refused as such."""
    with pytest.raises(MetadataError, match="wrong_type"):
        parse_document(document)


def test_what_is_read_can_be_written():
    """Strings, integers of any size, nesting up to the limit: all come back as they were."""
    document = {"é": "\ud800", "n": [10**300, -0.0, None, True], "deep": json.loads(nested(MAX_DEPTH - 1))}
    assert dump_document(parse_document(dump_document(document))) == dump_document(document)


def test_a_mapping_is_copied_to_the_last_level():
    """What a caller does to a mapping afterwards changes nothing."""
    document = {"a": {"b": [1]}}
    parsed = parse_document(document)
    document["a"]["b"].append(2)
    assert parsed == {"a": {"b": [1]}}


def test_python_s_nan_is_read_in_attributes_alone():
    """Bare NaN and infinities, which Python's json writes, are floats in what is the user's."""
    text = b'{"attributes": {"a": NaN, "b": [Infinity, {"c": -Infinity}]}, "consolidated_metadata": [NaN]}'
    parsed = parse_document(text)
    assert math.isnan(parsed["attributes"]["a"])
    assert parsed["attributes"]["b"] == [math.inf, {"c": -math.inf}]
    assert math.isnan(parse_document({"attributes": {"a": math.nan}})["attributes"]["a"])
    assert math.isnan(parse_document(b'{"missing_value": NaN}', users=True)["missing_value"])


def test_the_message_says_where_the_nan_is():
    """Where a NaN may not stand, the error names its path."""
    with pytest.raises(MetadataError, match=r"codecs\[1\]\.level: NaN"):
        parse_document(b'{"attributes": {"a": NaN}, "codecs": [{}, {"level": NaN}]}')


def test_no_nan_is_written():
    """What JSON has no number for is refused by path, all of it at once."""
    with pytest.raises(MetadataError) as caught:
        dump_document({"attributes": {"a": math.nan, "b": [0.5, {"c": -math.inf}]}})
    assert {(problem.path, problem.reason) for problem in caught.value.problems} == {
        ("attributes.a", "invalid_json"),
        ("attributes.b[1].c", "invalid_json"),
    }


@pytest.mark.parametrize(
    "text",
    [
        '{"shape":@}',
        '{ "a" : {"shape": [2], "b": [1.50, 1E2]},\r\n\t"shape"  :  @  , "é": "\\u00e9,}\\"" } \n',
        '\n{"attributes": {"x": NaN, "shape": [1]}, "s\\u0068ape": @, "z": -1}',
    ],
)
def test_one_member_changes_and_nothing_else(text):
    """A new value takes the place of the old one; every other character stays."""
    old, new = text.replace("@", "[ 1,\n2]"), text.replace("@", "[30, 4]")
    assert with_member(old.encode(), "shape", [30, 4]).decode() == new


def test_a_member_that_is_not_there_is_no_place():
    """There is no new value for a member that the document does not have."""
    with pytest.raises(MetadataError, match="missing_key"):
        with_member(b'{"a": {"shape": 1}}', "shape", [1])
