"""Vectors whose index, or whose shard as a whole, has one thing wrong in its bytes.

Each array has two shards of four inner chunks, and the second inner chunk of the second shard (elements 10
and 11) is the one in question. What is wrong with inner chunks themselves is `broken_chunks`' business.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np

from conformance.cases import hand
from conformance.cases.corpus import Expect
from conformance.cases.draft import Draft, select
from conformance.cases.hand import BIG, CRC32C, LITTLE, crc32c, document, little, sharded, sharding

VALUES: Final = np.arange(1, 17, dtype="<i4")
SHARD: Final = "c/1"
INDEX_NBYTES: Final = 68
NBYTES: Final = 100
"""Of an intact shard: 32 of inner chunks, 68 of index."""

Change = Callable[[bytes], bytes]

_CHECKSUM: Final = (
    "The index's crc32c does not fit it, and the codec crc32c must refuse that (INDEX-ENCODED)."
)
_SHORT: Final = "The object cannot hold the index, whose size is known (INDEX-NBYTES)."
_HALF: Final = (
    "Only two numbers of 2^64-1 make an entry empty (INDEX-EMPTY); one alone names no bytes that can be."
)
_ZERO: Final = (
    "The entry gives the inner chunk no bytes (INDEX-ENTRY), from which `bytes` decodes no elements."
)
_OUTSIDE: Final = "The entry names bytes that the shard does not have (INDEX-ENTRY)."


def broken(
    name: str,
    title: str,
    requirements: list[str],
    reason: str,
    why: str,
    change: Change,
    *,
    neighbour: Expect,
    codec: Any = None,
    after: tuple[Any, ...] = (),
    encode: hand.Encoder | None = None,
) -> Draft:
    """Make a vector whose second shard is changed.

    `neighbour` is what is right for another inner chunk of that shard.
    """
    codec = codec or sharding([2])
    metadata = document([16], [8], [codec, *after])
    intact = hand.store(metadata, VALUES, encode or sharded([2], little))
    changed = change(intact[SHARD])
    assert changed != intact[SHARD], name
    return Draft(
        name=f"broken-{name}",
        title=title,
        requirements=tuple(requirements),
        files={**intact, SHARD: changed},
        intact=intact,
        values=VALUES,
        data_type="int32",
        selections=(
            select((0, 8)),
            select((8, 10), expect=neighbour),
            select((10, 12), expect="refuse"),
            select(11, expect="refuse"),
            select((1, 16, 3), expect="refuse"),
        ),
        expect="refuse",
        reason=reason,
        why=why,
    )


def flipped(at: int, bit: int = 1) -> Change:
    """Change one bit of the byte at `at`."""

    def change(body: bytes) -> bytes:
        changed = bytearray(body)
        changed[at] ^= bit
        return bytes(changed)

    return change


def entry(at: int, *numbers: int) -> Change:
    """Put another entry in place of inner chunk `at`'s, and the checksum that then fits."""

    def change(body: bytes) -> bytes:
        table = bytearray(body[-INDEX_NBYTES:-4])
        struct.pack_into("<QQ", table, 16 * at, *numbers)
        return body[:-INDEX_NBYTES] + crc32c(bytes(table))

    return change


def drafts() -> Iterator[Draft]:
    """Give the vectors."""
    yield from _checksums()
    yield from _sizes()
    yield from _entries()
    yield from _other_indexes()
    yield from _nested()
    yield from _after()


