"""Shard shapes that a size asks for, and shapes that do not fit."""

from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zarr_shard_codec.errors import UsageError
from zarr_shard_codec.packing.shapes import (
    check_index_size,
    check_shard_shape,
    choose_shard_shape,
    parse_nbytes,
)

AXES = st.lists(st.tuples(st.integers(1, 70), st.integers(0, 3000)), max_size=5)


@given(AXES, st.sampled_from([1, 2, 8, 16]), st.integers(1, 1 << 31))
def test_a_chosen_shape_is_of_whole_chunks_small_enough_and_no_larger_than_the_array(axes, itemsize, target):
    """Whatever the array: a multiple, at most the size (or the only chunk), no chunk beyond the edge."""
    chunks, shape = [chunk for chunk, _ in axes], [size for _, size in axes]
    if prod(chunks) * itemsize > target and any(
        size > chunk for size, chunk in zip(shape, chunks, strict=True)
    ):
        with pytest.raises(UsageError, match="one chunk at least"):
            choose_shard_shape(chunks, shape, itemsize, target)
        return
    chosen = choose_shard_shape(chunks, shape, itemsize, target)
    counts = [size // chunk for size, chunk in zip(chosen, chunks, strict=True)]
    most = [max(1, -(-size // chunk)) for size, chunk in zip(shape, chunks, strict=True)]
    assert all(size % chunk == 0 for size, chunk in zip(chosen, chunks, strict=True))
    assert all(1 <= count <= limit for count, limit in zip(counts, most, strict=True))
    assert prod(chosen) * itemsize <= target or prod(counts) == 1


@given(AXES, st.sampled_from([1, 4]), st.integers(1, 1 << 28))
def test_a_chosen_shape_wastes_no_room(axes, itemsize, target):
    """One chunk more along every axis that has one would be too large, or the shard holds the array."""
    chunks, shape = [chunk for chunk, _ in axes], [size for _, size in axes]
    target += prod(chunks) * itemsize
    chosen = choose_shard_shape(chunks, shape, itemsize, target)
    grown = [
        size if size >= limit else size + chunk
        for size, chunk, limit in zip(chosen, chunks, shape, strict=True)
    ]
    assert prod(grown) * itemsize > target or list(chosen) == grown


@pytest.mark.parametrize(
    ("chunks", "shape", "nbytes", "expected"),
    [
        ((32, 32, 32), (4096,) * 3, 1 << 21, (128, 128, 128)),
        ((32, 32, 32), (4096,) * 3, 1 << 20, (96, 96, 96)),
        ((1, 64, 64), (1000, 512, 512), 1 << 18, (64, 64, 64)),
        ((64, 64), (100, 100000), 1 << 20, (128, 8192)),
        ((10,), (10**12,), 10**9, (10**9,)),
        ((5, 5), (0, 3), 100, (5, 5)),
        ((), (), 1, ()),
        ((1000, 1000), (500, 1000), 10, (1000, 1000)),
    ],
)
def test_chosen_shapes(chunks, shape, nbytes, expected):
    """Cubes where they fit; flat where chunks or the array are; the only chunk whatever the size."""
    assert choose_shard_shape(chunks, shape, 1, nbytes) == expected


def test_a_size_below_one_chunk_is_refused():
    """Shards of one chunk each are not what anybody asks for; the message has the size of a chunk."""
    with pytest.raises(
        UsageError, match=r"one chunk at least, 2,000,000 bytes.*found 65,536 bytes"
    ) as caught:
        choose_shard_shape((1000, 1000), (5000, 5000), 2, 65536)
    assert (caught.value.reason, caught.value.hint) == (
        "invalid_argument",
        "For shards of up to 64 chunks: 128000000B.",
    )


@pytest.mark.parametrize(
    ("shard", "chunk", "array", "words"),
    [
        ((16000, 32000, 2000), (16, 32, 20), (64, 128, 128), "would have 100,000,000 inner chunks"),
        ((10**15, 2**20, 2 * 10**9), (16, 32, 20), (64, 128, 128), "The whole array fits into 64,128,140."),
        ((10**9,), (1,), (10**9,), "each shard's index alone would be 15,258 MiB"),
        ((10**12,), (1000,), (10**15,), "for at most 1,000,000,000,000 bytes of the array"),
        ((10**9,), (1,), (0,), "for at most 0 bytes of the array in it"),
    ],
)
def test_an_index_out_of_proportion_is_refused(shard, chunk, array, words):
    """Larger than 64 MiB and than the data it stands for, or than 256 MiB."""
    with pytest.raises(UsageError) as caught:
        check_index_size(shard, chunk, array, 1)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("shard", "chunk", "array"),
    [((2**22,), (1,), (1,)), ((2**30,), (64,), (2**40,)), ((), (), ()), ((64,) * 7, (8,) * 7, (3,) * 7)],
)
def test_a_large_index_for_large_shards_is_allowed(shard, chunk, array):
    """4 million inner chunks always; more where there are data for them."""
    check_index_size(shard, chunk, array, 1)


def test_a_shape_that_is_no_multiple_is_refused_with_the_nearest_ones():
    """The hint can be pasted."""
    with pytest.raises(UsageError) as caught:
        check_shard_shape((100, 32, 0), (32, 32, 8))
    assert caught.value.reason == "chunk_shape_not_divisor"
    assert caught.value.hint == "The nearest shard shapes: 96,32,8 and 128,32,8."


def test_a_shape_of_another_rank_is_refused():
    """Two sizes for three axes name no shard."""
    with pytest.raises(UsageError, match="expected 3 sizes") as caught:
        check_shard_shape((64, 64), (32, 32, 32))
    assert caught.value.reason == "chunk_shape_mismatch"


@pytest.mark.parametrize(
    ("words", "nbytes"),
    [
        ("64MiB", 64 << 20),
        ("64 mib", 64 << 20),
        ("64  MB ", 64_000_000),
        ("64M", 64 << 20),
        ("2k", 2048),
        ("1.5GB", 1_500_000_000),
        ("7", 7),
        ("7B", 7),
        (9, 9),
    ],
)
def test_sizes_in_words(words, nbytes):
    """Powers of 1000 with a B, of 1024 with iB or the letter alone."""
    assert parse_nbytes(words) == nbytes


@pytest.mark.parametrize(
    "words", ["64XB", "", "MiB", "-1", "0", "1e3", "0.1B", "1.5.2MB", "9" * 99, 0, -3, True]
)
def test_what_is_no_size_is_refused(words):
    """No guess is made."""
    with pytest.raises(UsageError, match="expected a size such as 64MiB"):
        parse_nbytes(words)
