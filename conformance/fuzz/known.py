"""Differences from tensorstore that are understood, each with its reason.

Owns the list, which should stay short: what stands here is not looked for any more. Only refusals can be
explained; other values, or a reader that dies, never.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from conformance.fuzz.breaking import METADATA
from conformance.implementations import Document
from conformance.run.judging import Answer

Kind = Literal["failure", "wrong", "values", "ours refuses", "theirs refuses"]


@dataclass(frozen=True, slots=True)
class Difference:
    """That the two differ: how, and in words."""

    kind: Kind
    words: str


def _anywhere(_: Document) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Known:
    """A difference that is understood.

    Attributes
    ----------
    why
        Who does what, and by which clause.
    kind
        Who refuses.
    message
        What its error says, as a regular expression.
    where
        Whether it can come with an array of such metadata.
    """

    why: str
    kind: Literal["ours refuses", "theirs refuses"]
    message: str
    where: Callable[[Document], bool] = _anywhere


def explained(difference: Difference, ours: Answer, theirs: Answer, files: Mapping[str, bytes]) -> str | None:
    """Give the reason of a difference in what was read of an array's files, or None if none is known."""
    refusal = {"ours refuses": ours, "theirs refuses": theirs}.get(difference.kind)
    if refusal is None:
        return None
    alike = (one for one in KNOWN if one.kind == difference.kind and re.search(one.message, refusal.message))
    return next((one.why for one in alike if one.where(json.loads(files[METADATA]))), None)


def _has_crc32c_of_fixed_size(document: Document) -> bool:
    """Whether chunks have a crc32c of what has one size only: of `bytes`, or of that with another crc32c."""
    return any(
        [codec["name"] for codec in chain if codec["name"] != "transpose"][:2] == ["bytes", "crc32c"]
        for chain in _chains(document["codecs"])
    )


def _has_inner_index_at_start(document: Document) -> bool:
    """Whether there are shards within shards, with their index at the start."""
    _, *inner = _chains(document["codecs"])
    return any(
        codec["name"] == "sharding_indexed" and codec["configuration"].get("index_location") == "start"
        for chain in inner
        for codec in chain
    )


def _chains(codecs: list[Any]) -> Iterator[list[Any]]:
    """The chain, that of its inner chunks, and so on."""
    yield codecs
    for codec in codecs:
        if codec["name"] == "sharding_indexed":
            yield from _chains(codec["configuration"]["codecs"])


KNOWN: Final = (
    Known(
        "tensorstore takes no bytes→bytes codec after a shard; the core specification does (CHAIN-ORDER)",
        "theirs refuses",
        "is not compatible with subsequent bytes -> bytes codecs",
    ),
    Known(
        "tensorstore takes no must_understand beside a codec's name; the core specification does"
        " (EXTENSION-UNKNOWN)",
        "theirs refuses",
        'Object includes extra members: "must_understand"',
    ),
    Known(
        "tensorstore takes no short-hand names for codecs; the core specification does"
        ' ("Extension definition", Short-hand names)',
        "theirs refuses",
        r'Expected object, but received: "\w+"',
    ),
    Known(
        "tensorstore wants every parameter of a compressor, also to read; none of them matters to decoding",
        "theirs refuses",
        r'"(level|cname|clevel|shuffle|typesize|blocksize)": Expected .*(<discarded>|is missing)',
    ),
    Known(
        "tensorstore takes 2.0 for an integer; where the specification says integers, we want them written so"
        " (CHUNK-SHAPE-INTEGERS; fill values: without fraction or exponent)",
        "ours refuses",
        r"[0-9]\.0 is no fill value for u?int"
        r"|expected (an integer|a list of ([0-9]+ )?integers|[0-9]+), found .*[0-9]\.0",
    ),
    Known(
        "tensorstore takes a float of fewer hexadecimal digits than the type has; we want them all, as"
        ' the core specification shows them ("Permitted fill values")',
        "ours refuses",
        r"is no fill value for (float|complex)[0-9]+: expected .* digits",
    ),
    Known(
        "tensorstore does not look at what follows a compressed stream; we want nothing that is not another"
        " stream (CHAIN-DECODE)",
        "ours refuses",
        "(gzip|zstd): expected nothing, or another stream, behind",
    ),
    Known(
        "tensorstore does not look at what follows a crc32c if it knows how many bytes are before it; we want"
        " no more bytes than the codec gives (CHAIN-DECODE)",
        "ours refuses",
        "expected at most [0-9]+ bytes, found an index entry",
        _has_crc32c_of_fixed_size,
    ),
    Known(
        "tensorstore does not compare an inner shard's nbytes with the size of what it lies in if its index"
        " is at the start, as it asks for parts only; we do, and the entry is broken (INDEX-ENTRY)",
        "ours refuses",
        r"index entry \(offset [0-9]+, nbytes [0-9]+\): the shard has [0-9]+ bytes",
        _has_inner_index_at_start,
    ),
)
