"""A group's metadata: the v3 `zarr.json`, or v2's `.zgroup` and `.zattrs` ↔ a frozen object.

Owns the documents of groups. What stands in a group is found by listing the store, which is not done here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Self

from zarr_shard_codec.array.documents import dump_document, parse_document
from zarr_shard_codec.array.metadata import check_constant, read_attributes, read_extra
from zarr_shard_codec.core.protocols import JSON
from zarr_shard_codec.errors import MetadataError, Problem

_KNOWN = ("zarr_format", "node_type", "attributes", "consolidated_metadata")


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupMetadata:
    """What a group is.

    Attributes
    ----------
    attributes
        The user's, as parsed JSON. Not to be changed in place.
    extra
        Members that the document marks as ignorable (`"must_understand": false`), kept as they are.
    consolidated
        The document holds copies of those below it (for v2: such a document stands beside it). It is not part
        of what the group is: see `to_json`.
    zarr_format
        Of the document it came from; `to_json` writes 3 in any case.
    """

    attributes: Mapping[str, JSON] = field(default_factory=dict)
    extra: Mapping[str, JSON] = field(default_factory=dict)
    consolidated: bool = field(default=False, compare=False)
    zarr_format: Literal[2, 3] = 3

    @classmethod
    def from_json(cls, document: bytes | Mapping[str, JSON]) -> Self:
        """Read a v3 group document.

        Raises
        ------
        MetadataError
            With every problem at once: `invalid_json`, `missing_key`, `unknown_key`, `wrong_type`,
            `wrong_value`.
        """
        json = parse_document(document)
        problems: list[Problem] = []
        for key, expected in (("zarr_format", 3), ("node_type", "group")):
            _check(json, key, expected, problems)
        try:
            attributes = read_attributes(json.get("attributes", {}))
        except MetadataError as error:
            problems += error.problems
        extra = read_extra(json, _KNOWN, problems)
        if problems:
            raise MetadataError(problems)
        consolidated = json.get("consolidated_metadata") is not None
        return cls(attributes=attributes, extra=extra, consolidated=consolidated)

    @classmethod
    def from_v2(
        cls,
        zgroup: bytes | Mapping[str, JSON],
        zattrs: bytes | Mapping[str, JSON] | None,
        *,
        consolidated: bool = False,
    ) -> Self:
        """Read a v2 group: `.zgroup`, and `.zattrs` if there is one. `consolidated`: so is `.zmetadata`.

        Raises
        ------
        MetadataError
            `invalid_json`, `missing_key`, `wrong_type`, `wrong_value`.
        """
        problems: list[Problem] = []
        _check(parse_document(zgroup), "zarr_format", 2, problems)
        if problems:
            raise MetadataError(problems)
        attributes = {} if zattrs is None else parse_document(zattrs, users=True)
        return cls(attributes=attributes, consolidated=consolidated, zarr_format=2)

    def to_json(self) -> dict[str, JSON]:
        """Give the v3 document.

        Never with `consolidated_metadata`: that is a copy of the documents below the group, as they were
        once. Whoever writes a group's document has changed what is below it, or is about to, and readers
        believe a stale copy before the documents themselves.
        """
        return {"attributes": dict(self.attributes), "zarr_format": 3, "node_type": "group", **self.extra}

    def to_bytes(self) -> bytes:
        """Give the bytes of `zarr.json`."""
        return dump_document(self.to_json())


def _check(json: Mapping[str, JSON], key: str, expected: object, problems: list[Problem]) -> None:
    if key not in json:
        problems.append(Problem(key, "missing_key", "every group document needs it"))
        return
    try:
        check_constant(json[key], key, expected)
    except MetadataError as error:
        problems += error.problems
