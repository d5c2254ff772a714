"""The sharding configuration: every problem at once, each with its path and reason."""

from __future__ import annotations

import pytest

from zarr_shard_codec.codecs.sharding_indexed import ShardingCodec
from zarr_shard_codec.core.config import DEFAULT_INDEX_CODECS, NAME, parse_config
from zarr_shard_codec.errors import MetadataError

BYTES = {"name": "bytes", "configuration": {"endian": "little"}}
GOOD = {
    "chunk_shape": [2, 3],
    "codecs": [BYTES],
    "index_codecs": [BYTES, {"name": "crc32c"}],
    "index_location": "start",
}


def _problems(configuration, shard_shape=(4, 6)):
    config, problems = parse_config(configuration, shard_shape)
    assert (config is None) == bool(problems)
    return {(problem.path, problem.reason) for problem in problems}


def _built_problems(changes, dtype="uint16", shard_shape=(4, 6)):
    with pytest.raises(MetadataError) as caught:
        ShardingCodec.from_metadata(GOOD | changes, shard_shape=shard_shape, dtype=dtype)
    return {(problem.path, problem.reason) for problem in caught.value.problems}


@pytest.mark.requirement("CHUNK-SHAPE-INTEGERS", "CODECS-LIST", "INDEX-CODECS-LIST", "LOCATION-VALUES")
@pytest.mark.parametrize("location", ["start", "end"])
def test_a_good_configuration_is_read_as_it_is(location):
    """Each parameter ends up where it belongs."""
    config, problems = parse_config(GOOD | {"index_location": location}, (4, 6))
    assert problems == []
    assert config.inner_chunk_shape == (2, 3)
    assert config.codecs == (BYTES,)
    assert config.index_codecs == (BYTES, {"name": "crc32c"})
    assert config.index_location == location


@pytest.mark.requirement("LOCATION-DEFAULT")
def test_the_index_is_at_the_end_unless_said_otherwise():
    """index_location may be left out."""
    config, _ = parse_config({key: GOOD[key] for key in GOOD if key != "index_location"}, (4, 6))
    assert config.index_location == "end"


@pytest.mark.requirement("CODECS-REQUIRED", "INDEX-CODECS-REQUIRED")
def test_required_keys_have_no_default():
    """Three keys must be there; all that are missing are named at once."""
    assert _problems({}) == {(key, "missing_key") for key in ("chunk_shape", "codecs", "index_codecs")}


@pytest.mark.requirement(
    "CHUNK-SHAPE-INTEGERS",
    "CHUNK-SHAPE-RANK",
    "CHUNK-SHAPE-DIVIDES",
    "CHUNK-SIZE-POSITIVE",
    "CODECS-LIST",
    "INDEX-CODECS-LIST",
    "LOCATION-VALUES",
    "EXTENSION-UNKNOWN",
)
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"chunk_shape": "2,3"}, {("chunk_shape", "wrong_type")}),
        ({"chunk_shape": [2, 3.0]}, {("chunk_shape", "wrong_type")}),
        ({"chunk_shape": [2, True]}, {("chunk_shape", "wrong_type")}),
        ({"chunk_shape": None}, {("chunk_shape", "wrong_type")}),
        ({"chunk_shape": [2]}, {("chunk_shape", "chunk_shape_mismatch")}),
        ({"chunk_shape": []}, {("chunk_shape", "chunk_shape_mismatch")}),
        ({"chunk_shape": [2, 3, 1]}, {("chunk_shape", "chunk_shape_mismatch")}),
        (
            {"chunk_shape": [3, 4]},
            {("chunk_shape[0]", "chunk_shape_not_divisor"), ("chunk_shape[1]", "chunk_shape_not_divisor")},
        ),
        (
            {"chunk_shape": [0, -3]},
            {("chunk_shape[0]", "invalid_shape"), ("chunk_shape[1]", "invalid_shape")},
        ),
        ({"chunk_shape": [2**70, 8]}, {(f"chunk_shape[{n}]", "chunk_shape_not_divisor") for n in (0, 1)}),
        ({"codecs": BYTES}, {("codecs", "wrong_type")}),
        ({"codecs": "bytes"}, {("codecs", "wrong_type")}),
        ({"index_codecs": None}, {("index_codecs", "wrong_type")}),
        ({"index_location": "middle"}, {("index_location", "wrong_value")}),
        ({"index_location": None}, {("index_location", "wrong_value")}),
        ({"index_location": []}, {("index_location", "wrong_value")}),
        ({"chunks": [2, 3]}, {("chunks", "unknown_key")}),
    ],
)
def test_each_problem_has_its_place(changes, expected):
    """A value of the wrong type, form or size is named by path and reason."""
    assert _problems(GOOD | changes) == expected


