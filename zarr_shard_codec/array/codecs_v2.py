"""v2's filters and compressor → the v3 chain that reads and writes the same bytes.

Owns the translation of codecs. It is exact or refused: a chunk's bytes are never touched, so the v3 chain has
to give back what v2 gave back, bit for bit.

v2 hands each filter whatever the one before it returned, and lets it look at those bytes as the type that its
own parameters name. v3 has types between codecs instead. So a filter translates only where the type it names
is the one that arrives; there v2's view changes nothing, and the byte order, which v2 carries through every
filter, matters only where the array becomes bytes.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from zarr_shard_codec.core.protocols import JSON
from zarr_shard_codec.errors import MetadataError, Problem

_Config = Mapping[str, JSON]

_TYPED_FILTERS: Final = {
    # id: (parameter with the type that arrives, parameter with the type that leaves, the other parameters)
    "delta": ("dtype", "astype", ()),
    "fixedscaleoffset": ("dtype", "astype", ("scale", "offset")),
    "quantize": ("dtype", "astype", ("digits",)),
    "astype": ("decode_dtype", "encode_dtype", ()),
}
_COUNTS: Final = np.dtype("<i8")
_BLOSC_MAX_TYPESIZE: Final = 255
"""Blosc takes larger elements as bytes."""
_SAME_IN_NUMCODECS: Final = (
    *("zlib", "lz4", "bz2", "lzma"),
    "shuffle",
    *("crc32", "adler32", "fletcher32", "jenkins_lookup3"),
)
"""Bytes→bytes codecs whose v3 name is v2's id after `numcodecs.`, with the same parameters."""


def translate_codecs(
    stored: np.dtype[Any], *, ndim: int, order: str, filters: Sequence[JSON], compressor: JSON
) -> tuple[dict[str, JSON], ...]:
    """Translate a v2 chain.

    Parameters
    ----------
    stored
        The array's type with the byte order of its stored bytes.
    ndim
        Its dimensions.
    order
        `C`, or `F`: then the bytes lie in the order of the reversed axes.
    filters
        In the order in which they encode.
    compressor
        The last codec, or None.

    Raises
    ------
    MetadataError
        `no_exact_translation`, which names the codec in the way; `wrong_type`, `wrong_value`, `missing_key`
        for parameters that v2 would refuse too. Every problem at once.
    """
    chain = _Chain(stored)
    if order == "F" and ndim > 1:  # up to one dimension both orders are the same
        axes = list(range(ndim))[::-1]
        chain.array_array.append({"name": "transpose", "configuration": {"order": axes}})
    steps = [(f"filters[{at}]", config) for at, config in enumerate(filters)]
    if compressor is not None:
        steps.append(("compressor", compressor))
    problems: list[Problem] = []
    for path, config in steps:
        try:
            chain.add(path, config)
        except MetadataError as error:
            problems += error.problems
            chain.arriving = None
    if problems:
        raise MetadataError(problems)
    return chain.codecs()


class _Chain:
    """What has been translated so far, and what arrives at the next codec."""

    def __init__(self, stored: np.dtype[Any]) -> None:
        self.arriving: np.dtype[Any] | None = stored
        """The type that the next codec gets; None after a codec that was refused, when it cannot be known."""
        self.array_array: list[dict[str, JSON]] = []
        self.bytes_bytes: list[dict[str, JSON]] = []

    def add(self, path: str, config: JSON) -> None:
        codec_id = config.get("id") if isinstance(config, dict) else None
        if not isinstance(config, dict) or not isinstance(codec_id, str):
            raise _error(path, "wrong_type", f"expected an object with an id, found {reprlib.repr(config)}")
        if codec_id in _SAME_IN_NUMCODECS:
            self.bytes_bytes.append(_numcodecs(codec_id, {k: v for k, v in config.items() if k != "id"}))
        elif codec_id in _STANDARD:
            # Its element size is a hint for the compressor only; after other bytes→bytes codecs it is 1.
            typesize = 1 if self.bytes_bytes or self.arriving is None else self.arriving.itemsize
            self.bytes_bytes.append(_STANDARD[codec_id](config, path, typesize))
        elif codec_id in _TYPED_FILTERS or codec_id in ("packbits", "bitround"):
            self._add_filter(codec_id, path, config)
        else:
            raise _inexact(path, f"no v3 codec is known to do what v2's {reprlib.repr(codec_id)} does")

    def _add_filter(self, codec_id: str, path: str, config: _Config) -> None:
        if self.bytes_bytes:
            message = f"{codec_id} works on numbers, but the codec before it leaves bytes"
            raise _inexact(path, f"{message}, and v3 has no way back")
        leaving, configuration = self.arriving, {}
        if codec_id == "packbits":
            self._check_arriving(codec_id, path, np.dtype(bool))
            leaving = np.dtype("u1")
        elif codec_id == "bitround":
            if self.arriving is not None and self.arriving.kind != "f":
                raise _inexact(path, f"bitround works on floats, not on {self.arriving}")
            _need(config, ("keepbits",), path)
            configuration = {"keepbits": config["keepbits"]}
        else:
            leaving, configuration = self._typed_filter(codec_id, path, config)
        self.arriving = leaving
        self.array_array.append(_numcodecs(codec_id, configuration))

    def _typed_filter(
        self, codec_id: str, path: str, config: _Config
    ) -> tuple[np.dtype[Any], dict[str, JSON]]:
        source, target, others = _TYPED_FILTERS[codec_id]
        _need(config, (source, *others), path)
        takes = _number_type(config[source], f"{path}.{source}")
        if not (codec_id == "delta" and takes == _COUNTS and self._brings_times()):
            self._check_arriving(codec_id, path, takes)
        # null stands for "the same", as it does for numcodecs.
        encoded_as = config.get(target)
        leaves = takes if encoded_as is None else _number_type(encoded_as, f"{path}.{target}")
        if codec_id == "quantize" and leaves != takes:
            # zarr-python's numcodecs.quantize takes its output for the type of its input.
            raise _inexact(path, f"quantize in v3 cannot store {takes} as {leaves}")
        # v3 hands a codec native arrays, whatever the order of the stored bytes is. Types are named as
        # numcodecs names them on most machines: zarrs knows "<f4" but not "float32".
        names = {key: dtype.newbyteorder("<").str for key, dtype in ((source, takes), (target, leaves))}
        configuration = {key: config[key] for key in others} | names
        return leaves, configuration

    def _brings_times(self) -> bool:
        # Times are counts of their unit, and zarr-python's delta looks at them so as well. Not at big-endian
        # ones: there zarr-python 3.1 reads other times than it wrote.
        return self.arriving is not None and self.arriving.kind in "mM" and self.arriving.str[0] == "<"

    def _check_arriving(self, codec_id: str, path: str, takes: np.dtype[Any]) -> None:
        if self.arriving is not None and takes != self.arriving:
            raise _inexact(
                path,
                f"{codec_id} looks at bytes of {self.arriving.str} as if they were {takes.str}, "
                "and no v3 codec does that",
            )

    def codecs(self) -> tuple[dict[str, JSON], ...]:
        assert self.arriving is not None  # no codec was refused
        endian = {"<": "little", ">": "big"}.get(self.arriving.str[0])
        to_bytes = {"name": "bytes"} | ({"configuration": {"endian": endian}} if endian else {})
        return (*self.array_array, to_bytes, *self.bytes_bytes)