def _checksums() -> Iterator[Draft]:
    twice = {
        "codec": sharding([2], index_codecs=[LITTLE, CRC32C, CRC32C]),
        "encode": sharded([2], little, encode_index=lambda entries: crc32c(crc32c(hand.table(entries)))),
    }
    cases: dict[str, tuple[str, Change, dict[str, Any]]] = {
        "entry": ("One bit of an entry is flipped", flipped(32 + 16), {}),
        "checksum": ("One bit of the index's checksum is flipped", flipped(-1), {}),
        "big-endian": ("The checksum is big-endian", lambda body: body[:-4] + body[:-5:-1], {}),
        "crc32": (
            "The checksum is CRC-32, not CRC-32C",
            lambda body: body[:-4] + struct.pack("<I", zlib.crc32(body[-INDEX_NBYTES:-4])),
            {},
        ),
        "twice-outer": ("Of two checksums, the outer one is wrong", flipped(-1), twice),
        "twice-inner": (
            "Of two checksums, the inner one is wrong and the outer one fits",
            lambda body: body[: 32 - 104] + crc32c(flipped(-1)(body[32:-4])),
            twice,
        ),
        "one-byte-missing": ("The shard's last byte is missing", lambda body: body[:-1], {}),
        "one-byte-more": ("There is one byte behind the index", lambda body: body + b"\0", {}),
    }
    for name, (title, change, options) in cases.items():
        yield broken(
            f"index-{name}",
            title,
            ["INDEX-ENCODED", "INDEX-CODECS-RECOMMENDED"],
            "index_checksum_mismatch",
            _CHECKSUM,
            change,
            neighbour="refuse",
            **options,
        )
    start = {
        "codec": sharding([2], location="start"),
        "encode": sharded([2], little, location="start"),
    }
    for name, title, change in (
        ("at-the-other-end", "The index is at the end, while the metadata says start", lambda _: _at_end()),
        ("one-byte-late", "There is one byte in front of the index at the start", lambda body: b"\0" + body),
    ):
        yield broken(
            f"index-{name}",
            title,
            ["LOCATION-START", "INDEX-ENCODED"],
            "index_checksum_mismatch",
            _CHECKSUM,
            change,
            neighbour="refuse",
            **start,
        )
    yield broken(
        "shard-cut-in-its-index-at-start",
        "The shard ends within its index, which is at the start",
        ["LOCATION-START", "INDEX-NBYTES"],
        "shard_too_short",
        _SHORT,
        lambda body: body[:40],
        neighbour="refuse",
        **start,
    )


def _at_end() -> bytes:
    return sharded([2], little)(VALUES[8:])


def _sizes() -> Iterator[Draft]:
    plain = {
        "codec": sharding([2], index_codecs=[LITTLE]),
        "encode": sharded([2], little, encode_index=hand.table),
    }
    cases: dict[str, tuple[str, Change, dict[str, Any]]] = {
        "empty": ("The object has no bytes", lambda _: b"", {}),
        "one-byte": ("The object has one byte", lambda body: body[:1], {}),
        "shorter-than-index": (
            "The object has one byte less than an index",
            lambda body: body[1 - INDEX_NBYTES :],
            {},
        ),
        "shorter-than-plain-index": (
            "The object has one byte less than an index without a checksum",
            lambda body: body[-63:],
            plain,
        ),
    }
    for name, (title, change, options) in cases.items():
        yield broken(
            f"shard-{name}",
            title,
            ["INDEX-NBYTES", "LOCATION-END"],
            "shard_too_short",
            _SHORT,
            change,
            neighbour="refuse",
            **options,
        )


def _entries() -> Iterator[Draft]:
    highest = 2**64 - 1
    cases: dict[str, tuple[str, tuple[int, int], str, str]] = {
        "half-empty-offset": (
            "An entry of offset 2^64-1 and 8 bytes",
            (highest, 8),
            "entry_half_empty",
            _HALF,
        ),
        "half-empty-nbytes": (
            "An entry of offset 8 and 2^64-1 bytes",
            (8, highest),
            "entry_half_empty",
            _HALF,
        ),
        "zero": (
            "An entry (0, 0), as in an index that was never filled in",
            (0, 0),
            "entry_zero_length",
            _ZERO,
        ),
        "zero-length": ("An entry of 0 bytes", (8, 0), "entry_zero_length", _ZERO),
        "behind-the-end": (
            "An entry that begins at the shard's end",
            (NBYTES, 8),
            "entry_out_of_bounds",
            _OUTSIDE,
        ),
        "past-the-end": (
            "An entry that reaches one byte past the shard's end",
            (NBYTES - 7, 8),
            "entry_out_of_bounds",
            _OUTSIDE,
        ),
        "wrapping": (
            "An entry whose end is 4 in 64 bits: offset 2^64-4, 8 bytes",
            (2**64 - 4, 8),
            "entry_out_of_bounds",
            _OUTSIDE,
        ),
        "offset-2-63": (
            "An offset that is negative as a signed number",
            (2**63, 8),
            "entry_out_of_bounds",
            _OUTSIDE,
        ),
        "nbytes-2-63": (
            "A size that is negative as a signed number",
            (8, 2**63),
            "entry_out_of_bounds",
            _OUTSIDE,
        ),
        "nbytes-2-40": ("A size of a terabyte", (8, 2**40), "entry_out_of_bounds", _OUTSIDE),
    }
    for name, (title, numbers, reason, why) in cases.items():
        yield broken(
            f"entry-{name}",
            title,
            ["INDEX-ENTRY", "INDEX-EMPTY"] if reason == "entry_half_empty" else ["INDEX-ENTRY"],
            reason,
            why,
            entry(1, *numbers),
            neighbour="either",
        )