def test_all_problems_at_once():
    """Nothing wrong hides behind something else that is wrong, also in the codecs of both chains."""
    broken = {
        "chunk_shape": [3, 0],
        "codecs": [{"name": "nope"}, {"name": "zstd", "configuration": {"level": 99}}],
        "index_codecs": [{"name": "bytes"}, {"name": "gzip", "configuration": {"level": 1}}],
        "index_location": "front",
        "colour": "blue",
    }
    assert _built_problems(broken) == {
        ("chunk_shape[0]", "chunk_shape_not_divisor"),
        ("chunk_shape[1]", "invalid_shape"),
        ("codecs[0].name", "unknown_codec"),
        ("codecs[1].configuration.level", "wrong_value"),
        ("index_codecs[0].configuration.endian", "missing_key"),
        ("index_location", "wrong_value"),
        ("colour", "unknown_key"),
    }


@pytest.mark.requirement(
    "CODECS-ONE-ARRAY-BYTES",
    "INDEX-CODECS-ONE-ARRAY-BYTES",
    "INDEX-CODECS-FIXED-SIZE",
    "CHAIN-ORDER",
    "CHAIN-UNSUPPORTED",
)
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"codecs": []}, ("codecs", "codec_chain_order")),
        ({"codecs": [{"name": "crc32c"}]}, ("codecs", "codec_chain_order")),
        ({"codecs": [BYTES, BYTES]}, ("codecs[1]", "codec_chain_order")),
        ({"codecs": [{"name": "crc32c"}, BYTES]}, ("codecs[0]", "codec_chain_order")),
        (
            {"codecs": [BYTES, {"name": "transpose", "configuration": {"order": [1, 0]}}]},
            ("codecs[1]", "codec_chain_order"),
        ),
        ({"index_codecs": []}, ("index_codecs", "codec_chain_order")),
        ({"index_codecs": [BYTES, BYTES]}, ("index_codecs[1]", "codec_chain_order")),
        (
            {"index_codecs": [BYTES, {"name": "gzip", "configuration": {"level": 1}}]},
            ("index_codecs", "index_codec_variable_size"),
        ),
        (
            {"index_codecs": [BYTES, {"name": "zstd", "configuration": {"level": 1, "checksum": False}}]},
            ("index_codecs", "index_codec_variable_size"),
        ),
        (
            {"index_codecs": [{"name": NAME, "configuration": GOOD | {"chunk_shape": [1, 1, 1]}}]},
            ("index_codecs", "index_codec_variable_size"),
        ),
        (
            {"index_codecs": [{"name": "transpose", "configuration": {"order": [1, 0]}}, BYTES]},
            ("index_codecs[0].configuration.order", "wrong_value"),
        ),
        (
            {"codecs": [{"name": NAME, "configuration": GOOD | {"chunk_shape": [2, 2]}}]},
            ("codecs[0].configuration.chunk_shape[1]", "chunk_shape_not_divisor"),
        ),
    ],
)
def test_chains_are_checked(changes, expected):
    """A chain that cannot be, or an index of variable size, is refused by path and reason."""
    assert expected in _built_problems(changes)


@pytest.mark.requirement("NAME", "INDEX-CODECS-RECOMMENDED", "RUNTIME-OPTIONS")
@pytest.mark.parametrize("order", ["lexicographic", "morton", "reverse"])
def test_metadata_comes_back(order):
    """to_metadata builds the same codec again, and says nothing of runtime options."""
    configuration = GOOD | {"index_codecs": list(DEFAULT_INDEX_CODECS)}
    codec = ShardingCodec.from_metadata(configuration, shard_shape=(4, 6), dtype="i2", chunk_order=order)
    metadata = codec.to_metadata()
    assert metadata == {"name": "sharding_indexed", "configuration": configuration}
    again = ShardingCodec.from_metadata(metadata["configuration"], shard_shape=(4, 6), dtype="i2")
    assert again.config == codec.config


@pytest.mark.parametrize("levels", [33, 200, 5000])
def test_endless_nesting_is_refused(levels):
    """Shards within shards without end are a MetadataError, never a stack that runs out."""
    configuration = {"chunk_shape": [1], "codecs": [BYTES], "index_codecs": [BYTES]}
    for _ in range(levels - 1):
        configuration = configuration | {"codecs": [{"name": NAME, "configuration": configuration}]}
    with pytest.raises(MetadataError, match="deep"):
        ShardingCodec.from_metadata(configuration, shard_shape=(1,), dtype="u2")


def test_the_deepest_nesting_works():
    """Thirty-two levels are built, written and read."""
    configuration = {"chunk_shape": [1], "codecs": [BYTES], "index_codecs": [BYTES]}
    for _ in range(31):
        configuration = configuration | {"codecs": [{"name": NAME, "configuration": configuration}]}
    codec = ShardingCodec.from_metadata(configuration, shard_shape=(1,), dtype="u2")
    import numpy as np

    encoded = codec.encode(np.array([7], "u2"))
    assert len(encoded) == 2 + 32 * 16
    assert codec.decode(encoded).tolist() == [7]
    assert codec.decode(encoded, 0) == 7
