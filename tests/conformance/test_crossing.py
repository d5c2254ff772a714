"""Writers × readers, updates and cost: whose fault it is; the command, its files and its exit status."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner

import zarr_shard_codec as zsc
from conformance.__main__ import main
from conformance.cases.corpus import VECTORS
from conformance.cases.corpus import load as load_case
from conformance.implementations import OURS, PLACES, Place
from conformance.report.loading import load
from conformance.run import command as command_module
from conformance.run.arrays import samples
from conformance.run.crossing import CHANGED
from conformance.run.junit import save_junit
from conformance.run.results import Cell, Described, Results, marked_hosts
from conformance.run.running import Plan, run
from conformance.run.summary import losses

HERE = Path(__file__).parent
JUDGES = {name: PLACES[name] for name in ("tensorstore", OURS)}


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """The fakes can be imported, here and in the processes of subjects."""
    monkeypatch.syspath_prepend(HERE)


def fakes(**faults):
    """Where implementations with faults are."""
    return {name: Place("fake_implementations", {"fault": fault}) for name, fault in faults.items()}


def crossed(tmp_path, places, *parts, names=("codec-zstd-crc32c",)):
    """Run parts of the suite on a few arrays."""
    chosen = [sample for sample in samples() if sample.name in names]
    plan = Plan(places, JUDGES, parts, [], chosen, jobs=2)
    return run(plan, tmp_path, lambda _: None)


def outcomes(results):
    """Outcome by who is judged for what."""
    return {
        (one.implementation, one.operation, one.writer, one.updater): one.outcome for one in results.cells
    }


def test_samples_are_forty_and_always_the_same():
    """Each with a name of its own, metadata that opens, and an update that changes something."""
    first, again = samples(), samples()
    assert len(first) >= 40
    assert len({one.name for one in first}) == len(first)
    assert set(CHANGED) < {one.name for one in first}
    for one, same in zip(first, again, strict=True):
        assert one.document == same.document
        assert one.values.tobytes() == same.values.tobytes()
        assert zsc.open("unused", metadata=one.document).shape == one.values.shape
        if one.name in CHANGED:
            assert one.changes().tobytes() != one.values[one.changed].tobytes()


def test_who_writes_wrongly_is_judged_for_it_and_no_reader_is(tmp_path):
    """Two readers that share no code find the same wrong values: the writer's cell is the only one."""
    results = crossed(tmp_path, fakes(good="none", bad="writes wrongly", mute="refuses to write"), "matrix")
    assert outcomes(results) == {
        ("good", "write", "good", None): "pass",
        **{(name, "read", "good", None): "pass" for name in ("good", "bad", "mute")},
        ("bad", "write", "bad", None): "wrong_data",
        ("mute", "write", "mute", None): "refused",
    }


def test_who_reads_wrongly_is_judged_for_every_array(tmp_path):
    """What the two find right is right; the reader's cell says which part was wrong."""
    results = crossed(tmp_path, fakes(good="none", blind="reads wrongly"), "matrix")
    found = outcomes(results)
    assert found["blind", "read", "good", None] == found["blind", "read", "blind", None] == "wrong_data"
    assert found["good", "read", "blind", None] == found["blind", "write", "blind", None] == "pass"


def test_who_updates_wrongly_is_judged_for_it_and_no_reader_is(tmp_path):
    """A writes, B updates, C reads."""
    results = crossed(tmp_path, fakes(good="none", clumsy="updates wrongly"), "updates")
    assert outcomes(results) == {
        **{("clumsy", "update", name, "clumsy"): "wrong_data" for name in ("good", "clumsy")},
        **{("good", "update", name, "good"): "pass" for name in ("good", "clumsy")},
        **{(who, "read", by, "good"): "pass" for who in ("good", "clumsy") for by in ("good", "clumsy")},
    }


def test_our_word_alone_convicts_nobody(tmp_path):
    """What tensorstore cannot read, and we read wrongly, is our failure, not the writer's."""
    places = {OURS: Place("fake_implementations", {"fault": "reads wrongly"}), **fakes(good="none")}
    chosen = [sample for sample in samples() if sample.name == "codec-zstd-crc32c"]
    results = run(Plan(places, {}, ["matrix"], [], chosen, jobs=2), tmp_path, lambda _: None)
    found = outcomes(results)
    assert found["good", "write", "good", None] == "pass"
    assert found[OURS, "read", "good", None] == "wrong_data"


def test_our_reads_cost_what_the_format_makes_possible(tmp_path):
    """Two requests for a part, one for a whole shard, and not a byte too many; inside zarr-python too."""
    names = (OURS, f"{OURS}-in-zarr-python")
    results = crossed(tmp_path, {name: PLACES[name] for name in names}, "cost")
    assert Counter(one.implementation for one in results.cells) == dict.fromkeys(names, 3)
    for one in results.cells:
        assert one.got["requests"] == one.got["ideal_requests"] == (1 if one.case == "a whole shard" else 2)
        assert one.got["bytes"] == one.got["ideal_bytes"]


@pytest.fixture
def invoke(monkeypatch):
    """Run the command with other implementations than there are."""

    def call(*arguments, places=None):
        if places is not None:
            monkeypatch.setattr(command_module, "PLACES", {**JUDGES, **places})
        return CliRunner().invoke(main, ["run", *map(str, arguments)])

    return call