def _other_indexes() -> Iterator[Draft]:
    yield broken(
        "index-byte-order",
        "A big-endian index without a checksum, while the metadata says little-endian",
        ["INDEX-ENCODED", "INDEX-ENTRY"],
        "entry_out_of_bounds",
        _OUTSIDE,
        lambda body: body[:32] + hand.big(np.frombuffer(body[32:], "<u8")),
        neighbour="refuse",
        codec=sharding([2], index_codecs=[LITTLE]),
        encode=sharded([2], little, encode_index=hand.table),
    )
    yield broken(
        "entry-past-the-end-index-at-start",
        "An entry that reaches one byte past the shard's end, the index at the start",
        ["INDEX-ENTRY", "LOCATION-START"],
        "entry_out_of_bounds",
        _OUTSIDE,
        lambda body: (
            crc32c(body[:16] + struct.pack("<QQ", NBYTES - 7, 8) + body[32:64]) + body[INDEX_NBYTES:]
        ),
        neighbour="either",
        codec=sharding([2], location="start"),
        encode=sharded([2], little, location="start"),
    )
    yield broken(
        "entry-past-the-end-big-endian",
        "An entry past the shard's end in a big-endian index without a checksum",
        ["INDEX-ENTRY", "INDEX-ENCODED"],
        "entry_out_of_bounds",
        _OUTSIDE,
        lambda body: body[:48] + struct.pack(">QQ", 96, 8) + body[64:],
        neighbour="either",
        codec=sharding([2], index_codecs=[BIG]),
        encode=sharded([2], little, encode_index=hand.index_of(hand.big, 4)),
    )


def _nested() -> Iterator[Draft]:
    """Two inner shards of 52 bytes: two inner chunks of 8 and an index of 36."""
    nested = {
        "codec": sharding([4], [sharding([2])]),
        "encode": sharded([4], sharded([2], little)),
    }

    def inner_entry(*numbers: int) -> Change:
        return lambda body: body[:16] + crc32c(body[16:32] + struct.pack("<QQ", *numbers)) + body[52:]

    cases: dict[str, tuple[str, Change, str, str, Expect]] = {
        "entry-outside": (
            "An entry that leaves the inner shard and stays within the outer one",
            inner_entry(52, 8),
            "entry_out_of_bounds",
            _OUTSIDE,
            "either",
        ),
        "entry-zero": (
            "An entry (0, 0) in an inner shard",
            inner_entry(0, 0),
            "entry_zero_length",
            _ZERO,
            "either",
        ),
        "index-checksum": (
            "One bit of an inner shard's index is flipped",
            flipped(16),
            "index_checksum_mismatch",
            _CHECKSUM,
            "refuse",
        ),
        "shard-too-short": (
            "An inner shard shorter than its index",
            lambda body: body[:104] + crc32c(struct.pack("<QQ", 0, 35) + body[120:136]),
            "shard_too_short",
            _SHORT,
            "refuse",
        ),
    }
    for name, (title, change, reason, why, neighbour) in cases.items():
        yield broken(
            f"nested-{name}",
            title,
            ["INDEX-ENTRY", "CHAIN-DECODE"],
            reason,
            why,
            change,
            neighbour=neighbour,
            **nested,
        )


def _after() -> Iterator[Draft]:
    codec = sharding([2])
    behind: dict[str, Any] = {"after": (CRC32C,), "encode": lambda a: crc32c(sharded([2], little)(a))}
    checksum = "The crc32c behind the shard does not fit it, and the codec must refuse that (CHAIN-DECODE)."
    for name, title, at in (
        ("chunk", "One bit of an inner chunk is flipped in a shard that has a checksum behind it", 8),
        ("checksum", "One bit of the checksum behind the shard is flipped", -1),
    ):
        yield broken(
            f"after-crc32c-{name}",
            title,
            ["CHAIN-DECODE"],
            "inner_chunk_checksum_mismatch",
            checksum,
            flipped(at),
            neighbour="refuse",
            codec=codec,
            **behind,
        )
