"""Named extensions: the form that data types, grids, key encodings and codecs share in a metadata document.

Owns that form alone: a short name, or an object with `name`, `configuration` and `must_understand` (Zarr v3.1
core specification, "Extension definition"). What a name means is the business of who asked.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from zarr_shard_codec.errors import MetadataError, Problem

_MEMBERS: Final = ("name", "configuration", "must_understand")


@dataclass(frozen=True, slots=True)
class Extension:
    """A parsed extension.

    Attributes
    ----------
    name
        Its name.
    configuration
        Its configuration; empty where the document gives none.
    """

    name: str
    configuration: Mapping[str, Any]


def parse_extension(json: object, path: str, *, ignorable: bool) -> Extension:
    """Read an extension in either form.

    Parameters
    ----------
    json
        A string, or an object.
    path
        Where it stands in its document, for the problems.
    ignorable
        Whether `"must_understand": false` may stand here; the specification forbids it for data types, chunk
        grids and chunk key encodings.

    Raises
    ------
    MetadataError
        `wrong_type`, `missing_key`, `unknown_key`, `wrong_value`; all problems at once.
    """
    if isinstance(json, str) and json:
        return Extension(json, {})
    if not isinstance(json, Mapping):
        message = f"expected a name or an object with a name, found {reprlib.repr(json)}"
        raise MetadataError([Problem(path, "wrong_type", message)])
    problems = [
        Problem(f"{path}.{key}", "unknown_key", f"an extension has no member but {', '.join(_MEMBERS)}")
        for key in json
        if key not in _MEMBERS
    ]
    name = json.get("name")
    if "name" not in json:
        problems.append(Problem(f"{path}.name", "missing_key", "an extension needs a name"))
    elif not isinstance(name, str) or not name:
        problems.append(Problem(f"{path}.name", "wrong_type", f"expected a name, found {reprlib.repr(name)}"))
    configuration = json.get("configuration", {})
    if not isinstance(configuration, Mapping):
        message = f"expected an object, found {reprlib.repr(configuration)}"
        problems.append(Problem(f"{path}.configuration", "wrong_type", message))
    must_understand = json.get("must_understand", True)
    if not isinstance(must_understand, bool):
        message = f"expected true or false, found {reprlib.repr(must_understand)}"
        problems.append(Problem(f"{path}.must_understand", "wrong_type", message))
    elif not must_understand and not ignorable:
        message = "this part of the metadata cannot be left out, so it must be understood"
        problems.append(Problem(f"{path}.must_understand", "wrong_value", message))
    if problems:
        raise MetadataError(problems)
    return Extension(str(name), configuration)
