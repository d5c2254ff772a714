"""The `transpose` codec: the dimensions in another order. Both ways it is a view and copies nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from zarr_shard_codec.codecs.configuration import Fields
from zarr_shard_codec.core.protocols import JSON, ChunkSpec, Kind


@dataclass(frozen=True, slots=True)
class TransposeCodec:
    """A permutation of dimensions: `encoded.shape[i] == decoded.shape[order[i]]`.

    Attributes
    ----------
    order
        The permutation.
    inverse_order
        The permutation that undoes it.
    encoded_spec
        The array once transposed.
    """

    kind: ClassVar[Kind] = "array_array"

    order: tuple[int, ...]
    inverse_order: tuple[int, ...]
    encoded_spec: ChunkSpec

    def to_metadata(self) -> dict[str, JSON]:
        """Give the codec object."""
        return {"name": "transpose", "configuration": {"order": list(self.order)}}

    def encode(self, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Permute the dimensions; a view."""
        return array.transpose(self.order)

    def decode(self, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Permute them back; a view."""
        return array.transpose(self.inverse_order)


def build(name: str, configuration: Mapping[str, JSON], spec: ChunkSpec) -> TransposeCodec:  # noqa: ARG001
    """Build it. `order` is a permutation of the spec's dimensions; "C" and "F" left the specification."""
    fields = Fields(configuration)
    order = fields.any("order")
    ndim = len(spec.shape)
    if not isinstance(order, list | tuple) or not all(type(dimension) is int for dimension in order):
        if fields.has("order"):
            fields.problem("order", "wrong_type", f"expected a list of {ndim} integers, found {order!r}")
        order = range(ndim)
    elif sorted(order) != list(range(ndim)):
        expected = f"expected a permutation of {list(range(ndim))}"
        fields.problem("order", "wrong_value", f"{expected}, found {list(order)}")
        order = range(ndim)
    fields.finish()
    inverse = tuple(sorted(range(ndim), key=order.__getitem__))
    encoded_spec = replace(spec, shape=tuple(spec.shape[dimension] for dimension in order))
    return TransposeCodec(tuple(order), inverse, encoded_spec)
