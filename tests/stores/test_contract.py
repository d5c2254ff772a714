"""What every store does, whatever it keeps its objects in."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from zarr_shard_codec.core.ranges import WHOLE, ByteRange, Suffix, Whole
from zarr_shard_codec.errors import StoreError
from zarr_shard_codec.stores.object_store import ObjectStore
from zarr_shard_codec.stores.protocols import ObjectInfo, Store, waits_for_network

INVALID_KEYS = [
    "", "/", "/a", "a/", "a//b", ".", "..", "a/..", "../a", "a/../b", "a/./b", "...",
    "a\\b", "..\\a", "a\0b", "\ud800", "a/\udcff",
]  # fmt: skip

TEN = bytes(range(10))
REQUESTS = {
    "whole": (WHOLE, TEN),
    "from the start": (ByteRange(0, 4), TEN[:4]),
    "in the middle": (ByteRange(3, 4), TEN[3:7]),
    "up to the end": (ByteRange(7, 3), TEN[7:]),
    "past the end": (ByteRange(7, 100), TEN[7:]),
    "from the end": (ByteRange(10, 5), b""),
    "beyond": (ByteRange(50, 5), b""),
    "no bytes": (ByteRange(3, 0), b""),
    "2^60 bytes": (ByteRange(8, 2**60), TEN[8:]),
    "from 2^63 on": (ByteRange(2**63, 10), b""),
    "the largest entry": (ByteRange(2**64 - 2, 2**64 - 2), b""),
    "suffix": (Suffix(4), TEN[6:]),
    "suffix of all": (Suffix(10), TEN),
    "suffix of more": (Suffix(2**62), TEN),
    "empty suffix": (Suffix(0), b""),
}


def as_bytes(buffers):
    """The buffers as bytes, or None."""
    return None if buffers is None else [bytes(buffer) for buffer in buffers]


@pytest.mark.parametrize("case", REQUESTS)
def test_a_request_gets_exactly_the_bytes_that_exist(filled, case):
    """A request is clamped to the object: less where less is, nothing where nothing is, never an error."""
    request, expected = REQUESTS[case]
    assert as_bytes(filled.read("c/0/0", [request])) == [expected]


def test_requests_of_one_call_are_answered_in_their_order(filled):
    """One buffer a request, in the order asked, also when they overlap, repeat or go beyond the end."""
    requests = [request for request, _ in REQUESTS.values()] * 2
    expected = [expected for _, expected in REQUESTS.values()] * 2
    assert as_bytes(filled.read("c/0/0", requests)) == expected


def test_an_empty_object_is_not_a_missing_one(filled):
    """An object of no bytes answers with empty buffers; a missing one with None; so does a folder's name."""
    requests = [WHOLE, Suffix(8), ByteRange(0, 8)]
    assert as_bytes(filled.read("c/0/1", requests)) == [b"", b"", b""]
    assert filled.read("c/0/2", requests) is None
    assert filled.read("nothing/here", [WHOLE]) is None
    assert filled.read("missing", [ByteRange(0, 0)]) is None
    assert filled.read("c/0", [Suffix(4)]) is None


def test_an_object_of_megabytes_reads_back_bit_for_bit(filled, objects):
    """Whole and in parts, the bytes of a large object are those written."""
    large = objects["c/large"]
    whole, middle = filled.read("c/large", [WHOLE, ByteRange(12345, 4_500_000)])
    assert whole == large
    assert middle == large[12345:4_512_345]


@pytest.mark.parametrize("enough", [3, 100_000, 5 << 20, 6 << 20])
def test_no_more_of_an_object_is_taken_than_is_enough(filled, objects, enough):
    """It could be larger than memory: the rest stays where it is."""
    requests = [Whole(enough), ByteRange(enough - 1, 2)]
    expected = [objects["c/large"][:enough], objects["c/large"][enough - 1 : enough + 1]]
    assert as_bytes(filled.read("c/large", requests)) == expected
    assert as_bytes(filled.read("c/large", requests[:1])) == expected[:1]
    if waits_for_network(filled):
        assert as_bytes(asyncio.run(filled.read_async("c/large", requests))) == expected


def test_buffers_are_contiguous_bytes(filled):
    """What is read has one dimension of unsigned bytes, so that a plan can cut it without a copy."""
    for buffer in filled.read("c/0/0", [WHOLE, ByteRange(2, 3), Suffix(2)]):
        view = memoryview(buffer)
        assert (view.ndim, view.itemsize, view.contiguous) == (1, 1, True)
        assert view.format == "B"


def test_async_reads_say_the_same_as_sync_ones(filled):
    """`read_async` gives what `read` gives, missing objects included."""
    if not isinstance(filled, ObjectStore):
        assert not waits_for_network(filled)
        return
    requests = [request for request, _ in REQUESTS.values()]
    assert waits_for_network(filled)
    assert as_bytes(asyncio.run(filled.read_async("c/0/0", requests))) == [e for _, e in REQUESTS.values()]
    assert asyncio.run(filled.read_async("missing", requests)) is None


@pytest.mark.parametrize("key", INVALID_KEYS)
def test_a_name_that_is_no_key_is_not_read(filled, key):
    """No store takes an absolute key, or one with empty or dotted parts, backslash, NUL, half a pair."""
    with pytest.raises(StoreError) as caught:
        filled.read(key, [WHOLE])
    assert caught.value.reason == "invalid_key"


def test_a_name_that_is_no_key_changes_nothing(store):
    """Nor does any other operation take such a name, and nothing is there afterwards."""
    for key in INVALID_KEYS:
        operations = [
            lambda key=key: store.write(key, [b"1"]),
            lambda key=key: store.create(key, [b"1"]),
            lambda key=key: store.delete(key),
            lambda key=key: list(store.list(key or "/")),
            lambda key=key: list(store.list_folders(key or "/")),
        ]
        for operation in operations:
            with pytest.raises(StoreError) as caught:
                operation()
            assert caught.value.reason == "invalid_key"
    assert list(store.list("")) == []


