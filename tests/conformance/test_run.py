"""Judging: every way to be wrong has its outcome, and none of them ends the run."""

from __future__ import annotations

import shlex
import struct
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from conformance.cases.corpus import VECTORS, corpus, load
from conformance.implementations import OURS, PLACES, Capabilities, Place, command_place
from conformance.implementations.examples import read_array
from conformance.run.judging import LOSSES, compare
from conformance.run.serving import Subject
from conformance.run.vectors import run_vectors

HERE = Path(__file__).parent
EXAMPLE = f"{sys.executable} -m conformance.implementations.examples.read_array"


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """The fakes can be imported, here and in the processes of subjects."""
    monkeypatch.syspath_prepend(HERE)


@pytest.fixture
def subject():
    """Make subjects, and end their processes in the end."""
    made = []

    def make(place, name="fake", limit=10.0):
        made.append(Subject(name, place, limit))
        return made[-1]

    yield make
    for one in made:
        one.close()


def fake(fault, **capabilities):
    """Where an implementation with a fault is."""
    return Place("fake_implementations", {"fault": fault, **capabilities})


def case_that(expect):
    """The first vector, with another expectation, and one part that has the same."""
    case = load(VECTORS / "index-end")
    first = replace(case.selections[0], expect=expect)
    return replace(case, expect=expect, why="of the clause", selections=(first,))


@pytest.mark.parametrize(
    ("fault", "values", "refuse", "either"),
    [
        ("none", "pass", "accepted", "pass"),
        ("reads wrongly", "wrong_data", "wrong_data", "wrong_data"),
        ("refuses", "refused", "pass", "pass"),
        ("says so", "unsupported", "pass", "pass"),
        ("garbles", "wrong_data", "wrong_data", "wrong_data"),
        ("dies", "crash", "crash", "crash"),
        ("panics", "crash", "crash", "crash"),
    ],
)
def test_each_answer_has_its_outcome(subject, fault, values, refuse, either):
    """What an answer is worth depends on what is due; the whole and the part are judged alike."""
    made = subject(fake(fault))
    cells = run_vectors(made, [case_that("values"), case_that("refuse"), case_that("either")])
    assert [one.outcome for one in cells] == [values, values, refuse, refuse, either, either]
    assert [one.selection for one in cells[:2]] == [None, 0]
    assert all((one.expected and one.got) or one.outcome == "pass" for one in cells)


def test_a_subject_that_hangs_is_ended_and_started_anew(subject):
    """It has had its time; the next question is put to a new process."""
    made = subject(fake("hangs"), limit=0.2)
    cells = run_vectors(made, [case_that("values")])
    assert [one.outcome for one in cells] == ["hang", "hang"]
    assert cells[0].message == "no answer within 0.2 s"


def test_a_death_is_told_with_its_last_words(subject):
    """The message has the status, and what stood on stderr."""
    place = command_place([sys.executable, "-c", "import os; os.write(2, b'oh no'); os.abort()"], "1")
    (cell,) = run_vectors(subject(place), [replace(case_that("values"), selections=())])
    assert (cell.outcome, cell.message) == ("crash", "SIGABRT: oh no")


@pytest.mark.parametrize(
    ("capabilities", "outcome"),
    [
        ({"data_types": frozenset({"int8"})}, "unsupported"),
        ({"codecs": frozenset({"bytes"})}, "unsupported"),
        ({"codecs": frozenset({"bytes", "crc32c", "sharding_indexed"})}, "refused"),
        ({"data_types": frozenset({"int32"})}, "refused"),
    ],
)
def test_a_refusal_is_excused_by_what_a_subject_says_of_itself(subject, capabilities, outcome):
    """Names of types and codecs, those of indexes and inner chunks too."""
    (cell, _) = run_vectors(subject(fake("refuses", **capabilities)), [case_that("values")])
    assert cell.outcome == outcome


def test_wrong_values_are_excused_by_nothing(subject):
    """What is not supported, and read all the same, must be right."""
    made = subject(fake("reads wrongly", data_types=frozenset({"int8"}), integers=False, steps=False))
    assert {one.outcome for one in run_vectors(made, [load(VECTORS / "index-end")])} == {"wrong_data"}


