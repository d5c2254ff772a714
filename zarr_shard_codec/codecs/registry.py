"""Which codec a name stands for.

Owns the names. Built-in codecs are named by `module:attribute`, so that this module imports none of them;
other distributions add theirs by the entry point group `zarr_shard_codec.codecs` (name: the codec's name in
the metadata; value: a `CodecFactory`), and a program adds its own by `register`.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Final, cast

from zarr_shard_codec.core.protocols import CodecFactory
from zarr_shard_codec.errors import UsageError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP: Final = "zarr_shard_codec.codecs"
"""The entry point group."""

_HERE: Final = "zarr_shard_codec.codecs."

_BUILT_IN: Final[dict[str, str]] = {
    "bytes": "bytes_:build",
    "transpose": "transpose:build",
    "sharding_indexed": "sharding_indexed:build",
    "crc32c": "crc32c:build",
    "gzip": "gzip:build",
    "zstd": "zstd:build",
    "blosc": "blosc:build",
    "numcodecs.gzip": "gzip:build",
    "numcodecs.zstd": "zstd:build",
    "numcodecs.blosc": "blosc:build",
    "numcodecs.shuffle": "numcodecs_shuffle:build",
    **dict.fromkeys(
        ("numcodecs.zlib", "numcodecs.bz2", "numcodecs.lzma", "numcodecs.lz4"),
        "numcodecs_compressors:build",
    ),
    **dict.fromkeys(
        (
            "numcodecs.crc32",
            "numcodecs.crc32c",
            "numcodecs.adler32",
            "numcodecs.fletcher32",
            "numcodecs.jenkins_lookup3",
        ),
        "numcodecs_checksums:build",
    ),
    **dict.fromkeys(
        (
            "numcodecs.delta",
            "numcodecs.bitround",
            "numcodecs.fixedscaleoffset",
            "numcodecs.quantize",
            "numcodecs.astype",
            "numcodecs.packbits",
        ),
        "numcodecs_filters:build",
    ),
}

_registered: Final[dict[str, CodecFactory]] = {}


def register(name: str, factory: CodecFactory) -> None:
    """Make `name` stand for `factory` in this process, whatever it stood for before."""
    _registered[name] = factory


def get_factory(name: str) -> CodecFactory | None:
    """Give what builds the codec of that name.

    What was registered comes first, then the built-in codecs, then entry points: none of the latter can
    replace a codec of the specification.

    Returns
    -------
    CodecFactory or None
        None for a name that nobody knows.

    Raises
    ------
    UsageError
        `missing_extra` where an entry point names what cannot be imported.
    """
    factory = _registered.get(name)
    if factory is not None:
        return factory
    if name in _BUILT_IN:
        module, _, attribute = _BUILT_IN[name].partition(":")
        factory = cast("CodecFactory", getattr(import_module(_HERE + module), attribute))
    elif name in _entry_points():
        entry_point = _entry_points()[name]
        try:
            factory = cast("CodecFactory", entry_point.load())
        except (ImportError, AttributeError) as error:
            message = f"the codec {name!r} is to be {entry_point.value!r}, which does not load: {error}"
            raise UsageError("missing_extra", message) from error
    else:
        return None
    return _registered.setdefault(name, factory)


def known_names() -> list[str]:
    """Every name that `get_factory` knows, sorted."""
    return sorted({*_BUILT_IN, *_registered, *_entry_points()})


@cache
def _entry_points() -> dict[str, EntryPoint]:
    # Slow: it reads the metadata of every distribution installed. Only an unknown name comes to this.
    from importlib.metadata import entry_points

    return {entry_point.name: entry_point for entry_point in entry_points(group=GROUP)}
