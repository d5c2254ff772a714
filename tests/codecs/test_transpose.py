"""The `transpose` codec."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zarr_shard_codec.errors import MetadataError


@given(order=st.integers(0, 6).flatmap(lambda ndim: st.permutations(range(ndim))))
def test_encoded_axes_are_the_decoded_ones_in_order(build_codec, order):
    """`B.shape[i] = A.shape[order[i]]`, element by element, and back, without a copy."""
    shape = tuple(range(2, 2 + len(order)))
    array = np.arange(np.prod(shape, dtype=int), dtype="u2").reshape(shape)
    codec = build_codec("transpose", {"order": list(order)}, shape=shape)
    assert codec.order == tuple(order)
    assert codec.encoded_spec.shape == tuple(shape[dimension] for dimension in order)
    encoded = codec.encode(array)
    assert np.array_equal(encoded, np.transpose(array, order))
    assert np.array_equal(codec.decode(encoded), array)
    assert np.shares_memory(encoded, array)
    assert np.shares_memory(codec.decode(encoded), array)


@pytest.mark.parametrize(
    ("configuration", "problems"),
    [
        ({}, [("order", "missing_key")]),
        ({"order": "F"}, [("order", "wrong_type")]),
        ({"order": [0, True]}, [("order", "wrong_type")]),
        ({"order": [0, 1.0]}, [("order", "wrong_type")]),
        ({"order": None, "axes": 1}, [("order", "wrong_type"), ("axes", "unknown_key")]),
        ({"order": [0, 0]}, [("order", "wrong_value")]),
        ({"order": [0, -1]}, [("order", "wrong_value")]),
        ({"order": [0]}, [("order", "wrong_value")]),
        ({"order": [0, 1, 2]}, [("order", "wrong_value")]),
        ({"order": [0, 2**70]}, [("order", "wrong_value")]),
    ],
)
def test_only_a_permutation_is_an_order(build_codec, configuration, problems):
    """The order is a permutation of the dimensions of the array (transpose specification, order)."""
    with pytest.raises(MetadataError) as caught:
        build_codec("transpose", configuration, shape=(2, 3))
    assert [(p.path, p.reason) for p in caught.value.problems] == problems


def test_metadata_and_pickling_keep_the_codec(build_codec):
    """What is written builds the same codec anew."""
    codec = build_codec("transpose", {"order": [1, 2, 0]}, shape=(2, 3, 4))
    again = build_codec("transpose", codec.to_metadata()["configuration"], shape=(2, 3, 4))
    assert again == codec
    assert pickle.loads(pickle.dumps(codec)).order == (1, 2, 0)
