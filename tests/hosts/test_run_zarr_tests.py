"""The judgement over zarr-python's own tests: what fails has to be named, and what is named has to fail."""

import importlib.util
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def script():
    """The script, which is no module of a package."""
    spec = importlib.util.spec_from_file_location("run_zarr_tests", HERE / "run_zarr_tests.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


OUTCOMES = {"t.py::a": "passed", "t.py::b": "failed", "t.py::c[1]": "failed", "t.py::d": "skipped"}


def test_what_fails_unnamed_is_bad(script):
    """A failure that nobody has explained, and that goes away without us."""
    verdict = script.judge(OUTCOMES, {"t.py::b": "why"}, alone={"t.py::c[1]": "passed"})
    assert (verdict.failed, verdict.good) == (("t.py::c[1]",), False)


def test_what_fails_without_us_is_not_ours(script):
    """The host's own failures are reported and forgiven."""
    verdict = script.judge(OUTCOMES, {"t.py::b": "why"}, alone={"t.py::c[1]": "failed"})
    assert (verdict.failed_without_us, verdict.good) == (("t.py::c[1]",), True)


@pytest.mark.parametrize("name", ["t.py::a", "t.py::d", "t.py::gone"])
def test_what_is_named_and_does_not_fail_is_bad(script, name):
    """Else the list would grow and say nothing."""
    expected = dict.fromkeys(["t.py::b", "t.py::c[1]", name], "why")
    verdict = script.judge(OUTCOMES, expected, alone={})
    assert (verdict.not_failed, verdict.good) == ((name,), False)


def test_the_list_names_tests_with_and_without_parameters(script, tmp_path, monkeypatch):
    """A bare name stands for all tests made of it; one that no test has is kept, to be found out."""
    tests = '["t.py::c", "t.py::gone"]'
    entry = f'[[exception]]\ntests = {tests}\nzarr = ["3.4."]\nwith = ["class"]\nreason = "why"\n'
    (tmp_path / "exceptions.toml").write_text(entry)
    monkeypatch.setattr(script, "HERE", tmp_path)
    assert script.exceptions("3.4.2", "class", OUTCOMES) == {"t.py::c[1]": "why", "t.py::gone": "why"}
    assert script.exceptions("3.4.2", "pipeline", OUTCOMES) == {}
    assert script.exceptions("3.1.6", "class", OUTCOMES) == {}


def test_every_exception_has_a_reason():
    """The real list, complete."""
    import tomllib

    entries = tomllib.loads((HERE / "exceptions.toml").read_text())["exception"]
    assert entries
    assert all(entry["reason"] and set(entry["with"]) <= {"class", "pipeline"} for entry in entries)
