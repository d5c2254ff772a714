"""Fuzzing against the oracle: what differs is found, made small and saved; what agrees is silent."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from click.testing import CliRunner

from conformance.__main__ import main
from conformance.cases import corpus, found
from conformance.cases.cross_check import faults
from conformance.cases.draft import json_bytes
from conformance.cases.hand import BIG, CRC32C, GZIP, LITTLE, ZSTD, document, sharding, transpose
from conformance.fuzz.comparing import Disagreement, Readers, fits
from conformance.fuzz.hunting import hunt
from conformance.fuzz.known import KNOWN, Difference, explained
from conformance.run.judging import Answer
from zarr_shard_codec.codecs.bytes_ import BytesCodec


@pytest.fixture
def _planted(monkeypatch):
    """A decoder that takes big-endian elements of two bytes for little-endian ones."""
    decode = BytesCodec.decode

    def wrong(self, encoded):
        array = decode(self, encoded)
        is_big = array.dtype.itemsize == 2 and array.dtype.str.startswith(">")
        return array.view(array.dtype.newbyteorder()) if is_big else array

    monkeypatch.setattr(BytesCodec, "decode", wrong)


@pytest.mark.usefixtures("_planted")
def test_a_planted_bug_is_found_made_small_and_saved(monkeypatch, tmp_path):
    """The command says which seed, shows one small array and both readings, and saves a vector that loads."""
    monkeypatch.setattr(found, "FOUND", tmp_path / "found")
    arguments = ["fuzz", "--minutes", "0", "--seed", "3", "--save"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1, result.output
    assert result.output.startswith("seed 3\n")
    assert re.search(r"\n[0-9]+ arrays in [0-9]+ s\n", result.output)
    assert re.search(r"zarr_shard_codec reads other values than [a-z-]+ wrote: 1 of 1", result.output)

    (draft,) = found.drafts(tmp_path / "found")
    assert draft.values.size == 1
    assert draft.data_type in ("int16", "uint16", "float16")
    metadata = json.loads(draft.files["zarr.json"])
    assert [codec["name"] for codec in metadata["codecs"]] == ["sharding_indexed"]
    assert [codec["name"] for codec in metadata["codecs"][0]["configuration"]["codecs"]] == ["bytes"]
    draft.write(tmp_path / draft.name)
    case = corpus.load(tmp_path / draft.name)
    assert case.values.tobytes() == draft.values.tobytes()
    assert any("zarr_shard_codec" in fault for fault in faults(case))
    monkeypatch.undo()
    assert faults(case) == []  # with the decoder as it should be, the vector holds


def test_both_agree_on_arrays_that_are_drawn():
    """A batch of arrays, whole and broken, by three writers: no disagreement that is not explained."""
    readers = Readers()
    seen = []
    try:
        hunted = hunt(lambda drawn: (seen.append(drawn), readers.check(drawn)), 1, 0, 100)
    finally:
        readers.close()
    assert hunted.disagreement is None, hunted.disagreement
    assert hunted.examples == len(seen) >= 50
    assert {drawn.writer for drawn in seen} == {"hand", "zarr-shard-codec", "tensorstore"}
    assert {drawn.broken for drawn in seen} == {True, False}
    assert len({drawn.document["data_type"] for drawn in seen}) > 10


def test_a_seed_draws_the_same_again():
    """Two hunts of one seed look at the same arrays, two of different seeds do not."""
    drawn = []
    for seed in (5, 5, 6):
        one = []
        hunt(lambda array, one=one: one.append(repr(array)), seed, 0, 15)
        drawn.append(one)
    assert drawn[0] == drawn[1] != drawn[2]


def test_an_error_of_the_check_itself_is_no_disagreement():
    """Only what the two say is a finding: a fault of the fuzzer goes up as it is."""

    def broken(drawn):
        raise RuntimeError(drawn.writer)

    with pytest.raises(RuntimeError, match="hand"):
        hunt(broken, 1, 0)


def test_a_disagreement_is_the_smallest():
    """Shrinking goes on to an array that is just large enough for what the check minds, and is whole."""

    def check(drawn):
        if drawn.values.size >= 3:
            raise Disagreement(drawn, {}, [], "three")

    smallest = hunt(check, 1, 60).disagreement.drawn
    assert smallest.values.size == 3
    assert (smallest.writer, smallest.damage, smallest.selections) == ("hand", (), ())
    assert smallest.document["data_type"] == "uint8"


@pytest.mark.parametrize("kind", ["values", "wrong", "failure"])
@pytest.mark.parametrize("known", KNOWN, ids=range(len(KNOWN)))
def test_only_refusals_are_explained(kind, known):
    """Whatever an error says, other values or a crash are never taken for a known difference."""
    message = Answer("refusal", message=known.message)
    values = Answer("values", np.zeros(1))
    assert explained(Difference(kind, ""), message, values, {}) is None
    assert explained(Difference(kind, ""), values, message, {}) is None


_MORE = "expected at most 8 bytes, found an index entry of 9"
_OUTSIDE = "index entry (offset 0, nbytes 4294967296): the shard has 57 bytes"


@pytest.mark.parametrize(
    ("codecs", "message", "is_known"),
    [
        ([BIG, CRC32C], _MORE, True),
        ([transpose(0), LITTLE, CRC32C], _MORE, True),
        ([transpose(0), sharding([1], [LITTLE, CRC32C])], _MORE, True),
        ([LITTLE], _MORE, False),
        ([LITTLE, ZSTD, CRC32C], _MORE, False),
        ([transpose(0), sharding([1], [LITTLE, GZIP])], _MORE, False),
        ([sharding([1], [LITTLE], location="start")], _OUTSIDE, True),
        ([sharding([1], [LITTLE, CRC32C])], _OUTSIDE, False),
        ([LITTLE, CRC32C], _OUTSIDE, False),
    ],
    ids=str,
)
def test_some_refusals_are_known_for_some_metadata_only(codecs, message, is_known):
    """Elsewhere the same words of ours could be a limit that is too low, or a size misread."""
    files = {
        "zarr.json": json_bytes(document([2], [2], [sharding([1], codecs, location="start")], "int32", 0))
    }
    why = explained(
        Difference("ours refuses", ""),
        Answer("refusal", message=message),
        Answer("values", np.zeros(2)),
        files,
    )
    assert (why is not None) == is_known


@pytest.mark.parametrize(
    ("selection", "shape", "is_compared"),
    [
        ((slice(0, 2), 1), (2, 2), True),
        ((slice(0, 2), slice(0, 0)), (2, 0), True),
        ((slice(0, 0), slice(0, 1)), (2, 0), False),
        ((slice(0, 3),), (2,), False),
        ((0, 2), (2, 2), False),
        ((0,), (2, 2), True),
        ((0, 0), (2,), False),
    ],
)
def test_only_selections_of_what_is_there_are_compared(selection, shape, is_compared):
    """Broken metadata may have another shape; what is out of bounds, each reader takes in its way."""
    assert fits(selection, np.empty(shape)) is is_compared
    assert fits(selection, None)
