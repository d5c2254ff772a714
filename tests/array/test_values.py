"""Values that are assigned: what is taken as it is, what is rounded, and what is refused."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

import zarr_shard_codec as zsc
from zarr_shard_codec.stores.memory import MemoryStore


def _create(store, shape=(10, 9), shard=(4, 6), inner=(2, 3), dtype="int32", **options):
    return zsc.create(store, shape=shape, dtype=dtype, shard_shape=shard, inner_chunk_shape=inner, **options)


def _same(one, other):
    one, other = np.asarray(one), np.asarray(other)
    return one.shape == other.shape and one.dtype == other.dtype and one.tobytes() == other.tobytes()


@pytest.mark.parametrize(
    ("dtype", "value", "reason"),
    [
        ("int32", np.zeros((3, 3)), "value_shape_mismatch"),
        ("int32", [[1, 2], [3]], "value_shape_mismatch"),
        ("int32", 1.5, "value_type_mismatch"),
        ("int32", np.float64(1), "value_type_mismatch"),
        ("int32", 2**40, "value_type_mismatch"),
        ("int32", np.int64(2**40), "value_type_mismatch"),
        ("int32", np.full((10, 9), 2**31), "value_type_mismatch"),
        ("uint8", np.int64(-1), "value_type_mismatch"),
        ("int64", np.uint64(2**63), "value_type_mismatch"),
        ("uint8", 256, "value_type_mismatch"),
        ("uint64", [2**64 - 1, -1] + [0] * 7, "value_type_mismatch"),
        ("uint64", [2**64 - 1, 1.0] + [0] * 7, "value_type_mismatch"),
        ("float32", 1j, "value_type_mismatch"),
        ("float64", "one", "value_type_mismatch"),
        ("bool", np.int8(2), "value_type_mismatch"),
        ("bool", 2, "value_type_mismatch"),
        ("bool", [True, 2, False] * 3, "value_type_mismatch"),
        ("bool", Decimal("0.5"), "value_type_mismatch"),
        ("bool", [10**5000], "value_type_mismatch"),
        ("int32", Decimal("2.7"), "value_type_mismatch"),
        ("int32", Fraction(5, 2), "value_type_mismatch"),
        ("int32", np.array(["5"], object), "value_type_mismatch"),
        ("int32", object(), "value_type_mismatch"),
        ("M8[ns]", np.array(["3000-01-01"], "M8[D]"), "value_type_mismatch"),
        ("M8[ns]", [np.datetime64("3000-01-01", "D")], "value_type_mismatch"),
        ("M8[ns]", date(3000, 1, 1), "value_type_mismatch"),
        ("M8[s]", np.datetime64(1001, "ms"), "value_type_mismatch"),
        ("M8[s]", datetime(2020, 1, 1, microsecond=3), "value_type_mismatch"),  # noqa: DTZ001 - NumPy's have none
        ("M8[s]", 2**63, "value_type_mismatch"),
        ("m8[s]", [3, None, timedelta(microseconds=5)] * 3, "value_type_mismatch"),
        ("M8[s]", np.int64(5), "value_type_mismatch"),
        ("m8[s]", np.uint64(2**63 + 5), "value_type_mismatch"),
        ("V2", np.array([b"abcd"], "V4"), "value_type_mismatch"),
        ("V2", 5, "value_type_mismatch"),
    ],
)
def test_values_that_do_not_fit_are_refused(recording_store, dtype, value, reason):
    """Nothing wraps or loses its kind in silence, and nothing is written."""
    store = recording_store()
    array = _create(store, dtype=dtype)
    with pytest.raises(zsc.UsageError) as caught:
        array[...] = value
    assert caught.value.reason == reason
    assert store.writes == []


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("uint8", 255),
        ("uint8", np.int64(255)),
        ("int16", np.arange(9, dtype=">i8")),
        ("float32", np.float64(0.5)),
        ("float32", [1] * 9),
        ("float32", True),
        ("complex64", 1),
        ("int64", np.uint64(2**63 - 1)),
        ("int32", [[1] * 9] * 10),
        ("int32", Decimal(2)),
        ("uint64", [2**64 - 1] * 9),
        ("uint64", [2**64 - 1, *range(8)]),
        ("int32", np.array([5], object)),
        ("int32", np.array([[[5]]], object)),
        ("bool", 1),
        ("float32", Decimal("0.1")),
        ("float32", Fraction(1, 3)),
        ("float32", 16777217),
        ("M8[ns]", np.array(["2020-01-01"], "M8[D]")),
        ("M8[s]", np.datetime64(1000, "ms")),
        ("M8[s]", [np.datetime64("NaT", "ns"), *[np.datetime64(10**9, "ns")] * 8]),
        ("M8[s]", datetime(2020, 1, 1)),  # noqa: DTZ001 - NumPy's have none
        ("M8[us]", date(2020, 1, 1)),
        ("m8[s]", timedelta(1)),
        ("M8[s]", 5),
        ("m8[s]", np.int64(5)),
        ("m8[s]", [3, None, timedelta(1)] * 3),
        ("V4", np.array([b"ab"], "V2")),
    ],
)
def test_values_that_fit_are_taken(dtype, value):
    """Numbers, lists and arrays of any type that loses nothing are written as NumPy would."""
    array = _create(MemoryStore(), dtype=dtype)
    array[...] = value
    model = np.zeros(array.shape, dtype)
    model[...] = value
    assert _same(array[...], model)


@pytest.mark.filterwarnings("error")
def test_floats_past_the_largest_are_infinite():
    """As NumPy has it, which says so in a warning: that is not ours to give."""
    array = _create(MemoryStore(), dtype="f4")
    array[...] = np.array([-1e300] * 9)
    array[0] = 1e300
    assert (array[0] == np.inf).all()
    assert (array[1:] == -np.inf).all()


def test_a_value_that_does_not_fit_is_named():
    """Integers that the dtype cannot hold are refused, and one of them is said."""
    array = zsc.create(MemoryStore(), shape=64, dtype="u2", shard_shape=64, inner_chunk_shape=16)
    with pytest.raises(zsc.UsageError, match="70000"):
        array[...] = np.arange(64) + 70000
    assert (array.size, array.nbytes) == (64, 128)
