"""Changing JSON documents as JSON, where changing their bytes would seldom leave any.

Owns the mutator that `fuzz` gives libFuzzer for the targets that read documents.
"""

from __future__ import annotations

import json
from random import Random
from typing import Any, Final

import atheris

VALUES: Final[list[Any]] = [
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        2,
        4,
        1.5,
        -0.0,
        1e308,
        2**31,
        2**32,
        2**62,
        2**63,
        2**64,
        10**30,
        [],
        {},
        "",
    ),
    *(
        "NaN",
        "Infinity",
        "-Infinity",
        "0x7fc00001",
        "a",
        "é\x00",
        "default",
        "v2",
        "/",
        ".",
        "regular",
        "start",
    ),
    *(
        "bool",
        "int8",
        "uint16",
        "float16",
        "float64",
        "complex64",
        "r16",
        "r999999999999",
        "string",
        "<M8[ns]",
    ),
    *(
        "|b1",
        "<u2",
        ">f8",
        "|S3",
        "|V4",
        "|V999999999",
        "<U2",
        "datetime64[s]",
        "shuffle",
        "bitshuffle",
        "lz4",
    ),
    {"name": "bytes", "configuration": {"endian": "big"}},
    {"name": "transpose", "configuration": {"order": [1, 0]}},
    {"name": "zstd", "configuration": {"level": 3, "checksum": True}},
    {"name": "gzip", "configuration": {"level": 9}},
    {"name": "crc32c"},
    {"name": "numcodecs.zlib", "configuration": {"level": 1}},
    {"name": "numcodecs.delta", "configuration": {"dtype": "<i4"}},
    {"name": "numcodecs.fixedscaleoffset", "configuration": {"scale": 0, "offset": 1e300, "dtype": "<f4"}},
    {"name": "numcodecs.lzma", "configuration": {"format": 3, "filters": [{"id": 33, "dict_size": 2**31}]}},
    {"id": "blosc", "cname": "zstd", "clevel": 9, "shuffle": 2, "blocksize": 2**30},
    {"id": "lz4", "acceleration": 2**31},
    {"name": "numpy.datetime64", "configuration": {"unit": "as", "scale_factor": 2**31}},
    {"must_understand": False},
]


def mutated(data: bytes, max_nbytes: int, seed: int) -> bytes:
    """Change one to four places of a document; one time in eight, or where there is none, its bytes."""
    random = Random(seed)
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        document = None
    if document is None or random.random() < 0.125:
        return bytes(atheris.Mutate(data, max_nbytes))
    for _ in range(random.randint(1, 4)):
        document = _changed(document, random)
    return json.dumps(document).encode()[:max_nbytes]


def _changed(document: Any, random: Random) -> Any:
    places = list(_places(document))
    if not places:
        return _value(random)
    parent, at = random.choice(places)
    other = random.choice(places)
    action = random.randrange(7)
    if action == 0:
        del parent[at]
    elif action == 1:
        parent[at] = json.loads(json.dumps(other[0][other[1]]))  # what stands elsewhere
    elif action == 2:
        parent[at] = [parent[at]] * random.choice([0, 1, 2, 33])
    elif action == 3 and isinstance(parent, list):
        parent.insert(at, _value(random))
    elif action == 4 and isinstance(parent, dict):
        parent[random.choice([v for v in VALUES if isinstance(v, str)])] = parent[at]
    elif action == 5 and type(parent[at]) is int:
        parent[at] += random.choice([-1, 1, 2**31, -(2**63), 2**63])
    else:
        parent[at] = _value(random)
    return json.loads(json.dumps(document))  # no part of it stands in two places


def _value(random: Random) -> Any:
    return json.loads(json.dumps(random.choice(VALUES)))


def _places(value: Any) -> Any:
    if isinstance(value, dict | list):
        for at in value if isinstance(value, dict) else range(len(value)):
            yield value, at
            yield from _places(value[at])