def test_no_parts_are_asked_of_who_reads_none(subject):
    """They are unsupported, and the whole is judged."""
    whole, part = run_vectors(subject(fake("none", parts=False)), [case_that("values")])
    assert (whole.outcome, part.outcome) == ("pass", "unsupported")


@pytest.mark.parametrize("name", ["r24", {"name": "raw_bytes"}, "float16", {"name": "float16"}, None, 5])
def test_types_go_by_their_names(name):
    """Raw types are one; a document without a type excuses nothing but the type."""
    known = Capabilities(data_types=frozenset({"r*", "raw_bytes", "float16"}))
    assert (known.missing({"data_type": name}) is None) == (name not in (None, 5))


def test_what_is_not_there_is_absent_with_its_reason(subject):
    """A missing module, a refusal to be set up, no program of that name: never a pass."""
    reasons = [
        subject(place).absent
        for place in (Place("no_such_module"), fake("absent"), command_place(["no-such-program"], "1"))
    ]
    assert reasons == [
        "No module named 'no_such_module'",
        "it was never here",
        "no-such-program is no program that can be run",
    ]


def test_values_are_compared_bit_by_bit():
    """Signs of zero, payloads of NaN, shapes and types count; byte order in memory does not."""
    nan = np.frombuffer(struct.pack("<2I", 0x7FC00000, 0x7FC00001), "<f4")
    assert compare(nan, nan) is None
    assert "0x7fc00001, not NaN" in compare(nan[1:], nan[:1])
    assert "-0.0, not 0.0" in compare(np.array([-0.0]), np.array([0.0]))
    assert compare(np.arange(3, dtype=">i4"), np.arange(3, dtype="<i4")) is None
    assert compare(np.arange(3, dtype="i8"), np.arange(3, dtype="i4")) == "data type int64, not int32"
    assert compare(np.zeros((3, 1)), np.zeros(3)) == "shape [3, 1], not [3]"
    assert compare(np.array(5), np.array(6)) == "1 of 1 elements differ, the first at []: 5, not 6"
    raw = np.frombuffer(b"abcdef", "V3")
    assert compare(raw.view("u1").reshape(2, 3), raw) is None
    assert compare(np.zeros((0, 4)), np.zeros((0, 4))) is None


@pytest.mark.parametrize(
    ("program", "outcome"),
    [
        ("print('\\n'.join(map(str, range(1, 9))))", "pass"),
        ("print('\\n'.join(map(str, range(8))))", "wrong_data"),
        ("print(1)", "wrong_data"),
        ("print('hello')", "wrong_data"),
        ("print('1.5\\n' * 8)", "wrong_data"),
        ("raise SystemExit(3)", "refused"),
    ],
)
def test_a_command_is_judged_by_what_it_prints_and_its_status(subject, program, outcome):
    """One element a line with status 0, or another status; status 0 and anything else is wrong data."""
    case = replace(case_that("values"), selections=())
    (cell,) = run_vectors(subject(command_place([sys.executable, "-c", program], "1")), [case])
    assert cell.outcome == outcome


def test_the_example_program_reads_every_type_and_refuses_what_is_broken(subject):
    """The program that others are to copy passes, bit for bit, over a pipe of text."""
    cases = [case for case in corpus() if case.name.startswith(("type-", "fill-", "broken-index"))]
    cells = run_vectors(subject(command_place(shlex.split(EXAMPLE), "1")), cases[::7])
    whole = [one for one in cells if one.selection is None]
    assert len(whole) > 5
    assert {one.outcome for one in whole} == {"pass"}
    assert read_array.__doc__ is not None


@pytest.mark.parametrize("name", [OURS, f"{OURS}-async"])
def test_our_own_rows_have_no_loss_over_the_whole_corpus(subject, name):
    """Every vector, whole and in each of its parts: the right values, or an error where one is due."""
    cells = run_vectors(subject(PLACES[name], name), corpus())
    assert len(cells) > 500
    assert [one for one in cells if one.outcome in LOSSES] == []
    assert {one.outcome for one in cells} == {"pass"}