def test_files_have_every_cell_and_what_is_absent(invoke, tmp_path):
    """The report's reader takes the results; JUnit has a test for each cell, and counts that are right."""
    places = fakes(blind="reads wrongly", missing="absent", refuser="refuses to write")
    target, junit = tmp_path / "results.json", tmp_path / "junit.xml"
    done = invoke("--case", "index-end", "--json", target, "--junit", junit, places=places)
    assert done.exit_code == 0, done.output
    assert "absent: missing: it was never here" in done.output
    document = json.loads(target.read_text())
    absent = {one["name"]: one["absent"] for one in document["implementations"]}
    assert absent == {
        "tensorstore": None,
        OURS: None,
        "blind": None,
        "missing": "it was never here",
        "refuser": None,
    }
    assert not [one for one in document["cells"] if one["implementation"] == "missing"]
    blind = [
        one for one in document["cells"] if one["implementation"] == "blind" and one["part"] == "vectors"
    ]
    assert {one["outcome"] for one in blind} == {"wrong_data"}
    read = load(target)
    assert len(read.cells) == len(document["cells"])
    tree = ET.parse(junit).getroot()
    suites = {one.get("name"): one for one in tree}
    assert len(tree.findall(".//testcase")) == len(document["cells"]) + 1
    assert suites["missing"].find("testcase/skipped").get("message") == "absent: it was never here"
    blind = suites["blind.vectors"]
    assert int(blind.get("failures")) == int(blind.get("tests")) == len(blind.findall("testcase/failure"))
    assert suites[f"{OURS}.vectors"].get("failures") == "0"


@pytest.mark.parametrize("fault", ["reads wrongly", "refuses", "dies"])
def test_the_exit_status_is_1_if_we_lose_a_cell(invoke, fault):
    """The summary says how many, and lists what was expected and found."""
    place = Place("fake_implementations", {"fault": fault})
    done = invoke("--implementation", OURS, "--part", "vectors", "--case", "index-end", places={OURS: place})
    assert done.exit_code == 1
    count = 1 + len(load_case(VECTORS / "index-end").selections)
    assert f"{count} of this package's {count} cells are lost" in done.output
    assert "expected 1, 2, 3" in done.output


def test_the_exit_status_is_1_if_one_that_was_named_loses_a_cell(invoke):
    """Its cells are listed. Others that lose some, as above, leave the status at 0."""
    done = invoke(
        *("--implementation", "blind", "--part", "vectors", "--case", "index-end"),
        places=fakes(blind="reads wrongly"),
    )
    assert done.exit_code == 1
    assert "wrong data blind: index-end" in done.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--implementation", "nobody"], "no implementation 'nobody'"),
        (["--case", "no such case"], "no vector and no array"),
        (["--command", "true", "--name", OURS], "another implementation"),
        (["--command", ""], "expected a program"),
        (["--command", "'"], "No closing quotation"),
        (["--part", "all"], "not one of"),
    ],
)
def test_bad_usage_is_exit_status_2(invoke, arguments, words):
    """The message says what is wrong."""
    done = invoke(*arguments)
    assert done.exit_code == 2
    assert words in done.output


def test_a_command_has_a_row_of_its_own(invoke, tmp_path):
    """By its name, whole arrays only."""
    program = f"{sys.executable} -m conformance.implementations.examples.read_array"
    target = tmp_path / "results.json"
    done = invoke(
        *("--command", program, "--name", "example", "--implementation", "example"),
        *("--case", "index-end", "--part", "vectors", "--json", target),
    )
    assert done.exit_code == 0, done.output
    cells = json.loads(target.read_text())["cells"]
    assert {(one["implementation"], one["outcome"]) for one in cells} == {
        ("example", "pass"),
        ("example", "unsupported"),
    }


def test_what_a_host_does_without_us_is_its_own_doing():
    """Only the same outcome with the same values counts; all else is our loss."""
    ours, host = f"{OURS}-in-zarr-python", "zarr-python-batched"
    cells = [
        Cell("vectors", host, "same", "wrong_data", got="5, not 6"),
        Cell("vectors", ours, "same", "wrong_data", got="5, not 6"),
        Cell("vectors", host, "other", "wrong_data", got="5, not 6"),
        Cell("vectors", ours, "other", "wrong_data", got="7, not 6"),
        Cell("vectors", host, "ours alone", "pass"),
        Cell("vectors", ours, "ours alone", "refused", got="an error"),
    ]
    marked = marked_hosts(cells)
    assert [one.case for one in marked if one.host] == ["same"]
    assert losses(Results({}, [], marked), [ours]) == 2


def test_junit_can_hold_any_text(tmp_path):
    """Characters that XML has no way to write become replacement characters."""
    one = Cell("vectors", "x", "case", "refused", got="an error", message="\x00\ud800<&>\U0001f600")
    results = Results({}, [Described("x", "1", "C", "", None)], [one])
    save_junit(results, tmp_path / "junit.xml")
    text = ET.parse(tmp_path / "junit.xml").find(".//failure").text
    assert text.endswith("\ufffd\ufffd<&>\U0001f600")


def test_a_results_file_is_the_same_for_the_same_outcomes(tmp_path):
    """No times, no paths of temporary files, one cell a line."""
    results = Results(
        {"cores": 2},
        [Described("x", "1", "C", "", None)],
        [Cell("cost", "x", "row", "pass", got={"requests": 2})],
    )
    for name, seconds in (("a", {"cost": 1.0}), ("b", {"cost": 2.0})):
        Results(results.machine, results.implementations, results.cells, seconds).save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert json.loads((tmp_path / "a").read_text())["cells"] == [
        {"part": "cost", "implementation": "x", "case": "row", "outcome": "pass", "got": {"requests": 2}}
    ]