def test_keys_are_names_and_nothing_more(store):
    """Blanks, percent signs, colons, dots and letters of all scripts are parts of names, kept as is."""
    keys = ["a b/c", "50%25", "x:y", ".hidden", "..a", "a..b", "é/ü", "k#?&=", "~", "c.0.0", "[a]*"]
    for number, key in enumerate(keys):
        store.write(key, [str(number).encode()])
    assert {info.key for info in store.list("")} == set(keys)
    for number, key in enumerate(keys):
        assert as_bytes(store.read(key, [WHOLE])) == [str(number).encode()]


def test_parts_are_written_one_after_the_other(store):
    """An object is its parts in order: thousands of small ones, empty ones, none, of any buffer type."""
    store.write("none", [])
    store.write("mixed", [b"ab", b"", bytearray(b"cd"), memoryview(b"efgh")[1:3]])
    many = [bytes([n % 251]) * (n % 7) for n in range(5000)]
    store.write("many", many)
    assert as_bytes(store.read("none", [WHOLE])) == [b""]
    assert as_bytes(store.read("mixed", [WHOLE])) == [b"abcdfg"]
    assert as_bytes(store.read("many", [WHOLE])) == [b"".join(many)]


def test_writing_replaces(store):
    """A second write leaves nothing of the first, be it longer or shorter."""
    for content in [b"first", b"2nd", b"the third"]:
        store.write("a/b", [content])
        assert as_bytes(store.read("a/b", [WHOLE])) == [content]
    assert list(store.list("")) == [ObjectInfo("a/b", 9)]


def test_creating_never_replaces(store):
    """`create` adds an object once, and then says False and leaves what is there."""
    assert store.create("a/b", [b"fir", b"st"]) is True
    assert store.create("a/b", [b"second"]) is False
    assert as_bytes(store.read("a/b", [WHOLE])) == [b"first"]
    assert store.create("empty", []) is True
    assert store.create("empty", []) is False


def test_of_sixteen_threads_one_creates(store):
    """However many threads create the same object at once, one wins, and the object is the winner's."""
    with ThreadPoolExecutor(16) as threads:
        won = list(threads.map(lambda n: store.create("x/one", [b"%d" % n] * 1000), range(16)))
    assert won.count(True) == 1
    assert as_bytes(store.read("x/one", [WHOLE])) == [b"%d" % won.index(True) * 1000]
    assert [info.key for info in store.list("")] == ["x/one"]


def test_readers_see_the_old_object_or_the_new_one(store):
    """While an object is replaced over and over, every read is of one state, in all its requests."""
    states = [bytes([n]) * size for n, size in enumerate((100_000, 30, 70_000, 1))]
    store.write("k", [states[0]])
    rounds = 40

    def replace():
        for n in range(rounds):
            store.write("k", [states[n % 4][:17], states[n % 4][17:]])

    def look():
        for _ in range(rounds):
            try:
                whole, suffix, start = as_bytes(store.read("k", [WHOLE, Suffix(5), ByteRange(0, 20)]))
            except StoreError as error:  # a remote store may give up, and says why
                assert error.reason == "object_changed"  # noqa: PT017
                continue
            assert whole in states
            assert (suffix, start) == (whole[-5:], whole[:20])

    with ThreadPoolExecutor(3) as threads:
        for work in [threads.submit(replace), threads.submit(look), threads.submit(look)]:
            work.result()


def test_what_was_read_stays_as_it_was(store):
    """A buffer that was handed out does not change when its object is replaced or deleted."""
    store.write("k", [b"before" * 1000])
    (before,) = store.read("k", [WHOLE])
    store.write("k", [b"after." * 1000])
    (after,) = store.read("k", [WHOLE])
    store.delete("k")
    store.write("k", [b"third." * 1000])
    assert (bytes(before), bytes(after)) == (b"before" * 1000, b"after." * 1000)


def test_deleting_is_done_when_it_is_done(store):
    """Deleting removes the object, and is no error when there is none."""
    store.write("a/b", [b"1"])
    store.delete("a/b")
    store.delete("a/b")
    store.delete("never/was")
    assert store.read("a/b", [WHOLE]) is None
    assert list(store.list("")) == []


def test_listing_goes_by_whole_folders(store):
    """`list` gives every object under a folder with its size; a folder of a longer name is another one."""
    sizes = {"zarr.json": 1, "a/zarr.json": 2, "a/c/0/0": 3, "a/c/0/1": 4, "ab/x": 5, "a.b": 6}
    for key, size in sizes.items():
        store.write(key, [bytes(size)])

    def listed(prefix):
        return {(info.key, info.nbytes) for info in store.list(prefix)}

    assert listed("") == set(sizes.items())
    assert listed("a") == {("a/zarr.json", 2), ("a/c/0/0", 3), ("a/c/0/1", 4)}
    assert listed("a/c") == {("a/c/0/0", 3), ("a/c/0/1", 4)}
    assert listed("nowhere") == set()
    assert listed("zarr.json") == set()
    assert set(store.list_folders("")) == {"a", "ab"}
    assert set(store.list_folders("a")) == {"a/c"}
    assert set(store.list_folders("a/c/0")) == set()
    assert set(store.list_folders("nowhere")) == set()


def test_each_store_keeps_to_the_protocol(filled):
    """Every store is a `Store`, and its coalescing has sizes in bytes."""
    assert isinstance(filled, Store)
    assert filled.coalescing.largest_gap >= 0
    assert filled.coalescing.largest_read > 0
