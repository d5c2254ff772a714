"""The vectors: enough of them, each is what it says, and nothing but the generator made them."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import zarr_shard_codec as zsc
from conformance import generate
from conformance.cases import broken_bytes, broken_chains, broken_chunks, broken_metadata, silent
from conformance.cases.corpus import corpus, load
from conformance.cases.cross_check import TENSORSTORE_DIFFERS, faults
from conformance.cases.draft import Draft, select, write_files
from zarr_shard_codec.errors import REASONS

ROOT = Path(__file__).parents[2]
CORPUS = corpus()
REQUIREMENTS = [
    entry["id"]
    for entry in tomllib.loads((ROOT / "spec" / "requirements.toml").read_text("utf-8"))["requirement"]
]
CHANGED = [
    draft
    for module in (broken_bytes, broken_chains, broken_chunks, broken_metadata, silent)
    for draft in module.drafts()
    if draft.intact
]


def named(items):
    """Run a test once for each, by its name."""
    return pytest.mark.parametrize("item", items, ids=lambda item: item.name)


@named(CORPUS)
def test_a_vector_is_what_it_says(item):
    """We read, or refuse for its reason, the whole and each part; tensorstore reads what has values."""
    assert faults(item) == []


@named(CORPUS)
def test_a_vector_is_complete(item):
    """It says why where it is not plain, has parts to read, and names requirements that there are."""
    assert item.title
    assert item.requirements
    assert set(item.requirements) <= set(REQUIREMENTS)
    assert (item.why is None) == (item.expect == "values")
    assert (item.reason in REASONS) == (item.expect == "refuse")
    assert len(item.selections) >= 2 or item.values.size <= 4
    for part in item.selections:
        assert item.values[part.axes].size > 0
        assert item.values[part.axes].size < max(item.values.size, 2)
        assert item.expect == "refuse" or part.expect in (item.expect, "values")


@pytest.mark.parametrize("identifier", REQUIREMENTS)
def test_a_requirement_has_a_vector(identifier):
    """Every requirement of the specification is held by at least one."""
    assert any(identifier in case.requirements for case in CORPUS)


def test_there_are_enough_of_each_kind():
    """At least 150, 40 of them broken; of the good ones about half are by others, all four of them."""
    expected = Counter(case.expect for case in CORPUS)
    assert expected.total() >= 150
    assert expected["refuse"] >= 40
    assert expected["either"] >= 10
    makers = Counter(case.made_by.name for case in CORPUS if case.expect == "values")
    others = {name: makers[name] for name in ("tensorstore", "zarr-python", "zarrs", "zarrita")}
    assert min(others.values()) >= 20
    assert 0.4 <= sum(others.values()) / expected["values"] <= 0.6
    assert set(makers) == {*others, "hand", "zarr_shard_codec"}


def test_what_tensorstore_does_not_read_is_still_there():
    """No exception outlives its vector."""
    assert set(TENSORSTORE_DIFFERS) <= {case.name for case in CORPUS if case.expect == "values"}


@pytest.mark.parametrize("there", [False, True])
def test_no_vectors_are_an_error(tmp_path, there):
    """A corpus that is missing or empty proves nothing, and says so."""
    folder = tmp_path / "vectors"
    if there:
        folder.mkdir()
    with pytest.raises(FileNotFoundError, match="no vectors"):
        corpus(folder)


@named(CHANGED)
def test_what_is_broken_has_one_thing_wrong(tmp_path, item):
    """Undo it, and the array is read: exactly one file differs, and in metadata exactly one member."""
    write_files(tmp_path / "intact", item.intact)
    found = zsc.open(tmp_path / "intact")[...]
    assert (found.shape, found.tobytes()) == (item.values.shape, item.values.tobytes())
    paths = {*item.files, *item.intact}
    differing = [path for path in paths if item.files.get(path) != item.intact.get(path)]
    assert len(differing) == 1
    assert (differing == ["zarr.json"]) == item.name.startswith(("metadata-", "silent-"))


def test_every_refusal_comes_from_an_intact_twin():
    """There is no broken vector whose good twin is unknown."""
    refused = {case.name for case in CORPUS if case.expect == "refuse"}
    assert refused == {draft.name for draft in CHANGED if draft.expect == "refuse"}


def test_the_generator_makes_these_bytes():
    """What is committed is what `generate` writes, hand-made vectors and those of installed peers."""
    command = [sys.executable, "-m", "conformance", "generate", "--check"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"of {len(CORPUS)} vectors: 0 differ" in result.stdout


def _draft(name):
    values = np.arange(3, dtype="<i4")
    return Draft(
        name=name,
        title="A draft",
        requirements=("NAME",),
        files={"zarr.json": b"{}", "c/0": b"abc"},
        values=values,
        data_type="int32",
        selections=(select((0, 1)),),
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (Path.exists, ""),
        (lambda folder: (folder / "a/array.zarr/c/0").write_bytes(b"abd"), "a: other bytes"),
        (lambda folder: (folder / "a/array.zarr/c/0").unlink(), "a: other bytes, or none, in array.zarr/c/0"),
        (lambda folder: (folder / "a/more").write_bytes(b""), "a: other bytes, or none, in more"),
        (lambda folder: _draft("c").write(folder / "c"), "c: nothing makes it"),
        (lambda folder: (folder / "d").mkdir(), "d: nothing makes it"),
        (lambda folder: (folder / "b").rename(folder.parent / "b"), "b: it is missing"),
    ],
)
def test_the_check_notices(tmp_path, monkeypatch, capsys, change, said):
    """A byte, a file or a vector too many, too few or changed is a difference, named."""
    folder = tmp_path / "vectors"
    for name in "ab":
        _draft(name).write(folder / name)
    change(folder)
    monkeypatch.setattr(generate, "VECTORS", folder)
    monkeypatch.setattr(generate, "drafts", lambda _: map(_draft, "ab"))
    with pytest.raises(SystemExit) as status:
        generate.command.callback(check=True)
    assert status.value.code == (1 if said else 0)
    assert said in capsys.readouterr().out


def test_a_draft_is_loaded_as_it_was(tmp_path):
    """`load` undoes `write`."""
    draft = _draft("a")
    draft.write(tmp_path / "a")
    case = load(tmp_path / "a")
    assert (case.title, case.requirements, case.made_by) == (draft.title, draft.requirements, draft.made_by)
    assert case.values.tobytes() == draft.values.tobytes()
    assert case.selections == draft.selections
