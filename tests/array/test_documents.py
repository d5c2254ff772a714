"""Metadata documents as JSON."""

import json
import time

import pytest

from zarr_shard_codec.array.documents import MAX_DEPTH, dump_document, parse_document
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
