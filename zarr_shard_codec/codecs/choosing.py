"""From the list of codecs in a metadata document to codecs that fit each other, or all that is wrong with it.

Owns the order of kinds (CHAIN-ORDER) and the places of problems. What a configuration means is each
codec's business, what a chain does with its codecs is `chain`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, cast

from zarr_shard_codec.codecs.registry import get_factory, known_names
from zarr_shard_codec.core.extensions import parse_extension
from zarr_shard_codec.core.protocols import (
    JSON,
    ArrayArrayCodec,
    ArrayBytesCodec,
    BytesBytesCodec,
    ChunkSpec,
    Codec,
    Kind,
)
from zarr_shard_codec.errors import MetadataError, Problem

_KIND_WORDS: Final[dict[Kind, str]] = {
    "array_array": "array→array",
    "array_bytes": "array→bytes",
    "bytes_bytes": "bytes→bytes",
}

_MOST_CODECS: Final = 1024
"""In one chain. Each is built, and runs over every chunk: a million in a document would take minutes."""


def choose_codecs(
    codecs: Sequence[JSON], spec: ChunkSpec, path: str
) -> tuple[list[ArrayArrayCodec], ArrayBytesCodec, list[BytesBytesCodec]]:
    """Build the codecs that a metadata document names; see `CodecChain.from_metadata`."""
    problems: list[Problem] = []
    if len(codecs) > _MOST_CODECS:
        message = f"expected at most {_MOST_CODECS} codecs, found {len(codecs)}"
        raise MetadataError([Problem(path, "wrong_value", message)])
    chosen: dict[Kind, list[Codec]] = {"array_array": [], "array_bytes": [], "bytes_bytes": []}
    current, unknown_kinds = spec, False
    for at, item in enumerate(codecs):
        here = f"{path}[{at}]"
        try:
            codec = _build_codec(item, current, here)
        except MetadataError as error:
            unknown_kinds = True
            problems += error.problems
            continue
        if not unknown_kinds:  # what cannot be built may be the very codec that seems to be missing
            problems += _order_problems(codec, chosen, here)
        chosen[codec.kind].append(codec)
        if codec.kind == "array_array":
            current = cast("ArrayArrayCodec", codec).encoded_spec
    if not chosen["array_bytes"] and not unknown_kinds:
        message = "expected exactly one array→bytes codec, found none"
        problems.append(Problem(path, "codec_chain_order", message))
    if problems:
        raise MetadataError(problems)
    return (
        cast("list[ArrayArrayCodec]", chosen["array_array"]),
        cast("ArrayBytesCodec", chosen["array_bytes"][0]),
        cast("list[BytesBytesCodec]", chosen["bytes_bytes"]),
    )


def _build_codec(item: JSON, spec: ChunkSpec, path: str) -> Codec:
    # Bytes cannot be decoded without every codec, so "must_understand": false changes nothing here.
    extension = parse_extension(item, path, ignorable=True)
    factory = get_factory(extension.name)
    if factory is None:
        message = f"no codec {extension.name!r} is known; known are {_known_in_words()}"
        raise MetadataError([Problem(f"{path}.name", "unknown_codec", message)])
    try:
        return factory(extension.name, extension.configuration, spec)
    except MetadataError as error:
        inside = f"{path}.configuration"
        raise MetadataError(
            [replace(problem, path=_join(inside, problem.path)) for problem in error.problems]
        ) from error


def _known_in_words() -> str:
    prefix = "numcodecs."
    plain = [name for name in known_names() if not name.startswith(prefix)]
    adapted = [name.removeprefix(prefix) for name in known_names() if name.startswith(prefix)]
    return f"{', '.join(plain)}, and {prefix}* ({', '.join(adapted)})"


def _order_problems(codec: Codec, before: dict[Kind, list[Codec]], path: str) -> list[Problem]:
    name, kind = codec.to_metadata()["name"], _KIND_WORDS[codec.kind]
    if codec.kind == "bytes_bytes":
        wrong = "stands before the array→bytes codec" if not before["array_bytes"] else None
    else:
        wrong = "stands after the array→bytes codec" if before["array_bytes"] else None
    if wrong is None:
        return []
    return [Problem(path, "codec_chain_order", f"the {kind} codec {name!r} {wrong}")]


def _join(path: str, more: str) -> str:
    return f"{path}.{more}" if more and not more.startswith("[") else path + more