def _gzip(config: _Config, _path: str, _typesize: int) -> dict[str, JSON]:
    level = config.get("level", 1)
    # -1 is zlib's default level, which is 6; v3 has no name for it.
    return {"name": "gzip", "configuration": {"level": 6 if level == -1 else level}}


def _zstd(config: _Config, _path: str, _typesize: int) -> dict[str, JSON]:
    configuration = {"level": config.get("level", 0), "checksum": config.get("checksum", False)}
    return {"name": "zstd", "configuration": configuration}


def _blosc(config: _Config, path: str, typesize: int) -> dict[str, JSON]:
    from zarr_shard_codec.codecs.blosc import SHUFFLES  # needed for this codec alone

    typesize = typesize if typesize <= _BLOSC_MAX_TYPESIZE else 1
    shuffle = config.get("shuffle", 1)
    if shuffle == -1:  # "auto", which v3 does not have: what numcodecs makes of it
        shuffle = 2 if typesize == 1 else 1
    if type(shuffle) is not int or shuffle not in range(len(SHUFFLES)):
        message = f"expected -1, 0, 1 or 2, found {reprlib.repr(shuffle)}"
        raise _error(f"{path}.shuffle", "wrong_value", message)
    configuration = {
        "typesize": typesize,
        "cname": config.get("cname", "lz4"),
        "clevel": config.get("clevel", 5),
        "shuffle": SHUFFLES[shuffle],
        "blocksize": config.get("blocksize", 0),
    }
    return {"name": "blosc", "configuration": configuration}


def _crc32c(config: _Config, _path: str, _typesize: int) -> dict[str, JSON]:
    # v3's crc32c stands at the end, little-endian, as numcodecs' does unless told otherwise.
    if config.get("location") in (None, "end"):
        return {"name": "crc32c"}
    return _numcodecs("crc32c", {"location": config["location"]})


_STANDARD: Final[Mapping[str, Callable[[_Config, str, int], dict[str, JSON]]]] = {
    "gzip": _gzip,
    "zstd": _zstd,
    "blosc": _blosc,
    "crc32c": _crc32c,
}


def _number_type(json: JSON, path: str) -> np.dtype[Any]:
    try:
        dtype = np.dtype(json) if isinstance(json, str) else None
    except (TypeError, ValueError, SyntaxError):
        dtype = None
    if dtype is None or dtype.kind not in "biufc" or dtype.itemsize > np.dtype("c16").itemsize:
        raise _inexact(path, f"v3 has no numeric type {reprlib.repr(json)}")
    return dtype


def _numcodecs(codec_id: str, configuration: _Config) -> dict[str, JSON]:
    # Always with a configuration: zarr-python refuses its numcodecs.* codecs without one.
    return {"name": f"numcodecs.{codec_id}", "configuration": dict(configuration)}


def _need(config: _Config, keys: Sequence[str], path: str) -> None:
    problems = [
        Problem(f"{path}.{key}", "missing_key", f"{config['id']} needs it")
        for key in keys
        if key not in config
    ]
    if problems:
        raise MetadataError(problems)


def _inexact(path: str, message: str) -> MetadataError:
    return _error(path, "no_exact_translation", message)


def _error(path: str, reason: Any, message: str) -> MetadataError:
    return MetadataError([Problem(path, reason, message)])
